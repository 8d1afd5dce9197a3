"""The card's checks: its gradients are those of the library's learner, its tasks those of the official code."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from neuropil.core import Chain, advance, start
from neuropil.learn import Backpropagation, OverTime, Truncated, learnable
from neuropil.papers.build import _cortico as cortico
from neuropil.papers.build._cortico_tasks import ends, line_inputs, line_targets, strokes
from neuropil.papers.build.cortico_cerebellar_dni import STUDY, check, plan

T, B, N = 6, 3, 4


def toy():
    net = cortico.Net.init(2, N, 2, (5,), B, jr.key(0))
    last = 0.3 * jr.normal(jr.key(1), net.cerebellum.weights[-1].shape)
    trained = eqx.tree_at(lambda n: n.cerebellum.weights, net, (net.cerebellum.weights[0], last))
    x = jr.normal(jr.key(2), (T, B, 2))
    y = jr.normal(jr.key(3), (T, B, 2))
    return net, trained, x, y


HEARD = (jnp.arange(T) % 2 == 0)[:, None, None]


def ours(net, x, y, horizon, mode):
    error = lambda out: jnp.sum(HEARD * (out - y) ** 2) / 2
    mix = jr.normal(jr.key(4), (2 * N, 2 * N), x.dtype)
    cut = ends(T, horizon).astype(x.dtype)
    slope, _ = cortico.gradient(net, x, error, cut, jnp.int32(mode), mix, jr.key(5))
    return jax.tree.map(lambda g: g / B, slope)


def library(net, x, y, credit):
    """The same by a learner of `neuropil.learn`; the state's vector is [c, h] there."""
    model = Chain(cortex=net.cortex, readout=net.readout)
    learned, fixed = eqx.partition(model, learnable(model))
    first = lambda a: jnp.swapaxes(a, 0, 1)
    heard = jnp.broadcast_to(HEARD[None, :, 0, 0], (B, T)).astype(x.dtype)
    loss = OverTime(lambda out, t: t["on"] * jnp.sum((out - t["y"]) ** 2) / 2)
    data = {"x": first(x), "y": {"y": first(y), "on": heard}}
    go = eqx.filter_jit(lambda c, l, d: c.gradient(loss, l, fixed, d, jr.key(0))[2:])
    return go(credit, learned, data)


class Turned(eqx.Module):
    """The cerebellum for a state in the order [c, h]."""

    inner: eqx.Module
    scale: int = eqx.field(static=True, default=B)

    def __call__(self, s):
        return jnp.roll(self.inner(jnp.roll(s, N)), N)


def same(a, b):
    for p, q in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_allclose(p, q, atol=1e-12)


def test_gradients_are_those_of_truncated_backpropagation_and_of_synthetic_gradients(x64):
    net, trained, x, y = toy()
    go = jax.jit(ours)
    for horizon in (3, T):
        plain = go(net, x, y, horizon, cortico.PLAIN)
        credit = Backpropagation() if horizon == T else Truncated(horizon)
        way, _ = library(net, x, y, credit)
        same((plain.cortex, plain.readout), (way.parts["cortex"], way.parts["readout"]))
        first = go(net, x, y, horizon, cortico.LEARNED)  # the last layer is zero, so is C
        same((first.cortex, first.readout), (plain.cortex, plain.readout))
    for horizon in (1, 3):
        got = go(trained, x, y, horizon, cortico.LEARNED)
        credit = Truncated(horizon, Turned(trained.cerebellum), cortico.FACTOR)
        way, own = library(trained, x, y, credit)
        same((got.cortex, got.readout), (way.parts["cortex"], way.parts["readout"]))
        same(got.cerebellum, own.synthesiser.inner)
        for mode in (cortico.SHUFFLED, cortico.RANDOM):
            other = go(trained, x, y, horizon, mode)
            assert float(jnp.abs(other.cortex.weight - got.cortex.weight).max()) > 1e-4


def test_the_true_gradient_in_place_of_the_prediction_gives_the_whole_one(x64):
    """The card's key identity: horizon 1 then equals backpropagation through time."""
    net, _, x, y = toy()
    error = lambda out: jnp.sum(HEARD * (out - y) ** 2) / 2
    nudge = jnp.zeros((T, B, 2 * N))
    none = jnp.zeros(T)
    slopes = jax.jit(
        lambda cut, ahead: jax.grad(cortico.cost, (0, 1))(net, nudge, x, error, cut, ahead)
    )
    slope, later = slopes(none, nudge)
    true = jnp.concatenate([later[1:], jnp.zeros((1, B, 2 * N))]) / cortico.FACTOR
    cut = ends(T, 1).astype(x.dtype)
    got, _ = slopes(cut, true)
    same((got.cortex, got.readout), (slope.cortex, slope.readout))


