"""Learners of a readout: a reservoir that must bring forth a wave by itself, taught through its own output.

Sussillo and Abbott's task (2009, Neuron 63, 544): 200 rate units with strong random connections (gain 1.5)
hear the readout, which shall be a sum of two sines. After 60 periods with a teacher (100 ticks each, ten time
constants of a unit) the loop runs on its own for three. All learners have the same five networks. Recursive
least squares (FORCE) has P = I at the start; the delta rule has the best of five rates on a network of its
own; ridge regression sees the whole run at once, with the wave itself in the readout's place (teacher forcing)
and a little noise on it.
"""

from __future__ import annotations

import time

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from neuropil.core import System, param, run, start
from neuropil.learn.ridge import ridge_readout
from neuropil.plasticity import RecursiveLeastSquares, force
from neuropil.wiring import Dense

UNITS, TICKS, ALONE, PERIOD, SEEDS, PILOT = 200, 6000, 300, 100, 5, 1000
RATES = (0.0001, 0.0003, 0.001, 0.003, 0.01)
TIMED = "the least of 60 rounds of 5 steps, with all other work on the machine stopped"
LOCALITY = {
    "FORCE (recursive least squares)": "error of its own output; the activity of all units, through P",
    "delta rule in the same loop": "error of its own output, activity of its own unit",
    "ridge regression, teacher forced": "not local: all ticks at once",
}


class Units(System):
    """x <- x + (-x + J tanh(x) + input) / 10; output: tanh(x)."""

    recurrent: jax.Array = param(axes=("post", "pre"))

    def init(self, dt, key):
        return 0.5 * jr.normal(key, (UNITS,))

    def step(self, state, x, tick):
        state = state + (-state + self.recurrent @ jnp.tanh(state) + x) / 10
        return state, jnp.tanh(state)


class Delta(System):
    """W <- W + rate (y* - W r) r': the gradient of the error of now."""

    rate: jax.Array = param(0.001, bounds=(0, None))

    def init(self, dt, key):
        return ()

    def step(self, state, x, tick):
        r = x.reads["pre"]
        error = x.reads["gate"] * (x.reads["target"] - x.theta @ r)
        return state, x.theta + self.rate * error[:, None] * r


def wave() -> jax.Array:
    """The target at every tick, of variance 1."""
    t = 2 * jnp.pi * jnp.arange(TICKS + ALONE) / PERIOD
    return ((jnp.sin(t) + 0.5 * jnp.sin(2 * t)) / np.sqrt(0.625))[:, None]


def loop(seed, rule: System) -> System:
    """The network of a seed, its readout owned by the rule."""
    a, b = jr.split(jr.fold_in(jr.key(0), seed))
    net = Units(1.5 / jnp.sqrt(UNITS) * jr.normal(a, (UNITS, UNITS)))
    back = Dense(2 * jr.uniform(b, (UNITS, 1)) - 1)
    return force(net, Dense(jnp.zeros((1, UNITS))), back, rule)


def inputs() -> dict:
    """A tick: nothing drives the units but the readout; the gate is open while there is a teacher."""
    gate = (jnp.arange(TICKS + ALONE) < TICKS).astype(jnp.float32)
    return {"input": jnp.zeros((TICKS + ALONE, UNITS)), "target": wave(), "gate": gate}


def wrong(z: jax.Array) -> jax.Array:
    """Root mean square error alone, in standard deviations of the wave (of which there is one)."""
    return jnp.sqrt(jnp.mean((z - wave())[TICKS:] ** 2))


def taught(seed, rule: System) -> tuple[jax.Array, jax.Array]:
    """(error alone, mean angle of the steps to the gradient of the error of now, degrees) of a seed."""
    system = loop(seed, rule)
    kept = {"z": "output.readout", "w": "theta", "r": "output.features"}
    _, out = run(system, start(system, 1.0, jr.key(seed)), inputs(), record=kept)
    first = jnp.zeros_like(out["w"][:1])
    moved = jnp.diff(jnp.concatenate([first, out["w"]]), axis=0)[:TICKS, 0]
    down = (wave() - out["z"])[:TICKS] * out["r"][:TICKS]
    norms = jnp.linalg.norm(moved, axis=1) * jnp.linalg.norm(down, axis=1)
    there = norms > 1e-12
    cosine = jnp.sum(moved * down, 1) / jnp.where(there, norms, 1.0)
    angles = jnp.degrees(jnp.arccos(jnp.clip(cosine, -1, 1)))
    return wrong(out["z"]), jnp.sum(jnp.where(there, angles, 0.0)) / there.sum()


