"""The recorded experiment of neuroformer.py: position on a linear track from hippocampal units.

The session is cut into five contiguous blocks. The seed draws which is held out, the next one
chooses (stopping, penalties, smoothing), and the other three may be learned from: all their spikes
without labels, and the position of a contiguous share of their running windows.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from neuropil.core import System, start
from neuropil.core.random import fold, generator
from neuropil.fit.decode import BayesDecoder, RidgeDecoder
from neuropil.fit.spiketransformer import Behaviour
from neuropil.fit.tokens import SpikeTokens, Windows
from neuropil.papers.fit import _neuroformer_train as training

BLOCKS = 5


@dataclass(frozen=True, eq=False)
class Track:
    """Counts per bin of `seconds`, position along the track (0..1) in each bin, and where the
    animal runs."""

    counts: np.ndarray
    position: np.ndarray
    running: np.ndarray
    seconds: float


def recorded(seconds: float, fastest: float) -> Track:
    """The linear track session. Position is the projection on the long axis of what was visited,
    from its 1st to its 99th percentile; running is faster than `fastest` track lengths a second
    over half a second (pixels have no scale in cm)."""
    from neuropil.worlds import datasets

    session = datasets.load("hippocampus-linear-track")
    (low, high), *_ = [(a, b) for name, a, b in session.epochs if name == "run" and b - a > 300]
    recording = session.recording(1 / seconds, start=low, stop=high)
    counts = np.asarray(recording.data.values)[0].astype(int)
    xy = session.position(recording)
    middle = np.median(xy, axis=0)
    axis = np.linalg.svd(xy - middle, full_matrices=False)[2][0]
    along, aside = (xy - middle) @ axis, (xy - middle) @ np.array([-axis[1], axis[0]])
    inside = np.abs(aside) < 60  # pixels; carried to the track and from it at both ends
    a, b = np.flatnonzero(inside)[[0, -1]]
    lowest, highest = np.percentile(along[inside], [1, 99])
    position = np.clip((along - lowest) / (highest - lowest), 0, 1)
    return _track(counts[a : b + 1], position[a : b + 1], seconds, fastest)


def simulated(seconds: float, fastest: float, units: int = 31, laps: int = 40) -> Track:
    """A stand-in where the recording is missing: place cells of an animal that shuttles, with
    pauses at both ends. Drawn once (seed 0); it demonstrates, it is no evidence."""
    rng = np.random.default_rng(0)
    pieces, here = [], 0.0
    for _ in range(laps):
        pause = rng.integers(40, 160)
        duration = rng.integers(int(2 / seconds), int(5 / seconds))
        pieces += [np.full(pause, here), np.linspace(here, 1 - here, duration)]
        here = 1 - here
    position = np.concatenate(pieces)
    heading = np.sign(np.gradient(position))
    centre, way = rng.random(units), rng.choice([-1.0, 0.0, 1.0], units)
    field = np.exp(-0.5 * ((position[:, None] - centre) / 0.08) ** 2)
    agrees = (way == 0) | (heading[:, None] == way)
    rate = rng.lognormal(-1.0, 0.8, units) + 12 * field * agrees * (heading[:, None] != 0)
    return _track(rng.poisson(rate * seconds), position, seconds, fastest)


def _track(counts, position, seconds, fastest):
    half = max(1, round(0.25 / seconds))
    ahead, behind = (np.roll(np.pad(position, half, mode="edge"), s) for s in (-half, half))
    speed = (ahead - behind)[half:-half] / (2 * half * seconds)
    return Track(counts, position, np.abs(speed) > fastest, seconds)


def load(settings: dict) -> Track:
    """Settings -> the track: the recording, or its stand-in where settings["data"] says so."""
    make = recorded if settings["data"] == "hippocampus-linear-track" else simulated
    return make(float(settings["track_bin"]), float(settings["fastest"]))


@dataclass(frozen=True, eq=False)
class Task:
    """One seed's blocks: rows of windows by use, counts of each window, target and labelled rows.

    `free`: all windows of the learning blocks; `labelled[share]`: running windows of them whose
    position is known; the target is the position in the middle of the current state."""

    starts: np.ndarray
    target: np.ndarray
    free: np.ndarray
    labelled: dict[int, np.ndarray]
    validation: np.ndarray
    test: np.ndarray


def task(track: Track, settings: dict, key) -> Task:
    """Blocks and labels of a seed. Windows that reach over the border of a block are dropped."""
    rng = generator(key, "blocks")
    bins, past = int(settings["track_bins"]), int(settings["track_past"])
    starts = np.arange(past, len(track.counts) - bins + 1, int(settings["stride"]))
    block = lambda at: at * BLOCKS // len(track.counts)
    whole = block(starts - past) == block(starts + bins - 1)
    held = int(rng.integers(BLOCKS))
    middle = starts + bins // 2
    runs = whole & track.running[middle]
    free = whole & (block(starts) != held) & (block(starts) != (held + 1) % BLOCKS)
    # labels are a stretch of running in the order in which it was learned, from a random point on
    known = np.flatnonzero(free & track.running[middle])
    known = np.roll(known, -int(rng.integers(len(known))))
    shares = [int(p) for p in settings["shares"]]
    labelled = {p: known[: max(1, round(len(known) * p / 100))] for p in shares}
    rows = lambda b: np.flatnonzero(runs & (block(starts) == b % BLOCKS))
    target = track.position[middle].astype(np.float32)
    return Task(starts, target, np.flatnonzero(free), labelled, rows(held + 1), rows(held))


def _counts(track, at, settings, first=None):
    """Counts (window, bin, unit) of bins `first` .. end of the current state (first < 0: past)."""
    bins = np.arange(-int(settings["track_past"]) if first is None else first,
                     int(settings["track_bins"]))  # fmt: skip
    return track.counts[at.starts[:, None] + bins]


def _errors(track, settings, key, decode):
    """Mean absolute error for each share of labels, and the positions at the largest share."""
    at, found = task(track, settings, key), {}
    for share, rows in at.labelled.items():
        said = np.clip(decode(at, rows), 0, 1)
        found[f"error_{share}"] = float(np.mean(np.abs(said - at.target[at.test])))
    return found


class Decoder(System):
    """Arms without a network; one tick is all. "rates": the median of the labels, no spike seen."""

    track: Track = eqx.field(static=True)
    settings: dict = eqx.field(static=True)
    how: str = eqx.field(static=True)

    @property
    def puts(self):
        return {f"error_{share}": () for share in self.settings["shares"]}

    def init(self, dt, key):
        return key

    def step(self, state, x, tick):
        make = {"chance": self.chance, "bayes": self.bayes, "glm": self.glm}[self.how]
        return state, _errors(self.track, self.settings, state, make)

    def chance(self, at, rows):
        return np.full(len(at.test), np.median(at.target[rows]))

    def bayes(self, at, rows):
        """Place fields by heading or not, window and smoothing chosen on the validation block."""
        best = (np.inf, None)
        heading = (np.gradient(self.track.position) > 0).astype(int)
        heading = heading[at.starts + int(self.settings["track_bins"]) // 2]
        for first in {-int(self.settings["track_past"]), 0}:
            counts = _counts(self.track, at, self.settings, first).sum(1)
            seconds = (int(self.settings["track_bins"]) - first) * self.track.seconds
            for smooth in (1.0, 2.0, 4.0):
                for sheet in (None, heading[rows]):
                    fitted = BayesDecoder.fit(
                        counts[rows], at.target[rows], seconds, smooth=smooth, heading=sheet
                    )
                    said = lambda k, f=fitted, c=counts, s=seconds: np.asarray(f.decode(c[k], s))
                    error = np.mean(np.abs(said(at.validation) - at.target[at.validation]))
                    best = min(best, (error, said), key=lambda pair: pair[0])
        return best[1](at.test)

    def glm(self, at, rows):
        """Ridge on the square roots of counts in thirds of the window: the paper's Gaussian GLM."""
        x = np.sqrt(_counts(self.track, at, self.settings))
        x = np.concatenate([p.sum(1) for p in np.array_split(x, 3, axis=1)], axis=1)
        held = (x[at.validation], at.target[at.validation])
        fitted = RidgeDecoder.fit(x[rows], at.target[rows], validation=held)
        return np.asarray(fitted.decode(x[at.test]))


