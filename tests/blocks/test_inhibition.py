"""The E-I circuit: moments of its start, invariance, gradients and counts, against closed forms."""

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
import pytest

from neuropil.blocks import EICircuit, nonzero_floor
from neuropil.learn import keep_signs
from neuropil.wiring import Dense

KEY = jr.key(0)
balanced = eqx.filter_jit(EICircuit.balanced)  # one program in place of many small ones


def bernoulli(p, n, d):
    return jnp.asarray(np.random.default_rng(0).random((n, d)) < p, jnp.float32)


SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    ("p", "d"),
    [pytest.param(0.05, 2000, marks=SLOW), (0.2, 500), pytest.param(0.5, 2000, marks=SLOW)],
)
def test_currents_of_the_start_have_the_moments_of_the_closed_form(p, d):
    x = bernoulli(p, 1000, d)
    layer = balanced(x, 200, KEY)
    current = np.asarray(jax.jit(jax.vmap(layer))(x))
    want = (1 + 1 / 50) / (2 - p)
    assert current.mean() == pytest.approx(
        0, abs=0.15
    )  # the few I cells of one draw shift all E cells
    assert current.var() == pytest.approx(want, rel=0.12)
    assert current.var(0).mean() / want == pytest.approx(
        1 - p, abs=0.06
    )  # across samples of a cell
    w_ee, w_ie, w_ei = (
        np.asarray(a) for a in (layer.excite.weight, layer.recruit.weight, layer.inhibit)
    )
    drive, s = np.asarray(x) @ w_ee.T, np.asarray(x) @ w_ie.T
    inhibition, sub = (np.asarray(layer.gain_i) * s) @ w_ei.T, s @ w_ei.T
    assert drive.var() / inhibition.mean() ** 2 == pytest.approx(1, rel=0.12)
    assert drive.mean() == pytest.approx(sub.mean(), rel=0.05)
    assert abs(sub - sub[:, :1]).max() < 1e-5 * sub.max()  # the same for every E cell


def test_start_of_exactly_half_the_inputs():
    x = jnp.asarray(np.tile([[0.0, 1.0], [1.0, 0.0]], (50, 50)), jnp.float32)  # p = 1/2, d = 100
    layer = balanced(x, 4000, KEY)
    assert float(layer.gain_i[0]) == pytest.approx(np.sqrt(1.5 / 50), rel=1e-5)
    assert float(layer.excite.weight.mean()) == pytest.approx(np.sqrt(0.5 / 150), rel=0.01)
    assert float(layer.excite.weight.std()) == pytest.approx(
        np.sqrt(0.5 / 150), rel=0.02
    )  # exponential
    assert (layer.inhibit == 1 / 1000).all()
    assert (layer.gain_e == 1).all()
    assert (layer.bias == 0).all()


def test_counts_of_parameters():
    layer = eqx.filter_eval_shape(EICircuit.balanced, jnp.ones((2, 784)), 500, KEY)
    sizes = sum(a.size for a in jax.tree.leaves(layer) if hasattr(a, "size"))
    assert sizes == 553_625
    assert layer.fan_in == 784


@functools.cache
def trained_like():
    """A circuit with weights no start would give."""
    draw = np.random.default_rng(1)
    some = lambda *shape: jnp.asarray(draw.exponential(0.2, shape), jnp.float32)
    wires = Dense(some(12, 30)), Dense(some(3, 30))
    bias = jnp.asarray(np.linspace(-1.0, 1.0, 12), jnp.float32)
    return EICircuit(*wires, some(12, 3), some(3), some(12), bias)


def test_scaling_the_input_changes_nothing_and_silence_gives_the_bias():
    layer, x = trained_like(), bernoulli(0.4, 1, 30)[0]
    value = jax.jit(lambda x: (layer(x), jax.grad(lambda x: layer(x).sum())(x)))
    np.testing.assert_allclose(value(7.3 * x)[0], value(x)[0], rtol=1e-4, atol=1e-5)
    silent, slope = value(jnp.zeros(30))
    np.testing.assert_array_equal(silent, layer.bias)
    assert np.isfinite(slope).all()