def test_tasks_are_the_official_ones():
    goals = line_targets(10)
    assert goals.shape == (10, 7, 2)
    np.testing.assert_allclose(goals[0], 0, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(goals[-1], axis=-1), [0] + [10] * 6, rtol=1e-5)
    np.testing.assert_allclose(goals[-1, 6], [0, 10], atol=1e-5)  # the last cue: straight up
    np.testing.assert_allclose(
        jnp.mean(jnp.sum(goals**2, -1)), 30.16, atol=0.005
    )  # the card's zero
    assert line_inputs(10)[:, 3, 0].tolist() == pytest.approx([-0.1] + [0.0] * 9)
    paths = np.asarray(strokes(28))
    assert paths.shape == (10, 28, 2)
    np.testing.assert_allclose(paths[0, 0], paths[0, -1])  # a zero is closed
    np.testing.assert_allclose(paths[1, [0, -1]], [[0.25, 0.75], [0.5, 0.0]])
    assert np.abs(np.diff(paths, axis=1)).max() <= 0.25 + 1e-6
    assert ends(10, 3).tolist() == [0, 0, 1, 0, 0, 1, 0, 0, 1, 1]
    with pytest.raises(ValueError, match="needs 9 steps"):
        strokes(8)


def test_straight_lines_at_constant_speed_are_not_irregular():
    straight = line_targets(10) + jnp.array([1.0, -2.0])[None, None]
    assert float(cortico.irregularity(straight)) < 1e-5
    zigzag = straight.at[::2].add(1.0)
    assert 0.05 < float(cortico.irregularity(zigzag)) < 0.3
    shrunk = 0.01 * zigzag  # a small line is as irregular as a large one
    assert float(cortico.irregularity(shrunk)) == pytest.approx(
        float(cortico.irregularity(zigzag)), rel=1e-3
    )


def test_the_cerebellum_begins_at_zero_and_has_the_card_s_numbers():
    net = jax.eval_shape(lambda: cortico.Net.init(1, 50, 2, (400, 400), 50, jr.key(0)))
    count = lambda tree: sum(a.size for a in jax.tree.leaves(tree))
    assert count(net.cerebellum) == 240_900
    assert count(net.readout) == 102
    assert count(net.cortex) == 10_600 - 4 * 50  # one bias a gate where PyTorch has two


@pytest.mark.slow
def test_smoke_runs_every_task_in_one_program():
    settings = dict(STUDY.scales["smoke"]) | {"updates": 20, "points": 20}
    data = STUDY.load(settings)
    step, results = eqx.filter_jit(advance), {}
    for name, ticks in (("ccrnn", 3), ("crnn", 1)):
        arm = STUDY.arms[name].build(settings, data)
        carry, rows = start(arm, 1.0, jr.key(0)), []
        for _ in range(ticks):
            carry, out = step(arm, carry)
            rows.append({k: np.asarray(v) for k, v in out.items()})
        results[name] = {k: np.stack([r[k] for r in rows]) for k in rows[0]}
    scored = STUDY.score(settings, results["ccrnn"])
    assert set(scored) == {"line", "line-speed", "ataxia", "cosine", "digit", "accuracy"}
    assert set(STUDY.score(settings, results["crnn"])) == {"line", "line-speed", "ataxia"}
    assert np.isfinite(list(scored.values())).all()
    assert 0 <= scored["accuracy"] <= 1
    assert results["ccrnn"]["curve"][0, -1] != results["crnn"]["curve"][0, -1]


def test_plans_and_settings():
    small = STUDY.scales["small"]
    check(small)
    assert plan(small, "all", 28) == [(0, 1), (1, 3), (2, 3), (0, 2), (0, 3), (0, 5)]
    assert plan(small, "full", 28) == [(0, 10), (1, 28), (2, 28)]
    for change, says in (
        ({"updates": 10}, "multiple of points"),
        ({"horizon": 0}, "does not fit"),
        ({"horizons": (11,)}, "does not fit"),
        ({"batch": 0}, "at least 1"),
    ):
        with pytest.raises(ValueError, match=says):
            check(small | change)
