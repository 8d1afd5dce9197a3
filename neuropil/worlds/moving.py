"""Moving natural images, and the events that a retina or an event camera makes of them."""

from __future__ import annotations

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jax import lax
from jax.scipy.special import erfinv
from jaxtyping import Array, Bool, Float, Int, Int8, Key


def whiten(images, cutoff: float | int = 0.4, border: int = 0) -> np.ndarray:
    r"""Grey images with a flat spectrum: (n, height, width) -> float32 of mean 0 and sd 1 each.

    $$\hat I(f) \leftarrow \hat I(f) \, |f| \, e^{-(|f| / f_0)^4}$$

    with f in cycles per pixel and $f_0$ = `cutoff`. `border`: pixels over which the image fades to its
    mean first (a raised cosine), for images that do not continue at the other side.

    Source: Olshausen, Field (1997) Vision Res. 37:3311, whose exponent the card of
    heterogeneous-delays takes over.

    >>> flat = whiten(np.random.default_rng(0).normal(size=(1, 32, 32)))
    >>> flat.shape, bool(abs(flat.mean()) < 1e-6)
    ((1, 32, 32), True)

    ValueError: not three axes, an image without contrast, a cutoff or border that makes no sense.
    """
    images = np.asarray(images, np.float64)
    if images.ndim != 3:
        raise ValueError(f"whiten: images have shape {images.shape}; give (n, height, width).")
    height, width = images.shape[1:]
    if not cutoff > 0 or not 0 <= border <= min(height, width) // 2:
        raise ValueError(
            f"whiten: cutoff = {cutoff} must be positive and border = {border} at most half an image."
        )
    images = images - images.mean((1, 2), keepdims=True)
    images = images * _fade(height, border)[:, None] * _fade(width, border)
    f = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width))
    spectrum = np.fft.rfft2(images) * (f * np.exp(-((f / cutoff) ** 4)))
    out = np.fft.irfft2(spectrum, (height, width))
    spread = out.std((1, 2), keepdims=True)
    if (spread < 1e-9).any():
        raise ValueError(
            f"whiten: image {int(np.argmin(spread.ravel()))} has no contrast: leave it out."
        )
    return (out / spread).astype(np.float32)


def _fade(n: int, border: int) -> np.ndarray:
    edge = np.minimum(np.arange(n), np.arange(n)[::-1]) + 0.5
    return np.where(edge < border, 0.5 - 0.5 * np.cos(np.pi * edge / max(border, 1)), 1.0)


def dead_leaves(
    seed: int, n: int, size: int = 128, disks: int = 1500, radii: tuple[int, int] = (2, 40)
) -> np.ndarray:
    """Periodic images of disks that hide each other, (n, size, size) float32: natural statistics
    (edges, occlusion, a spectrum near 1/f) with a known maker. Radii follow r^-3 between `radii`,
    grey levels N(0, 1); later disks hide earlier ones. Source: Lee, Mumford, Huang (2001) IJCV 41:35.

    >>> dead_leaves(0, 1, size=32, disks=50, radii=(2, 10)).shape
    (1, 32, 32)

    ValueError: radii not 0 < small < large < size / 2.
    """
    small, large = radii
    if not 0 < small < large < size / 2:
        raise ValueError(
            f"dead_leaves: radii {radii} must rise and stay under {size / 2:g} pixels."
        )
    rng = np.random.default_rng(seed)
    out = np.zeros((n, size, size), np.float32)
    place = np.arange(size)
    for image in out:
        # density r^-3: the inverse of its cumulative
        r = 1 / np.sqrt(1 / small**2 - rng.uniform(size=disks) * (1 / small**2 - 1 / large**2))
        centre, grey = rng.uniform(size=(disks, 2)) * size, rng.normal(size=disks)
        for radius, (cy, cx), level in zip(r, centre, grey, strict=True):
            dy, dx = (np.abs(place - c) for c in (cy, cx))
            dy, dx = np.minimum(dy, size - dy), np.minimum(dx, size - dx)
            rows, columns = np.flatnonzero(dy <= radius), np.flatnonzero(dx <= radius)
            inside = dy[rows, None] ** 2 + dx[columns] ** 2 <= radius**2
            image[np.ix_(rows, columns)] = np.where(inside, level, image[np.ix_(rows, columns)])
    return out


