"""Arms of adaptive-reservoir: reservoirs tuned, adapted or designed; an echo state net; past inputs."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jax import Array, lax
from jaxtyping import Bool, Float

from neuropil.blocks import BalancedReservoir, EchoState, balanced_wiring, balancing_scale
from neuropil.core import Managed, System, run, start
from neuropil.papers.build._adaptive_tasks import IS_CAPACITY, Series, Sizes, draw, judge
from neuropil.plasticity import InhibitoryBalance

GAIN, THRESHOLD = 10.0, 0.0  # of the paper; the search begins around them
HEARING = 0.3  # share of the units that the input reaches
FAST, SLOW = 1e-2, 1e-3  # rates of adaptation, one after the other
FLAGS = ("tune", "once", "adapt", "varied", "design", "elsewhere")


class Grid(eqx.Module):
    """What the global search tries: factors on all of the inhibition, beside thresholds and gains."""

    factors: Float[Array, " factor"]
    thresholds: Float[Array, " outer"]
    gains: Float[Array, " outer"]

    @staticmethod
    def of(factors, thresholds, gains) -> Grid:
        """Every threshold with every gain."""
        outer = jnp.stack(jnp.meshgrid(jnp.asarray(thresholds), jnp.asarray(gains)), -1)
        outer = outer.reshape(-1, 2).astype(float)
        return Grid(jnp.asarray(factors, float), outer[:, 0], outer[:, 1])


def many(excite, inhibit, driven, factors, threshold, gain) -> Array:
    """Rates (time, task, factor, unit) of balanced reservoirs that differ in a factor on all inhibition only.

    The weights are shared, so every tick is two matrix products (of the same numbers as `BalancedReservoir`).
    `driven`: (time, task, unit).
    """
    tasks, n = driven.shape[1:]
    flat = lambda r: r.reshape(-1, n)

    def tick(r, u):
        back = flat(r) @ excite.T, flat(r) @ inhibit.T
        e, i = (a.reshape(r.shape) for a in back)
        r = jax.nn.sigmoid(gain * (e - factors[None, :, None] * i + u[:, None] - threshold))
        return r, r

    first = jnp.full((tasks, len(factors), n), jax.nn.sigmoid(-gain * threshold))
    return lax.scan(tick, first, driven)[1]


def search(excite, inhibit, driven, y, grid: Grid, size: Sizes) -> Float[Array, "3 task"]:
    """Factor, threshold and gain that are best in validation, for every task on its own."""

    def outer(now):
        threshold, gain = now
        r = many(excite, inhibit, driven, grid.factors, threshold, gain)
        return judged(r, y, size)[0]

    found = lax.map(outer, (grid.thresholds, grid.gains))  # (outer, task, factor)
    where = found.swapaxes(0, 1).reshape(len(y), -1).argmin(1)
    row, column = where // len(grid.factors), where % len(grid.factors)
    return jnp.stack([grid.factors[column], grid.thresholds[row], grid.gains[row]])


def judged(r: Float[Array, "time task option unit"], y: Array, size: Sizes) -> Array:
    """(validation and test, task, option) losses. One after the other: products of stacks are slow on a CPU."""

    def task(now):
        r, y, capacity = now  # (option, time, unit)
        return lax.map(lambda one: jnp.stack(judge(one, y, capacity, size)), r)

    return lax.map(task, (r.transpose(1, 2, 0, 3), y, IS_CAPACITY)).transpose(2, 0, 1)


class Does(eqx.Module):
    """What an arm does, as arrays: all balanced reservoirs are one program."""

    tune: Bool[Array, ""]
    once: Bool[Array, ""]
    adapt: Bool[Array, ""]
    varied: Bool[Array, ""]
    design: Bool[Array, ""]
    elsewhere: Bool[Array, ""]

    @staticmethod
    def of(*names: str) -> Does:
        """The flags named are True."""
        return Does(**{name: jnp.asarray(name in names) for name in FLAGS})


class Balanced(System):
    """A tick is a scale of the input: wire the reservoir, tune or adapt its inhibition, read it out.

    Output: validation and test loss of every task, the factor, threshold and gain of its search, and how far
    mean rates are from their targets.
    """

    series: Series
    does: Does
    grid: Grid
    scales: Float[Array, " scale"]
    units: int = eqx.field(static=True)
    degree: int = eqx.field(static=True)
    size: Sizes = eqx.field(static=True)

    def init(self, dt, key):
        plain = jnp.array([[1.0], [THRESHOLD], [GAIN]])
        return {"key": key, "chosen": jnp.broadcast_to(plain, (3, len(IS_CAPACITY)))}

    def step(self, state, x, tick):
        size, does = self.size, self.does
        a, b, c, d, e = jr.split(state["key"], 5)
        excite, inhibit = balanced_wiring(self.units, a, degree=self.degree)
        into = input_weights(b, self.units, self.scales[tick.i])
        drawn = draw(self.series, size, c)
        late = drawn.u[:, size.before :], drawn.y[:, size.before :]
        ends = size.washout + size.train + size.valid
        driven = late[0][:, :ends].T[:, :, None] * into[None, None]
        chosen = lax.cond(
            does.tune & (~does.once | (tick.i == 0)),
            lambda: search(excite, inhibit, driven, late[1][:, :ends], self.grid, size),
            lambda: state["chosen"],
        )
        beta = jnp.clip(jr.beta(d, 2.0, 2.0, (self.units,)), 0.05, 0.95)
        target = jnp.where(does.varied, beta, 0.5)
        order = jr.permutation(e, self.units)

        def task(u, y, capacity, tuned):
            factor, threshold, gain = tuned
            scaled = factor * inhibit
            net = BalancedReservoir(excite, scaled, into[:, None], gain, threshold)
            weight = lax.cond(
                does.adapt, lambda: adapted(net, target, u[: size.before], size), lambda: scaled
            )
            change = (weight - scaled).sum(1)[order] / jnp.maximum((inhibit > 0).sum(1), 1)
            moved = jnp.maximum(scaled + change[:, None], 0) * (inhibit > 0)
            weight = jnp.where(does.elsewhere, moved, weight)
            mean = u[size.before :][: size.washout + size.train].mean()
            omega = balancing_scale(excite, inhibit, into * mean, target, gain, threshold)
            weight = jnp.where(does.design, omega[:, None] * inhibit, weight)
            net = eqx.tree_at(lambda n: n.inhibit, net, weight)
            _, r = run(net, start(net, 1.0, a), u[size.before :, None])
            valid, test = judge(r, y[size.before :], capacity, size)
            away = jnp.abs(r[size.washout :].mean(0) - target).mean()
            return valid, test, away

        valid, test, away = lax.map(
            lambda now: task(*now), (drawn.u, drawn.y, IS_CAPACITY, chosen.T)
        )
        out = report(self.scales[tick.i], valid, test, chosen, away)
        return {"key": state["key"], "chosen": chosen}, out


def report(scale, valid, test, chosen, away=None) -> dict[str, Array]:
    """What a tick puts out."""
    away = jnp.nan * test if away is None else away
    return {"scale": scale, "valid": valid, "test": test, "away": away, "chosen": chosen}


def input_weights(key: Array, units: int, scale: Array) -> Array:
    """Uniform on +-scale / 2 for a share of the units, 0 for the others; one draw, scaled."""
    a, b = jr.split(key)
    hears = jr.uniform(a, (units,)) < HEARING
    return scale * hears * jr.uniform(b, (units,), minval=-0.5, maxval=0.5)


def adapted(net: BalancedReservoir, target: Array, u: Array, size: Sizes) -> Array:
    """Inhibition after the local rule has run with the task's own input, fast and then slowly."""
    for rate, part in ((FAST, u[: size.adapt]), (SLOW, u[size.adapt :])):
        rule = InhibitoryBalance(net.inhibit, target=target, rate=rate)
        system = Managed(net, rule, "inhibit", {"post": "output"})
        carry, _ = run(system, start(system, 1.0, jr.key(0)), part[:, None], record=None)
        net = eqx.tree_at(lambda n: n.inhibit, net, carry.state.theta)
    return net.inhibit


