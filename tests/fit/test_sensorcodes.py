"""Any device: order and number of sensors do not matter, hidden channels are not seen, losses by hand."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from neuropil.blocks.quantisers import ResidualQuantiser, rotated
from neuropil.fit.sensorcodes import (
    SensorTokeniser,
    SourcePredictor,
    masked,
    reconstruction_loss,
    scored,
    standardised,
)
from neuropil.fit.sensortokens import Montage
from neuropil.fit.spectra import amplitude_and_phase

DRAW = np.random.default_rng(0)
MONTAGE = Montage(
    jnp.asarray(DRAW.normal(size=(6, 3)), jnp.float32),
    jnp.array([0, 0, 0, 1, 2, 2]),
    jnp.asarray(DRAW.normal(size=(6, 3)), jnp.float32),
)
X = jnp.asarray(DRAW.normal(size=(2, 6, 32)), jnp.float32)
SIZES = {"latents": 3, "heads": 2, "filters": 2, "ratios": (8,), "codes": 8, "stages": 2}


@pytest.fixture(scope="module")
def model():
    return eqx.filter_jit(lambda k: SensorTokeniser.init(8, **SIZES, key=k))(jr.key(0))


@pytest.fixture(scope="module")
def hear():
    return eqx.filter_jit(lambda m, x, s, o, n: m.hidden(x, s.kinds, s, o, n))


def test_sensors_may_come_in_any_order_and_be_left_out(model):
    read = eqx.filter_jit(lambda x, s: (model.read(x, s), model.embedding(s)))
    order = np.array([2, 5, 0, 3, 1, 4])
    turned = jax.tree.map(lambda a: a[order], MONTAGE)
    (a, g), (b, h) = read(X, MONTAGE), read(X[:, order], turned)
    assert a.codes.tolist() == b.codes.tolist()
    told = eqx.filter_jit(model.channels)
    np.testing.assert_allclose(told(b.value, h), told(a.value, g)[:, order], atol=1e-4)
    few = jax.tree.map(lambda a: a[:4], MONTAGE)
    shape = eqx.filter_eval_shape(model.codes, X[:, :4], few).shape
    assert shape == a.codes.shape == (2, 4, 3, 2)


def test_published_sizes_spend_4608_bits_on_two_seconds():
    published = lambda k: SensorTokeniser.init(lstm=2, key=k)
    whole = eqx.filter_eval_shape(published, jr.key(0))
    x = jax.ShapeDtypeStruct((1, 6, 512), jnp.float32)
    codes = eqx.filter_eval_shape(lambda m, x: m.codes(x, MONTAGE), whole, x)
    assert codes.shape == (1, 8, 16, 4)
    assert codes.size * np.log2(512) == 4608
    # 30 s in windows of 2 s that overlap by a quarter
    samples, hop = 30 * 256, 384
    windows = 1 + -(-(samples - 512) // hop)
    assert (windows, windows * codes.shape[1]) == (20, 160)


def test_what_is_hidden_is_not_seen_and_not_in_the_reference(model, hear):
    order = jnp.array([4, 1, 0, 2, 3, 5])
    _, guess = hear(model, X, MONTAGE, order, 2)
    changed = X.at[:, jnp.array([4, 1])].multiply(7.0)
    np.testing.assert_allclose(hear(model, changed, MONTAGE, order, 2)[1], guess, atol=1e-5)
    other = X.at[:, 0, :9].add(5.0)
    assert float(jnp.abs(hear(model, other, MONTAGE, order, 2)[1] - guess).max()) > 1e-3


def test_a_reference_and_one_scale_for_each_kind():
    kinds, seen = jnp.array([0, 0, 0, 1, 1, 2]), jnp.array([True, True, True, True, True, False])
    y = standardised(X * 1e-6, kinds, seen)
    np.testing.assert_allclose(y[:, :3].mean(1), 0, atol=1e-5)
    np.testing.assert_allclose(jnp.mean(y[:, :3] ** 2, (1, 2)), 1, atol=1e-4)
    ratio = jnp.std(y[0, 0] + y[0, 1]) / jnp.std(y[0, 2])  # relations stay: they sum to zero
    assert float(ratio) == pytest.approx(1.0, abs=1e-4)
    np.testing.assert_allclose(y[:, 5], X[:, 5] * 1e-6)  # nothing of its kind was seen


def test_a_perfect_guess_costs_e_to_the_minus_one_and_the_codes():
    x = scored(X)
    told = reconstruction_loss(x, x, jnp.float32(0.05))
    assert float(told.loss) == pytest.approx(np.exp(-1) + 0.05, abs=1e-5)
    assert [float(a) for a in (told.time, told.amplitude, told.phase)] == [0, 0, 0]
    assert float(told.pcc) == pytest.approx(1)


@pytest.mark.slow
def test_unrelated_phases_are_two_thirds_of_pi_apart():
    a, b = jnp.asarray(DRAW.normal(size=(2, 400, 64)), jnp.float32)
    assert float(amplitude_and_phase(a, b).phase) == pytest.approx(2 * np.pi / 3, abs=0.06)
    slope = jax.grad(lambda b: sum(amplitude_and_phase(a[:1], b)))(jnp.zeros((1, 64)))
    assert np.isfinite(slope).all()


@pytest.mark.slow
def test_gradients_reach_every_part(model):
    @eqx.filter_jit
    def slope(m):
        return jax.grad(lambda m: m.loss(X, MONTAGE.kinds, MONTAGE, jr.key(0))[0])(m)

    found = slope(model)
    for name in ("embedding", "encoder", "latents", "inward", "quantiser", "outward", "decoder"):
        assert any(np.abs(a).max() > 0 for a in jax.tree.leaves(getattr(found, name))), name


def test_of_hidden_places_four_fifths_are_the_mask_vector_and_a_fifth_random_tokens():
    z = jnp.arange(40_000.0).reshape(40, 1000, 1)
    seen, hidden = masked(z, jnp.array([-1.0]), jr.key(0), 0.5)
    share = lambda a: float(jnp.mean(a))
    assert share(hidden) == pytest.approx(0.5, abs=0.01)
    assert share(seen == -1) == pytest.approx(0.4, abs=0.01)
    assert share((seen != z) & (seen != -1)) == pytest.approx(0.1, abs=0.01)
    assert not ((seen != z)[..., 0] & ~hidden).any()


def test_a_predictor_of_sources_learns_codes_that_are_the_same_everywhere():
    predictor = SourcePredictor.init(8, 2, depth=1, codes=4, stages=1, key=jr.key(0))
    z, codes = jnp.ones((2, 3, 5, 8)), jnp.full((2, 3, 5, 1), 2)
    cost = eqx.filter_jit(jax.value_and_grad(lambda p, k: p.loss(z, codes, jnp.zeros((3, 8)), k)))
    first = None
    for i in range(30):
        loss, slope = cost(predictor, jr.key(i))
        first = loss if first is None else first
        predictor = jax.tree.map(lambda a, g: a - 0.1 * g, predictor, slope)
    assert float(loss) < 0.2 * float(first)


def test_the_rotation_trick_turns_gradients_as_the_vector_was_turned():
    x, value = jnp.asarray(DRAW.normal(size=(2, 5)), jnp.float32)
    np.testing.assert_allclose(rotated(x, value), value, atol=1e-5)
    jacobian = jax.jacobian(lambda x: rotated(x, value))(x)
    scale = jnp.linalg.norm(value) / jnp.linalg.norm(x)
    np.testing.assert_allclose(jacobian @ x, value, atol=1e-4)  # x itself goes to the value
    np.testing.assert_allclose(jacobian @ jacobian.T, scale**2 * np.eye(5), atol=1e-4)


def test_codebooks_begin_at_the_clusters_of_a_batch():
    centres = jnp.array([[0.0, 9.0], [9.0, 0.0], [-9.0, -9.0]])
    x = jnp.repeat(centres, 20, 0) + 0.1 * jr.normal(jr.key(0), (60, 2))
    part = ResidualQuantiser.init(2, 12, 2, key=jr.key(1)).begun(x, jr.key(2))
    assert float(jnp.abs(part(x).value - x).max()) < 1.0
