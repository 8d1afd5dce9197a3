"""Cells."""

from __future__ import annotations

import jax.numpy as jnp

from neuropil import cells
from tests.contract.examples.base import (
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
    )


EXAMPLES = {
    "lif": Example(lambda k: cells.LIF(3, tau=5.0), normal(3, scale=3.0), (cells.LIF,)),
    "lif of all parts": Example(_all_parts, normal(3), (cells.LIF,)),
    "lif without input": Example(
        lambda k: cells.LIF(3, v_rest=2.0, reset=cells.ValueReset(0.5)), nothing, (cells.LIF,)
    ),
    "leaky": Example(lambda k: cells.LeakyIntegrator(3), normal(3), (cells.LeakyIntegrator,)),
    "rate": Example(lambda k: cells.Rate((2, 2), phi=jnp.tanh), normal(2, 2), (cells.Rate,)),
    "rnn": Example(lambda k: cells.SimpleRNN.init_uniform(2, 3, k), normal(2), (cells.SimpleRNN,)),
    "gru": Example(lambda k: cells.GRU.init_uniform(2, 3, k), normal(2), (cells.GRU,)),
    "lstm": Example(lambda k: cells.LSTM.init_uniform(2, 3, k), normal(2), (cells.LSTM,)),
    "elm": Example(lambda k: cells.ELM.init_uniform(3, 2, k), normal(3), (cells.ELM,)),
    "elm with branches": Example(
        lambda k: cells.ELM.init_uniform(3, 2, k, route=cells.windows(3, 2, 2), rule="v2"),
        normal(3),
        (cells.ELM,),
        dt=2.0,
    ),
}
