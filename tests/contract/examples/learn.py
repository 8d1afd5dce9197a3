"""Rules and learning."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax

from neuropil import blocks, cells, core, learn, plasticity
from neuropil.learn.projection import Projected
from tests.contract.examples.base import (
    TICKS,
    Example,
    dense,
    normal,
    spikes,
)
from tests.contract.examples.core import Hebb, managed


def _trainer(key):
    loss = lambda model, batch, key: jnp.mean((jax.vmap(model.forward)(batch) - 1.0) ** 2)
    return learn.Trainer(dense(3, 2, key, bias=True), loss, optax.adam(0.1), patience=2)


LAYERED = (
    "backpropagation", "feedback-alignment", "direct-feedback-alignment", "target-propagation",
    "forward-forward", "counter-current", "node-perturbation", "weight-perturbation", "spsa",
    "evolution-strategies",
)  # fmt: skip
RECURRENT = {  # name of the learner -> of its example
    "real-time-recurrent-learning": "real-time recurrent learning",
    "snap-1": "snap-1",
    "uoro": "uoro",
    "e-prop": "e-prop",
    "truncated-backpropagation": "truncated backpropagation",
    "synthetic-gradients": "synthetic gradients",
}


def _trainers(key):
    """Every learner of a layered network beside the others, each with a network of its own."""
    a, b = jr.split(key)
    net = core.Chain(dense(5, 3, a), jnp.tanh, learn.unit_rms, dense(3, 2, b))
    loss, tx = learn.Supervised(learn.cross_entropy), optax.sgd(0.1)
    make = lambda name: learn.Trainer(
        net, loss, tx, credit=learn.learner(name, net, jnp.ones(5), key)
    )
    return core.Parallel({name: make(name) for name in LAYERED})


def _labelled():
    """Batches of 4 inputs (5,) with labels."""
    return {"x": normal(4, 5)(), "y": np.tile(np.array([0, 1, 1, 0], np.int32), (TICKS, 1))}


def _affine(w, a):
    return jnp.tanh(w @ a)


def _learner(key):
    a, b = jr.split(key)
    layer = lambda k, m, n: learn.Descender(_affine, jr.normal(k, (m, n)), 0.1, "target")
    return layer(a, 4, 3) >> layer(b, 2, 4)


def _pairs():
    """Inputs (3,) and targets (2,) of a learner."""
    return normal(3)(), normal(2)()


def _wired(key):
    one = learn.LinearSystem(0.5 * jnp.eye(1), jnp.ones((1, 1)), jnp.ones((1, 1)))
    inner = 0.3 * jr.normal(key, (2, 2))
    return learn.Wired(
        learn.beside(one, one), learn.Diagram(inner, jnp.ones((2, 1)), jnp.ones((1, 2)))
    )


def _stdp(**more):
    def make(key):
        net = core.Chain(wire=dense(3, 2, key), cell=cells.LIF(2, drive="jump"))
        rule = plasticity.PairSTDP(3, 2, a_plus=0.1, a_minus=0.1, **more)
        return core.Managed(net, rule, "parts.wire.weight", {"pre": "input", "post": "output"})

    return make


def _tempotron(key):
    trial = lambda y: jnp.broadcast_to(y, (4, 2))  # a tick is a trial: at rest too
    cell = core.Chain(psp=lambda x: x["psp"], wire=dense(3, 2, key), trial=trial)
    rule = plasticity.Tempotron(3, 2, rate=0.5, momentum=0.9)
    reads = {"psp": "input.psp", "target": "input.target"}
    return core.Managed(cell, rule, "parts.wire.weight", reads)


def _trials():
    """Potentials of trials of 4 bins, and which cells should spike."""
    return {"psp": abs(normal(4, 3)()), "target": spikes(2)()}


def _balance(key):
    sizes = jnp.array([[0.0, 0.2, 0.3], [0.0, 0.0, 0.4], [0.0, 0.1, 0.0]])
    net = blocks.BalancedReservoir(0.2 * jnp.ones((3, 3)), sizes, 0.3 * jnp.ones((3, 2)))
    rule = plasticity.InhibitoryBalance(sizes, target=0.4, rate=0.1)
    return core.Managed(net, rule, "inhibit", {"post": "output"})


def _least_squares(key):
    net = core.Chain(pick=lambda x: x["r"], wire=dense(3, 2, key))
    rule = plasticity.RecursiveLeastSquares(3, ridge=0.5, forget=0.9)
    reads = {"pre": "input.r", "target": "input.y", "gate": "input.gate"}
    return core.Managed(net, rule, "parts.wire.weight", reads)


def _samples():
    """Features, targets and weights of samples."""
    return {"r": normal(3)(), "y": normal(2)(), "gate": spikes(1)()[:, 0]}


def _cells(key, readout):
    """Recurrent rate units that hear each other a tick later, and a readout."""
    a, b = jr.split(key)
    nodes, edges = {"cells": cells.Rate(3, 4.0, jnp.tanh)}, {"cells>cells": dense(3, 3, a)}
    core_ = core.Network(nodes, edges)
    give, pick = (lambda x: {"cells": x}), (lambda y: y["cells"])
    return core.Chain(wire=dense(3, 3, b), give=give, core=core_, pick=pick, out=readout)


def _online(credit, spiking=False):
    def make(key):
        a, b = jr.split(key)
        loss = learn.OverTime(learn.squared_error)
        if spiking:
            net = _cells(a, learn.Broadcast.init_uniform(3, 2, b, adaptive=True))
            return learn.Online(net, loss, learn.eprop(3, net))
        net = core.Chain(cells.SimpleRNN.init_uniform(3, 2, a), dense(2, 2, b))
        return learn.Online(net, loss, credit(key))

    return make


def _spans():
    """Inputs and targets of spans of 2 ticks."""
    return normal(2, 3)(), normal(2, 2)()


EXAMPLES = {
    "real-time recurrent learning": Example(
        _online(lambda k: learn.rtrl()), _pairs, (learn.Online,)
    ),
    "snap-1": Example(_online(lambda k: learn.snap1(2)), _pairs, (learn.Online,)),
    "uoro": Example(_online(lambda k: learn.uoro()), _pairs, (learn.Online,)),
    "e-prop": Example(_online(None, spiking=True), _pairs, (learn.Online,)),
    "truncated backpropagation": Example(
        _online(lambda k: learn.Truncated(2)), _spans, (learn.Online,)
    ),
    "synthetic gradients": Example(
        _online(lambda k: learn.synthetic_gradients(2, 2, (3,), k)), _spans, (learn.Online,)
    ),
    "broadcast": Example(
        lambda k: learn.Broadcast.init_uniform(3, 2, k), normal(3), (learn.Broadcast,)
    ),
    "inhibitory balance": Example(
        _balance, lambda: abs(normal(2)()), (plasticity.InhibitoryBalance,)
    ),
    "recursive least squares": Example(
        _least_squares, _samples, (plasticity.RecursiveLeastSquares,)
    ),
    "pair stdp": Example(_stdp(), spikes(3), (plasticity.PairSTDP,)),
    "pair stdp, sparse": Example(_stdp(events=2), spikes(3), (plasticity.PairSTDP,)),
    "pair stdp by events": Example(
        _stdp(events=True, pairs="nearest", together=True), spikes(3), (plasticity.PairSTDP,)
    ),
    "tempotron": Example(_tempotron, _trials, (plasticity.Tempotron,)),
    "oja": Example(
        managed(lambda: plasticity.OjaSubspace((2, 3), frozen=1, repeats=2)),
        normal(3),
        (plasticity.OjaSubspace,),
    ),
    "projected": Example(
        managed(lambda: Projected(Hebb(), jnp.eye(3)[:1])), normal(3), (Projected,)
    ),
    "learner": Example(lambda k: learn.AsSystem(_learner(k)), _pairs, (learn.AsSystem,)),
    "learner, nested": Example(
        lambda k: learn.as_managed(_learner(k)), _pairs, (learn.Implements, learn.Updates)
    ),
    "linear system": Example(
        lambda k: learn.LinearSystem(0.5 * jnp.eye(2), jr.normal(k, (2, 3)), jnp.ones((1, 2))),
        normal(3),
        (learn.LinearSystem,),
    ),
    "wired": Example(_wired, normal(1), (learn.Wired,)),
    "learners": Example(
        _trainers,
        _labelled,
        (learn.Trainer, learn.Gradient),
        no_gradient="a direction with cuts in it stands for a gradient; its own derivative means nothing",
    ),
    "trainer": Example(_trainer, normal(5, 3), (learn.Trainer, learn.Gradient, learn.Optimiser)),
}
