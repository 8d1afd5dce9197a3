"""The table of learners and networks: every learner trains through one argument, or says why not.

To add a learner: a line in `neuropil.learn.registry.LEARNERS`, and its networks in `ACCEPTS` here. To add a
network: a line in `NETWORKS` (network, one batch, loss).
"""

import dataclasses

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
import pytest

from neuropil.cells import LIF, SimpleRNN
from neuropil.core import Chain, advance, start
from neuropil.core.param import param_fields
from neuropil.learn import (
    OverTime,
    Supervised,
    Trainer,
    Unsuited,
    cross_entropy,
    flatten,
    keep_signs,
    learner,
    refusal,
    squared_error,
    unit_rms,
)
from neuropil.learn.registry import LEARNERS
from neuropil.wiring import Conv, Dense

CLASSES = 3
_a, _b, _c, _d = jr.split(jr.key(0), 4)


def _labels(n=24):
    return jnp.arange(n) % CLASSES


def _inputs(shape, seed=0):
    """A pattern a class, and noise; the first numbers are the place of the label."""
    rng = np.random.default_rng(seed)
    patterns = rng.standard_normal((CLASSES, *shape))
    x = patterns[np.asarray(_labels())] + 0.3 * rng.standard_normal((24, *shape))
    if len(shape) == 1:
        x[:, :CLASSES] = 1 / CLASSES
    return jnp.asarray(x, jnp.float32)


def _mlp(*maps):
    layer = lambda m, n, key: Dense.init_uniform(m, n, key, bias=True)
    return Chain(
        layer(9, 12, _a), jax.nn.relu, *maps, layer(12, 8, _b), jax.nn.relu, *maps, layer(8, 3, _c)
    )


def _conv():
    return Chain(
        Conv.init_uniform(1, 4, (3, 3), _a, stride=2),
        jax.nn.relu,
        flatten,
        Dense.init_uniform(4 * 9, 3, _b),
    )


def _spiking():
    return Chain(wire=Dense.init_uniform(9, 3, _a), cell=LIF(3))


def _recurrent():
    return Chain(SimpleRNN.init_uniform(9, 6, _a), Dense.init_uniform(6, 3, _b, bias=True))


_FLAT = {"x": _inputs((9,)), "y": _labels()}
_LABEL = Supervised(cross_entropy)
_SCALAR = lambda w, batch, key: jnp.mean((batch["x"] @ w - batch["y"].astype(jnp.float32)) ** 2)

NETWORKS = {
    "mlp": (_mlp(), _FLAT, _LABEL),
    "mlp with unit_rms": (_mlp(unit_rms), _FLAT, _LABEL),
    "conv": (_conv(), {"x": _inputs((1, 6, 6)), "y": _labels()}, _LABEL),
    "any function": (0.1 * jnp.ones(9), _FLAT, _SCALAR),
    "spiking": (_spiking(), _FLAT, _LABEL),
    "recurrent": (
        _recurrent(),
        {
            "x": jnp.stack([_FLAT["x"], *[0 * _FLAT["x"]] * 3], 1),
            "y": jnp.stack([_labels()] * 4, 1),
        },
        OverTime(cross_entropy),  # also at the later ticks, from memory
    ),
}

RECURRENT = ("recurrent",)
LAYERED = ("mlp", "mlp with unit_rms", "conv")
ACCEPTS = {
    "backpropagation": (*LAYERED, *RECURRENT, "any function"),
    "feedback-alignment": LAYERED,
    "direct-feedback-alignment": LAYERED,
    "target-propagation": LAYERED,
    "forward-forward": ("mlp with unit_rms",),
    "counter-current": LAYERED,
    "node-perturbation": LAYERED,
    "weight-perturbation": (*LAYERED, *RECURRENT, "any function"),
    "spsa": (*LAYERED, *RECURRENT, "any function"),
    "evolution-strategies": (*LAYERED, *RECURRENT, "any function"),
    "truncated-backpropagation": RECURRENT,
    "synthetic-gradients": RECURRENT,
    "real-time-recurrent-learning": RECURRENT,
    "snap-1": RECURRENT,
    "uoro": RECURRENT,
    "e-prop": RECURRENT,
}


def test_the_table_is_complete():
    assert set(ACCEPTS) == set(LEARNERS)


def test_every_pair_is_accepted_or_refused_with_a_reason():
    for network, (net, batch, loss) in NETWORKS.items():
        for name in LEARNERS:
            reason = refusal(name, net, batch["x"][0], loss, jr.key(1))
            if network in ACCEPTS[name]:
                assert not reason, f"{name} refuses {network}: {reason}"
            else:
                assert len(reason) > 20, f"{name} refuses {network} without a reason"
                assert any(word in reason for word in ("needs", "write", "layers")), reason


