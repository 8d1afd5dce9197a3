"""The laws of composition, measured on random tanh networks of several depths."""

from __future__ import annotations

import itertools
import math
from functools import reduce

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import optax
from jax import Array, lax

from neuropil.core import Managed, System, run, start
from neuropil.learn.learners import AsSystem, Descender, Identity, as_managed, series
from neuropil.learn.wiring_diagram import Diagram, LinearSystem, beside, box

RATE = 0.05
MOMENTUM = 0.9
SLOW = RATE * (
    1 - MOMENTUM
)  # as fast as RATE without momentum; faster, and round-off is amplified by chaos


def layer(p, a):
    """One layer: tanh(w a + b)."""
    return jnp.tanh(p["w"] @ a + p["b"])


def network(ps, a):
    """All layers, one function of all parameters: what one call of autodiff sees."""
    return reduce(lambda a, p: layer(p, a), ps, a)


class Numbers:
    """Normal numbers, drawn once and taken as they are needed (every separate draw costs a compilation)."""

    def __init__(self, numbers):
        self.left = numbers

    def take(self, *shape):
        """The next ones, in this shape."""
        n = math.prod(shape)
        taken, self.left = self.left[:n], self.left[n:]
        if taken.size < n:
            raise ValueError(f"Numbers: {n} are asked for but {taken.size} are left")
        return taken.reshape(shape)

    def network(self, widths):
        """Parameters of every layer."""
        return [
            {"w": self.take(n, m) / m**0.5, "b": 0.1 * self.take(n)}
            for m, n in itertools.pairwise(widths)
        ]


def needed(widths, steps):
    """How many normal numbers a measurement takes, at most."""
    layers = sum((m + 1) * n for m, n in itertools.pairwise(widths))
    return 3 * layers + steps * (widths[0] + widths[-1]) + 200


class Scaled(Descender):
    """A gradient descender that asks for k times the change it should: a - k dE/da."""

    k: float | int = eqx.field(static=True, default=0.5)

    def react(self, p, a, signal):
        b, after, request = super().react(p, a, signal)
        return b, after, a + self.k * (request - a)


class Blind(Descender):
    """A gradient descender that asks through fixed random weights: a - F (f(p, a) - b)."""

    feedback: Array | None = None

    def react(self, p, a, signal):
        b, after, _ = super().react(p, a, signal)
        return b, after, a - self.feedback @ (b - signal)


def composed(ps, extra, rate):
    """The paper's system: a learner for every layer."""
    return [Descender(layer, p, rate, "target") for p in ps]


def scaled(ps, extra, rate):
    """Control: requests half as large."""
    return [Scaled(layer, p, rate, "target") for p in ps]


def blind(ps, extra, rate):
    """Control: requests through the weights of another network."""
    back = (p["w"].T for p in extra)
    return [Blind(layer, p, rate, "target", feedback=f) for p, f in zip(ps, back, strict=True)]


def autodiff(ps, extra, rate):
    """Baseline: one learner for the whole network."""
    return [Descender(network, ps, rate, "target")]


MAKE = {"composed": composed, "scaled": scaled, "blind": blind, "autodiff": autodiff}


def by_hand(ps, a, target, rate):
    """One step of backpropagation written out: the reference that no autodiff has touched."""
    acts = [a]
    for p in ps:
        acts.append(layer(p, acts[-1]))
    delta, after = acts[-1] - target, []
    for p, before, now in zip(ps[::-1], acts[-2::-1], acts[:0:-1], strict=True):
        local = delta * (1 - now**2)
        after.append({"w": p["w"] - rate * jnp.outer(local, before), "b": p["b"] - rate * local})
        delta = p["w"].T @ local
    return after[::-1]


def reversed_units(ps):
    """The same network with its hidden units in the opposite order (twice: as it was)."""
    last = len(ps) - 1
    return [
        {
            "w": p["w"][:: 1 if k == last else -1, :: 1 if k == 0 else -1],
            "b": p["b"][:: 1 if k == last else -1],
        }
        for k, p in enumerate(ps)
    ]


