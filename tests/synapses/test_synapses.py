"""Delays and kinetics: impulses arrive when they should, time courses have their closed form."""

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from neuropil.core import Network, run, start
from neuropil.synapses import Alpha, Delay, Exponential


def response(part, xs, dt=1.0):
    return np.asarray(run(part, start(part, dt, jr.key(0)), xs)[1])


@pytest.mark.parametrize(
    ("delay", "dt"), [(0.0, 1.0), (1.0, 1.0), (3.0, 1.0), (0.3, 0.1), (2.5, 0.5)]
)
def test_a_delay_shifts_by_exactly_its_length(delay, dt):
    xs = jr.normal(jr.key(1), (20, 2))
    n = round(delay / dt)
    want = np.concatenate([np.zeros((n, 2)), np.asarray(xs)])[:20]
    np.testing.assert_array_equal(response(Delay(delay, 2), xs, dt), want.astype(np.float32))


def test_every_unit_has_a_delay_of_its_own():
    xs = jr.normal(jr.key(1), (12, 3))
    ys = response(Delay((0.0, 2.0, 5.0), 3), xs)
    for unit, n in enumerate((0, 2, 5)):
        np.testing.assert_array_equal(ys[n:, unit], xs[: 12 - n, unit])
        assert (ys[:n, unit] == 0).all()
    grid = response(Delay((0.0, 2.0, 5.0), (4, 3)), jnp.broadcast_to(xs[:, None], (12, 4, 3)))
    np.testing.assert_array_equal(grid, np.broadcast_to(ys[:, None], (12, 4, 3)))


def test_a_fraction_of_a_tick_is_shared_between_two_neighbours():
    xs = jnp.zeros((8, 1)).at[1].set(1.0)
    ys = response(Delay(2.25, 1, interpolate=True), xs)
    np.testing.assert_allclose(ys[:, 0], [0, 0, 0, 0.75, 0.25, 0, 0, 0], atol=1e-6)
    ramp = response(
        Delay((1.5, 0.25), 2, interpolate=True), jnp.arange(8.0)[:, None] * jnp.ones((1, 2))
    )
    np.testing.assert_allclose(ramp[2:], np.arange(2, 8)[:, None] - [[1.5, 0.25]], atol=1e-6)
    with pytest.raises(ValueError, match="no multiple of dt"):
        start(Delay(2.25, 1), 1.0, jr.key(0))


@pytest.mark.parametrize(
    "part", [Delay(4.0, 2), Delay((1.0, 3.0), 2), Delay(1.5, 2, interpolate=True)]
)
def test_chunks_of_any_length_give_the_same_numbers(part):
    xs = jr.normal(jr.key(0), (16, 2))
    whole = response(part, xs)
    carry, parts = start(part, 1.0, jr.key(0)), []
    for a, b in ((0, 2), (2, 4), (4, 13), (13, 16)):  # shorter and longer than the line
        carry, ys = run(part, carry, xs[a:b])
        parts.append(ys)
    np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_on_an_edge_the_tick_that_has_passed_is_counted():
    same, zero = lambda x: x, jnp.zeros(1)
    rest = {"a": zero, "b": zero}
    net = Network({"a": same, "b": same}, {"a>b": Delay(3.0, 1)}, rest=rest)
    xs = {"a": jnp.zeros((8, 1)).at[1].set(1.0), "b": jnp.zeros((8, 1))}
    assert np.flatnonzero(response_of(net, xs)).tolist() == [4]
    with pytest.raises(ValueError, match="network edge"):
        start(Network({"a": Delay(0.0, 1)}, {"a>a": Delay(0.0, 1)}), 1.0, jr.key(0))


def response_of(net, xs):
    return np.asarray(run(net, start(net, 1.0, jr.key(0)), xs)[1]["b"][:, 0])


@pytest.mark.parametrize("dt", [1.0, 0.25])
def test_exponential_decays_as_it_should(dt, x64):
    tau = jnp.array([2.0, 10.0])
    xs = jnp.zeros((40, 2)).at[3].set(1.5)
    t = dt * (np.arange(40)[:, None] - 3)
    want = np.where(t >= 0, 1.5 * np.exp(-t / np.asarray(tau)), 0)
    np.testing.assert_allclose(response(Exponential(2, tau=tau), xs, dt), want, rtol=1e-12)
    scaled = response(Exponential(2, tau=tau, unit_area=True), xs, dt)
    np.testing.assert_allclose(scaled, want / np.asarray(tau), rtol=1e-12)


@pytest.mark.parametrize("dt", [1.0, 0.25])
def test_alpha_has_its_shape_and_peaks_at_tau(dt, x64):
    tau = 5.0
    xs = jnp.zeros((60, 1)).at[2].set(2.0).at[9].set(1.0)
    g = lambda t: np.where(t > 0, t / tau * np.exp(1 - t / tau), 0)
    t = dt * np.arange(60)
    got = response(Alpha(1, tau=tau), xs, dt)[:, 0]
    np.testing.assert_allclose(got, 2 * g(t - 2 * dt) + g(t - 9 * dt), atol=1e-12)
    alone = response(Alpha(1, tau=tau), xs.at[9].set(0.0), dt)[:, 0]
    assert alone.max() == pytest.approx(2.0)
    assert alone.argmax() == 2 + round(tau / dt)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Delay(-1.0, 2), "-1.0 ms; a delay is finite and not negative"),
        (lambda: Delay(float("nan"), 2), "finite"),
        (lambda: Delay((1.0, 2.0), 3), "2 delays for 3 units"),
        (lambda: Exponential(2, tau=-1.0), "tau = -1 ms"),
        (lambda: Alpha(2, tau=jnp.array([1.0, -3.0])), "tau = -3 ms"),
        (lambda: Alpha(2, tau=float("inf")), "not finite"),
    ],
)
def test_bad_constants_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
