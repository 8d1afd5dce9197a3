"""Cells."""

from __future__ import annotations

import jax.numpy as jnp

from neuropil import cells, core
from tests.contract.examples.base import (
    Converges,
    Example,
    normal,
    nothing,
)


def _all_parts(key):
    """A LIF population with every part there is."""
    return cells.LIF(
        3,
        tau=jnp.array([2.0, 5.0, 9.0]),
        drive="jump",
        refractory=cells.Refractory(2.0),
        adaptation=cells.Adaptation(),
        noise=cells.Noise(0.5, block=4),
        currents=(cells.AdaptationCurrent(10.0), cells.AdaptationCurrent(5.0, 1.0, replace=True)),
    )


MAP = "a map from step to step: there is no time constant in it"


EXAMPLES = {
    "lif": Example(
        lambda k: cells.LIF(3, tau=5.0),
        normal(3, scale=3.0),
        (cells.LIF,),
        converges=Converges([0.2, 0.5, 0.9]),
        coarse=6.0,
    ),
    "lif of all parts": Example(_all_parts, normal(3), (cells.LIF,)),
    "lif without input": Example(
        lambda k: cells.LIF(3, v_rest=2.0, reset=cells.ValueReset(0.5)), nothing, (cells.LIF,)
    ),
    "meta": Example(
        lambda k: cells.MetaNeuron(3),
        normal(3),
        (cells.MetaNeuron,),
        converges=Converges([0.05, 0.1, 0.15], dt=0.5),
        coarse=2.0,
    ),
    "leaky": Example(
        lambda k: cells.LeakyIntegrator(3),
        normal(3),
        (cells.LeakyIntegrator,),
        converges=Converges([1.0, 2.0, 3.0]),
    ),
    "rate": Example(
        lambda k: cells.Rate((2, 2), phi=jnp.tanh),
        normal(2, 2),
        (cells.Rate,),
        converges=Converges([[1.0, 2.0], [3.0, 4.0]]),
    ),
    "rnn": Example(
        lambda k: cells.SimpleRNN.init_uniform(2, 3, k),
        normal(2),
        (cells.SimpleRNN,),
        converges=MAP,
    ),
    "gru": Example(
        lambda k: cells.GRU.init_uniform(2, 3, k), normal(2), (cells.GRU,), converges=MAP
    ),
    "lstm": Example(
        lambda k: cells.LSTM.init_uniform(2, 3, k), normal(2), (cells.LSTM,), converges=MAP
    ),
    "adaptive exponential IF": Example(
        lambda k: cells.AdEx(
            3,
            refractory=cells.Refractory(0.5),
            currents=(cells.AdaptationCurrent(5.0, -100.0),),
        ),
        normal(3, scale=3000.0),
        (cells.ExponentialIF,),
        dt=0.5,
        converges=Converges([100.0, 300.0, 400.0]),
        coarse=10.0,
    ),
    "quadratic IF": Example(
        lambda k: cells.QuadraticIF(3, escape=cells.Escape(0.3, 4.0, block=4)),
        normal(3, scale=200.0),
        (cells.QuadraticIF,),
        converges=Converges([1.0, 2.0, 3.0]),
        coarse=11.0,
    ),
    "izhikevich": Example(
        lambda k: cells.Izhikevich.named("IB", 3),
        normal(3, scale=100.0),
        (cells.Izhikevich,),
        dt=0.5,
        converges=Converges([-2.0, 0.0, 1.0], dt=0.25),
        coarse=2.0,
    ),
    "hodgkin-huxley": Example(
        lambda k: cells.HodgkinHuxley(2, method=core.ExponentialEuler()),  # compiles in half
        normal(2, scale=300.0),
        (cells.HodgkinHuxley,),
        dt=0.1,
        converges=Converges([1.0, 10.0], until=8.0, dt=0.1),
        coarse=2.0,
    ),
    "graded": Example(
        lambda k: cells.Graded(3),
        normal(3, scale=50.0),
        (cells.Graded,),
        converges=Converges([10.0, 20.0, 30.0]),
    ),
    "two-point": Example(
        lambda k: cells.TwoPoint(3),
        lambda: {"basal": normal(3)(), "apical": normal(3)()},
        (cells.TwoPoint,),
        converges=Converges({"basal": [1.0, -1.0, 0.5], "apical": [1.0, 1.0, -1.0]}),
    ),
    "li-rinzel": Example(
        lambda k: cells.LiRinzel(3, ip3=0.4, method=core.Euler()),
        normal(3, scale=1e-4),
        (cells.LiRinzel,),
        dt=50.0,
        converges=Converges([0.0, 1e-5, 2e-5], until=3200.0, dt=50.0),
        coarse=100.0,
    ),
    "leaky astrocyte": Example(
        lambda k: cells.LeakyAstrocyte(2),
        normal(2),
        (cells.LeakyAstrocyte,),
        converges=Converges([1.0, 2.0]),
    ),
    "elm": Example(
        lambda k: cells.ELM.init_uniform(3, 2, k),
        normal(3),
        (cells.ELM,),
        converges=Converges([1.0, 0.5, 2.0], pulse=True, until=8.0, dt=0.125),
    ),
    "elm with branches": Example(
        lambda k: cells.ELM.init_uniform(3, 2, k, route=cells.windows(3, 2, 2), rule="v2"),
        normal(3),
        (cells.ELM,),
        dt=2.0,
    ),
}