def bracketings(parts):
    """Every way to put the parts in series; beyond 4 parts the two extremes and the balanced one."""
    if len(parts) == 1:
        return parts
    cuts = range(1, len(parts)) if len(parts) <= 4 else (1, len(parts) // 2, len(parts) - 1)
    every = lambda ps: bracketings(ps) if len(parts) <= 4 else bracketings(ps)[-1:]
    return [a >> b for k in cuts for a in every(parts[:k]) for b in every(parts[k:])]


def flat(tree):
    """All numbers in order, whatever the brackets."""
    return jnp.concatenate([jnp.ravel(x) for x in jax.tree.leaves(tree)])


def apart(one, other):
    """Largest absolute difference."""
    return jnp.abs(flat(one) - flat(other)).max()


def algebra(make, ps, others, extra, a, s):
    """Associativity, unit and interchange: how far from equal."""
    parts, beside_them = make(ps, extra, RATE), make(others, extra, RATE)
    react = lambda learner, *x: learner.react(learner.start(), *x)
    first, *ways = (react(way, a, s) for way in bracketings(parts))
    whole = series(*parts)
    plain = react(whole, a, s)
    units = (react(unit, a, s) for unit in (Identity() >> whole, whole >> Identity()))
    (f, g), (h, k) = parts[:2], beside_them[:2]
    width = g.start()["b"].size
    x, y = (a, 2 * a), (s[0] * jnp.ones(width), jnp.zeros(width))
    b, p, r = react((f | h) >> (g | k), x, y)
    c, q, t = react((f >> g) | (h >> k), x, y)
    swapped = (p[0][0], p[1][0], p[0][1], p[1][1])
    return {
        "associativity": jnp.stack([apart(first, way) for way in ways] or [0.0]).max(),
        "unit": jnp.stack([apart(plain, unit) for unit in units]).max(),
        "interchange": apart((b, swapped, r), (c, q, t)),
    }


class Momentum(System):
    """An outer system whose state is a velocity: v <- m v + g, p <- p - rate v."""

    learner: Descender

    def init(self, dt, key):
        return jax.tree.map(jnp.zeros_like, self.learner.start())

    def step(self, velocity, event, tick):
        after = self.learner.update(event.theta, *event.x)  # a rate of 1: p - U(p) is the gradient
        g = jax.tree.map(jnp.subtract, event.theta, after)
        velocity = jax.tree.map(lambda v, g: MOMENTUM * v + g, velocity, g)
        return velocity, jax.tree.map(lambda p, v: p - SLOW * v, event.theta, velocity)


def optax_momentum(ps, xs):
    """The same descent by optax on the gradient of the whole network's error."""
    tx = optax.sgd(SLOW, momentum=MOMENTUM)
    error = lambda ps, a, s: ((network(ps, a) - s) ** 2).sum() / 2

    def step(now, x):
        ps, opt = now
        change, opt = tx.update(jax.grad(error)(ps, *x), opt)
        return (optax.apply_updates(ps, change), opt), None

    return lax.scan(step, (ps, tx.init(ps)), xs)[0][0]


def descent(whole, ps, xs):
    """One step, and many steps as a system, against backpropagation by hand."""
    first = jax.tree.map(lambda x: x[0], xs)
    wanted = flat(by_hand(ps, *first, RATE)) - flat(ps)
    got = flat(whole.update(whole.start(), *first)) - flat(ps)
    many, _ = lax.scan(lambda ps, x: (by_hand(ps, *x, RATE), None), ps, xs)
    system = AsSystem(whole)
    there, _ = run(system, start(system, 1.0, jr.key(0)), xs)  # nothing here is random
    return {
        "gradient": jnp.linalg.norm(got - wanted) / jnp.linalg.norm(wanted),
        "trajectory": apart(there.state, many),
    }, there.state


def systems(make, ps, xs, there):
    """The run in two pieces against the run at once, and momentum as an outer system against optax."""
    whole = series(*make(ps, ps, RATE))
    system = AsSystem(whole)
    halves = jax.tree.map(lambda x: x.reshape(2, -1, *x.shape[1:]), xs)
    again = lambda carry, x: (run(system, carry, x, record=None)[0], None)
    resumed, _ = lax.scan(again, start(system, 1.0, jr.key(0)), halves)
    unit_rate = series(*make(ps, ps, 1.0))
    nested = Managed(as_managed(unit_rate).fast, Momentum(unit_rate), owns="p")
    outer, _ = run(nested, start(nested, 1.0, jr.key(0)), xs, record=None)
    return {
        "resumed": apart(there, resumed.state),
        "outer": apart(outer.state.theta, optax_momentum(ps, xs)),
    }


def round_off(ps, xs):
    """Ceiling: what adding up the same hidden units in another order changes."""
    turned = reversed_units(ps)
    many = lambda ps: lax.scan(lambda p, x: (by_hand(p, *x, RATE), None), ps, xs)[0]
    first = jax.tree.map(lambda x: x[0], xs)
    wanted = flat(by_hand(ps, *first, RATE)) - flat(ps)
    got = flat(reversed_units(by_hand(turned, *first, RATE))) - flat(ps)
    return {
        "gradient": jnp.linalg.norm(got - wanted) / jnp.linalg.norm(wanted),
        "trajectory": apart(many(ps), reversed_units(many(turned))),
    }


def nesting(numbers):
    """Three linear systems in a diagram in a diagram, against the flat diagram."""
    normal = lambda *shape: 0.4 * numbers.take(*shape)
    linear = lambda n, m, k: LinearSystem(normal(n, n), normal(n, m), normal(k, n))
    boxes = [linear(3, 2, 2), linear(2, 1, 3), linear(4, 2, 1)]
    inner = Diagram(normal(3, 5), normal(3, 2), normal(2, 5))
    outer = Diagram(normal(4, 3), normal(4, 3), normal(2, 3))
    nested = outer.wire(beside(inner.wire(beside(*boxes[:2])), boxes[2]))
    return {"nesting": apart(nested, outer.around(inner, box(2, 1)).wire(beside(*boxes)))}


class Laws(System):
    """One tick measures every law on one random network; the tick's number picks the depth."""

    arm: str = eqx.field(static=True)
    widths: tuple[tuple[int, ...], ...] = eqx.field(static=True)
    steps: int = eqx.field(static=True)

    def init(self, dt, key):
        return ()

    def measure(self, widths, numbers):
        """All numbers of this arm for a network of these widths."""
        numbers, n = Numbers(numbers), self.steps
        ps = numbers.network(widths)
        xs = (numbers.take(n, widths[0]), 0.5 * numbers.take(n, widths[-1]))
        if self.arm == "round-off":
            return round_off(ps, xs)
        make, extra, others = MAKE[self.arm], numbers.network(widths), numbers.network(widths)
        found, there = descent(series(*make(ps, extra, RATE)), ps, xs)
        if self.arm != "autodiff":
            found |= algebra(make, ps, others, extra, xs[0][0], xs[1][0])
        if self.arm == "composed":
            found |= systems(make, ps, xs, there) | nesting(numbers)
        return found

    def step(self, state, x, tick):
        most = max(needed(w, self.steps) for w in self.widths)
        numbers = jr.normal(tick.key, (most,))
        branches = [lambda z, w=w: self.measure(w, z) for w in self.widths]
        return state, lax.switch(tick.i % len(branches), branches, numbers)
