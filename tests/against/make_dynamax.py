"""Records what dynamax says of a linear Gaussian model: run by a Python that has it, `python make_dynamax.py`.

Its environment is its own (it pulls a dated nightly). One sequence: with several, its M step of the first
covariance takes a sum for a mean and turns NaN. The test reads `dynamax.npz` beside this file.
"""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np


def recorded() -> dict[str, np.ndarray]:
    """A sequence with an input: posterior under the first parameters, and five iterations of EM."""
    import dynamax.linear_gaussian_ssm as lgssm

    rng = np.random.default_rng(0)
    n, m, T = 2, 4, 40
    turn = lambda a: 0.95 * np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]])
    C, u = rng.normal(size=(m, n)), rng.normal(size=(2, T, 1))
    z, y = np.zeros((2, n)), np.zeros((2, T, m))
    for t in range(T):
        z = z @ turn(0.4).T + u[:, t] @ np.array([[0.5, -0.2]]) + 0.3 * rng.normal(size=(2, n))
        y[:, t] = z @ C.T + 1.0 + 0.4 * rng.normal(size=(2, m))
    begin = {
        "A": turn(0.2), "B": np.zeros((n, 1)), "Q": 0.3 * np.eye(n), "mean": np.zeros(n),
        "cov": np.eye(n), "C": rng.normal(size=(m, n)), "D": np.zeros((m, 1)), "d": np.zeros(m),
        "R": np.eye(m),
    }  # fmt: skip
    model = lgssm.LinearGaussianSSM(n, m, 1, has_dynamics_bias=False)
    own = {
        "dynamics_weights": "A", "dynamics_input_weights": "B", "dynamics_covariance": "Q",
        "initial_mean": "mean", "initial_covariance": "cov", "emission_weights": "C",
        "emission_input_weights": "D", "emission_bias": "d", "emission_covariance": "R",
    }  # fmt: skip
    params, props = model.initialize(**{k: jnp.asarray(begin[v]) for k, v in own.items()})
    said = model.smoother(params, jnp.asarray(y[0]), jnp.asarray(u[0]))
    fitted, history = model.fit_em(
        params, props, jnp.asarray(y[0]), jnp.asarray(u[0]), num_iters=5, verbose=False
    )
    return begin | {
        "y": y, "u": u, "history": np.asarray(history),
        "evidence": np.asarray(said.marginal_loglik), "means": np.asarray(said.smoothed_means),
        "covs": np.asarray(said.smoothed_covariances),
        "eigenvalues": np.linalg.eigvals(np.asarray(fitted.dynamics.weights)),
    }  # fmt: skip


if __name__ == "__main__":
    jax.config.update("jax_enable_x64", True)
    np.savez(Path(__file__).with_name("dynamax.npz"), **recorded())
