"""The five networks: counts of the originals, statistics and outputs as if computed in the published order."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from neuropil.blocks.filtering import BatchNorm
from neuropil.fit.eegnets import NETWORKS, EEGNet, ShallowConvNet, parameter_count
from neuropil.fit.eegparts import Branch, Fused, Stem
from neuropil.fit.neural_decoder import Flattened, NeuralDecoder

DRAW = np.random.default_rng(0)
ORDER = ("eegnet", "shallow", "deep", "fusion", "mi-eegnet")
COUNTS = {
    (64, 320, 4, 160): (2900, 109444, 185329, 26996, 134020),
    (22, 500, 4, 250): (2908, 46244, 167879, 28308, 131524),
    (62, 1000, 2, 500): (4578, 110802, 194477, 43514, 144130),
}


@pytest.mark.parametrize("shape", COUNTS)
def test_parameters_are_those_of_the_published_layers(shape):
    *sizes, rate = shape
    for name, count in zip(ORDER, COUNTS[shape], strict=True):
        net = jax.eval_shape(lambda k, n=name: NETWORKS[n](*sizes, rate=rate, key=k), jr.key(0))
        shapes = jax.tree.leaves(net)
        norms = [n for n in jax.tree.leaves(net, is_leaf=_is_norm) if _is_norm(n)]
        moving = sum(n.mean.size + n.var.size for n in norms)
        assert sum(a.size for a in shapes) - moving == count, name


def _is_norm(node):
    return isinstance(node, BatchNorm)


def test_the_stem_equals_filter_norm_mix_norm_in_the_published_order():
    stem = Stem(5, 3, 2, 8, 4, "same", jr.key(0))
    stem = jax.tree.map(lambda a: a + 0.3 * jr.normal(jr.key(a.size), a.shape), stem)
    x = 0.5 + DRAW.normal(size=(5, 6, 40))
    w, s = np.asarray(stem.temporal, float), np.asarray(stem.spatial, float)
    padded = np.pad(x, ((0, 0), (0, 0), (3, 4)))
    h = np.stack([np.stack([[np.correlate(t, f, "valid") for t in c] for c in padded]) for f in w])

    def norm(part, h, axes):  # h (feature, ...)
        wide = (slice(None), *(None,) * len(axes))
        mean, var = h.mean(axes), h.var(axes)
        scale = np.asarray(part.gain) / np.sqrt(var + 1e-3)
        return (h - mean[wide]) * scale[wide] + np.asarray(part.shift)[wide]

    h = norm(stem.norm, h, (1, 2, 3))
    y = np.einsum("fdc,fcbt->fdbt", s, h).reshape(6, 6, 40)
    y = norm(stem.norm2, y, (1, 2))
    y = np.where(y > 0, y, np.expm1(y)).reshape(6, 6, 10, 4).mean(-1)
    got, pull = jax.jit(lambda x: stem(x, True))(jnp.asarray(x, jnp.float32))
    np.testing.assert_allclose(got, y, atol=2e-5)
    assert float(pull) > 0


def test_two_convolutions_with_nothing_between_are_one():
    fused = Fused(4, 3, 5, 7, True, jr.key(0))
    fused = jax.tree.map(lambda a: a + 0.3 * jr.normal(jr.key(a.size), a.shape), fused)
    x = DRAW.normal(size=(4, 2, 30))
    w, s = np.asarray(fused.temporal, float), np.asarray(fused.spatial, float)
    h = np.stack([np.stack([[np.correlate(t, f, "valid") for t in c] for c in x]) for f in w])
    h = h + np.asarray(fused.bias)[:, None, None, None]
    want = np.einsum("ofc,fcbt->obt", s, h) + np.asarray(fused.bias2)[:, None, None]
    np.testing.assert_allclose(fused(jnp.asarray(x, jnp.float32)), want, atol=1e-4)


@pytest.mark.slow
def test_of_fusions_separable_filters_one_tap_sees_data():
    branch = Branch(4, 2, 2, 4, (8, 8), (4, 2), 0.5, "same", True, jr.key(0), 0.99)
    x = jnp.asarray(DRAW.normal(size=(4, 3, 40)), jnp.float32)
    seeds = jr.bits(jr.key(1), (2,), jnp.uint32)
    weight = jnp.asarray(DRAW.normal(size=(4, 3, 5)), jnp.float32)
    gradient = jax.grad(lambda b: (b(x, seeds)[0] * weight).sum())(branch).separable.each
    seen = jnp.abs(gradient).max(0) > 0
    assert (
        seen.tolist() == [False] * 3 + [True] + [False] * 4
    )  # 8 - 1 of 8 taps; 2,576 weights in all


def test_networks_without_a_sample_left_are_refused():
    for name in ("shallow", "deep", "eegnet"):
        with pytest.raises(ValueError, match="too short"):
            NETWORKS[name](3, 20, 2, rate=128.0, key=jr.key(0))


SMALL = {"filters": 4, "taps": 5, "width": 20, "stride": 10}


@pytest.fixture(scope="module")
def planted():
    """Two classes that differ in the power of one source of four, in microvolts."""
    mixing = DRAW.normal(size=(4, 4))
    y = np.resize(["left", "right"], 80)
    source = DRAW.normal(size=(80, 4, 64))
    source[y == "left", 0] *= 3
    return np.einsum("cs,nst->nct", 5 * mixing, source), y


@pytest.mark.slow
def test_a_planted_power_is_found_and_limits_and_averages_are_kept(planted):
    x, y = planted
    model = NeuralDecoder("shallow", options=SMALL, epochs=30, batch=20, step=0.02)
    assert model.fit(x[:60], y[:60]).score(x[60:], y[60:]) >= 0.9
    for where, largest, axis in model.network_.limits().values():
        assert float(jnp.sqrt((where(model.network_) ** 2).sum(axis)).max()) <= largest + 1e-5
    norm = model.network_.norm
    assert float(norm.var.min()) > 1.5  # from 1 towards the data's
    assert isinstance(model.network_, ShallowConvNet)
    np.testing.assert_allclose(model.predict_proba(x).sum(1), 1, rtol=1e-5)
    np.testing.assert_array_equal(model.predict(x[:7]), model.predict(x)[:7])
    again = clone(model).fit(x[:60], y[:60])
    np.testing.assert_array_equal(again.decision_function(x), model.decision_function(x))
    tuned = clone(model).set_params(epochs=1, step=1e-6).fit(x[:60], y[:60], start=model.network_)
    assert tuned.score(x[60:], y[60:]) == model.score(x[60:], y[60:])


@pytest.mark.slow
def test_it_stands_in_pipelines_and_searches(planted):
    x, y = planted
    pipe = make_pipeline(
        FunctionTransformer(np.negative),
        NeuralDecoder("shallow", options=SMALL, epochs=30, batch=20, validation=0.2, patience=30),
    )
    search = GridSearchCV(pipe, {"neuraldecoder__step": [1e-7, 0.02]}, cv=2).fit(x, y)
    assert search.best_params_ == {"neuraldecoder__step": 0.02}


def test_bad_input_is_named(planted):
    x, y = planted
    model = NeuralDecoder("shallow", options=SMALL, epochs=1)
    with pytest.raises(ValueError, match="trial, channel, time"):
        model.fit(x[:, 0], y)
    with pytest.raises(ValueError, match="1 class"):
        model.fit(x, np.zeros(80))
    with pytest.raises(ValueError, match="NaN"):
        model.fit(np.where(x > 0, np.nan, x), y)
    with pytest.warns(RuntimeWarning, match="microvolts"):
        fitted = model.fit(x * 1e-6, y)
    with pytest.raises(ValueError, match="fitted on"):
        fitted.predict(x[:, :2])
    with pytest.raises(ValueError, match="cannot be shared by 3"):
        Flattened(model, channels=3).fit(x.reshape(80, -1), y)


def test_the_default_network_of_a_class_count_and_its_logits():
    net = EEGNet.init(4, 64, 3, rate=32.0, key=jr.key(0))
    assert net(jnp.zeros((2, 4, 64))).shape == (2, 3)
    assert parameter_count(net) == 8 * 16 + 16 * 4 + 16 * 16 + 16 * 16 + 2 * (8 + 16 + 16) + 3 * 33
