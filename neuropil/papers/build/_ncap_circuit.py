"""Controllers of a swimmer: the worm's circuit, a travelling sine, a network of layers; observation -> action.

They have no state: the clock is part of the observation (seconds since the episode began).
"""

from __future__ import annotations

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from neuropil.worlds.swimmer import joint_limit

STEP = 0.03  # s, a control step
PERIOD = 60  # control steps of the head's oscillator
SIGNS = (1.0, 1.0, 1.0, -1.0)  # proprioception, oscillator, ipsilateral, contralateral


def parts(observation: Array) -> tuple[Array, Array, Array]:
    """Joint angles (n,) over their limit, velocities (n + 1, 3), time (s) of an observation (4 n + 4)."""
    n = observation.shape[0] // 4 - 1
    limit = joint_limit(n + 1)
    return observation[:n] / limit, observation[n:-1].reshape(n + 1, 3), observation[-1]


def graded(x: Array) -> Array:
    """A potential between 0 and 1."""
    return jnp.clip(x, 0.0, 1.0)


class NCAP(eqx.Module):
    r"""The circuit: head oscillator, B neurons driven by the joint in front, muscles that inhibit each other.

    $$B_0 = g(w_o o),\quad B_i = g(w_p s_{i-1}),\quad M_i = g(w_i B_i + w_c B_i'),\quad a_i = M_i^d - M_i^v$$

    with dorsal and ventral halves (the prime is the other half), s the rectified joint angle over its limit, g
    a clip to 0..1, excitatory weights max(w, 0), the contralateral one min(w, 0). `weights`: the 4 of `SIGNS`,
    shared by all joints and both halves, or 6 n of their own: oscillator (2), proprioception (2, n - 1),
    ipsilateral (2, n), contralateral (2, n). `constrain`: 0 leaves signs free; `felt`: 0 cuts proprioception.

    The two halves of a joint are never driven at once, so a contralateral weight below 0 changes no action (and
    has no gradient): of four weights, three do the work here.
    """

    weights: Float[Array, " weight"]
    constrain: Float[Array, ""]
    felt: Float[Array, ""]

    def spread(self, n: int) -> tuple[Array, Array, Array, Array]:
        """Proprioception (2, n - 1), oscillator (2,), ipsilateral and contralateral (2, n), constrained."""
        w = self.weights
        if w.shape[0] == 4:
            full = lambda a, *shape: jnp.broadcast_to(a, shape)
            found = full(w[0], 2, n - 1), full(w[1], 2), full(w[2], 2, n), full(w[3], 2, n)
        else:
            cut = np.cumsum([2, 2 * (n - 1), 2 * n])
            o, p, i, c = jnp.split(w, cut)
            found = p.reshape(2, n - 1), o, i.reshape(2, n), c.reshape(2, n)
        held = lambda a, sign: jnp.where(self.constrain > 0, sign * jnp.maximum(sign * a, 0.0), a)
        return tuple(held(a, sign) for a, sign in zip(found, SIGNS, strict=True))

    def __call__(self, observation: Array) -> Array:
        q, _, t = parts(observation)
        q = jnp.clip(q, -1.0, 1.0)
        prop, osc, ipsi, contra = self.spread(q.shape[0])
        dorsal = jnp.floor(t / STEP + 0.5) % PERIOD < PERIOD // 2
        head = osc * jnp.stack([dorsal, ~dorsal]).astype(q.dtype)
        stretch = jnp.stack([jnp.maximum(q, 0.0), jnp.maximum(-q, 0.0)])[:, :-1]
        b = graded(jnp.concatenate([head[:, None], self.felt * prop * stretch], 1))
        muscle = graded(ipsi * b + contra * b[::-1])
        return muscle[0] - muscle[1]


