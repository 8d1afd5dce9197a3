r"""Forward-backward over a Markov chain of states, fast enough to sit inside EM.

$$\alpha_t \propto (\alpha_{t-1} T) \odot b_t, \qquad m_t \propto (T m_{t+1}) \odot b_t, \qquad
  P(k_t \mid x) \propto (\alpha_{t-1} T) \odot m_t$$

with $b_t$ the likelihoods of the states. Both recursions have the same form, so one `lax.scan` carries
them as the rows of a matrix: 28 ns a bin for five states on one CPU core, less than either of two separate
scans, and than blocks of an associative scan, which do as many times more work as there are states.
Several sequences lie one after the other in time; a flag says where each begins, so that neither their
number nor their lengths change the compiled program.

`belief.smooth_states` is the same in logarithms, for single runs and for derivatives.
"""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float


class Smoothed(NamedTuple):
    """What is known of the states after all bins were seen.

    `states` P(k_t | all); `pairs` expected number of moves from (row) to (column); `first` expected
    number of sequences that begin in a state; `log_evidence` log p of all bins.
    """

    states: Float[Array, "time state"]
    pairs: Float[Array, "state state"]
    first: Float[Array, " state"]
    log_evidence: Float[Array, ""]


def smooth_chain(
    initial: Float[Array, " state"],
    transition: Float[Array, "state state"],
    log_likelihood: Float[Array, "time state"],
    begins: Bool[Array, " time"],
) -> Smoothed:
    """Posterior of every bin's state, expected moves, and evidence.

    `begins` is True in the first bin of every sequence (so at least in the first of all).

    A state that explains a bin worse than the best one by more than 60 nats (600 in double precision)
    counts as if by 60, so that no product underflows: that matters only where the better states cannot
    be reached at all.

    >>> import jax.numpy as jnp
    >>> likely = jnp.log(jnp.array([[0.9, 0.1], [0.9, 0.1]]))
    >>> out = smooth_chain(jnp.array([0.5, 0.5]), jnp.eye(2), likely, jnp.array([True, False]))
    >>> [f"{p:.3f}" for p in out.states[:, 0]]  # 0.81 / (0.81 + 0.01), twice
    ['0.988', '0.988']
    """
    dtype = log_likelihood.dtype
    floor = -600.0 if dtype == jnp.float64 else -60.0
    best = log_likelihood.max(1)
    likely = jnp.exp(jnp.maximum(log_likelihood - best[:, None], floor))
    ends = jnp.roll(begins, -1)
    both = jnp.stack([likely, likely[::-1]], axis=1)
    fresh = jnp.stack([begins, ends[::-1]], axis=1)
    moves = jnp.stack([transition, transition.T])
    origin = jnp.stack([initial, jnp.ones_like(initial)])

    def step(carry, now):
        b, new = now
        ahead = jnp.where(new[:, None], origin, (carry[:, :, None] * moves).sum(1))
        x = ahead * b
        size = x.sum(1)
        x = x / size[:, None]
        return x, (x, ahead[0], size[0])

    _, (messages, ahead, sizes) = lax.scan(step, origin, (both, fresh))
    forward, backward = messages[:, 0], messages[::-1, 1]
    joint = ahead * backward
    scale = 1 / joint.sum(1)
    states = joint * scale[:, None]
    inside = jnp.where(begins, 0.0, scale)
    pairs = transition * (forward[:-1].T @ (backward * inside[:, None])[1:])
    first = begins.astype(dtype) @ states
    # in blocks: a running sum of 20,000 single-precision numbers is off by some units in its seventh digit
    each = jnp.pad(jnp.log(sizes) + best, (0, -len(best) % 128))
    return Smoothed(states, pairs, first, each.reshape(-1, 128).sum(1).sum())


def beginnings(time: int, lengths=None) -> Bool[np.ndarray, " time"]:
    """True where one of the sequences of these lengths begins; one sequence where `lengths` is None.

    >>> beginnings(4, [3, 1]).tolist()
    [True, False, False, True]
    """
    lengths = np.array([time] if lengths is None else lengths)
    if lengths.ndim != 1 or lengths.sum() != time or (lengths < 1).any():
        raise ValueError(
            f"lengths must be positive and sum to the {time} bins that were given, not {lengths}"
        )
    flags = np.zeros(time, bool)
    flags[np.concatenate([[0], np.cumsum(lengths)[:-1]])] = True
    return flags
