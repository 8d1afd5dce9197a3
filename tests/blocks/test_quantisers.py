"""Quantisers: nearest rows and moving means by hand, dead codes come back, nothing is lost in the codes."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from neuropil.blocks.averages import moved_or_learned, silent
from neuropil.blocks.quantisers import FiniteScalar, ResidualQuantiser, VectorQuantiser, usage

DRAW = np.random.default_rng(0)


def moved(part, x, key):
    """The quantiser after a plain step of size 1 on its pull."""
    gradient = jax.grad(lambda p: p(x, key).pull)(part)
    return jax.tree.map(lambda a, g: a - g, part, gradient)


def test_nearest_row_straight_through_and_commitment():
    part = VectorQuantiser(jnp.array([2.0, 1.0]), jnp.array([[2.0, 0.0], [0.0, 3.0]]))
    x = jnp.array([[0.9, 0.2], [0.1, 2.0]])
    out = part(x)
    assert out.codes.tolist() == [0, 1]
    np.testing.assert_allclose(out.value, [[1, 0], [0, 3]], atol=1e-6)  # rows are total / count
    assert float(out.loss) == pytest.approx(0.25 * np.mean([0.01, 0.04, 0.01, 1.0]), rel=1e-5)
    gradient = jax.grad(lambda x: (part(x).value * jnp.array([[1.0, 2.0], [3.0, 4.0]])).sum())(x)
    assert gradient.tolist() == [[1, 2], [3, 4]]
    assert float(out.pull) == 0 == float(silent(part(x, jr.key(0)).pull))
    labels = moved_or_learned(part)
    assert (labels.count, labels.total) == ("average", "average")


def test_rows_are_moving_means_and_dead_codes_start_at_a_vector_of_the_batch():
    part = VectorQuantiser(jnp.array([1.0, 1.0, 0.1]), jnp.array([[0.0], [4.0], [900.0]]), 0.5)
    x = jnp.array([[1.0], [1.0], [1.0], [5.0], [6.0], [1.0]])  # share of equal use: 2
    after = moved(part, x, jr.key(0))
    np.testing.assert_allclose(after.count, [0.5 + 0.5 * 2, 0.5 + 0.5 * 1, 1.0], rtol=1e-5)
    np.testing.assert_allclose(after.codebook[:2, 0], [1 / 1.5, (2 + 0.5 * 5.5) / 1.0], rtol=1e-5)
    assert float(after.codebook[2, 0]) in (1.0, 5.0, 6.0)
    # of a batch that never changes the rows become the means of their clusters
    step = jax.jit(lambda p, i: (moved(p, x, jr.fold_in(jr.key(1), i)), None))
    settled, _ = jax.lax.scan(step, part, jnp.arange(60))
    assert set(np.unique(np.asarray(settled.encode(x)))) == {0, 1, 2}
    rows = settled.codebook[settled.encode(x)]
    np.testing.assert_allclose(rows, x, atol=0.01)


def test_residual_codes_come_nearer_layer_by_layer():
    x = jnp.asarray(DRAW.normal(size=(200, 3)), jnp.float32)
    part = ResidualQuantiser.init(3, 16, 4, key=jr.key(0), decay=0.8)
    step = jax.jit(lambda p, i: (moved(p, x, jr.fold_in(jr.key(1), i)), None))
    part, _ = jax.lax.scan(step, part, jnp.arange(40))
    out = part(x)
    np.testing.assert_allclose(part.decode(out.codes), out.value, atol=1e-5)
    errors = [float(((part.decode(out.codes[:, :n]) - x) ** 2).mean()) for n in (1, 2, 3, 4)]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.1 * errors[0]
    assert float(usage(out.codes[:, 0], 16).used) > 0.9


def test_every_code_of_a_finite_scalar_quantiser_is_reached_and_decoded():
    part = FiniteScalar((4, 3, 5))
    codes = jnp.arange(part.codes)
    value = part.decode(codes)
    assert len(np.unique(np.asarray(value), axis=0)) == 60
    x = jnp.arctanh(jnp.clip(value, -0.999, 0.999))  # odd levels: back to where they came from
    out = part(jnp.asarray(DRAW.normal(size=(4000, 3)) * 3, jnp.float32))
    assert set(np.unique(out.codes)) == set(range(60))
    np.testing.assert_allclose(part.decode(out.codes), out.value, atol=1e-6)
    np.testing.assert_allclose(part(x).value[:, 1], value[:, 1], atol=1e-6)
    assert float(jnp.abs(jax.grad(lambda x: part(x).value.sum())(jnp.zeros((1, 3)))).min()) > 0


def test_usage_and_refusals():
    even = usage(jnp.arange(8), 8)
    assert (float(even.perplexity), float(even.used)) == (pytest.approx(8.0), 1.0)
    assert float(usage(jnp.zeros(5, int), 8).perplexity) == pytest.approx(1.0)
    with pytest.raises(ValueError, match="decay"):
        VectorQuantiser.init(2, 4, key=jr.key(0), decay=1.0)
    with pytest.raises(ValueError, match="levels"):
        FiniteScalar((1, 3))
    with pytest.raises(ValueError, match="3 entries"):
        FiniteScalar((3, 3))(jnp.zeros((2, 3)))


def test_unit_rows_take_the_largest_cosine_and_keep_their_length():
    x = jnp.asarray(DRAW.normal(size=(64, 3)) * 4, jnp.float32)
    part = VectorQuantiser.init(3, 8, key=jr.key(2), unit=True, decay=0.9, revive=0.0)
    out = part(x)
    cosine = (x @ part.codebook.T) / jnp.linalg.norm(x, axis=1)[:, None]
    np.testing.assert_array_equal(out.codes, jnp.argmax(cosine, axis=1))
    np.testing.assert_allclose(jnp.linalg.norm(out.value, axis=1), 1, rtol=1e-5)
    after = moved(part, x, jr.key(0))
    np.testing.assert_allclose(jnp.linalg.norm(after.codebook, axis=1), 1, rtol=1e-5)
    unit = np.asarray(x / jnp.linalg.norm(x, axis=1)[:, None])
    k = int(out.codes[0])
    mean = unit[np.asarray(out.codes) == k].sum(0)
    row = 0.9 * np.asarray(part.codebook[k]) + 0.1 * mean / np.linalg.norm(mean)
    np.testing.assert_allclose(after.codebook[k], row / np.linalg.norm(row), atol=1e-5)
    unused = np.setdiff1d(np.arange(8), np.asarray(out.codes))
    np.testing.assert_allclose(after.codebook[unused], part.codebook[unused], atol=1e-6)


def test_what_is_left_after_a_layer_pulls_its_value():
    part = ResidualQuantiser.init(2, 4, 1, key=jr.key(3), rest=0.4, unit=True, commitment=0.0)
    x = jnp.array([[2.0, 0.5]])
    row = part.layers[0](x).value
    loss = part(x).loss
    assert float(loss) == pytest.approx(0.4 * float(jnp.mean((row - (x - row)) ** 2)), rel=1e-5)
