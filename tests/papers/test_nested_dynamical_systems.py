"""The page's instruments: the reference gradient, the controls, and the wiring that learns."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from neuropil.core import advance, start
from neuropil.learn.learners import series
from neuropil.papers.core import _nds_laws as laws
from neuropil.papers.core._nds_wiring import BINS, Tracking
from neuropil.papers.core.nested_dynamical_systems import STUDY, load, score

WIDTHS = (4, 5, 3)


@pytest.fixture(autouse=True)
def double():
    with jax.enable_x64(True):
        yield


def numbers(widths=WIDTHS, steps=10):
    rng = np.random.default_rng(0)
    return laws.Numbers(jnp.asarray(rng.normal(size=laws.needed(widths, steps))))


def test_backpropagation_by_hand_is_the_gradient():
    draw = numbers()
    ps, a, target = draw.network(WIDTHS), draw.take(4), draw.take(3)
    error = lambda ps: ((laws.network(ps, a) - target) ** 2).sum() / 2
    g = jax.jit(jax.grad(error))(ps)
    step = jax.tree.map(lambda p, d: p - 0.1 * d, ps, g)
    assert float(laws.apart(step, laws.by_hand(ps, a, target, 0.1))) < 1e-15
    turned = laws.reversed_units(ps)
    np.testing.assert_allclose(laws.network(turned, a), laws.network(ps, a), atol=1e-15)
    assert float(laws.apart(laws.reversed_units(turned), ps)) == 0
    assert float(laws.apart(turned, ps)) > 0.1


@pytest.mark.parametrize("arm", ["composed", "scaled", "blind"])
def test_controls_obey_the_algebra_and_break_the_gradient(arm):
    draw = numbers()
    make, ps, extra, others = laws.MAKE[arm], *(draw.network(WIDTHS) for _ in range(3))
    xs = (draw.take(10, 4), draw.take(10, 3))

    def measured(ps):
        whole = series(*make(ps, extra, laws.RATE))
        return (
            laws.algebra(make, ps, others, extra, xs[0][0], xs[1][0])
            | laws.descent(whole, ps, xs)[0]
        )

    found = {name: float(v) for name, v in jax.jit(measured)(ps).items()}
    assert max(found["associativity"], found["unit"], found["interchange"]) < 1e-12
    if arm == "composed":
        assert max(found["gradient"], found["trajectory"]) < 1e-12
    else:
        assert found["gradient"] > 0.1


def test_three_layers_have_two_bracketings_and_four_have_five():
    ps = numbers((2, 2, 2, 2, 2, 2)).network((2, 2, 2, 2, 2, 2))
    ways = lambda n: len(laws.bracketings(laws.composed(ps[:n], None, 0.1)))
    assert [ways(n) for n in (1, 2, 3, 4, 5)] == [1, 1, 2, 5, 3]


def test_a_wiring_that_learns_recovers_from_a_drift_and_a_fixed_one_does_not():
    after = {}
    for learns in ("always", "until the drift"):
        system = Tracking(4000, 0.03, learns)
        run = jax.jit(lambda k, s=system: advance(s, start(s, 1.0, k))[1])
        found = run(jr.key(0))
        assert found["errors"].shape == (BINS,)
        after[learns] = float(found["tracking"])
    assert after["always"] < 0.5 * after["until the drift"]


def test_settings_that_cannot_go_together_are_refused():
    small = STUDY.scales["small"]
    for bad in ({"depths": (1, 2)}, {"steps": 3}, {"length": 100}):
        with pytest.raises(ValueError, match="must be"):
            STUDY.check(small | bad)
    assert [len(w) - 1 for w in load(small)] == list(small["depths"])
    found = score(small, {"gradient": np.array([0.5, 0.2]), "errors": np.ones((1, 2))})
    assert found == {"gradient": 0.5, "gradient-least": 0.2}
