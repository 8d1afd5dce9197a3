"""Filters."""

from __future__ import annotations

import jax.numpy as jnp

from neuropil import belief
from tests.contract.examples.base import (
    Example,
    normal,
)

EXAMPLES = {
    "kalman": Example(
        lambda k: belief.Kalman(
            A=[[0.9, 0.1], [0.0, 0.8]],
            C=[[1.0, 0.5]],
            Q=0.1 * jnp.eye(2),
            R=[[0.5]],
            mean=jnp.zeros(2),
            cov=jnp.eye(2),
        ),
        normal(1),
        (belief.Kalman,),
    ),
    "hmm": Example(
        lambda k: belief.HMM(
            [0.3, 0.7], [[0.9, 0.1], [0.2, 0.8]], belief.Normal([[0.0], [1.0]], [[1.0], [0.5]])
        ),
        normal(1),
        (belief.HMM,),
    ),
}
