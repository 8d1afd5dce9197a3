import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from neuropil.stats import family_wise
from neuropil.stats.randomised import effect_size, permute_weights, randomised, redraw_weights


class Net(eqx.Module):
    embed: jnp.ndarray
    w: jnp.ndarray
    steps: int = 3


def test_permuted_and_redrawn_weights():
    net = Net(jnp.arange(4.0), jnp.arange(12.0).reshape(3, 4))
    shuffled = permute_weights(net, jr.key(0), keep=(".embed",))
    assert (shuffled.embed == net.embed).all()
    assert sorted(shuffled.w.ravel().tolist()) == list(range(12))
    assert (shuffled.w != net.w).any()
    rows = permute_weights(net, jr.key(1), axis=0)
    assert {tuple(r) for r in rows.w.tolist()} == {tuple(r) for r in net.w.tolist()}
    drawn = redraw_weights(net, jr.key(0))
    assert drawn.steps == 3
    assert (drawn.w != net.w).all()
    with pytest.raises(ValueError, match="no float array"):
        permute_weights(net, jr.key(0), keep=("embed", ".w"))


def test_randomised_counts_and_searches_in_every_null_network():
    draw = lambda key: np.asarray(jr.normal(key, (3,)))
    places = randomised(lambda w: w, np.array([9.0, 0.0, -9.0]), draw, draws=19, key=jr.key(0))
    assert places.p[0] == 1 / 20
    assert places.p[2] == 1
    assert (family_wise(places) >= places.p).all()
    best = randomised(
        lambda w: w, np.array([0.5, 1.0, -9.0]), draw, draws=19, key=jr.key(0), search=True
    )
    np.testing.assert_allclose(best.null, places.null.max(1))
    assert best.p == (1 + (best.null >= 1).sum()) / 20
    assert best.name == "best score"
    null = best.null
    assert effect_size(best) == pytest.approx((1 - null.mean()) / null.std())
    # exchangeable: the share of p <= a is floor(a (B + 1)) / (B + 1)
    values = np.random.default_rng(0).normal(size=(4000, 21))
    p = (1 + (values[:, 1:] >= values[:, :1]).sum(1)) / 21
    assert np.mean(p <= 0.05) == pytest.approx(1 / 21, abs=0.012)
    with pytest.raises(ValueError, match="has shape"):
        randomised(lambda w: w, np.zeros(2), draw, draws=2, key=jr.key(0))
