"""Moving images and the events they make, against closed forms and NumPy's Fourier transform."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from neuropil.worlds.moving import (
    MovingImages,
    accumulated_events,
    dead_leaves,
    delta_events,
    ring_velocities,
    whiten,
    window,
)

DRAW = np.random.default_rng(0)


def test_velocities_of_the_paper():
    v = ring_velocities(12, (0.25, 0.25 * 4 ** (1 / 3), 0.25 * 4 ** (2 / 3)))
    assert v.shape == (36, 2)
    np.testing.assert_allclose(np.hypot(*v.T)[[0, 12, 24]], [0.25, 0.3969, 0.6300], atol=5e-5)
    angle = np.degrees(np.arctan2(v[:, 0], v[:, 1])) % 360
    np.testing.assert_allclose(angle[:12], np.arange(12) * 30, atol=1e-9)
    np.testing.assert_allclose(angle[12:24], np.arange(12) * 30 + 15, atol=1e-9)  # half a step
    np.testing.assert_allclose(angle[24:], np.arange(12) * 30, atol=1e-9)


def test_windows_are_the_fourier_shift():
    image = whiten(DRAW.normal(size=(1, 16, 16)))[0]
    corners = np.array([[3.0, 5.0], [3.3, -7.6], [-0.5, 0.5], [2.0 + 1e-6, 15.75], [100.25, 1.0]])
    f = np.fft.fft2(image)
    ky, kx = np.fft.fftfreq(16)[:, None], np.fft.fftfreq(16)
    # the highest frequency of an even length has no sign: its shift is a cosine
    turn = lambda k, s: np.where(np.abs(k) == 0.5, np.cos(np.pi * s), np.exp(2j * np.pi * k * s))
    want = [np.fft.ifft2(f * turn(ky, y) * turn(kx, x)).real[:6, :6] for y, x in corners]
    got = jax.jit(window, static_argnums=2)(
        jnp.asarray(image), jnp.asarray(corners, jnp.float32), 6
    )
    np.testing.assert_allclose(got, want, atol=5e-5)
    np.testing.assert_allclose(got[0], image[3:9, 5:11], atol=1e-6)


def test_whitened_spectra_are_flat_until_the_cutoff():
    leaves = dead_leaves(0, 4, size=64, disks=200, radii=(2, 20))
    assert (leaves == dead_leaves(0, 4, size=64, disks=200, radii=(2, 20))).all()
    out = whiten(leaves)
    np.testing.assert_allclose(out.std((1, 2)), 1, atol=1e-5)
    f = np.hypot(np.fft.fftfreq(64)[:, None], np.fft.rfftfreq(64))
    power = lambda a: (np.abs(np.fft.rfft2(a)) ** 2).mean(0)
    low, high = (f > 0.03) & (f < 0.08), (f > 0.2) & (f < 0.3)
    steep = power(leaves)[low].mean() / power(leaves)[high].mean()
    flat = power(out)[low].mean() / power(out)[high].mean()
    assert steep > 20
    assert flat < 4
    fades = whiten(DRAW.normal(size=(1, 32, 32)) + 5, border=8)
    assert np.abs(fades[0, 0]).mean() < 0.3 * np.abs(fades[0, 16]).mean()


def test_one_event_rule_and_the_accumulating_sensor_by_hand():
    ramp = jnp.arange(9) * 0.4
    assert delta_events(ramp, 0.5).tolist() == [0] * 9  # slow: never seen
    # the residue grows by 0.4 and 0.5 is taken off: seen at .8, .7, .6, then not at .5
    assert accumulated_events(ramp, 0.5).tolist() == [0, 0, 1, 1, 1, 0, 1, 1, 1]
    jump = jnp.array([0.0, 2.0, 2.0, 2.0, 2.0])
    assert delta_events(jump, 0.5).tolist() == [0, 1, 0, 0, 0]
    assert accumulated_events(jump, 0.5).tolist() == [0, 1, 1, 1, 0]
    # the threshold just spent is taken off the next difference, once, and with its sign
    assert delta_events(jnp.array([0.0, 0.6, 1.5, 2.7, 2.3]), 0.5).tolist() == [0, 1, 0, 1, -1]
    frames = jnp.asarray(DRAW.normal(size=(30, 3, 4)), jnp.float32)
    for rule in (delta_events, accumulated_events):
        out = rule(frames, 0.7)
        assert (out.shape, out.dtype) == ((30, 3, 4), jnp.int8)
        np.testing.assert_array_equal(rule(-frames, 0.7), -out)
    level = np.cumsum(accumulated_events(frames[:, 0, 0] * 0.1, 0.7)) * 0.7
    left = np.asarray(frames[:, 0, 0] - frames[0, 0, 0]) * 0.1 - level
    assert np.abs(left[1:]).max() <= 2 * 0.7


@pytest.fixture(scope="module")
def world():
    image = whiten(dead_leaves(1, 2, size=32, disks=60, radii=(2, 10)))
    velocities = jnp.array([[0.0, 1.0], [2.0, 0.0], [0.0, -1.0]])
    return MovingImages(jnp.asarray(image), velocities, 8, 20, block=4.0, noise=0.0)


def test_films_move_by_the_velocity_of_their_class(world):
    film = jax.jit(lambda w, k, c: w.film(k, c))
    for seed in range(4):
        frames, label = film(world, jr.key(seed), False)
        assert float(jnp.abs(frames).max()) == pytest.approx(1)
        assert int(label[0]) < 3
        for t in range(1, 20):
            vy, vx = np.asarray(world.velocities[label[t]], int)
            before, now = np.asarray(frames[t - 1]), np.asarray(frames[t])
            ys, xs = slice(max(vy, 0), 8 + min(vy, 0)), slice(max(vx, 0), 8 + min(vx, 0))
            ys0, xs0 = slice(max(-vy, 0), 8 + min(-vy, 0)), slice(max(-vx, 0), 8 + min(-vx, 0))
            np.testing.assert_allclose(now[ys, xs], before[ys0, xs0], atol=1e-4)
    steady = [np.unique(film(world, jr.key(s), True)[1]) for s in range(5)]
    assert all(len(c) == 1 for c in steady)
    labels = np.stack([film(world, jr.key(s), False)[1] for s in range(40)])
    change = (np.diff(labels) != 0).mean()  # 1/4 drawn anew, of which 1/3 are the same
    assert abs(change - 1 / 6) < 4 * np.sqrt(1 / 6 * 5 / 6 / 760)


def test_what_does_not_fit_is_refused(world):
    for images, crop, steps in ((world.images[:, :31, :31], 8, 20), (world.images, 33, 20)):
        with pytest.raises(ValueError, match="must be square, of even size"):
            MovingImages(images, world.velocities, crop, steps)
    with pytest.raises(ValueError, match="at least 2"):
        MovingImages(world.images, world.velocities, 8, 1)
    with pytest.raises(ValueError, match=r"give \(n, height, width\)"):
        whiten(np.ones((4, 4)))
    with pytest.raises(ValueError, match="image 1 has no contrast"):
        whiten(np.stack([DRAW.normal(size=(8, 8)), np.ones((8, 8))]))
    with pytest.raises(ValueError, match="border = 5"):
        whiten(DRAW.normal(size=(1, 8, 8)), border=5)
    with pytest.raises(ValueError, match="radii"):
        dead_leaves(0, 1, size=16, radii=(2, 9))
