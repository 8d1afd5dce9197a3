"""Paths point into systems, dictionaries and lists, and say what is near when they miss."""

import equinox as eqx
import jax.numpy as jnp
import pytest

from neuropil.core import Chain, get, put
from neuropil.core.path import get_arrays, put_arrays
from neuropil.wiring import Dense


def test_get_goes_through_fields_keys_and_positions():
    chain = Chain(wire=Dense(jnp.ones((2, 3))))
    assert get(chain, "parts.wire.weight").shape == (2, 3)
    assert get({"E>I": [1, 2]}, "E>I.1") == 2


def test_a_miss_names_the_nearest():
    chain = Chain(wire=Dense(jnp.ones((2, 3))))
    with pytest.raises(KeyError, match="did you mean 'weight'"):
        get(chain, "parts.wire.wieght")
    with pytest.raises(KeyError, match="has no 'cell'"):
        get(chain, "parts.cell")


def test_put_changes_a_copy():
    dense = Dense(jnp.ones((2, 3)))
    new = put(dense, "weight", jnp.zeros((2, 3)))
    assert float(new.weight.sum()) == 0
    assert float(dense.weight.sum()) == 6
    assert put({"a": None}, "a", 3) == {"a": 3}


def test_arrays_of_a_subtree_go_out_and_come_back():
    chain = Chain(wire=Dense(jnp.ones((2, 3))), act=jnp.tanh)
    arrays = get_arrays(chain, "parts")
    assert [a.shape for a in __import__("jax").tree.leaves(arrays)] == [(2, 3)]
    assert eqx.tree_equal(put_arrays(chain, "parts", arrays), chain)
