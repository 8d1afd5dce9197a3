"""The Kalman filter as a system; smoothing as a function over a recorded run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.scipy.linalg as jsl
from jax import lax
from jaxtyping import Array, Float

from neuropil.core import System, param


class GaussianBelief(eqx.Module):
    """What is believed after an observation: mean and covariance of the hidden state (n,), (n, n).

    `log_evidence` is the log density of this tick's observation given all before it.
    """

    mean: Float[Array, "*T n"]
    cov: Float[Array, "*T n n"]
    log_evidence: Float[Array, "*T"]


class GaussianFilter(System):
    r"""What Kalman's filters share: the state, and the order of events within a tick.

    $$p(z_t | x_{\le t}) \propto p(x_t | z_t)\, p(z_t | x_{<t}), \qquad
      p(z_{t+1} | x_{\le t}) = \int p(z_{t+1} | z_t)\, p(z_t | x_{\le t})\, dz_t$$

    with Gaussians for all of them: `update`, which is put out, then `predict`, which is kept.

    A subclass has the fields `R` (or says how many variables are `observed`), `mean` and `cov`, and writes
    `update` and `predict`.
    """

    if TYPE_CHECKING:  # fields of the subclass, in its own order
        R: Array
        mean: Array
        cov: Array

    def update(self, mean: Array, cov: Array, x: Array) -> GaussianBelief:
        """The belief N(mean, cov) after seeing x; NaN elements are missing."""
        raise TypeError(f"{type(self).__name__} has no update(mean, cov, x)")

    def predict(self, mean: Array, cov: Array) -> tuple[Array, Array]:
        """The belief one tick later, before it is updated."""
        raise TypeError(f"{type(self).__name__} has no predict(mean, cov)")

    @property
    def observed(self) -> int:
        """Number of observed variables."""
        return self.R.shape[0]

    def init(self, dt, key):
        return {"mean": self.mean, "cov": self.cov, "log_evidence": jnp.zeros((), self.mean.dtype)}

    def step(self, state, x, tick):
        x = jnp.full(self.observed, jnp.nan, self.mean.dtype) if x is None else x
        belief = self.update(state["mean"], state["cov"], x)
        mean, cov = self.predict(belief.mean, belief.cov)
        total = state["log_evidence"] + belief.log_evidence
        return {"mean": mean, "cov": cov, "log_evidence": total}, belief

    def rest(self):
        return GaussianBelief(self.mean, self.cov, jnp.zeros((), self.mean.dtype))


class Kalman(GaussianFilter):
    r"""Exact inference of a hidden state that moves linearly and is seen through Gaussian noise.

    $$z_t = A z_{t-1} + w_t, \quad x_t = C z_t + v_t, \qquad w \sim N(0, Q),\; v \sim N(0, R)$$

    The belief before the first observation is N(`mean`, `cov`). At a tick the belief is updated with
    the observation (K = P C^T S^-1, S = C P C^T + R, by Cholesky; covariance in Joseph's form, so
    it stays symmetric and positive), put out, and moved on to the next tick.

    **Arguments**: `A` (n, n), `C` (m, n), `Q` (n, n), `R` (m, m), `mean` (n,), `cov` (n, n).

    Input: an observation (m,); NaN elements are missing and left out of belief and evidence. None: nothing is
    seen. Output: `GaussianBelief`. State: {"mean", "cov", "log_evidence"}: the belief *before* the next
    observation, and the evidence summed so far.

    >>> k = Kalman(A=[[1.0]], C=[[1.0]], Q=[[0.0]], R=[[1.0]], mean=[0.0], cov=[[1.0]])
    >>> from neuropil.core import run, start
    >>> _, belief = run(k, start(k, 1.0, jax.random.key(0)), jnp.array([[2.0], [2.0]]))
    >>> [round(m, 4) for m in belief.mean[:, 0].tolist()]  # 2 t / (t + 1)
    [1.0, 1.3333]

    Raises ValueError for matrices that do not fit together.

    Source: Kalman (1960), J. Basic Eng. 82, 35; Särkkä (2013), Bayesian Filtering and Smoothing, ch. 4 and 8.
    """

    A: Array = param(axes=("hidden", "hidden"))
    C: Array = param(axes=("observed", "hidden"))
    Q: Array = param(axes=("hidden", "hidden"))
    R: Array = param(axes=("observed", "observed"))
    mean: Array = param(axes=("hidden",))
    cov: Array = param(axes=("hidden", "hidden"))

    def __check_init__(self):
        n, m = self.A.shape[-1], self.C.shape[0]
        expected = {"A": (n, n), "C": (m, n), "Q": (n, n), "R": (m, m), "mean": (n,), "cov": (n, n)}
        for name, shape in expected.items():
            if getattr(self, name).shape != shape:
                raise ValueError(
                    f"Kalman: {name} has shape {getattr(self, name).shape} but it must be {shape} "
                    f"for {n} hidden and {m} observed variables"
                )

    def update(self, mean: Array, cov: Array, x: Array) -> GaussianBelief:
        """The belief N(mean, cov) after seeing x; NaN elements are missing."""
        return condition(mean, cov, x - self.C @ mean, self.C, self.R)

    def predict(self, mean: Array, cov: Array) -> tuple[Array, Array]:
        """The belief one tick later, before it is updated."""
        return self.A @ mean, self.A @ cov @ self.A.T + self.Q


def condition(mean: Array, cov: Array, error: Array, C: Array, R: Array) -> GaussianBelief:
    """N(mean, cov) after an observation with error x - E[x] (m,), slope C (m, n), noise R (m, m).

    NaN elements of the error are missing, and left out of belief and evidence.
    """
    seen = ~jnp.isnan(error)
    # a missing element becomes an observation of 0 = 0 + N(0, 1), which says nothing
    C = jnp.where(seen[:, None], C, 0.0)
    both = seen[:, None] & seen[None, :]
    R = jnp.where(both, R, jnp.eye(error.size, dtype=R.dtype))
    error = jnp.where(seen, error, 0.0)
    chol = jnp.linalg.cholesky(C @ cov @ C.T + R)
    gain = jsl.cho_solve((chol, True), C @ cov).T
    keep = jnp.eye(mean.size, dtype=cov.dtype) - gain @ C
    after = keep @ cov @ keep.T + gain @ R @ gain.T
    white = jsl.solve_triangular(chol, error, lower=True)
    log_det = 2 * jnp.log(jnp.diagonal(chol)).sum()
    log_evidence = -0.5 * (white @ white + log_det + seen.sum() * jnp.log(2 * jnp.pi))
    return GaussianBelief(mean + gain @ error, (after + after.T) / 2, log_evidence)


def inform(mean: Array, cov: Array, J: Array, h: Array) -> tuple[Array, Array, Array]:
    r"""N(mean, cov) after a likelihood $e^{h^\top z - z^\top J z / 2}$: (mean, covariance, $\log |1 + P J|$).

    $P = L L^\top$, $(P^{-1} + J)^{-1} = L (1 + L^\top J L)^{-1} L^\top$: symmetric and positive as it is
    computed, also in single precision. It costs n^3 however many variables were seen, since they are in J and
    h: of x = C z + N(0, R), $J = C^\top R^{-1} C$ and $h = C^\top R^{-1} x$. `cov` must be positive definite.

    >>> mean, cov, log_det = inform(jnp.zeros(1), jnp.eye(1), jnp.eye(1), jnp.array([2.0]))
    >>> [round(a.item(), 4) for a in (mean, cov, log_det)]
    [1.0, 0.5, 0.6931]
    """
    root = jnp.linalg.cholesky(cov)
    chol = jnp.linalg.cholesky(jnp.eye(mean.size, dtype=cov.dtype) + root.T @ J @ root)
    half = jsl.solve_triangular(chol, root.T, lower=True)
    after = half.T @ half
    return mean + after @ (h - J @ mean), after, 2 * jnp.log(jnp.diagonal(chol)).sum()


def retrace(A, Q, mean, cov, ahead_mean, ahead_cov, later_mean, later_cov):
    """One step back in time: N(mean, cov) of a tick, once the next one is known to be
    N(later_mean, later_cov) where N(ahead_mean, ahead_cov) was expected. Also Cov[next, this one].

    In Joseph's form, (1 - G A) P (1 - G A)' + G (Q + S) G', so that nothing is subtracted.
    """
    gain = jsl.cho_solve((jnp.linalg.cholesky(ahead_cov), True), A @ cov).T
    keep = jnp.eye(mean.size, dtype=cov.dtype) - gain @ A
    after = keep @ cov @ keep.T + gain @ (Q + later_cov) @ gain.T
    return mean + gain @ (later_mean - ahead_mean), (after + after.T) / 2, later_cov @ gain.T


def smooth(model: Kalman, filtered: GaussianBelief) -> tuple[Array, Array, Array]:
    """What is believed of every tick after seeing the whole run (Rauch, Tung, Striebel).

    `filtered` is what `run(model, ...)` gave, time first. Returns (means (T, n), covariances (T, n, n),
    and the covariances of neighbours Cov[z_{t+1}, z_t], (T - 1, n, n), which EM needs).

    Source: Rauch, Tung, Striebel (1965), AIAA J. 3, 1445.
    """

    def back(later, now):
        mean, cov, cross = retrace(model.A, model.Q, *now, *model.predict(*now), *later)
        return (mean, cov), (mean, cov, cross)

    last = (filtered.mean[-1], filtered.cov[-1])
    earlier = (filtered.mean[:-1], filtered.cov[:-1])
    _, (means, covs, neighbours) = lax.scan(back, last, earlier, reverse=True)
    append = lambda a, b: jnp.concatenate([a, b[None]])
    return append(means, last[0]), append(covs, last[1]), neighbours


def sample(model: Kalman, n: int, key: Array) -> tuple[Array, Array]:
    """n ticks drawn from the model: hidden states (n, n_hidden) and observations (n, n_observed)."""
    first, rest, seen = jax.random.split(key, 3)
    draw = lambda k, cov, shape: jax.random.multivariate_normal(
        k, jnp.zeros(cov.shape[0], cov.dtype), cov, shape, dtype=cov.dtype, method="svd"
    )
    z0 = model.mean + draw(first, model.cov, ())
    moves, noise = draw(rest, model.Q, (n - 1,)), draw(seen, model.R, (n,))

    def move(z, w):
        z = model.A @ z + w
        return z, z

    _, later = lax.scan(move, z0, moves)
    zs = jnp.concatenate([z0[None], later])
    return zs, zs @ model.C.T + noise
