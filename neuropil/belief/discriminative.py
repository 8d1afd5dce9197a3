"""The discriminative Kalman filter: what is learned is the state given the observation."""

from __future__ import annotations

from collections.abc import Callable

import equinox as eqx
import jax.numpy as jnp
import jax.scipy.linalg as jsl
from jax import Array, lax

from neuropil.belief.kalman import GaussianBelief, GaussianFilter
from neuropil.core import param

REPAIRS = ("clip", "drop", "robust")


class DiscriminativeKalman(GaussianFilter):
    r"""Inference of a hidden state that moves linearly, from a regression of the state on what is seen.

    $$z_t = A z_{t-1} + w_t, \quad w \sim N(0, Q), \quad z \sim N(0, S), \qquad
      p(z_t | x_t) \approx N(f(x_t), V(x_t))$$

    By Bayes' rule $p(x | z) \propto N(z; f, V) / N(z; 0, S)$, so that with the prediction N(m, M)

    $$\Sigma_t = (V^{-1} + M^{-1} - S^{-1})^{-1}, \qquad \mu_t = \Sigma_t (V^{-1} f + M^{-1} m).$$

    The observation may depend on the state in any way, and have far more dimensions than it. With the f and
    V of a linear Gaussian observation it is the Kalman filter.

    **Arguments**: `decode`, a module or function x (m,) -> (f (n,), V (n, n)); `A`, `Q`, `cov` S (n, n);
    `channels` m. `repair` says what is done where $V^{-1} - S^{-1}$ is not positive, as it must be: "clip"
    takes no more variance in any direction than S has there (of the official simulations), "drop" leaves S
    out at that tick (the footnote of the thesis), "robust" leaves it out at every tick (the robust filter
    of the thesis: better where f and V are not right, worse where they are).

    Input: an observation (m,); one with a NaN, or None, is not used. Output: `GaussianBelief`, whose
    `log_evidence` is log p(x_t | x_<t) - log p(x_t), since p(x) is not modelled (0 of "robust", which has
    none). State as in `Kalman`.

    >>> import jax
    >>> from neuropil.core import run, start
    >>> k = DiscriminativeKalman(lambda x: (x / 2, 0.5 * jnp.eye(1)), [[1.0]], [[0.0]], [[1.0]], channels=1)
    >>> _, belief = run(k, start(k, 1.0, jax.random.key(0)), jnp.array([[2.0], [2.0]]))
    >>> [round(m, 4) for m in belief.mean[:, 0].tolist()]  # 2 t / (t + 1), as in Kalman's example
    [1.0, 1.3333]

    Raises ValueError for matrices that do not fit together, or an unknown repair.

    Source: Burkhart, Brandman, Franco, Hochberg, Harrison (2020), Neural Comput. 32, 969; arXiv:1807.06173.
    """

    decode: Callable
    A: Array = param(axes=("hidden", "hidden"))
    Q: Array = param(axes=("hidden", "hidden"))
    cov: Array = param(axes=("hidden", "hidden"))
    channels: int = eqx.field(static=True, kw_only=True)
    repair: str = eqx.field(static=True, default="clip")

    def __check_init__(self):
        n = self.A.shape[-1]
        for name in ("A", "Q", "cov"):
            if getattr(self, name).shape != (n, n):
                raise ValueError(
                    f"DiscriminativeKalman: {name} has shape {getattr(self, name).shape} but it must "
                    f"be {(n, n)}"
                )
        if self.repair not in REPAIRS:
            raise ValueError(f"DiscriminativeKalman: repair {self.repair!r} is none of {REPAIRS}")

    @property
    def mean(self) -> Array:
        """The stationary mean: states are centred."""
        return jnp.zeros(self.A.shape[0], self.A.dtype)

    @property
    def observed(self) -> int:
        return self.channels

    def update(self, mean: Array, cov: Array, x: Array) -> GaussianBelief:
        """The belief N(mean, cov) after seeing x; an x with NaN changes nothing."""
        seen = ~jnp.isnan(x).any()
        f, v = self.decode(jnp.where(seen, x, 0.0))
        return self.merge(mean, cov, jnp.where(seen, f, 0.0), jnp.where(seen, v, self.cov))

    def merge(self, mean: Array, cov: Array, f: Array, v: Array) -> GaussianBelief:
        """The belief N(mean, cov) and the regression's N(f, v), as one."""
        # in coordinates in which S is the identity, and V is w along the directions `axes`
        chol = jnp.linalg.cholesky(self.cov)
        inner = lambda a: jsl.solve_triangular(chol, a, lower=True)
        w, axes = jnp.linalg.eigh(inner(inner(v).T))
        w = jnp.maximum(w, jnp.finfo(w.dtype).eps)
        if self.repair == "clip":
            w, kept = jnp.minimum(w, 1.0), 1.0
        else:
            kept = jnp.where((w <= 1).all(), 1.0, 0.0) if self.repair == "drop" else 0.0
        m, spread = inner(mean), inner(inner(cov).T)
        pull = axes @ ((axes.T @ inner(f)) / w)
        b = jnp.sqrt(jnp.maximum(1 / w - kept, 0.0))[:, None] * axes.T
        inside = jnp.linalg.cholesky(b @ spread @ b.T + jnp.eye(len(w), dtype=w.dtype))
        gain = jsl.cho_solve((inside, True), b @ spread).T
        after = spread - gain @ (b @ spread)
        stayed = m - gain @ (b @ m)
        moved = stayed + after @ pull
        log_det = 2 * jnp.log(jnp.diagonal(inside)).sum() + jnp.log(w).sum()
        fit = pull @ (stayed + moved) - (b @ m) @ jsl.cho_solve((inside, True), b @ m)
        log_evidence = 0.5 * (fit - log_det - inner(f) @ pull)
        if self.repair == "robust":
            log_evidence = jnp.zeros((), w.dtype)
        after = chol @ after @ chol.T
        return GaussianBelief(chol @ moved, (after + after.T) / 2, log_evidence)

    def predict(self, mean: Array, cov: Array) -> tuple[Array, Array]:
        """The belief one tick later, before it is updated."""
        return self.A @ mean, self.A @ cov @ self.A.T + self.Q

    def unroll(self, state, xs, ticks):
        # the regression needs no history: all ticks of it first, in blocks as products of matrices
        if xs is None:
            return super().unroll(state, xs, ticks)
        seen = ~jnp.isnan(xs).any(1)
        f, v = lax.map(self.decode, jnp.where(seen[:, None], xs, 0.0), batch_size=min(256, len(xs)))
        f, v = jnp.where(seen[:, None], f, 0.0), jnp.where(seen[:, None, None], v, self.cov[None])

        def body(state, fv):
            belief = self.merge(state["mean"], state["cov"], *fv)
            mean, cov = self.predict(belief.mean, belief.cov)
            total = state["log_evidence"] + belief.log_evidence
            return {"mean": mean, "cov": cov, "log_evidence": total}, belief

        return lax.scan(body, state, (f, v))
