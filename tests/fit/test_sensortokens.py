"""Any montage: order does not matter, the future is not seen, hidden values are not seen; and it learns."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
import pytest

from neuropil.blocks.transformer import stacked_layers, through
from neuropil.fit.neural_decoder import NeuralDecoder
from neuropil.fit.sensortokens import (
    FrozenFeatures,
    Montage,
    SensorTransformer,
    TokenClassifier,
    pretraining_loss,
)
from neuropil.learn import Trainer, train
from neuropil.recordings import Recording

DRAW = np.random.default_rng(0)
PLACES = DRAW.normal(size=(4, 3))
PLACES = 0.09 * PLACES / np.linalg.norm(PLACES, axis=1, keepdims=True)
MONTAGE = Montage.of(PLACES, ["eeg", "eeg", "mag", "unknown"])
X = jnp.asarray(DRAW.normal(size=(4, 24)), jnp.float32)


def model(goal):
    return SensorTransformer.init(4, width=16, depth=2, heads=2, goal=goal, key=jr.key(0))


def test_a_stack_of_layers_is_one_layer_after_the_other():
    layers = stacked_layers(2, 8, 2, key=jr.key(0))
    x = jnp.asarray(DRAW.normal(size=(5, 8)), jnp.float32)
    one, two = (jax.tree.map(lambda a, i=i: a[i], layers) for i in range(2))
    np.testing.assert_allclose(through(layers, x), two(one(x)), atol=1e-5)


def test_sensors_may_come_in_any_order_and_be_left_out():
    net, order = model("masked"), np.array([2, 0, 3, 1])
    read = jax.jit(lambda x, m: net.features(x, m).reshape(len(m.kinds), 6, -1))
    whole = read(X, MONTAGE)
    turned = Montage(MONTAGE.positions[order], MONTAGE.kinds[order])
    np.testing.assert_allclose(read(X[order], turned), whole[order], atol=1e-4)
    assert read(X[:2], Montage(MONTAGE.positions[:2], MONTAGE.kinds[:2])).shape == (2, 6, 16)
    assert MONTAGE.kinds.tolist() == [0, 0, 1, 7]
    moved = Montage(MONTAGE.positions.at[0].add(0.5), MONTAGE.kinds)
    assert float(jnp.abs(read(X, moved) - whole).max()) > 1e-3


def test_next_sees_no_future_and_masked_sees_no_hidden_value():
    net = model("next")
    read = jax.jit(lambda x: net.features(x, MONTAGE).reshape(4, 6, -1))
    np.testing.assert_allclose(read(X.at[:, 12:].set(9.0))[:, :3], read(X)[:, :3], atol=1e-5)
    net, hide = model("masked"), jnp.arange(24) % 3 == 0
    see = jax.jit(lambda x: net.features(x, MONTAGE, hide))
    changed = jnp.where(hide[:, None], 7.0, X.reshape(24, 4)).reshape(4, 24)
    np.testing.assert_allclose(see(changed), see(X), atol=1e-5)


@pytest.mark.slow
def test_pretraining_finds_what_channels_share_and_features_decode():
    """Two sources; channels mix them, so a hidden patch can be told from the others."""
    t = np.arange(24) / 24
    y = np.resize([0, 1], 64)
    phase = DRAW.uniform(0, 2 * np.pi, (64, 1))
    source = np.stack(
        [np.sin(2 * np.pi * (1 + 2 * y[:, None]) * t + phase), 0.1 * DRAW.normal(size=(64, 24))], 1
    )
    x = np.einsum("cs,nst->nct", DRAW.normal(size=(4, 2)), source).astype(np.float32)
    x /= x.std()
    many = lambda a: np.broadcast_to(np.asarray(a), (64, *a.shape))
    data = {"x": x, "positions": many(MONTAGE.positions), "kinds": many(MONTAGE.kinds)}
    trainer = Trainer(model("masked"), pretraining_loss, optax.adam(3e-3))
    fit = train(trainer, data, epochs=25, batch=32, key=jr.key(1), progress=False)
    assert fit.epochs["loss"][-1] < 0.6 * fit.epochs["loss"][0]
    probe = FrozenFeatures(fit.model, MONTAGE)
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    pipe = make_pipeline(probe, LogisticRegression(max_iter=1000)).fit(x[:48], y[:48])
    assert pipe.score(x[48:], y[48:]) > 0.6  # half of the trials is chance; a few passes
    frozen = TokenClassifier.build(fit.model, MONTAGE, frozen=True)
    head = NeuralDecoder(frozen, epochs=1, batch=32, step=0.01).fit(x[:48], y[:48])
    kept = jax.tree.leaves(head.network_.model), jax.tree.leaves(fit.model)
    assert all((a == b).all() for a, b in zip(*kept, strict=True))
    np.testing.assert_array_equal(head.network_.montage.positions, MONTAGE.positions)


def test_what_cannot_be_placed_is_refused():
    rec = Recording.from_array(np.zeros((1, 8, 2)), rate=10.0, unit="uV")
    with pytest.raises(ValueError, match="no positions"):
        Montage.from_recording(rec)
    with pytest.raises(ValueError, match="three finite numbers"):
        Montage.of(np.full((2, 3), np.nan), ["eeg"] * 2)
    with pytest.raises(ValueError, match="one each"):
        Montage.of(np.zeros((2, 3)), ["eeg"])
    with pytest.raises(ValueError, match="multiple of the patch"):
        model("next").patches(jnp.zeros((4, 10)))
