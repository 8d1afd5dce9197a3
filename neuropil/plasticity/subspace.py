r"""Lateral Hebbian learning of a principal subspace, with rows that are frozen.

A population z (n cells) drives m subspace cells through a matrix H of shape (m, n), y = H z, and they
send back $\hat z = H^\top y$. Hebbian learning on the way up and anti-Hebbian learning on the way
back is Oja's subspace rule: $dH = \langle y (z - \hat z)^\top \rangle$. Its stable fixed points are
orthonormal rows that span the m leading directions of $\langle z z^\top \rangle$ (not centred).

Sources: Oja (1989), Int. J. Neural Syst. 1, 61; frozen blocks, momentum and clipping: Xiao, Meng,
Zhang, He, Lin (2024), ICLR, arXiv:2402.11984.
"""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from neuropil.core import System, param


def lateral(
    z: Float[Array, "*b n"], rows: Float[Array, "m n"], levels: int | None = None, scale=20.0
) -> Float[Array, "*b m"]:
    """Activity of the subspace cells, y = H z; with `levels` they spike: y is clipped to
    +-`scale` and rounded to `levels` steps on each side of zero."""
    y = z @ rows.T
    if levels is None:
        return y
    return jnp.round(jnp.clip(y, -scale, scale) / scale * levels) / levels * scale


def orthogonal_part(
    z: Float[Array, "*b n"], rows: Float[Array, "m n"], levels: int | None = None, scale=20.0
) -> Float[Array, "*b n"]:
    r"""What the subspace cells do not explain: $z - H^\top H z$.

    It is the orthogonal projection only where the rows are orthonormal. Rows of zeros do nothing.

    >>> orthogonal_part(jnp.array([3.0, 4.0]), jnp.array([[1.0, 0.0]])).tolist()
    [0.0, 4.0]
    """
    return z - lateral(z, rows, levels, scale) @ rows


def orthonormal_rows(rows: Float[Array, "m n"]) -> Float[Array, "m n"]:
    """Orthonormal rows of the same span, each as near as may be to its own (QR with positive signs).

    Of normal numbers: uniform over such sets of rows; first through `orthogonal_part`: outside those
    that are there already. ValueError where there is no room for m rows.

    >>> import jax.random as jr
    >>> H = orthonormal_rows(jr.normal(jr.key(0), (2, 5)))
    >>> bool(jnp.allclose(H @ H.T, jnp.eye(2), atol=1e-6))
    True
    """
    m, n = rows.shape
    if m > n:
        raise ValueError(f"orthonormal_rows: {m} rows of {n} numbers cannot be orthonormal; m <= n")
    q, r = jnp.linalg.qr(rows.T)
    return q.T * jnp.where(jnp.diagonal(r) < 0, -1.0, 1.0)[:, None]


def second_moment(z: Float[Array, "b n"]) -> Float[Array, "n n"]:
    r"""$\langle z z^\top \rangle$ over samples, not centred: what the rule sees."""
    return z.T @ z / z.shape[0]


def principal_rows(moment: Float[Array, "n n"], m: int) -> Float[Array, "m n"]:
    """The m leading eigenvectors of a second moment as orthonormal rows, largest first.

    >>> principal_rows(jnp.diag(jnp.array([1.0, 3.0])), 1).tolist()
    [[0.0, 1.0]]
    """
    return jnp.linalg.eigh(moment)[1][:, ::-1][:, :m].T


def principal_angles(
    a: Float[Array, "m n"], b: Float[Array, "k n"], count: int | Int[Array, ""] | None = None
) -> Float[Array, " least"]:
    """Angles (degrees, smallest first) between the spaces that two sets of rows span.

    0: the direction is shared; 90: orthogonal. Neither set need be orthonormal. Rows of zeros span
    nothing and would count as 90: where there are some, give the dimension of the smaller space as
    `count`, and the angles beyond it are NaN.

    >>> float(principal_angles(jnp.array([[1.0, 0.0]]), jnp.array([[1.0, 1.0]]))[0].round(2))
    45.0
    """
    cosines = jnp.linalg.svd(_orthonormal(a) @ _orthonormal(b).T, compute_uv=False)
    angles = jnp.rad2deg(jnp.arccos(jnp.clip(cosines, 0.0, 1.0)))
    return angles if count is None else jnp.where(jnp.arange(len(angles)) < count, angles, jnp.nan)


def _orthonormal(rows):
    """Orthonormal rows of the same span (and zeros for what is missing)."""
    _, s, v = jnp.linalg.svd(rows, full_matrices=False)
    return jnp.where((s > 1e-6 * s[0])[:, None], v, 0.0)


