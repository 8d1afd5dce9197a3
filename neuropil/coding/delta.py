"""Changes into spikes: send-on-delta, as in event cameras and silicon cochleas."""

from __future__ import annotations

import equinox as eqx
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from neuropil.core import System, param


def _shape(shape):
    return (shape,) if isinstance(shape, int) else tuple(shape)


class Delta(System):
    r"""Send-on-delta: an event for every whole threshold by which a signal has left its last reference.

    $$n_t = \lfloor |x_t - r_{t-1}| / \theta \rfloor, \qquad r_t = r_{t-1} \pm n_t \theta$$

    ON events where the signal rose, OFF events where it fell. Since the reference moves by whole thresholds,
    the events alone (`delta_decode`) give the signal back to within one threshold.

    **Arguments**

    - `shape` of the signal; `threshold` theta, in its unit, one or one for every unit.
    - `most`: at most so many events a tick and unit (1 for plain spikes), the rest follows later; None: all.
    - `start`: the first reference; None: the first input, which then sends nothing.

    Input: the signal, `shape`. Output: events (2, *shape), ON first, whole numbers. State: {"level", "begun"}.

    >>> import jax
    >>> from neuropil.core import run, start
    >>> encoder = Delta(1, threshold=0.5)
    >>> signal = jnp.array([[0.0], [1.1], [1.2], [0.4]])
    >>> events = run(encoder, start(encoder, 1.0, jax.random.key(0)), signal)[1]
    >>> events[:, 0, 0].tolist(), events[:, 1, 0].tolist()
    ([0.0, 2.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0])

    Source: Miskowicz (2006), Sensors 6, 49; Lichtsteiner, Posch, Delbruck (2008), IEEE J. Solid-State
    Circuits 43, 566 (of the logarithm of brightness). Raises ValueError for a threshold that is not positive.
    """

    shape: tuple[int, ...] = eqx.field(static=True, converter=_shape)
    threshold: Array = param(1.0, bounds=(1e-9, None), axes=("unit",))
    most: int | None = eqx.field(static=True, default=None)
    start: Array | None = param(None, axes=("unit",))

    def __check_init__(self):
        if self.most is not None and self.most < 1:
            raise ValueError(f"Delta: most = {self.most} but it must be at least 1 event")

    def init(self, dt, key):
        level = jnp.zeros(()) if self.start is None else self.start
        level = jnp.broadcast_to(level, self.shape).astype(self.threshold.dtype)
        return {"level": level, "begun": jnp.asarray(self.start is not None)}

    def step(self, state, x, tick):
        level = jnp.where(state["begun"], state["level"], x.astype(self.threshold.dtype))
        apart = (x - level) / self.threshold
        n = jnp.floor(jnp.abs(apart))
        n = n if self.most is None else jnp.minimum(n, self.most)
        up = n * (apart > 0)
        down = n * (apart < 0)
        level = level + (up - down) * self.threshold
        return {"level": level, "begun": jnp.asarray(True)}, jnp.stack([up, down])

    def rest(self):
        return jnp.zeros((2, *self.shape), self.threshold.dtype)


def delta_decode(events: Array, threshold: ArrayLike, begin: ArrayLike = 0.0) -> Array:
    """The signal that `Delta` saw, to within one threshold: the sum of its events, from `begin` on.

    **Arguments**: `events` (time, 2, *unit); returns (time, *unit).

    >>> delta_decode(jnp.array([[[0.0], [0.0]], [[2.0], [0.0]], [[0.0], [1.0]]]), 0.5)[:, 0].tolist()
    [0.0, 1.0, 0.5]
    """
    level = jnp.cumsum(events[:, 0] - events[:, 1], axis=0)
    return jnp.asarray(begin)[None] + jnp.asarray(threshold)[None] * level
