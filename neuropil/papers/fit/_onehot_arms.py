"""Data and arms of onehot_hmm_glm.py."""

from __future__ import annotations

from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from neuropil.core import System
from neuropil.core.random import fold, generator
from neuropil.fit.hmm import align_states
from neuropil.papers.fit._onehot_model import Data, Prior, basis, fit, judge, weights

WORLDS = ("few", "many", "gaussian", "apart")  # simulated; "real" is the recording
PRIORS = {
    "onehot": Prior(0.0, True),
    "own": Prior(0.0, False),
    "gaussian": Prior(9.0, True),
    "free": Prior(0.0, False),
    "single": Prior(0.0, False),
}
TRIED = (1.5, 9.0, 50.0)  # precisions of the ridge, of which validation sequences choose


class World(NamedTuple):
    """True weights (state, post, pre) and bias, or None; states and counts by use."""

    w: np.ndarray | None
    b: np.ndarray | None
    states: dict[str, np.ndarray]
    counts: dict[str, np.ndarray]


def interactions(rng: np.random.Generator, kind: str, states: int, n: int) -> np.ndarray:
    """W of every state. "few", "many": classes drawn from one P, strengths from each state (the
    one-hot prior); "gaussian": one matrix and noise of sd 1/3; "apart": nothing shared."""
    if kind == "gaussian":
        common = np.where(rng.random((n, n)) < 0.3, rng.normal(size=(n, n)) * 0.8, 0.0)
        return common + rng.normal(size=(states, n, n)) / 3
    p = rng.dirichlet([0.2, 1.6, 0.2], (states if kind == "apart" else 1, n, n))
    pick = rng.random((states, n, n, 1)) > np.cumsum(p, -1)
    sign = pick.sum(-1) - 1.0
    return sign * np.log1p(3 * rng.random((states, n, n)))


def simulate(rng: np.random.Generator, kind: str, s: dict) -> World:
    """Sequences to learn from, to choose by, and to judge by."""
    states, n, time = s["states"], s["units"], s["time"]
    w, b = interactions(rng, kind, states, n), rng.uniform(-0.05, 0.05, n)
    parts = {"train": s["many" if kind == "many" else "few"], "choose": s["few"], "test": s["test"]}
    total, phi = sum(parts.values()), basis()
    z = np.zeros((total, time), int)
    z[:, 0] = rng.integers(states, size=total)
    x, past = np.zeros((total, time, n)), np.zeros((total, len(phi), n))
    for t in range(time):
        if t:
            jump = (z[:, t - 1] + rng.integers(1, states, total)) % states
            z[:, t] = np.where(rng.random(total) < 0.98, z[:, t - 1], jump)
        y = np.einsum("k,ikm->im", phi, past)
        eta = b + np.einsum("inm,im->in", w[z[:, t]], y)
        x[:, t] = rng.poisson(1 / (1 + np.exp(-eta)))
        past = np.concatenate([x[:, t][:, None], past[:, :-1]], axis=1)
    ends = np.cumsum(list(parts.values()))[:-1]
    split = lambda a: dict(zip(parts, np.split(a, ends), strict=True))
    return World(w, b, split(z), split(x))


def load(settings: dict) -> np.ndarray | None:
    """Counts (time, unit) of the most active units on the linear track, in bins of 50 ms; None without it."""
    if settings["data"] != "hippocampus-linear-track":
        return None
    from neuropil.worlds import datasets

    session = datasets.load("hippocampus-linear-track")
    recording = session.recording(20.0)
    counts = np.asarray(recording.data.values)[0]
    return counts[:, np.argsort(-counts.sum(0), kind="stable")[: settings["units"]]]


def recorded(rng: np.random.Generator, counts: np.ndarray, s: dict) -> World:
    """Stretches of the session, evenly spaced from where the seed says, in turn for each use."""
    number, length = s["many"] + s["few"] + s["test"], s["time"]
    gap = len(counts) // number
    first = int(rng.integers(0, gap - length + 1))
    pieces = np.stack([counts[first + i * gap :][:length] for i in range(number)]).astype(float)
    order = np.argsort(np.arange(number) * 7 % number, kind="stable")  # uses lie side by side
    use = np.split(pieces[order], [s["many"], s["many"] + s["few"]])
    return World(None, None, {}, dict(zip(("train", "choose", "test"), use, strict=True)))


