"""Readouts of maps: closed forms of each, and what training finds."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from sklearn.base import clone

from neuropil.compare.readouts import (
    AttentionPool,
    GaussianField,
    Readout,
    SemanticField,
    SpatialFeature,
    places,
    position_sine2d,
)

GRID, WIDTH, REGION = (3, 4), 8, np.array([0, 1, 1])
X = jr.normal(jr.key(1), (12, WIDTH))


def make(kind, **more):
    """A readout whose weights are drawn (they begin at 0)."""
    part = kind.init_normal(GRID, WIDTH, REGION, key=jr.key(0), **more)
    where = lambda p: (p.field if kind is SemanticField else p).linear.weight
    return eqx.tree_at(where, part, jr.normal(jr.key(3), (len(REGION), WIDTH)))


call = eqx.filter_jit(lambda part, x: part(x))
look = eqx.filter_jit(lambda part, x: part.attention(x))


def plain(part, pooled):
    linear = part.linear
    return np.einsum("tw,tw->t", linear.weight, np.asarray(pooled)[REGION]) + linear.bias


def test_a_flat_mask_is_regression_on_the_mean_token():
    part = make(SpatialFeature)
    np.testing.assert_allclose(call(part, X), plain(part, np.tile(X.mean(0), (2, 1))), rtol=1e-5)


def test_a_narrow_field_reads_one_place():
    part = make(GaussianField)
    at = places(*GRID)
    part = eqx.tree_at(
        lambda p: (p.centre, p.size), part, (jnp.asarray(at[[5, 10]]), jnp.full(2, -5.0))
    )
    np.testing.assert_allclose(call(part, X), plain(part, X[np.array([5, 10])]), rtol=1e-4)
    assert at[5].tolist() == [-0.25, 0.0]  # second row, second column


def test_a_field_that_content_does_not_move_stays():
    part = make(SemanticField)
    np.testing.assert_allclose(call(part, X), call(part.field, X), rtol=1e-5)
    # moved by the content: the first entry of the mean token shifts x by as much
    move = part.move.at[:, 0, 0].set(1.0)
    moved = eqx.tree_at(lambda p: p.move, part, move)
    by = jnp.array([X.mean(0)[0], 0.0])[None, :]
    still = eqx.tree_at(lambda p: p.centre, part.field, part.field.centre + by)
    np.testing.assert_allclose(call(moved, X), call(still, X), rtol=1e-4)


def test_attention_sums_to_one_and_follows_its_tokens():
    part = make(AttentionPool, heads=2)
    np.testing.assert_allclose(look(part, X).sum(-1), 1, rtol=1e-5)
    # without a map of keys it is mean pooling: every token alike
    flat = eqx.tree_at(lambda p: p.look.key.weight, part, jnp.zeros((WIDTH, WIDTH)))
    np.testing.assert_allclose(look(flat, X), 1 / 12, rtol=1e-5)
    order = jr.permutation(jr.key(2), 12)
    np.testing.assert_allclose(call(flat, X[order]), call(flat, X), rtol=1e-4)
    assert (
        float(jnp.abs(call(part, X[order]) - call(part, X)).max()) > 1e-3
    )  # but places matter otherwise


def test_keys_of_position_alone_make_a_static_linear_pool():
    part = make(AttentionPool, heads=2, content=False)
    np.testing.assert_allclose(look(part, X), look(part, 2 * X), rtol=1e-6)
    mask = look(part, X)
    v = jax.vmap(part.look.value.forward)(X).reshape(12, 2, -1)
    pooled = jnp.einsum("hrp,phw->rhw", mask, v).reshape(2, WIDTH)
    seen = jax.vmap(part.look.out.forward)(pooled)
    seen = seen + jax.vmap(part.mlp)(jax.vmap(part.norm)(seen))
    np.testing.assert_allclose(
        call(part, X), plain(part, jax.vmap(part.last)(seen)), rtol=1e-4, atol=1e-5
    )


def test_positions_are_told_apart():
    code = position_sine2d(3, 4, 16)
    away = np.linalg.norm(code[:, None] - code[None], axis=-1)
    assert away[~np.eye(12, dtype=bool)].min() > 0.5
    np.testing.assert_allclose(code[:4, :8], code[[0], :8].repeat(4, 0))  # a row shares its half
    with pytest.raises(ValueError, match="multiple of 4"):
        position_sine2d(2, 2, 6)


@pytest.mark.slow
def test_training_finds_a_planted_field():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 9, 4)).astype(np.float32)
    y = x[:, 4] @ rng.normal(size=(4, 2)) + 0.1 * rng.normal(size=(300, 2))
    model = Readout(SpatialFeature.init_normal, region=[0, 0], epochs=15, rate=0.2)
    model = clone(model).fit(x[:250], y[:250])
    assert model.score(x[250:], y[250:]) > 0.9
    assert int(np.argmax(model.model_.masks()[0])) == 4
    assert model.losses_[-1] < model.losses_[0]
    flat = Readout(SpatialFeature.init_normal, region=[0], epochs=1).fit(x, np.ones(300))
    np.testing.assert_allclose(flat.predict(x[:3]).shape, (3,))
    assert np.isfinite(flat.predict(x[:3])).all()  # a target that never changes


def test_refusals():
    x = np.zeros((8, 6, 4))
    with pytest.raises(ValueError, match="grid of"):
        Readout(SpatialFeature.init_normal).fit(x, np.zeros(8))
    with pytest.raises(ValueError, match="finite"):
        Readout().fit(x + np.nan, np.zeros(8))
    with pytest.raises(ValueError, match="region must name one of each of 1"):
        Readout(grid=(2, 3), region=[0, 1]).fit(x, np.zeros(8))