@lru_cache(maxsize=2)
def _windows(bins, past, length, past_length, counts, shape, starts):
    counts = np.frombuffer(counts, np.int64).reshape(shape)
    starts = np.frombuffer(starts, np.int64)
    vocabulary = SpikeTokens(shape[1], bins, past, length, past_length)
    current = vocabulary.encode(counts, starts, truncate=True)
    return vocabulary, Windows(
        *current, *vocabulary.encode(counts, starts, past=True, truncate=True)
    )


class Transformer(System):
    """The spike transformer: `pretraining` passes over the free windows without labels, then for
    each share of labels a fresh fine-tuning of all weights from there; `scratch` skips the first.

    One tick is one pass of pretraining or all of one share. State: {"key", "trainer", "theta"}.
    """

    track: Track = eqx.field(static=True)
    settings: dict = eqx.field(static=True)
    scratch: bool = eqx.field(static=True, default=False)
    shuffled: bool = eqx.field(static=True, default=False)

    @property
    def puts(self):
        return {"pretraining_loss": ()} | {f"error_{p}": () for p in self.settings["shares"]}

    @property
    def passes(self) -> int:
        return 0 if self.scratch else int(self.settings["pretraining"])

    @property
    def ticks(self) -> int:
        return self.passes + len(self.settings["shares"])

    def windows(self, key):
        """Blocks, vocabulary, windows and rows whose past goes in (its own, or another's)."""
        s, track = self.settings, self.track
        at = task(track, s, key)
        sizes = (int(s[f"track_{k}"]) for k in ("bins", "past", "length", "past_length"))
        counts = np.ascontiguousarray(track.counts, np.int64)
        made = _windows(
            *sizes, counts.tobytes(), counts.shape, at.starts.astype(np.int64).tobytes()
        )
        return at, *made

    def init(self, dt, key):
        vocabulary = self.windows(key)[1]
        model = training.fresh(_spec(vocabulary, self.settings), fold(key, "weights"))
        trainer = _trainer(model, self.settings)
        carry = start(trainer, 1.0, fold(key, "pretraining"))
        return {"key": key, "trainer": carry, "theta": jnp.array(model.theta)}

    def step(self, state, x, tick):
        at, vocabulary, windows = self.windows(state["key"])
        blank = training.fresh(_spec(vocabulary, self.settings))
        found = dict.fromkeys(self.puts, np.nan)
        now = int(tick.i)
        if now < self.passes:
            state, found["pretraining_loss"] = self.pretrain(state, at, windows, blank, tick)
            return state, found
        share = list(at.labelled)[now - self.passes]
        found[f"error_{share}"] = self.tune(state, at, windows, blank, at.labelled[share], tick)
        return state, found

    def pretrain(self, state, at, windows, blank, tick):
        """One pass over windows without labels, judged by the likelihood of the validation block."""
        s = self.settings
        trainer = _trainer(blank, s)
        rng = generator(tick.key, "order")
        order = training.deal(rng, at.free, int(s["track_steps"]), int(s["track_batch"]))
        seen = windows
        if self.shuffled:
            other = np.arange(len(at.starts))
            other[at.free] = rng.permutation(at.free)
            seen = Windows(windows.ids, windows.times, windows.past_ids[other],
                           windows.past_times[other])  # fmt: skip
        unknown = {"position": np.full(at.target.shape, np.nan, np.float32)}
        groups = (training.group(seen, order, windows.ids.shape[1], predict=unknown),)
        carry, loss = training.train(trainer, state["trainer"], groups)
        if not trainer.stopped(carry):
            score = self.judge(trainer.model(carry), windows, at.validation)["ordered"]
            carry = trainer.judged(carry, jnp.asarray(-np.mean(score), jnp.float32))
        return {
            **state,
            "trainer": carry,
            "theta": trainer.model(carry, best=True).theta,
        }, loss

    def tune(self, state, at, windows, blank, rows, tick):
        """Fine-tune all weights on labelled windows; error on the test block of the pass that was
        best on the validation block."""
        s = self.settings
        trainer = _trainer(training.Flat(state["theta"], blank.spec), s)
        carry = start(trainer, 1.0, fold(tick.key, "tuning"))
        rng = generator(tick.key, "order")
        target = {"position": _scaled(at.target)}
        error = lambda model, rows: np.mean(
            np.abs(_unscaled(self.judge(model, windows, rows)["said.position"]) - at.target[rows])
        )
        for _ in range(int(s["tune_passes"])):
            order = training.deal(rng, rows, int(s["track_steps"]), int(s["track_batch"]))
            groups = (training.group(windows, order, windows.ids.shape[1], predict=target),)
            carry, _ = training.train(trainer, carry, groups)
            held = error(trainer.model(carry), at.validation)
            carry = trainer.judged(carry, jnp.asarray(held, jnp.float32))
        return error(trainer.model(carry, best=True), at.test)

    def judge(self, model, windows, rows):
        length = windows.ids.shape[1]
        return training.judge_all(model, windows, rows, (length,), repeats=True, batch=256)


def _scaled(position):
    return (position - 0.5) / 0.3


def _unscaled(said):
    return np.clip(0.3 * said + 0.5, 0, 1)


def _spec(vocabulary, s):
    sizes = (int(s[k]) for k in ("track_width", "heads", "state", "history"))
    place = (Behaviour("position", predict=True),)
    return training.Spec(vocabulary, *sizes, place, float(s["track_dropout"]), float(s["scale"]))


def _trainer(model, s):
    patience = max(int(s["tune_passes"]), int(s["pretraining"]), 1)  # never stops, keeps the best
    return training.trainer(model, float(s["track_rate"]), float(s["decay"]), 0, patience)