def ring_velocities(directions: int, speeds: tuple[float, ...]) -> Float[np.ndarray, "class 2"]:
    """(vy, vx) in pixels a step of every class: `directions` equal angles for each speed, every other
    ring of speeds turned by half an angle; class = ring * directions + direction.

    >>> ring_velocities(4, (1.0,)).round(3).tolist()
    [[0.0, 1.0], [1.0, 0.0], [0.0, -1.0], [-1.0, -0.0]]
    """
    c = np.arange(directions * len(speeds))
    ring = c // directions
    angle = 2 * np.pi * (c % directions + 0.5 * (ring % 2)) / directions
    return np.asarray(speeds)[ring, None] * np.stack([np.sin(angle), np.cos(angle)], axis=1)


class MovingImages(eqx.Module):
    """Films of a window that sees an image move, and the class of the motion at each step.

    The class is drawn anew with probability `1 / block` at every step (among all, itself too) or stays
    the same through a film. Between two frames the image moves by the class's velocity; the translation
    is exact for periodic, band-limited images (a phase in the Fourier domain, done as two small matrix
    products). A film is centred and scaled to its largest absolute value, gets Gaussian noise of sd
    `noise` and is clipped to -1..1, as in the code of Grimaldi and Perrinet (2023).

    - `images` (image, size, size), even size; `velocities` (class, 2): (vy, vx) pixels a step;
    - `crop` pixels of the window's side; `steps` frames of a film.

    Where the longest way fits, the window starts so that it never leaves the image.
    ValueError for sizes that do not fit.

    >>> image = jnp.asarray(whiten(np.random.default_rng(0).normal(size=(1, 16, 16))))
    >>> frames, label = MovingImages(image, jnp.array([[0.0, 1.0]]), 8, 5).film(jr.key(0))
    >>> delta_events(frames, 0.5).shape, label.tolist()
    ((5, 8, 8), [0, 0, 0, 0, 0])
    """

    images: Float[Array, "image size size"]
    velocities: Float[Array, "class 2"]
    crop: int = eqx.field(static=True)
    steps: int = eqx.field(static=True)
    block: float = eqx.field(static=True, default=24.0)
    noise: float = eqx.field(static=True, default=0.001)

    def __check_init__(self):
        size = self.images.shape[-1]
        if size % 2 or self.images.shape[-2] != size or not 1 <= self.crop <= size:
            raise ValueError(
                f"MovingImages: images {self.images.shape[-2:]} must be square, of even size, and no "
                f"smaller than the window of {self.crop}."
            )
        if self.steps < 2 or self.block < 1:
            raise ValueError(
                f"MovingImages: steps = {self.steps} (at least 2), block = {self.block} (at least 1)."
            )

    def film(
        self, key: Key[Array, ""], constant: bool | Bool[Array, ""] = False
    ) -> tuple[Float[Array, "step crop crop"], Int[Array, " step"]]:
        """Frames and the class of the motion that led to each (the first: of the second's)."""
        classes, size = len(self.velocities), self.images.shape[-1]
        # one block of numbers: every call of the generator costs half a second of compilation
        u = jr.uniform(key, (2 * self.steps + 3 + self.steps * self.crop**2,))
        draw, redraw, (y, x, which), noise = jnp.split(
            u, (self.steps, 2 * self.steps, 2 * self.steps + 3)
        )
        new = ((redraw < 1 / self.block) & ~jnp.asarray(constant)).at[0].set(True)
        last = lax.cummax(jnp.where(new, jnp.arange(self.steps), 0))
        label = (draw * classes).astype(jnp.int32)[last]
        way = jnp.cumsum(self.velocities[label].at[0].set(0.0), axis=0)
        reach = jnp.ceil(self.steps * jnp.max(jnp.linalg.norm(self.velocities, axis=1)))
        room = size - self.crop - 2 * reach
        low, high = jnp.where(room > 0, reach, 0), jnp.where(room > 0, reach + room, size)
        begin = low + (high - low) * jnp.stack([y, x])
        image = self.images[(which * len(self.images)).astype(jnp.int32)]
        frames = window(
            image, begin[None] - way, self.crop
        )  # the image moves by v: the window by -v
        frames = frames - frames.mean()
        frames = frames / jnp.maximum(jnp.abs(frames).max(), 1e-6)
        normal = jnp.sqrt(2.0) * erfinv(jnp.clip(2 * noise - 1, -0.999999, 0.999999))
        frames = frames + self.noise * normal.reshape(frames.shape)
        return jnp.clip(frames, -1.0, 1.0), label


