"""adaptive-reservoir: search and single run agree, adaptation reaches its target, tasks, scores."""

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from neuropil.blocks import BalancedReservoir, balanced_wiring
from neuropil.core import run, start
from neuropil.papers.build import _adaptive_reservoir as arms
from neuropil.papers.build import _adaptive_score, _adaptive_tasks
from neuropil.papers.build._adaptive_tasks import Sizes
from neuropil.papers.build.adaptive_reservoir import STUDY

SIZE = Sizes(300, 100, 20, 150, 50, 60, 8)


def test_reservoirs_side_by_side_are_single_reservoirs(x64):
    excite, inhibit = balanced_wiring(20, jr.key(0), degree=10)
    into = arms.input_weights(jr.key(1), 20, jnp.asarray(2.0))
    u = jr.uniform(jr.key(2), (2, 12))
    factors = jnp.array([0.7, 1.2])
    driven = u.T[:, :, None] * into[None, None]
    found = arms.many(excite, inhibit, driven, factors, jnp.asarray(0.05), jnp.asarray(5.0))
    for task in range(2):
        for k, factor in enumerate(factors):
            net = BalancedReservoir(excite, factor * inhibit, into[:, None], 5.0, 0.05)
            _, r = run(net, start(net, 1.0, jr.key(0)), u[task][:, None])
            np.testing.assert_allclose(found[:, task, k], r, atol=1e-12)


def test_input_reaches_a_third_of_the_units_and_grows_with_its_scale():
    weak, strong = (arms.input_weights(jr.key(0), 1000, jnp.asarray(s)) for s in (0.5, 2.0))
    np.testing.assert_allclose(strong, 4 * weak, rtol=1e-6)
    assert float((weak != 0).mean()) == pytest.approx(0.3, abs=0.05)
    assert float(jnp.abs(weak).max()) <= 0.25


@pytest.mark.slow
def test_tasks_are_asked_at_the_right_time():
    size = Sizes(*(50, 20, 20, 60, 20, 30, 8))
    series = _adaptive_tasks.load(size._asdict())
    drawn = _adaptive_tasks.draw(series, size, jr.key(3))
    assert drawn.u.shape == (4, size.total)
    assert float(drawn.u.min()) >= 0
    assert float(drawn.u.max()) <= 0.5
    for d in (1, 8):
        np.testing.assert_array_equal(drawn.y[0, 20:, d - 1], drawn.u[0, 20 - d : -d])
    for k, name in ((2, "mackey"), (3, "lorenz")):
        ahead = _adaptive_tasks.AHEAD[name]
        np.testing.assert_array_equal(drawn.y[k, :-ahead, 0], drawn.u[k, ahead:])
    assert bool(jnp.isfinite(drawn.y).all())


@pytest.mark.slow
def test_judging_past_inputs_finds_all_delays_and_a_constant_nothing(x64):
    u = jr.uniform(jr.key(0), (SIZE.total - SIZE.before,))
    past = jnp.stack([jnp.roll(u, k) for k in range(9)], 1)
    yes, no = jnp.asarray(True), jnp.asarray(False)
    valid, test = _adaptive_tasks.judge(past, past[:, 1:], yes, SIZE)
    assert float(test) == pytest.approx(-8, abs=1e-6)
    assert float(valid) == pytest.approx(-8, abs=1e-6)
    _, test = _adaptive_tasks.judge(0 * past, past[:, 1:], no, SIZE)
    assert float(test) == pytest.approx(1, abs=0.1)


@pytest.mark.slow
def test_adaptation_reaches_the_target_and_moves_only_inhibition(x64):
    excite, inhibit = balanced_wiring(50, jr.key(0), degree=25)
    into = arms.input_weights(jr.key(1), 50, jnp.asarray(0.5))
    net = BalancedReservoir(excite, inhibit, into[:, None])
    u = 0.5 * jr.uniform(jr.key(2), (1500,))
    size = Sizes(1000, 500, 0, 0, 0, 0)
    weight = arms.adapted(net, jnp.full(50, 0.5), u, size)
    assert bool((weight >= 0).all())
    assert not bool(((weight > 0) & (inhibit == 0)).any())
    changed = BalancedReservoir(excite, weight, into[:, None])
    _, r = run(changed, start(changed, 1.0, jr.key(0)), u[:, None])
    assert float(jnp.abs(r[200:].mean(0) - 0.5).mean()) < 0.02


def test_area_and_best_scale():
    test = np.array([[-3.0, 0.5, 0.5, 0.5], [-1.0, 0.9, 0.3, 0.5], [-2.0, 0.7, 0.4, 0.5]])
    history = {
        "scale": np.array([1.0, 0.5, 2.0]),
        "test": test,
        "valid": test,
        "away": np.zeros((3, 4)),
    }
    found = _adaptive_score.score({}, history)
    assert found["capacity"] == 3
    assert found["capacity-worst"] == 1
    assert found["narma"] == 0.5
    assert found["capacity-area"] == pytest.approx((1 / 2 + 3 + 2 / 2) / 2)  # 0.5, 1, 2 in order
    assert found["mackey-area"] == pytest.approx((0.3 / 2 + 0.5 + 0.4 / 2) / 2)
    assert set(found) == set(STUDY.metrics)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"degree": 300}, "degree 300"),
        ({"washout": 5}, "washout"),
        ({"scales": ()}, "scales"),
        ({"test": 0}, "test"),
    ],
)
def test_settings_that_make_no_sense_are_refused(change, match):
    with pytest.raises(ValueError, match=match):
        STUDY.check(STUDY.scales["small"] | change)
