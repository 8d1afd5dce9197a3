"""Linear recurrences: three executions, chunks, gradients; and closed forms of the parts built on them."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from neuropil.blocks import (
    QLSTM,
    RGLRU,
    S6,
    SSD,
    DiagonalSSM,
    LinearAttention,
    LinearRecurrence,
    linear_scan,
    separable,
    taylor,
)
from neuropil.core import run, start


def _random(key, time=5, state=4, width=2):
    a, b, c, d, u = jr.split(key, 5)
    form = LinearRecurrence(
        jr.uniform(a, (time, state), minval=-0.2, maxval=1.2).at[2, 0].set(0.0),
        jr.normal(b, (time, state, width)),
        jr.normal(c, (time, width, state)),
        jr.normal(d, (time, width, width)),
    )
    return form, jr.normal(u, (time, width))


def test_three_executions_agree_and_the_scan_has_the_gradients_of_phi(x64, key):
    form, us = _random(key)

    @jax.jit
    def everything(form, us):
        ways = [form.scan(us)[1], form.associative(us)[1], form.convolve(us)]
        loss = lambda way: jax.grad(lambda f: (way(f) ** 3).sum())(form)
        slopes = [loss(lambda f: f.scan(us)[1]), loss(lambda f: f.convolve(us))]
        return ways, slopes, form.phi()

    ways, (one, two), phi = everything(form, us)
    for other in ways[1:]:
        np.testing.assert_allclose(ways[0], other, atol=1e-12)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-10), one, two)
    assert (np.abs(np.asarray(phi).sum((2, 3)))[np.triu_indices(5, 1)] == 0).all()
    by_hand = form.read[3] * (form.decay[3] * form.decay[2])[None] @ form.write[1]
    np.testing.assert_allclose(phi[3, 1], by_hand, atol=1e-12)


def test_a_recurrence_goes_on_from_a_state(x64, key):
    form, us = _random(key)

    @jax.jit
    def both(form, us):
        cut = lambda s: jax.tree.map(lambda a: a[s], (form, us))
        (first, early), (rest, late) = cut(slice(0, 3)), cut(slice(3, None))
        middle, _ = first.scan(early)
        return form.scan(us), rest.scan(late, middle), rest.associative(late, middle)

    (end, ys), *others = both(form, us)
    for last, part in others:
        np.testing.assert_allclose(part, ys[3:], atol=1e-12)
        np.testing.assert_allclose(last, end, atol=1e-12)


def test_shapes_that_disagree_are_refused():
    # a ValueError of ours, or, as here, the run-time check of the annotations
    with pytest.raises((ValueError, TypeError)):
        LinearRecurrence(jnp.ones((4, 2)), jnp.ones((4, 3, 1)), jnp.ones((4, 1, 2)))


def test_linear_scan_both_ways_with_complex_decay(x64, key):
    decay = 0.9 * jnp.exp(1j * jr.normal(key, (9, 2)))
    drive = jr.normal(key, (9, 2)) + 0j
    begin = jnp.ones(2) + 0j
    both = jax.jit(lambda *x: [linear_scan(*x, associative=a) for a in (False, True)])
    step, jump = both(decay, drive, begin)
    np.testing.assert_allclose(step, jump, atol=1e-12)


def test_separable_sums_do_not_depend_on_the_chunk(x64, key):
    q, k, v = jr.normal(key, (3, 2, 11, 3))
    decay = -jr.uniform(key, (2, 11))
    begin = jr.normal(key, (2, 3, 3))
    all_sizes = jax.jit(lambda *x: [separable(*x, chunk) for chunk in (128, 4, 11)])
    whole, *others = all_sizes(q, k, v, decay, begin)
    for parts in others:
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-12), whole, parts)


def test_linear_attention_weights_sum_to_one(x64, key):
    """With the identity as value and output map, a constant input comes through."""
    part = LinearAttention.init_normal(4, key=key, keys=3)
    part = eqx.tree_at(lambda p: (p.value.weight, p.out.weight), part, (jnp.eye(4), jnp.eye(4)))
    _, ys = run(part, start(part, 1.0, key), jnp.ones((6, 4)))
    np.testing.assert_allclose(ys, 1.0, atol=1e-12)


def test_taylor_features_are_the_cut_series(x64, key):
    q, k = jr.normal(key, (2, 4))
    s, f = float(q @ k), taylor(3)
    assert float(f(q) @ f(k)) == pytest.approx(1 + s + s**2 / 2 + s**3 / 6, rel=1e-12)


def test_s4d_is_exact_for_a_held_input_at_every_dt(x64, key):
    part = DiagonalSSM.init_linear(2, 3, key=key, tau=(2.0, 8.0))
    coarse = run(part, start(part, 1.0, key), jnp.ones((6, 2)))[1]
    fine = run(part, start(part, 0.5, key), jnp.ones((12, 2)))[1]
    np.testing.assert_allclose(coarse, fine[1::2], atol=1e-12)
    pole = -np.asarray(part.rate) + 1j * np.asarray(part.frequency)
    read = np.asarray(part.read_real) + 1j * np.asarray(part.read_imaginary)
    at = np.arange(1, 7)[:, None, None]
    law = 2 * (read * (np.exp(pole * at) - 1) / pole).real.sum(-1) + np.asarray(part.skip)
    np.testing.assert_allclose(coarse, law, atol=1e-12)


def test_s6_ignores_a_token_at_small_delta_and_resets_at_large(x64, key):
    part = S6.init_normal(3, 2, key=key)
    x = jr.normal(key, (1, 3))
    bias = lambda b: eqx.tree_at(lambda p: p.delta.bias, part, jnp.full(3, b))
    decay, drive, _ = bias(-60.0).coefficients(x)
    np.testing.assert_allclose(decay, 1.0, atol=1e-12)
    np.testing.assert_allclose(drive, 0.0, atol=1e-12)
    assert float(bias(60.0).coefficients(x)[0].max()) < 1e-20


def test_the_decay_of_an_ssd_is_a_reversed_sigmoid(x64, key):
    part = eqx.tree_at(lambda p: p.log_a, SSD.init_normal(4, 2, key=key), jnp.log(jnp.array([1.7])))
    xs = 3 * jr.normal(key, (20, 4))
    z = jax.vmap(part.delta.forward)(xs)
    np.testing.assert_allclose(
        jnp.exp(part.coefficients(xs)[0]).T, jax.nn.sigmoid(-z) ** 1.7, atol=1e-14
    )


def test_gates_of_the_gated_recurrences(x64, key):
    xs = 5 * jr.normal(key, (20, 3))
    part = QLSTM.init_normal(3, key=key, reversed=True)
    forget = jax.vmap(part.forget.forward)(xs)
    np.testing.assert_allclose(part.gates(xs)[0], jax.nn.sigmoid(-forget), atol=1e-14)
    decay, write = RGLRU.init_normal(3, key=key).gates(xs)
    assert float(decay.min()) > 0.89 / 1.0 - 1e-9
    gate = jax.nn.sigmoid(jax.vmap(RGLRU.init_normal(3, key=key).input.forward)(xs))
    np.testing.assert_allclose((write / gate) ** 2 + decay**2, 1.0, atol=1e-12)