class Echo(System):
    """The strongest outside baseline: a tanh echo state net, its radius and leak chosen for every task and
    scale by validation; the same units, input and readout."""

    series: Series
    radii: Float[Array, " radius"]
    leaks: Float[Array, " leak"]
    scales: Float[Array, " scale"]
    units: int = eqx.field(static=True)
    degree: int = eqx.field(static=True)
    size: Sizes = eqx.field(static=True)

    def init(self, dt, key):
        return {"key": key}

    def step(self, state, x, tick):
        size = self.size
        a, b, c, *_ = jr.split(state["key"], 5)
        net = EchoState.random(
            1, self.units, a, spectral_radius=1.0, density=self.degree / self.units
        )
        into = input_weights(b, self.units, self.scales[tick.i])
        drawn = draw(self.series, size, c)
        u, y = drawn.u[:, size.before :], drawn.y[:, size.before :]
        ends = size.washout + size.train + size.valid
        driven = u.T[:, :, None] * into[None, None]
        weight = net.recurrent.weight
        shape = (len(u), len(self.radii), self.units)

        def outer(leak):
            def move(r, u):
                back = (r.reshape(-1, self.units) @ weight.T).reshape(r.shape)
                push = jnp.tanh(self.radii[None, :, None] * back + u[:, None])
                r = r + leak * (push - r)
                return r, r

            r = lax.scan(move, jnp.zeros(shape), driven[:ends])[1]
            return judged(r, y[:, :ends], size)[0]

        found = lax.map(outer, self.leaks)  # (leak, task, radius)
        where = found.swapaxes(0, 1).reshape(len(u), -1).argmin(1)
        leak, radius = self.leaks[where // len(self.radii)], self.radii[where % len(self.radii)]

        def move(r, u):
            push = jnp.tanh(radius[:, None] * (r @ weight.T) + u)
            r = r + leak[:, None] * (push - r)
            return r, r

        r = lax.scan(move, jnp.zeros(shape[::2]), driven)[1]
        valid, test = judged(r[:, :, None], y, size)[:, :, 0]
        chosen = jnp.stack([radius, jnp.zeros_like(radius), leak])
        return state, report(self.scales[tick.i], valid, test, chosen)


class Line(System):
    """No reservoir: as many past inputs as there are units, by the same readout: all the memory there is."""

    series: Series
    scales: Float[Array, " scale"]
    units: int = eqx.field(static=True)
    size: Sizes = eqx.field(static=True)

    def init(self, dt, key):
        return {"key": key}

    def step(self, state, x, tick):
        size = self.size
        drawn = draw(self.series, size, jr.split(state["key"], 5)[2])
        u, y = drawn.u[:, size.before :], drawn.y[:, size.before :]
        n = jnp.arange(u.shape[1])
        taps = lambda u: u[(n[:, None] - jnp.arange(self.units)[None]) % len(n)]
        r = jax.vmap(taps, out_axes=1)(u)[:, :, None]
        valid, test = judged(r, y, size)[:, :, 0]
        nothing = jnp.full((3, len(u)), jnp.nan)
        return state, report(self.scales[tick.i], valid, test, nothing)
