"""Liquid state machines: chances by distance and kind, signs, different traces of different inputs."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from neuropil.blocks import lattice, lattice_chance, liquid
from neuropil.core import run, start


def test_chances_fall_with_distance_and_depend_on_both_kinds():
    place = lattice((1, 1, 4))
    chance = lattice_chance(place, jnp.array([False, False, True, True]), reach=2.0)
    np.testing.assert_allclose(jnp.diagonal(chance), 0)
    assert float(chance[0, 1]) == pytest.approx(0.2 * np.exp(-1 / 4))
    assert float(chance[0, 3]) == pytest.approx(0.3 * np.exp(-9 / 4))  # inhibitory to excitatory
    assert float(chance[3, 0]) == pytest.approx(0.1 * np.exp(-9 / 4))
    assert float(chance[3, 2]) == pytest.approx(0.05 * np.exp(-1 / 4))


def test_a_liquid_obeys_dale_and_tells_inputs_apart():
    net = liquid(3, (4, 4, 4), jr.key(0))
    w = np.asarray(net.parts["loop"].back.parts["wire"].weight)
    assert ((w >= 0).all(0) | (w <= 0).all(0)).all()
    xs = (jr.uniform(jr.key(1), (2, 100, 3)) < 0.3).astype(float)
    both = jax.vmap(lambda x: run(net, start(net, 1.0, jr.key(2)), x)[1])(xs)
    same = run(net, start(net, 1.0, jr.key(3)), xs[0])[1]
    np.testing.assert_allclose(both[0], same, atol=1e-4)  # the traces are made by the input alone
    assert float(jnp.abs(both[0] - both[1])[-1].max()) > 0.1
    with pytest.raises(ValueError, match="excitatory"):
        liquid(3, (2, 2, 2), jr.key(0), excitatory=1.5)