class OjaSubspace(System):
    r"""Oja's subspace rule in batch form, with momentum; a slow rule for `Managed`.

    $$dH = \mathrm{clip}\big(\langle y (z - H_{all}^\top H_{all} z)^\top \rangle\big), \quad
    M \leftarrow \mu M + (1 - \mu) dH, \quad H \leftarrow H + \eta M$$

    repeated `repeats` times on the same batch. The first `frozen` rows of H are never changed; the
    others learn on what *all* rows leave unexplained, so they take directions not yet covered.

    As the slow system of a `Managed` that owns H it reads the presynaptic activity, "pre": one
    sample (n,) or a batch (b, n). State: the momentum M, of shape (m - frozen, n).

    **Arguments**

    - `shape`: (m, n) of the whole H. `frozen`: how many of its rows are frozen.
    - `rate` $\eta$, `momentum` $\mu$ (0: none), `clip` on every entry of dH, `repeats`.
    - `levels`: None for analog subspace cells, else spiking ones (see `lateral`).

    >>> import jax.random as jr
    >>> from neuropil.core import Managed, run, start
    >>> from neuropil.wiring import Dense
    >>> rule = OjaSubspace((1, 2), rate=0.1, repeats=1)
    >>> circuit = Managed(Dense(jnp.array([[0.6, 0.8]])), rule, "weight", {"pre": "input"})
    >>> z = jr.normal(jr.key(1), (300, 8, 2)) * jnp.array([3.0, 1.0])
    >>> carry, _ = run(circuit, start(circuit, 1.0, jr.key(0)), z)
    >>> abs(carry.state.theta.round(1)).tolist()           # the direction of largest variance
    [[1.0, 0.0]]

    Raises ValueError for a negative rate, momentum outside [0, 1] or impossible shapes.
    """

    shape: tuple[int, int] = eqx.field(static=True)
    frozen: int = eqx.field(static=True, default=0)
    rate: Array = param(0.01, bounds=(0, None), source="Xiao et al. 2024, official code")
    momentum: Array = param(0.9, bounds=(0, 1), source="Xiao et al. 2024, official code")
    clip: Array = param(10.0, bounds=(0, None), source="Xiao et al. 2024, official code")
    repeats: int = eqx.field(static=True, default=5)
    levels: int | None = eqx.field(static=True, default=None)

    needs = ("pre",)

    def __check_init__(self):
        m, n = self.shape
        if not 0 < m <= n:
            raise ValueError(f"OjaSubspace: shape {self.shape}; write (m, n) with 0 < m <= n")
        if not 0 <= self.frozen < m:
            raise ValueError(f"OjaSubspace: {self.frozen} of {m} rows frozen; leave one to learn")
        if self.repeats < 1:
            raise ValueError(f"OjaSubspace: repeats = {self.repeats} but it must be at least 1")

    def init(self, dt, key):
        return jnp.zeros((self.shape[0] - self.frozen, self.shape[1]))

    def learn(
        self,
        rows: Float[Array, "m n"],
        buffer: Float[Array, "m n"],
        z: Float[Array, "b n"],
        frozen: Float[Array, "k n"],
        rest: Float[Array, "b n"] | None = None,
    ) -> tuple[Float[Array, "m n"], Float[Array, "m n"]]:
        r"""One batch: (new rows, new momentum) of the learning rows alone.

        `frozen`: the other rows. What they leave of z stays the same over the repeats (give it as
        `rest` where it is known already). So does the second moment, which is used where there are
        more samples than cells: dH = H D - (H C H^T) H, C = <z z^T>, D = C (1 - F^T F), F frozen.
        """
        samples, n = z.shape
        if samples > n and self.levels is None:
            moment = second_moment(z)
            cross = orthogonal_part(moment, frozen)
            gradient = lambda H: H @ cross - (H @ moment @ H.T) @ H
        else:
            rest = orthogonal_part(z, frozen, self.levels) if rest is None else rest

            def gradient(H):
                y = lateral(z, H, self.levels)
                return y.T @ (rest - y @ H) / samples

        def once(_, now):
            H, M = now
            dH = jnp.clip(gradient(H), -self.clip, self.clip)
            M = self.momentum * M + (1 - self.momentum) * dH
            return H + self.rate * M, M

        return lax.fori_loop(0, self.repeats, once, (rows, buffer))

    def step(self, state: Array, x: Any, tick: Any) -> tuple[Array, Array]:
        """`x` is the `Event` of a `Managed`: theta = H, reads["pre"] = z. Returns (momentum, H)."""
        H, z = x.theta, jnp.atleast_2d(x.reads["pre"])
        old, new = H[: self.frozen], H[self.frozen :]
        new, state = self.learn(new, state, z, old)
        return state, jnp.concatenate([old, new])
