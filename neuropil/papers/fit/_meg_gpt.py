"""Arms of meg_gpt.py: tokens, the model of tokens, linear models, and decoders of their features."""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from scipy.stats import wasserstein_distance
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from neuropil.blocks.scalars import ScalarQuantiser
from neuropil.core import System
from neuropil.core.random import fold, generator
from neuropil.fit.autoregress import Autoregression
from neuropil.fit.sampletokens import (
    SampleTokeniser,
    Vocabulary,
    decode_recording,
    encode_recording,
    explained,
    fit_tokeniser,
)
from neuropil.fit.signalgpt import SignalGPT, fit_gpt, generate, token_windows, window_features
from neuropil.papers.fit import _meg_gpt_data as data
from neuropil.stats import oscillations as osc

GENERATES = ("gpt", "across", "mu-law", "ar", "mvar", "shuffled", "real")
DECODES = ("gpt", "across", "mu-law", "random", "raw", "power", "gates")
SPECTRUM_HZ = np.arange(2.0, 45.0, 0.5)
LIFETIMES = np.linspace(0.0, 4.0, 41)
"""Grids that curves for the figure are read on: Hz, and s."""


def windows_of(x: np.ndarray, length: int, count: int) -> np.ndarray:
    """About `count` windows of single channels (window, time), evenly spread."""
    subjects, time, channels = x.shape
    each = max(1, count // (subjects * channels))
    starts = np.linspace(0, time - length, each).round().astype(int)
    cut = x[:, starts[:, None] + np.arange(length)]
    return cut.transpose(0, 1, 3, 2).reshape(-1, length)


@lru_cache(maxsize=2)
def _tokeniser(kind: str, seed: int, items: tuple):
    """The trained tokeniser of a seed, its vocabulary, labels of the training recordings, explained variance.
    Arms of a seed that share it find it here when one process runs them."""
    s = dict(items)
    x = data.rest(s, seed).train
    key = jax.random.key(seed)
    if kind == "mu-law":
        part = ScalarQuantiser.mu_law(s["codes"])
    else:
        cut = windows_of(x[: s["token_subjects"]], s["token_window"], s["token_windows"])
        make = SampleTokeniser.init_quantiles if s["token_quantiles"] else None
        size = dict(units=s["units"], taps=s["taps"], temperature=s["token_temperature"])
        if make:
            part = make(cut, s["codes"], key=fold(key, "tokeniser"), **size)
        else:
            part = SampleTokeniser.init(s["codes"], key=fold(key, "tokeniser"), **size)
        part, _ = fit_tokeniser(
            part,
            cut,
            key=fold(key, "windows"),
            stages=s["token_stages"],
            batch=s["token_batch"],
            rate=s["token_rate"],
        )
    codes = np.stack([encode_recording(part, y, s["token_window"]) for y in x])
    words = Vocabulary.of(codes, s["codes"])
    pve = explained(x[0], decode_recording(part, codes[0]))
    return part, words, words.labels(codes).astype(np.int32), pve


def accuracies(features: np.ndarray, y: np.ndarray, run: np.ndarray) -> tuple[float, float]:
    """Multinomial logistic regression on z-scored features (subject, trial, feature), each subject left out in
    turn: learned on all runs but the last of the others; tested on their last run (session) and on all runs of
    the subject left out (subject). Mean accuracies."""
    session, subject = [], []
    for out in range(len(features)):
        others = np.arange(len(features)) != out
        last = run[others] == run.max()
        model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
        model.fit(features[others][~last], y[others][~last])
        session.append(model.score(features[others][last], y[others][last]))
        subject.append(model.score(features[out], y[out]))
    return float(np.mean(session)), float(np.mean(subject))


def band_power(x: np.ndarray, rate: float) -> np.ndarray:
    """Log power of 5-10, 10-15, 15-20 and 20-40 Hz of every channel, flat: (..., time, channel) -> (..., f)."""
    n = x.shape[-2]
    power = np.abs(np.fft.rfft(x * np.hanning(n)[:, None], axis=-2)) ** 2
    hz = np.fft.rfftfreq(n, 1 / rate)
    edges = (5.0, 10.0, 15.0, 20.0, 40.0)
    bands = [np.log(power[..., (hz >= a) & (hz < b), :].sum(-2) + 1e-9) for a, b in pairwise(edges)]
    return np.concatenate(bands, -1)


def likeness(made: np.ndarray, rest: data.Rest, rate: float) -> dict[str, np.ndarray]:
    """How like the reference generated recordings (subject, time, channel) are.

    Errors (see `stats.oscillations`; means over subjects, bursts of all pooled): `spectrum`, `correlation`,
    `envelope` (of the variation, mean over modes), `lifetime` (Wasserstein distance, s), `peak` (Hz); what
    they come from: `within` (correlation of channels 0 and 1), `variations`, `power`, `survival`.
    """
    pairs = list(zip(rest.reference, made, strict=True))
    mean = lambda f: float(np.mean([f(a, b) for a, b in pairs]))
    out = {
        "spectrum": mean(lambda a, b: osc.spectrum_error(a, b, rate)),
        "correlation": mean(osc.correlation_error),
        "within": float(np.mean([np.corrcoef(b[:, :2].T)[0, 1] for b in made])),
    }
    envelope, lifetime, peak, variations, survival = [], [], [], [], []
    for m, group in enumerate(rest.groups):
        of = lambda x, m=m, group=group: [
            osc.envelope(y[:, list(group)], rate, rest.hz[i, m]) for i, y in enumerate(x)
        ]
        a, b = of(rest.reference), of(made)
        threshold = np.mean([e.mean() for e in a])
        centre = rest.hz[:, m].mean()
        lives = [
            np.concatenate(
                [osc.burst_lifetimes(c, threshold, rate, 1 / centre) for e in es for c in e.T]
            )
            for es in (a, b)
        ]
        variations.append([osc.variation(np.concatenate(es)) for es in (a, b)])
        envelope.append(abs(variations[-1][1] - variations[-1][0]))
        # a signal without a single burst is as far off as if each lasted no time
        lifetime.append(wasserstein_distance(lives[0], lives[1] if len(lives[1]) else [0.0]))
        survival.append(
            [(v[:, None] > LIFETIMES).mean(0) if len(v) else 0 * LIFETIMES for v in lives]
        )
        for x, y in pairs:
            edges = (centre - 1.5, centre + 1.5)
            tops = [osc.peak_frequency(z[:, list(group)], rate, edges) for z in (x, y)]
            peak.append(abs(tops[1] - tops[0]))
    curve = lambda x: np.mean([np.interp(SPECTRUM_HZ, *_mean_spectrum(y, rate)) for y in x], axis=0)
    out |= {"envelope": np.mean(envelope), "lifetime": np.mean(lifetime), "peak": np.mean(peak)}
    out |= {
        "variations": np.array(variations),
        "power": np.stack([curve(rest.reference), curve(made)]),
        "survival": np.array(survival),
        "example": np.stack([rest.reference[0, 1000:1400], made[0, :400]]),
    }
    return {name: np.asarray(value, float) for name, value in out.items()}


def _mean_spectrum(x, rate):
    hz, power = osc.power_spectrum(x, rate)
    return hz, np.log10(power).mean(1)


class Modelling(System):
    """One arm; a tick learns, generates and decodes. The state is empty.

    `how`: "gpt", "across" (channels exchange), "mu-law" (other tokens), "random" (weights as they begin), "ar",
    "mvar", "shuffled" (tokens in another order), "real" (a second recording), "raw", "power", "gates". Output:
    that of `likeness` where the arm generates, `session` and `subject` (accuracies) where it decodes, `pve`,
    `real_pve` and `losses` where there are tokens and a model of them.
    """

    how: str = eqx.field(static=True)
    settings: dict = eqx.field(static=True)

    def init(self, dt, key):
        return jnp.zeros(())

    def step(self, state, x, tick):
        s, how = self.settings, self.how
        seed = int(generator(tick.key, "data").integers(2**20))
        out: dict = {}
        if how in ("gpt", "across", "mu-law", "random"):
            self._tokens(seed, tick.key, out)
        elif how in GENERATES:
            rest = data.rest(s, seed)
            out |= likeness(self._made(rest, seed, tick.key), rest, s["rate"])
        else:
            trials = data.task(s, seed)
            flat = lambda a: a.reshape(*a.shape[:2], -1)
            features = {
                "raw": lambda: flat(trials.x),
                "power": lambda: band_power(trials.x, s["rate"]),
                "gates": lambda: trials.gates,
            }[how]()
            known = np.isfinite(features).all()
            scores = accuracies(features, trials.y, trials.run) if known else (np.nan, np.nan)
            out["session"], out["subject"] = scores
        return state, {n: jnp.asarray(v, jnp.float32) for n, v in out.items()}

    def _made(self, rest, seed, key):
        """What arms without a network generate."""
        s, n = self.settings, data.made_samples(self.settings)
        if self.how == "real":
            return rest.second
        rng = generator(key, "made")
        if self.how == "shuffled":
            part, words, labels, _ = _tokeniser("learned", seed, tuple(sorted(s.items())))
            mixed = rng.permuted(labels[:, :n], axis=1)
            return np.stack([decode_recording(part, words.codes(c)) for c in mixed])
        order, alone = (s["ar"], True) if self.how == "ar" else (s["mvar"], False)
        models = [Autoregression.fit([x], order, alone=alone) for x in rest.train]
        return np.stack([m.simulate(n, rng) for m in models]).astype(np.float32)

    def _tokens(self, seed, key, out):
        """The model of tokens: trained but in the arm "random", generates and is decoded."""
        s, how = self.settings, self.how
        kind = "mu-law" if how == "mu-law" else "learned"
        part, words, labels, out["pve"] = _tokeniser(kind, seed, tuple(sorted(s.items())))
        real = data.real_fields() if s["real"] else None
        out["real_pve"] = np.nan
        if real is not None:
            codes = encode_recording(part, real, s["token_window"])
            out["real_pve"] = explained(real, decode_recording(part, codes))
        sizes = (
            "length",
            "queries",
            "patch",
            "raw",
            "scored",
            "width",
            "depth",
            "heads",
            "hidden",
            "drop",
        )
        model = SignalGPT.init(
            s["codes"] + 1,
            labels.shape[2],
            len(labels),
            key=fold(key, "weights"),
            mixing=how == "across",
            **{name: s[name] for name in sizes},
        )
        if how != "random":
            cut = token_windows(labels, s["length"] + 1, s["windows"])
            fit = dict(epochs=s["epochs"], batch=s["batch"], rate=s["learning_rate"])
            model, out["losses"] = fit_gpt(model, cut, key=fold(key, "batches"), **fit)
            rest = data.rest(s, seed)
            made = self._generated(model, words, labels, fold(key, "made"))
            signal = np.stack([decode_recording(part, words.codes(c)) for c in made])
            out |= likeness(signal, rest, s["rate"])
        trials = data.task(s, seed)
        shape = trials.x.shape
        codes = np.asarray(_codes(part, jnp.asarray(trials.x.reshape(-1, *shape[2:]), jnp.float32)))
        found = window_features(model, jnp.asarray(words.labels(codes), jnp.int32))
        features = np.asarray(found).reshape(*shape[:2], -1)
        out["session"], out["subject"] = accuracies(features, trials.y, trials.run)

    def _generated(self, model, words, labels, key):
        """A prompt of tokens drawn by their frequency, then what the model makes of it, for every subject."""
        s = self.settings
        rng = generator(key, "prompt")
        share = words.counts / words.counts.sum()
        known = model.length + 1 - model.scored
        prompt = 1 + rng.choice(len(share), (len(labels), known, labels.shape[2]), p=share)
        blocks = data.made_samples(s) // model.scored
        settle = -(-model.length // model.scored)  # the first window still sees the prompt
        made = generate(
            model,
            jnp.asarray(prompt, jnp.int32),
            jnp.arange(len(labels)),
            blocks + settle,
            fold(key, "draws"),
            s["top"],
        )
        return np.asarray(made)[:, settle * model.scored :]


@eqx.filter_jit
def _codes(part, x):
    """Codes of windows (window, time, channel)."""
    return jax.lax.map(jax.vmap(part.encode, 1, 1), x, batch_size=64)
