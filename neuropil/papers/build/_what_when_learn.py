"""Readouts of what-when-reservoir: the gated three-factor rule, and recursive least squares."""

from __future__ import annotations

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
from jax import Array, lax
from jaxtyping import Bool, Float

from neuropil.core import System
from neuropil.papers.build import _what_when_reservoir as task
from neuropil.plasticity import RecursiveLeastSquares, principal_angles

RATE_WHEN, RATE_WHAT = 0.3, 0.1  # of the online and the offline rule, for features of mean square 1
FLOOR = 0.1  # attention within the window where nothing is expected
FADE = 0.02  # a trial, of Hebbian growth that no error stops
FLAGS = ("squares", "reset", "restart", "truth", "open", "hebb", "shuffled")


class Does(eqx.Module):
    """What an arm does, as arrays: all arms are one program.

    `squares`: recursive least squares in place of the three-factor rule; `reset` its P at the change,
    `restart` it every so many trials, without knowing of a change; `truth`: targets weighted by probability.
    Of the three-factor rule: `open`, as much attention, evenly spread; `hebb`, no error; `shuffled`, outcomes
    at random times.
    """

    squares: Bool[Array, ""]
    reset: Bool[Array, ""]
    restart: Bool[Array, ""]
    truth: Bool[Array, ""]
    open: Bool[Array, ""]
    hebb: Bool[Array, ""]
    shuffled: Bool[Array, ""]

    @staticmethod
    def of(*names: str) -> Does:
        """The flags named are True."""
        return Does(**{name: jnp.asarray(name in names) for name in FLAGS})


def three_factor(w: Array, r: Array, y: Array, gate: Array, does: Does) -> Array:
    r"""Weights (3, cell) after a trial.

    WHEN (row 2) in real time, $\Delta w = \eta\, |e|\, g\, e\, r$ at every bin; WHAT (rows 0, 1) afterwards,
    $\Delta w_k = \eta' \sum_t a_t\, (y_{kt} - w_k r_t)\, r_t$, a the attention: what WHEN foretold.
    """

    def online(w, now):
        r, y, g = now
        z = w @ r
        error = y - z
        change = jnp.where(does.hebb, y, jnp.abs(error) * error)
        return w + RATE_WHEN * g * change * r, z

    when, foretold = lax.scan(online, w[2], (r, y[:, 2], gate))
    # attention must not know what happens: if it did, outcomes would count more than omissions
    attention = gate * jnp.clip(foretold, FLOOR, 1)
    attention = jnp.where(does.open, attention.mean(), attention)
    error = jnp.where(does.hebb, y[:, :2], y[:, :2] - r @ w[:2].T)
    what = w[:2] + RATE_WHAT * (attention[:, None] * error).T @ r
    new = jnp.concatenate([what, when[None]])
    return jnp.where(does.hebb, (1 - FADE) * new, new)


class Learns(System):
    """A tick is a session with a change in the middle: of latencies at tick 0, of probabilities at tick 1.

    Output, after every trial, of the mean response to probes of both cues: time (ms after the cue) and height
    of the peak of every WHAT readout; what was true; how alike trials are; angles between WHAT and WHEN
    weights, and the responses, at the end of both halves.
    """

    does: Does
    rule: RecursiveLeastSquares
    trials: int = eqx.field(static=True)
    probes: int = eqx.field(static=True)
    cells: int = eqx.field(static=True)
    gain: float = eqx.field(static=True)
    noise: float = eqx.field(static=True)
    every: int = eqx.field(static=True)

    def init(self, dt, key):
        return {"key": key}

    def step(self, state, x, tick):
        a, b, c, d = jr.split(state["key"], 4)
        net = task.Reservoir.draw(self.cells, self.gain, a)
        plan = task.session(self.trials, tick.i, self.does.shuffled, jr.fold_in(b, tick.i))
        probe = jnp.repeat(jnp.arange(task.CUES), self.probes)
        r = net.trials(jnp.concatenate([probe, plan.cue]), self.noise, jr.fold_in(c, tick.i))
        r = r / jnp.sqrt((r[: len(probe)] ** 2).sum(2).mean())
        shown, r = r[: len(probe)].reshape(task.CUES, self.probes, *r.shape[1:]), r[len(probe) :]
        t = task.BIN * (jnp.arange(r.shape[1]) + 1)
        gate = ((t > task.CUE_AT) & (t <= task.WINDOW)).astype(r.dtype)
        gate = jnp.where(self.does.open, 1.0, gate)
        target = jnp.where(self.does.truth, plan.truth, plan.target)
        fresh = self.rule.init(task.BIN, d)
        mean = shown.mean(1)

        def trial(carry, now):
            w, p = carry
            n, r, y = now
            again = (self.does.reset & (n == self.trials)) | (
                self.does.restart & (n % self.every == 0)
            )
            p = jnp.where(again, fresh, p)
            w, p = lax.cond(
                self.does.squares,
                lambda: self.rule.learn(w, p, r, y, gate),
                lambda: (three_factor(w, r, y, gate, self.does), p),
            )
            z = mean @ w.T  # (cue, bin, readout)
            return (w, p), peaks(z, t) | {"w": w}

        first = (jnp.zeros((3, self.cells)), fresh)
        _, out = lax.scan(trial, first, (jnp.arange(2 * self.trials), r, target))
        ends = out.pop("w")[jnp.array([self.trials - 1, 2 * self.trials - 1])]
        # not under vmap: two decompositions of stacks at once can wait for each other for ever (jaxlib 0.10 on
        # two cores)
        angle = lax.map(lambda w: principal_angles(w[:2], w[2:])[0], ends)
        null = lax.map(lambda k: random_angle(k, self.cells), jr.split(d, 100)).mean()
        steady = reliability(shown)
        responses = jnp.einsum("cbn,ekn->ecbk", mean, ends)
        more = {"angle": angle, "null": null, "steady": steady, "responses": responses}
        truth = {"times": plan.times, "chances": plan.chances}
        return state, out | truth | more


def peaks(z: Float[Array, "cue bin 3"], t: Array) -> dict[str, Array]:
    """Time after the cue and height of the largest value of both WHAT readouts, by (cue, outcome)."""
    inside = (t > task.CUE_AT) & (t <= task.WINDOW)
    what = jnp.where(inside[None, :, None], z[:, :, :2], -jnp.inf)
    return {"peak": t[what.argmax(1)] - task.CUE_AT, "height": jnp.maximum(what.max(1), 0)}


def random_angle(key: Array, n: int) -> Array:
    """Smallest angle (degrees) between two random directions and a third."""
    w = jr.normal(key, (3, n))
    return principal_angles(w[:2], w[2:])[0]


def reliability(r: Float[Array, "cue probe bin cell"]) -> Float[Array, " bin"]:
    """Correlation over cells between one probe trial and the next of the same cue, at every bin."""
    a = r - r.mean(-1, keepdims=True)
    size = jnp.sqrt((a**2).sum(-1))
    both = (a[:, :-1] * a[:, 1:]).sum(-1) / jnp.maximum(size[:, :-1] * size[:, 1:], 1e-12)
    return both.mean((0, 1))