def learn(arm: str, world: World, s: dict, key):
    """The fit of an arm: of restarts, that of the best training likelihood; of the ridge's penalties, that
    of the best likelihood on sequences that no other arm uses."""
    train = Data.of(world.counts["train"])
    go = lambda prior, states, i: fit(
        train, Prior(*(jnp.asarray(v) for v in prior)), states, arm in ("onehot", "own"), s["rounds"],
        s["steps"], s["rate"], jr.fold_in(key, i),
    )  # fmt: skip
    if arm == "ridge":
        choose = Data.of(world.counts["choose"])
        found = [go(Prior(p, False), s["states"], 0) for p in TRIED]
        of = lambda f: judge(f.params["w"], f.params["b"], f.transition, choose)
        good = [float(of(f).log_evidence) for f in found]
    else:
        prior = PRIORS[arm]._replace(strength=float(s["strength"]))
        states = 1 if arm == "single" else s["states"]
        found = [go(prior, states, i) for i in range(1 if arm == "single" else s["restarts"])]
        good = [float(f.training) for f in found]
    return found[int(np.argmax(good))]


def signs(w: np.ndarray, share: float = 0.2) -> np.ndarray:
    """-1, 0 or 1: the share of weights of largest size are connections."""
    return np.sign(w) * (np.abs(w) >= np.quantile(np.abs(w), 1 - share))


def balanced(truth: np.ndarray, said: np.ndarray) -> float:
    """Mean over classes of the share that is right."""
    return float(np.mean([(said[truth == c] == c).mean() for c in np.unique(truth)]))


def measure(arm: str, world: World, s: dict, key) -> np.ndarray:
    """Nats a bin on test sequences (with one-hot weights soft, and hard), correlation of W with the truth,
    balanced accuracy of its signs, share of bins whose state is right; NaN where there is none."""
    test = Data.of(world.counts["test"])
    out = np.full(5, np.nan)
    if arm == "truth":
        if world.w is None:
            return out
        k = s["states"]
        transition = jnp.full((k, k), 0.02 / (k - 1)).at[jnp.diag_indices(k)].set(0.98)
        params = {"w": jnp.asarray(world.w, float), "b": jnp.asarray(world.b, float)}
    else:
        params, transition, _ = learn(arm, world, s, key)
    w, hard = weights(params), weights(params, hard=True)
    found = judge(w, params["b"], transition, test)
    out[0] = float(found.log_evidence) / len(test.x)
    out[1] = float(judge(hard, params["b"], transition, test).log_evidence) / len(test.x)
    if world.w is None:
        return out
    w, hard, states = np.asarray(w), np.asarray(hard), world.states["test"].ravel()
    if arm == "single":
        w = np.repeat(w, s["states"], axis=0)
    else:
        guess, order = align_states(states, np.asarray(found.states.argmax(1)), s["states"])
        w, hard, out[4] = w[order], hard[order], (guess == states).mean()
    out[2] = np.corrcoef(w.ravel(), world.w.ravel())[0, 1]
    said = hard if "a" in params else signs(w)
    out[3] = balanced(np.sign(world.w).ravel(), np.sign(said).ravel())
    return out


class Switching(System):
    """An arm: one tick is one world, the last one the recording."""

    arm: str = eqx.field(static=True)
    settings: dict = eqx.field(static=True)
    counts: np.ndarray | None = eqx.field(static=True)

    def init(self, dt, key):
        return {"key": key}

    def step(self, state, x, tick):
        s, key, at = self.settings, state["key"], int(tick.i)
        name = (*WORLDS, "real")[at]
        rng = generator(key, name)
        if name == "real" and self.counts is None:
            found = np.full(5, np.nan)
        else:
            make = lambda: (
                recorded(rng, self.counts, s) if name == "real" else simulate(rng, name, s)
            )
            found = measure(self.arm, make(), s, fold(key, "start"))
        return state, {"found": found}