def regressed(seed: int) -> float:
    """Error alone of a readout regressed on a run in which the wave stands in the readout's place."""
    system, target = loop(seed, Delta(0.0)), wave()
    net, back = system.fast.forward.parts["reservoir"], system.fast.back.parts["back"]
    heard = jnp.concatenate([jnp.zeros((1, 1)), target[: TICKS - 1]])
    heard = heard + 0.01 * jr.normal(jr.fold_in(jr.key(1), seed), heard.shape)
    carry, r = run(net, start(net, 1.0, jr.key(seed)), jax.vmap(back.forward)(heard))
    readout = ridge_readout(r, target[:TICKS], 1e-3, washout=PERIOD)

    def tick(state, _):
        x, r = net.step(state[0], back.forward(state[1]), None)
        z = readout.forward(r)
        return (x, z), z

    _, z = jax.lax.scan(tick, (carry.state, target[TICKS - 1]), length=ALONE)
    return float(wrong(jnp.concatenate([target[:TICKS], z])))


def measure() -> list[dict]:
    """A row a learner: error alone and angle of five seeds, own numbers, working memory, time of a tick."""
    names = list(LOCALITY)
    seeds = jnp.arange(SEEDS)
    pilot = jax.jit(jax.vmap(lambda rate: taught(PILOT, Delta(rate))[0]))(jnp.asarray(RATES))
    rate = RATES[int(jnp.nanargmin(jnp.where(jnp.isfinite(pilot), pilot, jnp.inf)))]
    found = []
    for name, rule, own in zip(names, rules(rate), (UNITS**2, 0), strict=False):
        errors, angles = jax.jit(jax.vmap(lambda s, rule=rule: taught(s, rule)))(seeds)
        took, bytes_ = tick_of(rule)
        found.append(row(name, errors, own, took, bytes_, rate if own == 0 else None, angles))
    errors = [regressed(seed) for seed in range(SEEDS)]
    features = 4 * (TICKS - PERIOD) * UNITS
    found.append(row(names[2], errors, 0, None, features, None, None))
    return found


def rules(rate: float) -> tuple[System, System]:
    """The two rules that go along with time."""
    return RecursiveLeastSquares(UNITS), Delta(rate)


def row(name, errors, own, took, working, rate, angles) -> dict:
    """What is stored."""
    listed = lambda a: None if a is None else [round(float(v), 4) for v in a]
    print(name, listed(errors), took, flush=True)
    return {
        "learner": name, "error": listed(errors), "angle": listed(angles), "own_numbers": own,
        "working_bytes": working, "step_ms": took, "rate": rate, "locality": LOCALITY[name],
    }  # fmt: skip


def tick_of(rule: System) -> tuple[float, int]:
    """(milliseconds of a tick within a run of 200, bytes of the state it hands on)."""
    system = loop(0, rule)
    carry = start(system, 1.0, jr.key(0))
    xs = jax.tree.map(lambda a: a[:200], inputs())
    go = jax.jit(lambda carry, xs: run(system, carry, xs, record="output.readout"))
    held = sum(a.nbytes for a in jax.tree.leaves(eqx.filter(carry.state, eqx.is_array)))
    return round(timed(go, carry, xs) / 200, 5), held


def retime(rows: list[dict]) -> None:
    """The tick of every stored row that goes along with time."""
    for row, rule in zip(rows, rules(0.001), strict=False):
        row["step_ms"] = tick_of(rule)[0]
        print(row["learner"], "->", row["step_ms"], flush=True)


def timed(step, carry, batch, repeats: int = 5, rounds: int = 60) -> float:
    """Milliseconds of a step, compiled before: the least of the rounds' means."""
    jax.block_until_ready(step(carry, batch))
    found = []
    for _ in range(rounds):
        begin = time.perf_counter()
        for _ in range(repeats):
            carry, out = step(carry, batch)
        jax.block_until_ready((carry, out))
        found.append((time.perf_counter() - begin) / repeats)
        if sum(found) * repeats > 4:  # seconds
            break
    return round(1e3 * min(found), 3)


def table(rows: list[dict]) -> str:
    """The table in Markdown."""
    if not rows:
        return "Nothing is stored yet."
    head = (
        "learner", "error alone (standard deviations of the wave), of five networks",
        "angle of a step to the gradient (degrees)", "held from tick to tick (KiB)", "own numbers",
        "us a tick", "what a synapse must know",
    )  # fmt: skip
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for row in rows:
        errors = ", ".join(f"{e:.2g}" for e in sorted(row["error"]))
        angle = "" if row["angle"] is None else f"{np.mean(row['angle']):.0f}"
        took = "" if row["step_ms"] is None else f"{1e3 * row['step_ms']:.0f}"
        name = row["learner"] + (f", rate {row['rate']:g}" if row["rate"] else "")
        held = f"{row['working_bytes'] / 1024:.0f}"
        cells = name, errors, angle, held, f"{row['own_numbers']:,}", took, row["locality"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join([*lines, "", f"Times: {TIMED}. An error of 1 is that of silence."])