# by default the cheapest; each of the others costs ten more programs, and CI goes through them all
@pytest.mark.parametrize(
    "network",
    [
        n if n == "any function" else pytest.param(n, marks=pytest.mark.slow)
        for n in NETWORKS
        if any(n in accepted for accepted in ACCEPTS.values())
    ],
)
def test_every_learner_trains_the_networks_it_accepts(network):
    """And keeps the signs that the weights began with, where the optimiser ends in `keep_signs` (Dale)."""
    net, batch, loss = NETWORKS[network]
    signs = keep_signs(WEIGHTS) if isinstance(net, Chain) else optax.identity()
    tx = optax.chain(optax.clip_by_global_norm(1.0), optax.sgd(0.1), signs)
    trainers = {
        name: Trainer(net, loss, tx, credit=learner(name, net, batch["x"][0], jr.key(1)))
        for name in LEARNERS
        if network in ACCEPTS[name]
    }

    @jax.jit  # all learners in one program
    def epochs(carries):
        def step(carries, _):
            out = {n: advance(t, carries[n], batch) for n, t in trainers.items()}
            return {n: o[0] for n, o in out.items()}, {n: o[1]["loss"] for n, o in out.items()}

        return jax.lax.scan(step, carries, length=60)

    carries, losses = epochs({n: start(t, 1.0, jr.key(2)) for n, t in trainers.items()})
    for name, values in losses.items():
        assert np.isfinite(values).all(), name
        assert values[-5:].mean() < values[0], f"{name} does not learn {network}"
        assert trainers[name].culprit(carries[name]) is None
        moved = 0.0
        for before, now in zip(
            weights(net), weights(trainers[name].model(carries[name])), strict=True
        ):
            assert (np.sign(before) * now >= 0).all(), f"{name} turns signs round"
            moved = max(moved, float(abs(now - before).max()))
        assert moved > 1e-3 or not isinstance(net, Chain), name


WEIGHTS = "*parts.*.weight"  # of the network, also where a learner has weights of its own


def weights(net):
    """The weights of a network's wirings."""
    if not isinstance(net, Chain):
        return []
    return [np.asarray(p.weight) for p in net.parts.values() if hasattr(p, "weight")]


def test_a_trainer_says_why_before_anything_runs():
    credit = learner("feedback-alignment", _mlp(), jnp.ones(9), jr.key(0))
    with pytest.raises(Unsuited, match=r"FeedbackAlignment needs to see output and error"):
        Trainer(_mlp(), lambda m, b, k: jnp.zeros(()), optax.sgd(0.1), credit=credit)
    with pytest.raises(Unsuited, match=r"made for a network of 3 layers, not 2"):
        Trainer(_conv(), _LABEL, optax.sgd(0.1), credit=credit)
    with pytest.raises(Unsuited, match=r"needs unit_rms"):
        learner("forward-forward", _mlp(), jnp.ones(9), jr.key(0))
    with pytest.raises(Unsuited, match=r"write Supervised\(error, answer=\.\.\.\)"):
        Supervised(squared_error)(LIF(3), {"x": jnp.ones((2, 3)), "y": jnp.ones((2, 3))}, None)
    with pytest.raises(KeyError, match=r"feedback-alignment"):
        learner("feedback", _mlp(), jnp.ones(9), jr.key(0))


@pytest.mark.parametrize("tx", [optax.sgd(-0.1), optax.adam(-1e-3)])
def test_a_negative_learning_rate_is_refused(tx):
    with pytest.raises(ValueError, match="negative"):
        Trainer(_mlp(), _LABEL, tx)


@pytest.mark.parametrize("name", LEARNERS)
def test_settings_of_a_learner_below_or_above_their_bounds_are_refused(name):
    net, batch, _ = NETWORKS["recurrent" if ACCEPTS[name] == RECURRENT else "mlp with unit_rms"]
    credit = learner(name, net, batch["x"][0], jr.key(1))
    given = {f.name: getattr(credit, f.name) for f in dataclasses.fields(credit)}
    for field, meta in param_fields(credit).items():
        for edge, off in zip(meta["bounds"], (-1, 1), strict=True):
            if edge is not None:
                with pytest.raises(ValueError, match=field):
                    type(credit)(**(given | {field: jnp.asarray(float(edge + off))}))
