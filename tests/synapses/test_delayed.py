"""Delays of single synapses: exact where they are whole ticks, differentiable where they learn."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from neuropil.core import Network, System, Tick, run, start
from neuropil.synapses import (
    Delay,
    DelayedDense,
    GaussianTaps,
    LinearTaps,
    causal_sum,
)

LONGEST = 12.0


def response(part, xs, dt=1.0):
    return np.asarray(run(part, start(part, dt, jr.key(0)), xs)[1])


def ticks(carry, n):
    return Tick(jnp.arange(n), carry.dt, jr.split(jr.key(0), n))


def test_whole_ticks_equal_exact_delays_in_unroll_and_in_step(x64):
    delay = np.array([[0.0, 3.0], [12.0, 5.0], [1.0, 7.0]])
    wire = DelayedDense(np.arange(1.0, 7.0).reshape(3, 2), delay, LONGEST)
    xs = jr.normal(jr.key(1), (40, 2))
    each = [Delay(tuple(row), 2) for row in delay]  # one exact line a postsynaptic cell
    want = np.stack(
        [response(line, xs) @ np.asarray(w) for line, w in zip(each, wire.weight, strict=True)], 1
    )
    np.testing.assert_allclose(response(wire, xs), want, atol=1e-12)
    carry = start(wire, 1.0, jr.key(0))
    stepped = System.unroll(wire, carry.state, xs, ticks(carry, 40))[1]
    np.testing.assert_allclose(stepped, want, atol=1e-14)


@pytest.mark.parametrize("taps", [GaussianTaps(3.0), LinearTaps(1.0), LinearTaps()])
def test_rounded_soft_kernel_is_the_exact_delay(taps, x64):
    soft = DelayedDense.init_uniform(3, 2, LONGEST, jr.key(0), taps=taps)
    hard, kernel = soft.rounded(), soft.rounded().kernel(13, 1.0)
    at = np.asarray(jnp.round(soft.delay)).astype(int)
    for o, i in np.ndindex(2, 3):
        assert kernel[at[o, i], o, i] == soft.weight[o, i]
        assert np.count_nonzero(kernel[:, o, i]) == 1
    same = DelayedDense(soft.weight, jnp.round(soft.delay), LONGEST)
    xs = jr.normal(jr.key(1), (30, 3))
    np.testing.assert_array_equal(response(hard, xs), response(same, xs))
    if isinstance(taps, LinearTaps) and not float(taps.sigma):  # no width: whole ticks are one tap
        whole = DelayedDense(same.weight, same.delay, LONGEST, taps)
        np.testing.assert_allclose(response(whole, xs), response(same, xs), atol=2e-6)


def test_shares_add_up_and_a_narrow_gaussian_is_one_tap(x64):
    delay = jnp.array([[0.0, 12.0, 3.4, 7.0]])
    for sigma in (0.0, 0.23, 2.0, 12.0):
        wire = DelayedDense(jnp.array([[1.0, -2.0, 3.0, 4.0]]), delay, LONGEST, GaussianTaps(sigma))
        np.testing.assert_allclose(wire.kernel(13, 1.0).sum(0), wire.weight, rtol=1e-6)
    share = DelayedDense(jnp.ones((1, 1)), [[7.0]], LONGEST, GaussianTaps(0.0)).kernel(13, 1.0)
    beside = np.exp(-0.5 / 0.27**2)
    assert float(share[7, 0, 0]) == pytest.approx(1 / (1 + 2 * beside), abs=1e-6)  # 0.9979
    assert float(share[6, 0, 0]) == pytest.approx(beside / (1 + 2 * beside), abs=1e-6)  # 0.00105


def test_gradient_to_a_delay_is_that_of_the_shares(x64):
    """d share_k / d d = share_k (q_k - mean q) / width: against finite differences too."""
    width, wire = 2.0, DelayedDense([[1.5]], [[5.3]], LONGEST, GaussianTaps(2.0, floor=0.0))
    f = jax.jit(lambda d: DelayedDense(wire.weight, d, LONGEST, wire.taps).kernel(13, 1.0)[:, 0, 0])
    slope = jax.jit(jax.jacfwd(f))(wire.delay)[:, 0, 0]
    share = np.asarray(f(wire.delay)) / 1.5
    q = (np.arange(13) - 5.3) / width
    np.testing.assert_allclose(slope, 1.5 * share * (q - (share * q).sum()) / width, atol=1e-6)
    difference = (f(wire.delay + 1e-6) - f(wire.delay - 1e-6)) / 2e-6
    np.testing.assert_allclose(slope, difference, atol=1e-7)


@pytest.mark.parametrize(("sigma", "reach"), [(12.0, 12), (0.23, 1)])
def test_a_wide_kernel_hears_distant_spikes_and_a_narrow_one_only_near_ones(sigma, reach):
    wire = DelayedDense([[1.0]], [[6.0]], LONGEST, GaussianTaps(sigma))
    one = jnp.ones((1, 1))
    kernel = lambda d: DelayedDense(one, d, LONGEST, wire.taps).kernel(13, 1.0)
    slope = jax.jit(jax.jacfwd(kernel))
    felt = np.abs(slope(wire.delay)[:, 0, 0, 0, 0]) > 1e-3
    assert felt[6 - min(reach, 6)]
    assert felt[6 + min(reach, 6)]
    assert not felt[[k for k in range(13) if abs(k - 6) > reach + 1]].any()
    none = jax.jit(jax.grad(lambda d: DelayedDense(one, d, LONGEST).kernel(13, 1.0)[6, 0, 0]))
    assert float(none(wire.delay)[0, 0]) == 0


def test_unroll_goes_on_from_any_state_in_chunks_of_any_length():
    wire = DelayedDense.init_uniform(3, 4, LONGEST, jr.key(0), taps=GaussianTaps(2.0))
    xs = jr.normal(jr.key(1), (250, 3))  # longer than a block of the transform
    whole, carry, parts = response(wire, xs), start(wire, 1.0, jr.key(0)), []
    for a, b in ((0, 2), (2, 250)):  # shorter than the line, and longer
        carry, ys = run(wire, carry, xs[a:b])
        parts.append(ys)
    np.testing.assert_allclose(np.concatenate(parts), whole, atol=1e-5)
    begin = start(wire, 1.0, jr.key(0))
    state, ys = System.unroll(wire, begin.state, xs, ticks(begin, 250))
    np.testing.assert_allclose(ys, whole, atol=1e-5)
    np.testing.assert_array_equal(state["line"], carry.state["line"])


def test_causal_sum_is_a_convolution(x64):
    kernel, stream = jr.normal(jr.key(0), (5, 2, 3)), jr.normal(jr.key(1), (9, 3))
    K, s = np.asarray(kernel), np.asarray(stream)
    want = [sum(K[k] @ s[t + 4 - k] for k in range(5)) for t in range(5)]
    sums = jax.jit(causal_sum)
    np.testing.assert_allclose(sums(kernel, stream), want, atol=1e-12)
    np.testing.assert_allclose(sums(kernel[:1], stream), s @ K[0].T, atol=1e-12)


def test_on_an_edge_the_tick_that_has_passed_is_counted():
    same, zero = lambda x: x, jnp.zeros(1)
    wire = DelayedDense([[1.0]], [[3.0]], LONGEST)
    net = Network({"a": same, "b": same}, {"a>b": wire}, rest={"a": zero, "b": zero})
    xs = {"a": jnp.zeros((8, 1)).at[1].set(1.0), "b": jnp.zeros((8, 1))}
    ys = run(net, start(net, 1.0, jr.key(0)), xs)[1]["b"][:, 0]
    assert np.flatnonzero(ys).tolist() == [4]
    with pytest.raises(ValueError, match="network edge"):
        start(Network({"a": wire}, {"a>a": DelayedDense([[1.0]], [[0.0]], 2.0)}), 1.0, jr.key(0))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: DelayedDense([[1.0]], [[13.0]], LONGEST), "13 ms is beyond longest = 12 ms"),
        (lambda: DelayedDense([[1.0]], [[-1.0]], LONGEST), "delay = -1 ms"),
        (lambda: DelayedDense([[1.0]], [1.0], LONGEST), "both must be"),
        (lambda: DelayedDense([[1.0]], [[1.0]], float("inf")), "longest = inf"),
        (lambda: start(DelayedDense([[1.0]], [[1.0]], 1.5), 1.0, jr.key(0)), "no multiple of dt"),
        (lambda: GaussianTaps(-1.0), "sigma = -1 ms"),
    ],
)
def test_nonsense_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
