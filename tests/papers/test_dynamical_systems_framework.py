"""The common form: equal to native code, wrong where an ingredient is wrong; and the study's arms."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from neuropil.blocks import LayerNorm, LinearAttention, separable, taylor
from neuropil.core import advance, run, start
from neuropil.papers.core import _dsf_exact as exact
from neuropil.papers.core._dsf_forms import as_dsf
from neuropil.papers.core._dsf_recall import ARMS, Training, load
from neuropil.papers.core.dynamical_systems_framework import STUDY
from neuropil.studies import Results, claims

SMOKE = STUDY.scales["smoke"]


@pytest.fixture(scope="module")
def equal():
    """Largest (right) and smallest (wrong) differences of two draws, by family."""
    found = []
    for wrong in (False, True):
        part = exact.Equivalence(wrong, 2, 6, 4, 2)
        found.append(advance(part, start(part, 1.0, jr.key(0)))[1])
    return found


@pytest.mark.parametrize("family", exact.NAMES)
def test_native_code_equals_the_common_form_and_not_the_wrong_one(equal, family):
    right, wrong = (found[f"error-{family}"] for found in equal)
    assert right.dtype == np.float64
    assert right < 1e-10
    assert wrong > 1e-2


def test_a_trained_linear_attention_is_its_recurrence(x64, key):
    part = LinearAttention.init_normal(4, key=key, keys=3, heads=1, bias=False)
    us, target = jr.normal(key, (2, 9, 4))

    @eqx.filter_jit
    def trained(part):
        ys = lambda part: run(part, start(part, 1.0, key), us)[1]
        loss = lambda part: ((ys(part) - target) ** 2).mean()

        def descend(part, _):
            slope = jax.grad(loss)(part)
            return jax.tree.map(lambda p, g: p - 0.3 * g, part, slope), None

        after = jax.lax.scan(descend, part, length=50)[0]
        return loss(part), loss(after), ys(after), as_dsf(after, us).scan(us)[1], after

    before, later, own, ours, after = trained(part)
    assert later < 0.9 * before
    np.testing.assert_allclose(own, ours, atol=1e-12)

    # eta telescopes, L_i = eta_{i-1} / eta_i, and the ratio may exceed 1: L is no contraction
    q, k, _ = after.project(us)
    eta = jnp.tril(q @ jnp.swapaxes(k, 1, 2)).sum(-1)[0]
    decay = np.asarray(as_dsf(after, us).decay[:, 0])
    assert decay[0] == 0
    np.testing.assert_allclose(np.prod(decay[3:8]), eta[2] / eta[7], rtol=1e-12)
    assert decay.max() > 1


def test_taylor_features_give_the_error_that_is_reported(x64, key):
    """Order 2 by features and a running sum against the powers of q.k."""
    errors = exact.taylor_errors(key, 1, 6, 3, 3, 2.0)[0]
    q, k, v = jr.normal(jr.split(key, 1)[0], (3, 6, 3))
    scale = 2.0 / jnp.abs(q @ k.T).max()
    f = taylor(2)
    ones = jnp.concatenate([v, jnp.ones((6, 1))], axis=1)[None]
    begin = jnp.zeros((1, 13, 4))
    _, sums = separable(f(scale * q)[None], f(k)[None], ones, None, begin)
    cut = sums[0, :, :3] / sums[0, :, 3:]
    weight = jnp.exp(scale * (q @ k.T)) * jnp.tril(jnp.ones((6, 6)))
    truth = weight @ v / weight.sum(1, keepdims=True)
    ours = jnp.linalg.norm(cut - truth) / jnp.linalg.norm(truth)
    np.testing.assert_allclose(errors[2], ours, rtol=1e-10)
    assert errors[2] < errors[0]


def test_what_has_no_linear_form_is_refused(key):
    with pytest.raises(TypeError, match="no linear recurrence is known for a LayerNorm"):
        as_dsf(LayerNorm(3), jnp.zeros((2, 3)))
    with pytest.raises(ValueError, match="bias=False"):
        as_dsf(LinearAttention.init_normal(4, key=key), jnp.zeros((2, 4)))


@pytest.fixture(scope="module")
def data():
    return load(SMOKE)


@pytest.mark.parametrize("arm", ARMS)
def test_every_recall_arm_can_take_a_chunk(data, arm):
    part = Training(arm, SMOKE, data)
    carry = eqx.filter_eval_shape(start, part, 1.0, jr.key(0))
    after, found = eqx.filter_eval_shape(lambda p, c: advance(p, c), part, carry)
    assert set(found) == {"loss", "validation", "test"}
    assert jax.tree.map(lambda a: (a.shape, a.dtype), carry.state) == jax.tree.map(
        lambda a: (a.shape, a.dtype), after.state
    )
    assert carry.state["weights"].dtype == jnp.float32


def test_an_arm_learns_and_its_seeds_differ(data):
    settings = SMOKE | {"steps": 60, "chunk": 20, "batch": 16}
    part = Training("no-mixer", settings, data)
    step = eqx.filter_jit(advance)
    losses = {}
    for seed in (0, 1):
        carry = start(part, 1.0, jr.key(seed))
        losses[seed] = []
        for _ in range(3):
            carry, found = step(part, carry)
            losses[seed].append(float(found["loss"]))
        assert losses[seed][-1] < losses[seed][0]
    assert losses[0] != losses[1]


def test_claims_name_arms_and_metrics_that_exist():
    ours = claims.of(STUDY.slug)
    assert len(ours) >= 20
    for claim in ours:
        assert set(claim.contrast) <= set(STUDY.arms), claim.id
        assert claim.metric in STUDY.metrics, claim.id
    tasks = [{ARMS[a][0] for a in c.contrast} for c in ours if c.metric == "recall"]
    assert all(len(t) == 1 for t in tasks)  # never the hard task against the easy one


def test_figures_are_drawn():
    rng = np.random.default_rng(0)
    errors = {f"error-{name}": np.array([1e-14]) for name in exact.NAMES}
    history = {"dsf": {0: errors}, "wrong": {0: {k: v * 1e13 for k, v in errors.items()}}}
    history["taylor"] = {0: {f"taylor-{n}": rng.uniform(0.1, 1, (1, 4)) for n in (3, 12)}}
    history |= {arm: {0: {"test": rng.uniform(size=3)}} for arm in ARMS}
    values = {"recall": {arm: [0.5] for arm in ARMS}}
    drawn = STUDY.figures(Results(STUDY, SMOKE, (0,), history, values))
    assert set(drawn) == {"exactness", "truncation", "recall", "training"}