class Sine(eqx.Module):
    r"""Open loop: $a_i = A \sin(2 \pi (f\, t / T - k\, i / n) + \varphi)$, T = 1.8 s; weights A, f, k, phi."""

    weights: Float[Array, " 4"]

    def __call__(self, observation: Array) -> Array:
        q, _, t = parts(observation)
        amplitude, frequency, waves, phase = self.weights
        joint = jnp.arange(q.shape[0]) / q.shape[0]
        turn = frequency * t / (PERIOD * STEP) - waves * joint
        return jnp.clip(amplitude * jnp.sin(2 * jnp.pi * turn + phase), -1.0, 1.0)


class Layers(eqx.Module):
    """A network of tanh layers that sees all there is: angles, velocities, and the oscillator's clock as sine
    and cosine (else the circuit alone would know the time); `scale` multiplies its output."""

    weights: eqx.nn.MLP
    scale: float = eqx.field(static=True, default=1.0)

    def __call__(self, observation: Array) -> Array:
        q, velocity, t = parts(observation)
        turn = 2 * jnp.pi * t / (PERIOD * STEP)
        clock = jnp.stack([jnp.sin(turn), jnp.cos(turn)])
        seen = (velocity * jnp.array([[10.0, 10.0, 0.2]])).reshape(-1)  # about 1 in a swimming body
        return self.scale * self.weights(jnp.concatenate([q, seen, clock]))


def layers(
    key: Array, joints: int, hidden: int, out: int, depth: int = 2, scale: float = 1.0
) -> Layers:
    """Fresh layers for a body of so many joints."""
    net = eqx.nn.MLP(4 * joints + 5, out, hidden, depth, jnp.tanh, key=key)
    return Layers(net, scale)


def fresh_layers(joints: int, hidden: int) -> tuple[Layers, eqx.nn.MLP, eqx.nn.MLP]:
    """(layers, bounds of their first weights): uniform within 1 / sqrt(inputs), weights and biases."""
    model = layers(jax.random.key(0), joints, hidden, joints)
    inner = eqx.filter(model.weights, eqx.is_inexact_array)
    pieces = lambda m: [a for layer in m.layers for a in (layer.weight, layer.bias)]
    ends = [
        jnp.full_like(a, layer.weight.shape[1] ** -0.5)
        for layer in inner.layers
        for a in (layer.weight, layer.bias)
    ]
    high = eqx.tree_at(pieces, inner, ends)
    return model, jax.tree.map(jnp.negative, high), high


def circuit(joints: int, shared: bool = True) -> NCAP:
    """The circuit at weights of 1 and -1."""
    signs = jnp.asarray(SIGNS)
    if not shared:
        prop, osc, ipsi, contra = SIGNS
        n = joints
        signs = jnp.asarray([osc] * 2 + [prop] * 2 * (n - 1) + [ipsi] * 2 * n + [contra] * 2 * n)
    return NCAP(signs, jnp.ones(()), jnp.ones(()))


def fresh_circuit(
    joints: int, how: str = "constant", shared: bool = True, felt: bool = True
) -> tuple[NCAP, Array, Array]:
    """(circuit, bounds of its first weights).

    `how`: "constant", random "magnitude" with the right signs, or "any" from -1 to 1 with signs free.
    """
    model = circuit(joints, shared)
    signs = model.weights
    low = {"constant": signs, "magnitude": jnp.minimum(signs, 0.0), "any": -jnp.abs(signs)}[how]
    high = {"constant": signs, "magnitude": jnp.maximum(signs, 0.0), "any": jnp.abs(signs)}[how]
    flags = jnp.asarray(float(how != "any")), jnp.asarray(float(felt))
    return eqx.tree_at(lambda m: (m.constrain, m.felt), model, flags), low, high


def wave() -> Sine:
    """One wave along the body in one period of the circuit's clock, at full torque."""
    return Sine(jnp.array([1.0, 1.0, 1.0, 0.0]))


def count(model: eqx.Module) -> int:
    """Numbers that learn."""
    return sum(a.size for a in jax.tree.leaves(eqx.filter(model.weights, eqx.is_inexact_array)))


Controller = Callable[[Array], Array]
