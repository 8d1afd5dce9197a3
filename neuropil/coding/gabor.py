r"""Energy of Gabor filters: what complex cells of primary visual cortex answer.

$$E_{s\theta}(x) = \sqrt{(g^c_{s\theta} * I)^2 + (g^s_{s\theta} * I)^2}$$

with cosine and sine of one wave under one Gaussian window. Source: Adelson and Bergen (1985), J. Opt. Soc.
Am. A 2:284.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float


def gabor_energy(
    images: Float[np.ndarray, "image height width"],
    *,
    wavelengths: tuple[float, ...] = (4.0, 8.0, 16.0),
    orientations: int = 6,
    cells: int = 6,
    bandwidth: float = 0.5,
) -> Float[np.ndarray, "image channel cell cell"]:
    """Energy of each wavelength (pixels) and orientation, averaged over `cells` x `cells` fields of an image.

    Channels go through the orientations of the first wavelength, then of the next. The window's deviation is
    `bandwidth` wavelengths; filters have no mean, so grey gives 0, and a grating of a
    channel's own wave its amplitude. The image is continued by its mirror.

    >>> x = np.cos(2 * np.pi * np.arange(24) / 8)[None, None] * np.ones((1, 24, 1))
    >>> energy = gabor_energy(x, wavelengths=(8.0,), orientations=4, cells=1)[0, :, 0, 0]
    >>> int(energy.argmax())  # orientation 0: light changes along the columns
    0

    Raises ValueError for images that fields do not fill, and for a wavelength longer than the image.
    """
    images = np.asarray(images, float)
    n, high, wide = images.shape
    if high % cells or wide % cells:
        raise ValueError(
            f"gabor_energy: {cells} x {cells} fields do not fill images of {high} x {wide}"
        )
    if not 0 < max(wavelengths) <= min(high, wide):
        raise ValueError(
            f"gabor_energy: wavelength {max(wavelengths)} does not fit images of {high} x {wide}"
        )
    pad = int(np.ceil(3 * bandwidth * max(wavelengths)))
    pad = min(pad, high - 1, wide - 1)
    wider = np.pad(images, ((0, 0), (pad, pad), (pad, pad)), mode="reflect")
    spectrum = np.fft.rfft2(wider, axes=(1, 2))
    fy = np.fft.fftfreq(wider.shape[1])[:, None]
    fx = np.fft.rfftfreq(wider.shape[2])[None]
    out = []
    for wavelength in wavelengths:
        width = 1 / (2 * np.pi * bandwidth * wavelength)  # deviation of the window's spectrum
        for k in range(orientations):
            angle = np.pi * k / orientations
            along = (np.cos(angle) / wavelength, np.sin(angle) / wavelength)
            bump = lambda s, a=along, w=width: np.exp(
                -((fx - s * a[0]) ** 2 + (fy - s * a[1]) ** 2) / (2 * w**2)
            )
            plus, minus = bump(1), bump(-1)
            at_zero = np.exp(-(wavelength**-2) / (2 * width**2))
            even = plus + minus - 2 * at_zero * bump(0)
            odd = 1j * (minus - plus)
            pair = [
                np.fft.irfft2(spectrum * f, s=wider.shape[1:], axes=(1, 2)) for f in (even, odd)
            ]
            energy = np.hypot(*pair)[:, pad : pad + high, pad : pad + wide]
            out.append(energy.reshape(n, cells, high // cells, cells, wide // cells).mean((2, 4)))
    return np.stack(out, 1)
