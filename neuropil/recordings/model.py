"""A model's activity is a recording too."""

from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Key, PyTree, Shaped

from neuropil.core import SEEDS, Carry, System, run, start

from .recording import Recording


def record(
    network: System,
    stimuli: Shaped[Array | np.ndarray, "trial time ..."],
    *,
    dt: float | int,
    key: Key[Array, ""],
    path: str = "output",
    unit: str = "spikes",
    state: PyTree = None,
    labels: Any = None,
    trials: Mapping[str, Any] | None = None,
    batch: int | None = None,
    about: Mapping[str, str] | None = None,
) -> Recording:
    """Run `network` over every trial of `stimuli` (trial, time, ...) and keep what `path` names.

    Trial n begins in `network.init(dt, ...)`, or in `state` where one is given (a trained network's
    `carry.state`), and has the randomness `fold_in(key, n)`, whatever the batching. `path` is a
    probe as in `run` ("output", "output.E", or into the state "nodes.E.v"); its axes after time are
    laid out as units. `dt` is the tick in ms, so the rate is 1000 / dt Hz. `batch`: trials run at a time (all).

    Errors: TypeError where `path` names several arrays or none; ValueError for a stimulus without
    trials or time, and where the activity is NaN or infinite.

    >>> class Leak(System):
    ...     def init(self, dt, key): return jnp.zeros(3)
    ...     def step(self, v, x, tick): return 0.9 * v + x, v > 1
    >>> record(Leak(), jnp.ones((4, 10, 3)), dt=1.0, key=jr.key(0))
    Recording(4 trials x 10 samples x 3 units; spikes at 1000 Hz, 0..0.01 s; model Leak, output)
    """
    if stimuli.ndim < 2 or 0 in stimuli.shape[:2]:
        raise ValueError(
            f"The stimuli have shape {stimuli.shape}: give (trial, time, ...), neither empty."
        )
    n = stimuli.shape[0]
    size = n if batch is None else min(batch, n)
    if size < 1:
        raise ValueError(f"batch={batch} runs no trial: give 1 or more.")

    blocks = []
    for low in range(0, n, size):
        # the last block is filled up with earlier trials: one shape, one compilation
        rows = np.arange(low, low + size) % n
        ys = _some(network, float(dt), key, state, rows, stimuli[rows], path)
        if not isinstance(ys, jax.Array):
            raise TypeError(
                f"path={path!r} names {type(ys).__name__}, not one array: name one, "
                'as in "output.E" or "nodes.E.v".'
            )
        blocks.append(np.asarray(ys)[: n - low])
    activity = np.concatenate(blocks)
    return Recording.from_array(
        activity.reshape(*activity.shape[:2], -1),
        rate=1000 / dt,
        unit=unit,
        labels=labels,
        trials=trials,
        about={"source": f"model {type(network).__name__}, {path}"} | dict(about or {}),
    )


@eqx.filter_jit  # out here, so that a second call with the same shapes compiles nothing
def _some(network, dt: float, key, state, rows, xs, path: str):
    def begin(trial) -> Carry:
        carry = start(network, dt, jr.fold_in(key, trial))
        return carry if state is None else Carry(carry.i, carry.dt, carry.key, state)

    carries = jax.vmap(begin, out_axes=SEEDS)(jnp.asarray(rows))

    def one(carry, x):
        return run(network, carry, x, record=path)[1]

    return jax.vmap(one, in_axes=(SEEDS, 0))(carries, jnp.asarray(xs))
