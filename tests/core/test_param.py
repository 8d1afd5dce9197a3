"""param: defaults become arrays, bounds are kept at construction and through fitting."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neuropil.cells import LIF
from neuropil.core import System, constrain, param, param_table, unconstrain


class Bounded(System):
    low: jax.Array = param(2.0, unit="ms", bounds=(0, None), source="here")
    high: jax.Array = param(-1.0, bounds=(None, 0))
    both: jax.Array = param(0.25, bounds=(0, 1))
    free: jax.Array = param(3.0)


def test_numbers_become_arrays_when_the_object_is_made():
    b = Bounded(low=3)
    assert eqx.is_inexact_array(b.low)
    assert b.low.dtype == jnp.float32
    with jax.enable_x64(True):
        assert Bounded().low.dtype == jnp.float64


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (dict(low=-1.0), r"Bounded.low = -1 ms but it must be at least 0"),
        (dict(both=1.5), r"Bounded.both = 1.5 1 but it must be at most 1"),
        (dict(low=np.nan), r"Bounded.low holds a value that is not finite"),
        (dict(low=jnp.array([1.0, -2.0])), r"Bounded.low = -2"),
    ],
)
def test_out_of_bounds_is_refused_in_one_line(bad, words):
    with pytest.raises(ValueError, match=words) as e:
        Bounded(**bad)
    assert "\n" not in str(e.value)


def test_bounds_are_not_looked_at_while_tracing():
    assert jax.jit(lambda t: Bounded(low=t).low)(-1.0) == -1.0


def test_free_coordinates_and_back(x64):
    b = Bounded()
    u = unconstrain(b)
    assert np.isclose(u.low, np.log(np.expm1(2.0)))  # closed form of the inverse softplus
    assert np.isclose(u.both, np.log(0.25 / 0.75))
    assert u.free == 3.0
    back = constrain(u)
    for name in ("low", "high", "both", "free"):
        assert np.isclose(getattr(back, name), getattr(b, name), rtol=1e-14)


def test_any_free_value_is_inside_the_bounds(x64):
    moved = jax.tree.map(lambda a: a + 5.0, eqx.filter(unconstrain(Bounded()), eqx.is_array))
    c = constrain(eqx.combine(moved, Bounded()))
    assert c.low > 0
    assert c.high < 0
    assert 0 < c.both < 1


def test_constraints_are_found_inside_a_larger_tree():
    tree = {"cells": [LIF(2, tau=5.0)], "scale": jnp.ones(3)}
    u = unconstrain(tree)
    assert np.isclose(u["cells"][0].tau, np.log(np.expm1(5.0)), rtol=1e-5)
    assert np.isclose(constrain(u)["cells"][0].tau, 5.0)
    assert (u["scale"] == 1).all()


def test_a_value_on_its_bound_has_no_free_coordinate():
    with pytest.raises(ValueError, match="on or outside its bounds"):
        unconstrain(Bounded(low=0.0))


def test_table_and_empty_bounds():
    assert ("low", "2.0", "ms", "(0, None)", "here") in param_table(Bounded)
    with pytest.raises(ValueError, match="are empty"):
        param(1.0, bounds=(2, 1))
