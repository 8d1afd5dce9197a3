"""The surrogate family: a step forwards, the stated shape backwards."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import quad

from neuropil import learn
from neuropil.cells import surrogate as family

# class -> (slope, height at 0, area); None: no area (it is not integrable)
STATED = {
    family.SuperSpike: (5.0, 1.0, 2 / 5),
    family.ATan: (3.0, 1.5, 1.0),
    family.Sigmoid: (4.0, 1.0, 1.0),
    family.Triangle: (2.0, 1.0, 0.5),
    family.Boxcar: (2.0, 1.0, 1.0),
    family.Gaussian: (2.0, 2 / np.sqrt(2 * np.pi), 1.0),
    family.StraightThrough: (1.0, 1.0, None),
    family.NoGradient: (1.0, 0.0, 0.0),
}


def test_the_whole_family_is_here_and_in_learn():
    found = {c for c in vars(family).values() if isinstance(c, type)}
    found = {c for c in found if issubclass(c, family.Surrogate) and c is not family.Surrogate}
    assert found == set(STATED)
    assert all(getattr(learn, c.__name__) is c for c in found)


@pytest.mark.parametrize("kind", STATED, ids=lambda c: c.__name__)
def test_step_forwards_and_stated_shape_backwards(kind, x64):
    slope, height, area = STATED[kind]
    spike = kind(slope)
    u = jnp.array([-3.0, -0.4, -1e-9, 0.0, 1e-9, 0.2, 5.0])
    assert spike(u).tolist() == [0, 0, 0, 0, 1, 1, 1]
    assert kind(slope, closed=True)(u).tolist() == [0, 0, 0, 1, 1, 1, 1]
    assert spike(u).dtype == u.dtype
    slopes = jax.vmap(jax.grad(spike))(u)
    np.testing.assert_allclose(slopes, spike.shape(u), rtol=1e-14)
    _, tangents = jax.jvp(spike, (u,), (2 * jnp.ones_like(u),))
    np.testing.assert_allclose(tangents, 2 * spike.shape(u), rtol=1e-14)
    assert float(spike.shape(jnp.zeros(()))) == pytest.approx(height, rel=1e-12)
    np.testing.assert_allclose(spike.shape(u), spike.shape(-u), rtol=1e-12)
    if area is not None:
        x = np.linspace(
            0, 1000, 2_000_001
        )  # a fine half-line, and the tail beyond where it is long
        y = np.asarray(spike.shape(jnp.asarray(x)))
        got = 2 * np.trapezoid(y, x)
        assert got == pytest.approx(area, abs=2e-3)


@pytest.mark.parametrize(
    ("kind", "formula"),
    [
        (family.SuperSpike, lambda u, b: 1 / (1 + b * abs(u)) ** 2),
        (family.ATan, lambda u, b: b / 2 / (1 + (np.pi * b * u / 2) ** 2)),
        (family.Sigmoid, lambda u, b: b * np.exp(-b * u) / (1 + np.exp(-b * u)) ** 2),
        (family.Gaussian, lambda u, b: b * np.exp(-((b * u) ** 2) / 2) / np.sqrt(2 * np.pi)),
    ],
    ids=lambda p: getattr(p, "__name__", ""),
)
def test_shapes_are_derivatives_of_the_named_functions(kind, formula, x64):
    u = np.linspace(-2, 2, 41)
    np.testing.assert_allclose(kind(3.0).shape(jnp.asarray(u)), formula(u, 3.0), rtol=1e-12)
    assert quad(formula, -1, 1, args=(3.0,), points=[0])[0] > 0


def test_a_steeper_slope_is_narrower_and_a_bad_one_is_refused():
    for kind in (family.SuperSpike, family.Triangle, family.Boxcar, family.Gaussian):
        wide, narrow = kind(1.0).shape(jnp.array(0.9)), kind(10.0).shape(jnp.array(0.9))
        assert float(narrow) < float(wide)
        with pytest.raises(ValueError, match="slope"):
            kind(0.0)
