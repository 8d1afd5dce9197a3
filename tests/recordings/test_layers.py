import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from neuropil.core import System
from neuropil.recordings import record
from neuropil.recordings.layers import Shaper, module_layers, network_layers, pooled

RNG = np.random.default_rng(0)


def test_pooling_rules():
    maps, tokens = RNG.normal(size=(2, 3, 4, 5)), RNG.normal(size=(2, 6, 3))
    np.testing.assert_allclose(pooled(maps, "mean"), maps.mean((2, 3)))
    np.testing.assert_allclose(pooled(maps, "max", channel=-1), maps.max((1, 2)))
    np.testing.assert_allclose(pooled(tokens, "mean"), tokens.mean(1))
    np.testing.assert_array_equal(pooled(tokens, "first"), tokens[:, 0])
    np.testing.assert_array_equal(pooled(maps), maps.reshape(2, -1))
    flat = tokens[:, 0]
    np.testing.assert_array_equal(pooled(flat, "mean"), flat)
    keep = np.array([[1, 1, 0, 0, 0, 0], [1, 1, 1, 1, 0, 0]])
    means = pooled(tokens, "mean", weights=keep)
    np.testing.assert_allclose(means, [tokens[0, :2].mean(0), tokens[1, :4].mean(0)])
    assert (pooled(tokens, "max", weights=keep) <= pooled(tokens, "max")).all()
    with pytest.raises(ValueError, match="unknown"):
        pooled(maps, "sum")
    with pytest.raises(ValueError, match="first token"):
        pooled(maps, "first")


def test_random_projections_keep_distances_and_are_the_same_for_every_batch():
    x = RNG.normal(size=(12, 5000))
    shaper = Shaper("flatten", None, 600, 3)
    y = np.concatenate([shaper(x[:5]), shaper(x[5:])])
    assert y.shape == (12, 600)
    np.testing.assert_array_equal(y, Shaper("flatten", None, 600, 3)(x))
    far = lambda v: np.linalg.norm(v[:, None] - v[None], axis=2)[np.triu_indices(12, 1)]
    np.testing.assert_allclose(far(y) / far(x), 1, atol=0.15)
    assert Shaper("flatten", None, 6000, 3)(x) is not None
    rec = shaper.recording([y], "a", "module M", "00", None, None)
    assert [s.name for s in rec.history] == ["pool", "project"]
    with pytest.raises(ValueError, match="leaves nothing"):
        Shaper("flatten", None, 0, 0)


class Net(eqx.Module):
    conv: eqx.nn.Conv2d
    drop: eqx.nn.Dropout
    rows: eqx.nn.Linear
    unused: eqx.nn.Linear

    def __init__(self, key):
        keys = jr.split(key, 3)
        self.conv = eqx.nn.Conv2d(1, 3, 3, key=keys[0])
        self.drop = eqx.nn.Dropout(0.5)
        self.rows = eqx.nn.Linear(4, 2, key=keys[1])
        self.unused = eqx.nn.Linear(4, 2, key=keys[2])

    def __call__(self, x):
        y = self.drop(self.conv(x))
        return jax.vmap(self.rows)(y.reshape(-1, 4))


def test_parts_of_an_equinox_module_by_name():
    net, x = Net(jr.key(0)), RNG.normal(size=(7, 1, 6, 6)).astype(np.float32)
    seen = module_layers(net, x, ["conv", "output"], batch=3, trials={"stimulus": list("abcdefg")})
    want = np.stack([np.asarray(net.conv(jnp.asarray(one))) for one in x])
    np.testing.assert_allclose(seen["conv"].to_numpy()[:, 0], want.reshape(7, -1), atol=1e-6)
    assert seen["output"].shape == (7, 1, 24)
    assert seen["conv"].about["source"] == "module Net, layer conv"
    assert seen["conv"].data.stimulus.values.tolist() == list("abcdefg")
    other = module_layers(Net(jr.key(1)), x[:1], "conv")["conv"]
    assert other.about["weights"] != seen["conv"].about["weights"]
    means = module_layers(net, x, "conv", pool="mean", batch=7)["conv"]
    np.testing.assert_allclose(means.to_numpy()[:, 0], want.mean((2, 3)), atol=1e-6)
    with pytest.raises(ValueError, match="within a vmap"):
        module_layers(net, x, "rows")
    with pytest.raises(KeyError, match="not called"):
        module_layers(net, x, "unused")
    with pytest.raises(KeyError, match="conv"):
        module_layers(net, x, "convolution")


class Leak(System):
    def init(self, dt, key):
        return jnp.zeros(3)

    def step(self, v, x, tick):
        return 0.9 * v + x, v


def test_parts_of_a_system_are_means_over_a_window():
    xs = RNG.normal(size=(4, 10, 3)).astype(np.float32)
    both = network_layers(
        Leak(), xs, {"out": "output", "all": "output"}, dt=10.0, key=jr.key(0), window=(0.05, 0.1)
    )
    whole = record(Leak(), xs, dt=10.0, key=jr.key(0)).to_numpy()
    np.testing.assert_allclose(both["out"].to_numpy()[:, 0], whole[:, 5:].mean(1), rtol=1e-6)
    assert [s.name for s in both["out"].history] == ["mean", "pool"]