def window(
    image: Float[Array, "size size"], corner: Float[Array, "step 2"], crop: int
) -> Float[Array, "step crop crop"]:
    """What windows of `crop` x `crop` pixels see whose first pixel lies at `corner` (y, x), which need
    not be whole: the band-limited periodic image of even size is evaluated there."""
    size = image.shape[-1]
    return jnp.einsum(
        "tin,nm,tjm->tij",
        _sample(corner[:, 0], size, crop),
        image,
        _sample(corner[:, 1], size, crop),
    )


def _sample(start: Float[Array, " step"], size: int, crop: int) -> Float[Array, "step crop size"]:
    """Interpolation matrices of a periodic band-limited signal: sin(pi u) / (N tan(pi u / N)) at
    u = start + i - n, by cot(a - b) of the two angles, which costs no function call an element."""
    whole = jnp.round(start)
    part = (start - whole)[:, None, None]
    at = (whole.astype(jnp.int32)[:, None] + jnp.arange(crop)[None])[
        :, :, None
    ]  # the pixel next to it
    n = jnp.arange(size)[None, None]
    a = jnp.pi / size * ((at % size) + part)
    b = jnp.pi / size * n
    cos = jnp.cos(a) * jnp.cos(b) + jnp.sin(a) * jnp.sin(b)
    sin = jnp.sin(a) * jnp.cos(b) - jnp.cos(a) * jnp.sin(b)
    sign = 1.0 - 2.0 * ((at - n) % 2)  # sin(pi (k + part)) = (-1)^k sin(pi part)
    own = (at - n) % size == 0
    # on its own pixel the angles nearly cancel: there u is `part` itself
    flat = jnp.abs(part) < 1e-5
    main = jnp.where(
        flat,
        1.0,
        jnp.sin(jnp.pi * part) / (size * jnp.tan(jnp.pi * jnp.where(flat, 0.5, part) / size)),
    )
    other = sign * jnp.sin(jnp.pi * part) * cos / (size * jnp.where(own, 1.0, sin))
    return jnp.where(own, main, other)


def delta_events(
    frames: Float[Array, "step *pixel"], threshold: float | Float[Array, ""]
) -> Int8[Array, "step *pixel"]:
    r"""Events of one-step differences: +1 (ON), -1 (OFF), 0; the rule of Grimaldi and Perrinet's code.

    $$D_t = I_t - I_{t-1} - \theta s_{t-1}, \quad s_t = [D_t > \theta] - [D_t < -\theta], \quad s_0 = 0$$

    Only the last spike is taken off: slow changes that stay under the threshold are never seen. What a
    camera does instead is `accumulated_events`.

    >>> delta_events(jnp.array([0.0, 0.6, 1.2, 1.8, 5.0]), 0.5).tolist()
    [0, 1, 0, 1, 1]
    """
    steps = jnp.diff(frames, axis=0)

    def body(spike, change):
        left = change - threshold * spike
        spike = (left > threshold).astype(left.dtype) - (left < -threshold)
        return spike, spike

    _, spikes = lax.scan(body, jnp.zeros_like(steps[0]), steps)
    return jnp.concatenate([jnp.zeros_like(spikes[:1]), spikes]).astype(jnp.int8)


def accumulated_events(
    frames: Float[Array, "step *pixel"], threshold: float | Float[Array, ""]
) -> Int8[Array, "step *pixel"]:
    r"""Send-on-delta events of a sensor that remembers: +1 (ON), -1 (OFF), 0.

    $$r_t = r_{t-1} - \theta s_{t-1} + I_t - I_{t-1}, \quad s_t = [r_t > \theta] - [r_t < -\theta]$$

    The difference to the level at the last event adds up until it crosses the threshold, so slow
    motion is seen too; what one event does not take off is sent in later steps.
    Source: Lichtsteiner, Posch, Delbruck (2008) IEEE JSSC 43:566 (on log intensity: take it before).

    >>> accumulated_events(jnp.array([0.0, 0.3, 0.6, 0.9, 1.2, 1.5]), 0.5).tolist()
    [0, 0, 1, 0, 1, 0]
    """
    steps = jnp.diff(frames, axis=0)

    def body(left, change):
        left = left + change
        spike = (left > threshold).astype(left.dtype) - (left < -threshold)
        return left - threshold * spike, spike

    _, spikes = lax.scan(body, jnp.zeros_like(steps[0]), steps)
    return jnp.concatenate([jnp.zeros_like(spikes[:1]), spikes]).astype(jnp.int8)
