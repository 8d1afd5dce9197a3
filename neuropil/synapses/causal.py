"""A causal convolution over time of many synapses at once, as matrix products."""

from __future__ import annotations

import functools
import math

import jax.numpy as jnp
import numpy as np
from jax import Array


def causal_sum(kernel: Array, stream: Array) -> Array:
    r"""$y_i(t) = \sum_{k,j} \text{kernel}_{kij}\; \text{stream}_j(t + K - 1 - k)$ for t = 0 .. T - 1.

    **Arguments**: `kernel` (K, post, pre), its first entry that of the present; `stream` (T + K - 1, pre),
    the K - 1 inputs before the first output and then T more, oldest first. Returns (T, post).

    A convolution is a product in the frequency domain: K + T products of (post, pre) in place of K T, and
    the transform itself is a matrix product too (an FFT of a hundred points is no faster than that on a
    CPU, and XLA's convolution needs seven times as long for a gradient step). Long runs go in blocks.

    >>> kernel = jnp.array([1.0, 0.0, 2.0])[:, None, None]
    >>> ys = causal_sum(kernel, jnp.array([0.0, 0.0, 1.0, 0.0, 0.0, 0.0])[:, None])[:, 0]
    >>> bool(jnp.allclose(ys, jnp.array([1.0, 0.0, 2.0, 0.0]), atol=1e-6))
    True
    """
    K = kernel.shape[0]
    T = stream.shape[0] - K + 1
    if K == 1:
        return stream @ kernel[0].T
    block = min(T, max(3 * (K - 1), 96))  # long enough that the K - 1 points of overlap cost little
    blocks = math.ceil(T / block)
    n = block + K - 1
    padded = jnp.pad(stream, ((0, blocks * block - T), (0, 0)))
    pieces = jnp.stack([padded[b * block : b * block + n] for b in range(blocks)])
    cos, sin, back_cos, back_sin = (jnp.asarray(m, kernel.dtype) for m in _transform(n))
    forth = lambda m, a: jnp.einsum("...ti,tf->f...i", a, m)
    x_re, x_im = forth(cos, pieces), forth(sin, pieces)
    h_re, h_im = (jnp.einsum("koi,kf->foi", kernel, m[:K]) for m in (cos, sin))
    times = lambda a, b: jnp.einsum("fbi,foi->fbo", a, b)
    # three real products for one complex one
    a, b = times(x_re, h_re), times(x_im, h_im)
    c = times(x_re + x_im, h_re + h_im)
    back = lambda m, y: jnp.einsum("fbo,ft->bto", y, m[:, K - 1 :])
    ys = back(back_cos, a - b) + back(back_sin, c - a - b)
    return ys.reshape(blocks * block, -1)[:T]


@functools.cache
def _transform(n: int) -> tuple[np.ndarray, ...]:
    """Real and imaginary part of the Fourier matrix of n real points, and of its inverse."""
    f = np.arange(n // 2 + 1)
    angle = 2 * np.pi * (np.outer(np.arange(n), f) % n) / n
    twice = np.full(len(f), 2.0)
    twice[0] = 1.0
    if n % 2 == 0:
        twice[-1] = 1.0
    inverse = (twice / n)[:, None]
    return np.cos(angle), -np.sin(angle), inverse * np.cos(angle.T), -inverse * np.sin(angle.T)
