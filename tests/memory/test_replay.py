"""Replay buffers against the probabilities they promise; the episodic store; the spiking memory's rule."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from neuropil.core import run, start
from neuropil.memory import (
    Episodic,
    Latest,
    PowerLaw,
    Prioritised,
    Replay,
    Reservoir,
    Uniform,
)


def filled(buffer, items, key=None):
    """The state after items one by one."""
    state = buffer.init(1.0, jr.key(0))
    add = lambda state, now: (buffer.add(state, *now), None)
    keys = jr.split(jr.key(0) if key is None else key, items.shape[0])
    return jax.lax.scan(add, state, (items, keys))[0]


def test_reservoir_keeps_every_item_with_the_same_probability():
    """capacity / seen, whatever its place in the stream; pairs are as likely as of a random subset."""
    capacity, seen, runs = 5, 20, 4000
    buffer = Replay(jnp.int32(0), capacity, 1, Reservoir())
    items = jnp.arange(seen)
    kept = jax.jit(jax.vmap(lambda k: filled(buffer, items, k)["items"]))(jr.split(jr.key(1), runs))
    there = (np.array(kept)[:, :, None] == np.arange(seen)).any(1)
    assert (there.sum(1) == capacity).all()
    p = capacity / seen
    np.testing.assert_allclose(there.mean(0), p, atol=4.5 * np.sqrt(p * (1 - p) / runs))
    pair = capacity * (capacity - 1) / seen / (seen - 1)
    both = (there[:, 0] & there[:, -1]).mean()
    assert both == pytest.approx(pair, abs=4.5 * np.sqrt(pair / runs))


def test_latest_keeps_the_newest_and_uniform_draws_them_alike():
    buffer = Replay(jnp.int32(0), 4, 4000, Latest(), Uniform())
    state = filled(buffer, jnp.arange(11))
    assert sorted(state["items"].tolist()) == [7, 8, 9, 10]
    y = buffer.draw(state, jr.key(0))
    counts = np.bincount(np.array(y["item"]), minlength=11)[7:]
    np.testing.assert_allclose(counts / 4000, 0.25, atol=0.03)
    assert (y["weight"] == 1).all()
    half = filled(buffer, jnp.arange(2))
    np.testing.assert_allclose(buffer.probabilities(half), [0.5, 0.5, 0, 0])


def test_power_law_of_age():
    buffer = Replay(jnp.int32(0), 6, 1, Latest(), PowerLaw(1.5))
    state = filled(buffer, jnp.arange(9))
    age = 9 - np.array(state["items"], float)
    want = age**-1.5 / (age**-1.5).sum()
    np.testing.assert_allclose(buffer.probabilities(state), want, rtol=1e-5)


def test_prioritised_probabilities_and_weights():
    """P = p^alpha / sum; weights (N P)^-beta over the largest; with beta 1 a weighted mean is the plain one."""
    alpha, beta, p = 0.7, 0.5, np.array([0.5, 2.0, 1.0, 4.0])
    buffer = Replay(jnp.float32(0), 4, 20_000, Latest(), Prioritised(alpha, beta, 0.0))
    values = jnp.array([1.0, 2.0, 3.0, 4.0])
    state = buffer.prioritise(
        filled(buffer, values), jnp.arange(4), -jnp.asarray(p)
    )  # signs of errors do not matter
    want = p**alpha / (p**alpha).sum()
    np.testing.assert_allclose(buffer.probabilities(state), want, rtol=1e-5)
    y = buffer.draw(state, jr.key(0))
    index = np.array(y["index"])
    np.testing.assert_allclose(np.bincount(index, minlength=4) / 20_000, want, atol=0.015)
    weight = (4 * want) ** -beta
    np.testing.assert_allclose(y["weight"], (weight / weight.max())[index], rtol=1e-4)
    unbiased = Replay(jnp.float32(0), 4, 20_000, Latest(), Prioritised(alpha, 1.0, 0.0))
    y = unbiased.draw(state, jr.key(1))
    mean = float((y["weight"] * y["item"]).sum() / y["weight"].sum())
    assert mean == pytest.approx(2.5, abs=0.03)
    assert float(state["top"]) == 4.0
    state = buffer.add(state, jnp.float32(9), jr.key(0))
    assert (
        float(state["priority"][0]) == 4.0
    )  # a new item is shown as the most surprising one so far


def test_as_a_system_it_sets_the_priorities_of_what_it_drew():
    buffer = Replay({"x": jnp.zeros(2)}, 3, 2, Latest(), Prioritised())
    xs = {"item": {"x": jnp.ones((4, 2))}, "priority": jnp.full((4, 2), 0.25)}
    carry, y = run(buffer, start(buffer, 1.0, jr.key(0)), xs)
    drawn = np.array(y["index"][2])
    expected = np.array(carry.state["priority"])
    assert all(expected[i] == 0.25 for i in drawn if i != 3 % 3)
    assert y["item"]["x"].shape == (4, 2, 2)
    empty = buffer.draw(buffer.init(1.0, jr.key(0)), jr.key(0))
    assert (empty["probability"] == 0).all()
    assert jnp.isfinite(empty["weight"]).all()


def episodes(memory, writes, queries):
    """Outputs for (key, value) pairs written one a tick, then queries."""
    n = len(writes) + len(queries)
    xs = {
        "key": jnp.zeros((n, memory.keys)),
        "value": jnp.zeros((n, memory.values)),
        "query": jnp.zeros((n, memory.keys)),
        "write": jnp.zeros(n),
    }
    for t, (key, value) in enumerate(writes):
        xs["key"] = xs["key"].at[t].set(jnp.array(key))
        xs["value"] = xs["value"].at[t].set(jnp.array(value))
        xs["write"] = xs["write"].at[t].set(1.0)
    for t, query in enumerate(queries):
        xs["query"] = xs["query"].at[len(writes) + t].set(jnp.array(query))
    carry, y = run(memory, start(memory, 1.0, jr.key(0)), xs)
    return carry.state, {k: v[len(writes) :] for k, v in y.items()}


def test_episodic_reading_is_attention_to_what_was_written():
    keys = np.random.default_rng(0).normal(size=(3, 2))
    values = [[1.0], [2.0], [4.0]]
    query = np.array([0.3, -0.2])
    memory = Episodic(5, 2, 1, beta=1.3, similarity="dot")
    _, y = episodes(memory, list(zip(keys, values, strict=True)), [query])
    want = jax.nn.softmax(1.3 * jnp.asarray(keys @ query)) @ jnp.array(values)
    np.testing.assert_allclose(y["value"][0], want, rtol=1e-5)
    near = Episodic(5, 2, 1, beta=1.3, similarity="distance", nearest=1)
    _, y = episodes(near, list(zip(keys, values, strict=True)), [query])
    best = ((keys - query) ** 2).sum(1).argmin()
    assert float(y["value"][0, 0]) == values[best][0]
    assert int(y["index"][0]) == best


def test_episodic_update_and_least_recently_used():
    memory = Episodic(2, 2, 1, beta=50.0, same=0.99, rate=0.5)
    a, b, c = [1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]
    state, y = episodes(memory, [(a, [2.0]), (b, [3.0]), (a, [4.0])], [a, b])
    np.testing.assert_allclose(y["value"][:, 0], [3.0, 3.0], atol=1e-4)  # 2 + 0.5 (4 - 2)
    assert sorted(state["used"].tolist()) == [3, 4]
    state = memory.write(state, jnp.array(c), jnp.array([9.0]))  # a was used before b
    assert state["keys"].tolist() == [c, b]


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Replay(jnp.zeros(1), 0, 1), "capacity"),
        (lambda: Replay(jnp.zeros(1), 1, 0), "batch"),
        (lambda: Prioritised(-0.1), "alpha"),
        (lambda: Prioritised(beta=2.0), "beta"),
        (lambda: PowerLaw(-1.0), "exponent"),
        (lambda: Episodic(0, 1, 1), "capacity"),
        (lambda: Episodic(1, 1, 1, similarity="l1"), "similarity"),
        (lambda: Episodic(2, 1, 1, nearest=3), "nearest"),
    ],
)
def test_bad_input_is_refused(make, says):
    with pytest.raises(ValueError, match=says):
        make()
