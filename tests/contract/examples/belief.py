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
    "extended_kalman": Example(
        lambda k: belief.ExtendedKalman(
            jnp.tanh, jnp.sin, 0.1 * jnp.eye(2), 0.5 * jnp.eye(2), jnp.zeros(2), jnp.eye(2)
        ),
        normal(2),
        (belief.ExtendedKalman,),
    ),
    "unscented_kalman": Example(
        lambda k: belief.UnscentedKalman(
            jnp.tanh, jnp.sin, 0.1 * jnp.eye(2), 0.5 * jnp.eye(2), jnp.zeros(2), jnp.eye(2), 1.0
        ),
        normal(2),
        (belief.UnscentedKalman,),
    ),
    "discriminative_kalman": Example(
        lambda k: belief.DiscriminativeKalman(
            lambda x: (jnp.tanh(x[:2]) / 2, 0.4 * jnp.eye(2) + 0.1 * jnp.diag(jnp.cos(x[1:]) ** 2)),
            [[0.9, 0.0], [0.1, 0.8]],
            [[0.19, -0.09], [-0.09, 0.35]],
            jnp.eye(2),
            channels=3,
        ),
        normal(3),
        (belief.DiscriminativeKalman,),
    ),
    "hgf": Example(
        lambda k: belief.continuous_hgf((-3.0, -2.0, -2.0), noise=10.0),
        normal(),
        (belief.HGF,),
    ),
    "hgf_graph": Example(
        lambda k: belief.HGF(
            {"u": belief.Continuous(10.0), "x": belief.State(0.2), "z": belief.State()},
            {"x>u": belief.Value(0.5, jnp.tanh), "z>u": belief.Volatility(0.5)}
            | {"z>x": belief.Volatility()},
            belief.Classical(),
        ),
        normal(),
        (belief.HGF,),
    ),
    "hmm": Example(
        lambda k: belief.HMM(
            [0.3, 0.7], [[0.9, 0.1], [0.2, 0.8]], belief.Normal([[0.0], [1.0]], [[1.0], [0.5]])
        ),
        normal(1),
        (belief.HMM,),
    ),
}