def test_the_equation_and_its_gradient_by_hand():
    layer, x = trained_like(), bernoulli(0.4, 1, 30)[0]
    w_ee, w_ie, w_ei = layer.excite.weight, layer.recruit.weight, layer.inhibit

    def plain(w_ei):
        s = w_ie @ x
        return layer.gain_e * (w_ee @ x - w_ei @ s) / (w_ei @ (layer.gain_i * s)) + layer.bias

    towards = jnp.linspace(-1.0, 1.0, 12)
    np.testing.assert_allclose(layer(x), plain(w_ei), rtol=1e-5)
    got = eqx.filter_grad(lambda c: jnp.vdot(towards, c(x)))(layer)
    want = jax.grad(lambda w: jnp.vdot(towards, plain(w)))(w_ei)
    np.testing.assert_allclose(got.inhibit, want / 30, rtol=1e-3, atol=1e-6)  # exactly 1 / d of it
    last = EICircuit(
        layer.excite, layer.recruit, w_ei, layer.gain_i, layer.gain_e, layer.bias, divide=False
    )
    np.testing.assert_allclose(last(x), w_ee @ x - w_ei @ (w_ie @ x), rtol=1e-4, atol=1e-5)


def test_zeros_of_the_divisor_become_its_smallest_entry_and_the_gradient_does_not_know():
    x = jnp.array([0.0, 3.0, 2.0, 0.0])
    assert nonzero_floor(x).tolist() == [2.0, 3.0, 2.0, 2.0]
    assert nonzero_floor(jnp.zeros(2)).tolist() == [1.0, 1.0]
    slope = jax.grad(lambda x: jnp.vdot(jnp.arange(1.0, 5.0), nonzero_floor(x)))(x)
    assert slope.tolist() == [1.0, 2.0, 3.0, 4.0]


def test_a_convolution_of_the_whole_picture_is_the_dense_circuit():
    x = bernoulli(0.4, 40, 18).reshape(40, 2, 9)
    conv = balanced(x, 8, KEY, kernel=(3,))
    assert conv.inhibit.shape == (8, 2)
    assert conv.fan_in == 6
    y = conv(x[0])
    assert y.shape == (8, 9)
    place = 4  # away from the edges: the window's six inputs through a dense circuit
    parts = {n: getattr(conv, n).weight.reshape(-1, 6) for n in ("excite", "recruit")}
    window = x[0][:, place - 1 : place + 2].reshape(6)
    s = parts["recruit"] @ window
    want = (parts["excite"] @ window - conv.inhibit @ s) / (conv.inhibit @ (conv.gain_i * s))
    np.testing.assert_allclose(y[:, place], want, rtol=1e-4, atol=1e-5)


def test_signs_are_kept_by_the_projection():
    layer = {"0": trained_like()}
    tx = optax.chain(optax.sgd(1.0), keep_signs(EICircuit.signs))
    push = jax.tree.map(jnp.ones_like, layer)
    after = jax.jit(lambda g, p: optax.apply_updates(p, tx.update(g, tx.init(p), p)[0]))(
        push, layer
    )["0"]
    kept = (after.excite.weight, after.recruit.weight, after.inhibit, after.gain_i, after.gain_e)
    assert all((a >= 0).all() for a in kept)
    assert (after.excite.weight == 0).any()
    np.testing.assert_allclose(after.bias, layer["0"].bias - 1, atol=1e-6)


def test_shapes_that_do_not_fit_are_refused():
    layer = trained_like()
    with pytest.raises(ValueError, match="12 excitatory and 3 inhibitory"):
        EICircuit(
            layer.excite, layer.recruit, layer.inhibit.T, layer.gain_i, layer.gain_e, layer.bias
        )
    with pytest.raises(ValueError, match="no inhibitory cell"):
        EICircuit.balanced(bernoulli(0.4, 4, 3), 3, KEY)
