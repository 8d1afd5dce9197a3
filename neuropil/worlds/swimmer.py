"""A planar swimmer of any number of links in a fluid, pure JAX: the body of the Control Suite's swimmer."""

from __future__ import annotations

import math
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from neuropil.agents.outcome import Box
from neuropil.core import param
from neuropil.worlds.world import World

LENGTH, THIN, TALL = 0.1, 0.002, 0.02  # m, sides of a link
MASS = 0.01  # kg, of a link
INERTIA = MASS / 12 * (LENGTH**2 + THIN**2)  # kg m2, of a link about its middle
ARMATURE = 1e-6  # kg m2, of a joint
GEAR = 5e-4  # N m for an action of 1
SPEED = 0.1  # m/s that earn the whole reward


def joint_limit(links: int) -> float:
    """Largest angle of a joint (rad) of a body of so many links: 2 pi / links."""
    return 2 * math.pi / links


def lever(links: int) -> np.ndarray:
    """B (link, link): middle of link i = middle of the body + length x sum_k B_ik (direction of link k)."""
    ends = np.tril(np.ones((links, links)), -1) + 0.5 * np.eye(links)
    return ends - ends.mean(0)


class Swimmer(World):
    r"""N links, N - 1 joints with motors, quadratic drag, a reward for swimming head first.

    With the middle of all mass X and the headings $\theta_k$ of the links, $e_k$ the unit vector from head to
    tail along link k and $n_k$ that across, middle of link i = $X + l \sum_k B_{ik} e_k$ (`lever`), and

    $$N m \ddot X = \sum_i F_i, \qquad
      \sum_k \left[ m l^2 G_{jk} \cos(\theta_j - \theta_k) + I \delta_{jk} + a\,(D^\top D)_{jk} \right]
      \ddot\theta_k = -m l^2 \sum_k G_{jk} \sin(\theta_j - \theta_k)\, \dot\theta_k^2
      + l \sum_i B_{ij} F_i \cdot n_j + T_j - (D^\top u)_j$$

    $G = B^\top B$; D takes headings to joint angles (a: armature of a joint); u: torques of motors and limits.
    Drag of a link at its own velocity, in its frame ($\rho$ = `density`, sides r are half lengths):
    $F = -2 \rho\, r_\perp r_z |v| v$ along each axis, $T = -\rho/2\; r_z (r_x^4 + r_y^4) |\omega| \omega$. A
    joint beyond its limit 2 pi / N is pushed back by a spring and a damper (a MuJoCo limit is a soft
    constraint; ours is this). Semi-implicit Euler, `inner` steps a tick: at the usual tick of 30 ms, 3 ms each.

    Observation: joint angles (rad, N - 1), velocities (across, along, spin: m/s, m/s, rad/s) of every link in
    its own frame (3 N), seconds since the episode began. Action: motors from -1 to 1, clipped. Reward: forward
    speed of the head over 0.1 m/s, between 0 and 1. An episode begins at rest with uniform heading and joints.
    State: "x" (2,), "v" (2,), "theta" (N,), "omega" (N,), "t" (s).

    Source: sizes and task from dm_control (suite/swimmer.xml, swimmer.py) and nikhilxb/ncap (task "swim"); drag
    from MuJoCo's inertia-box model. Against MuJoCo itself: tests/against/test_mujoco.py.

    Raises ValueError for fewer than 2 links or no inner step.
    """

    links: int = eqx.field(static=True, default=6)
    inner: int = eqx.field(static=True, default=10)
    density: Array = param(3000.0, unit="kg/m3", bounds=(0, None))
    stiffness: Array = param(8e-3, unit="N m/rad", bounds=(0, None), about="of a joint's limit")
    damping: Array = param(2e-4, unit="N m s/rad", bounds=(0, None), about="of a joint's limit")

    def __check_init__(self):
        if self.links < 2:
            raise ValueError(f"Swimmer: links = {self.links}; a joint needs 2")
        if self.inner < 1:
            raise ValueError(f"Swimmer: inner = {self.inner}; at least 1 step a tick")

    @property
    def actions(self):
        return Box(self.links - 1)

    def begin(self, key):
        n, limit = self.links, joint_limit(self.links)
        drawn = jr.uniform(key, (n,), minval=-1.0, maxval=1.0)
        theta = jnp.cumsum(drawn * jnp.array([math.pi] + [limit] * (n - 1)))
        zero = jnp.zeros(2)
        return {"x": zero, "v": zero, "theta": theta, "omega": jnp.zeros(n), "t": jnp.zeros(())}

    def observe(self, state):
        across, along = self._velocities(state)[2:]
        moving = jnp.stack([across, along, state["omega"]], -1).reshape(-1)
        return jnp.concatenate([jnp.diff(state["theta"]), moving, state["t"][None]])

    def move(self, state, action, tick):
        seconds = tick.dt / 1000
        torque = GEAR * jnp.clip(action, -1.0, 1.0)
        step = lambda _, s: self.moved(s, torque, seconds / self.inner)
        state = lax.fori_loop(0, self.inner, step, state) | {"t": state["t"] + seconds}
        along = self._velocities(state)[3][0]
        return state, jnp.clip(-along / SPEED, 0.0, 1.0), jnp.asarray(False)

    def _velocities(self, state: dict) -> tuple[Array, Array, Array, Array]:
        """Directions e and n (link, 2) of the links, and their speeds across and along."""
        cos, sin = jnp.cos(state["theta"]), jnp.sin(state["theta"])
        # the link's own axes: y from head to tail is e, x across is n turned back
        e, n = jnp.stack([cos, sin], -1), jnp.stack([-sin, cos], -1)
        turning = jnp.asarray(lever(self.links), cos.dtype) @ (state["omega"][:, None] * n)
        v = state["v"][None] + LENGTH * turning
        return e, n, -jnp.sum(v * n, -1), jnp.sum(v * e, -1)

    def moved(self, state: dict, torque: Float[Array, " joint"], seconds: Any) -> dict:
        """The state after one step under torques (N m) of the motors."""
        theta, omega, lever_ = state["theta"], state["omega"], lever(self.links)
        e, n, across, along = self._velocities(state)
        r, rho = (THIN / 2, LENGTH / 2, TALL / 2), self.density
        sideways = 2 * rho * r[1] * r[2] * jnp.abs(across) * across
        lengthways = -2 * rho * r[0] * r[2] * jnp.abs(along) * along
        force = sideways[:, None] * n + lengthways[:, None] * e  # across is measured against n
        turn = -rho / 2 * r[2] * (r[0] ** 4 + r[1] ** 4) * jnp.abs(omega) * omega
        bend, bending = jnp.diff(theta), jnp.diff(omega)
        beyond = bend - jnp.clip(bend, -joint_limit(self.links), joint_limit(self.links))
        torque = (
            torque - self.stiffness * beyond - jnp.where(beyond != 0, self.damping * bending, 0.0)
        )
        inner = jnp.zeros_like(theta).at[1:].add(torque).at[:-1].add(-torque)
        cos, sin = e[:, 0], e[:, 1]
        gram = MASS * LENGTH**2 * lever_.T @ lever_
        d = np.diff(np.eye(self.links), axis=0)
        own = INERTIA * np.eye(self.links) + ARMATURE * d.T @ d
        like, unlike = (
            jnp.outer(cos, cos) + jnp.outer(sin, sin),
            jnp.outer(sin, cos) - jnp.outer(cos, sin),
        )
        pulled = LENGTH * jnp.sum((jnp.asarray(lever_.T, cos.dtype) @ force) * n, -1)
        rhs = pulled + turn + inner - (jnp.asarray(gram, cos.dtype) * unlike) @ omega**2
        mass = jnp.asarray(gram, cos.dtype) * like + jnp.asarray(own, cos.dtype)
        omega = omega + seconds * jnp.linalg.solve(mass, rhs)
        v = state["v"] + seconds * force.sum(0) / (MASS * self.links)
        return state | {
            "x": state["x"] + seconds * v,
            "v": v,
            "theta": theta + seconds * omega,
            "omega": omega,
        }

    def energy(self, state: dict) -> Array:
        """Kinetic energy (J), that of the joints' armatures included."""
        across, along = self._velocities(state)[2:]
        links = MASS * (across**2 + along**2) + INERTIA * state["omega"] ** 2
        return 0.5 * (jnp.sum(links) + ARMATURE * jnp.sum(jnp.diff(state["omega"]) ** 2))

    def lines(self, state: dict) -> Array:
        """What a film draws, head first: (line, end, 2), in metres."""
        e = self._velocities(state)[0]
        middle = state["x"][None] + LENGTH * jnp.asarray(lever(self.links), e.dtype) @ e
        return jnp.stack([middle - LENGTH / 2 * e, middle + LENGTH / 2 * e], 1)
