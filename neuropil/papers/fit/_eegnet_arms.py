"""The protocol of eegnet_family.py and the decoders that go through it, one stage a tick."""

from __future__ import annotations

from dataclasses import dataclass

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import Pipeline

from neuropil.core import System
from neuropil.core.random import fold
from neuropil.fit.classical import csp_lda, evoked_lda, tangent_logistic
from neuropil.fit.neural_decoder import NeuralDecoder
from neuropil.papers.fit import _eegnet_data as data

STAGES = ("within", "cross-0", "cross-1", "n170", "p300")


@dataclass(frozen=True)
class Network:
    """One of the five networks: trained anew, over other people, and from their weights."""

    name: str
    settings: dict
    seed: int
    shuffled: bool = False

    def decoder(self, epochs: int, batch: int, balanced: bool = False) -> NeuralDecoder:
        s = self.settings
        options = {"momentum": s["momentum"]} if self.name not in ("shallow", "deep") else {}
        narrow = {
            "mi-eegnet": {"filters": s["mi_filters"]},
            "fusion": {"filters": s["fusion_filters"]},
        }
        return NeuralDecoder(
            self.name,
            options=options | narrow.get(self.name, {}),
            rate=s["rate"],
            epochs=epochs,
            batch=batch,
            step=s["step"],
            balanced=balanced,
            seed=self.seed,
        )

    def _taught(self, y):
        return np.random.default_rng(self.seed).permutation(y) if self.shuffled else y

    def own(self, trials, rows, start=None):
        """Fitted to a person's rows, from new weights or from `start`."""
        epochs = self.settings["epochs"] if start is None else self.settings["tune"]
        decoder = self.decoder(epochs, self.settings["batch"])
        return decoder.fit(trials.x[rows], self._taught(trials.y[rows]), start=start)

    def others(self, crowd):
        """Fitted to all trials of other people."""
        x = np.concatenate([p.x for p in crowd])
        y = np.concatenate([p.y for p in crowd])
        decoder = self.decoder(self.settings["cross_epochs"], self.settings["batch"])
        return decoder.fit(x, self._taught(y))

    def tuned(self, pooled, crowd, trials, rows):
        return self.own(trials, rows, pooled.network_)

    def evoked(self, trials, rows):
        decoder = self.decoder(self.settings["evoked_epochs"], self.settings["batch"], True)
        return decoder.fit(trials.x[rows], self._taught(trials.y[rows]))

    def score(self, fitted, trials, rows) -> float:
        return fitted.score(trials.x[rows], trials.y[rows])

    def auc(self, fitted, trials, rows) -> float:
        return roc_auc_score(trials.y[rows], fitted.decision_function(trials.x[rows]))


@dataclass(frozen=True)
class Classical:
    """A pipeline on filtered trials or on true powers; `tuned` pools others and the person's own trials."""

    make: object
    what: str = "rhythms"
    ceiling: bool = False

    def own(self, trials, rows):
        return self.make().fit(getattr(trials, self.what)[rows], trials.y[rows])

    def _pool(self, parts):
        x = np.concatenate([getattr(p, self.what)[rows] for p, rows in parts])
        return self.make().fit(x, np.concatenate([p.y[rows] for p, rows in parts]))

    def others(self, crowd):
        return self._pool([(p, slice(None)) for p in crowd])

    def tuned(self, pooled, crowd, trials, rows):
        return self._pool([*((p, slice(None)) for p in crowd), (trials, rows)])

    def evoked(self, trials, rows) -> Pipeline:
        return evoked_lda().fit(trials.x[rows], trials.y[rows])

    def score(self, fitted, trials, rows) -> float:
        return fitted.score(getattr(trials, self.what)[rows], trials.y[rows])

    def auc(self, fitted, trials, rows) -> float:
        return roc_auc_score(trials.y[rows], fitted.decision_function(trials.x[rows]))


CLASSICAL = {
    "csp": Classical(csp_lda),
    "riemann": Classical(tangent_logistic),
    "true-sources": Classical(LinearDiscriminantAnalysis, "true", True),
}


class Comparison(System):
    """A decoder through the stages; a tick is a stage.

    Output: `within`, `cross`, `transfer` (accuracy of each person) and `n170`, `p300` (area under the ROC
    curve), NaN where the stage does not measure them.
    """

    name: str = eqx.field(static=True)
    settings: dict = eqx.field(static=True)
    shuffled: bool = eqx.field(static=True, default=False)

    def init(self, dt, key):
        return jnp.int32(0)

    def step(self, state, x, tick):
        s = self.settings
        seed = int(state) if int(tick.i) else data.seed_of(fold(tick.key, "cohort"))
        decoder = CLASSICAL.get(self.name) or Network(self.name, s, seed % 2**16, self.shuffled)
        out = {n: np.full(s["subjects"], np.nan) for n in ("within", "cross", "transfer")}
        out |= {"n170": np.nan, "p300": np.nan}
        stage = STAGES[int(tick.i)]
        if stage in ("n170", "p300"):
            if s["data"] == "muse-visual" and not getattr(decoder, "ceiling", False):
                out[stage] = self._evoked(decoder, data.real()[stage])
        else:
            crowd = data.cohort(
                seed, s["subjects"], s["trials"], s["rate"], s["classes"], s["depth"]
            )
            self._imagery(decoder, crowd, stage, out)
        return jnp.int32(seed), {n: jnp.asarray(v, jnp.float32) for n, v in out.items()}

    def _imagery(self, decoder, crowd, stage, out):
        half = len(crowd) // 2
        groups = {
            "within": range(len(crowd)),
            "cross-0": range(half),
            "cross-1": range(half, len(crowd)),
        }
        group = groups[stage]
        if stage != "within":
            rest = [p for i, p in enumerate(crowd) if i not in group]
            pooled = decoder.others(rest)
        for i in group:
            trials = crowd[i]
            first, second = trials.session == 0, trials.session == 1
            if stage == "within":
                fitted = decoder.own(trials, first)
                out["within"][i] = decoder.score(fitted, trials, second)
                continue
            out["cross"][i] = decoder.score(pooled, trials, second)
            fitted = decoder.tuned(pooled, rest, trials, first)
            out["transfer"][i] = decoder.score(fitted, trials, second)

    @staticmethod
    def _evoked(decoder, trials) -> float:
        """Mean of training on the even runs and testing on the odd, and the other way round."""
        odd = trials.session % 2 == 1
        areas = [decoder.auc(decoder.evoked(trials, ~test), trials, test) for test in (odd, ~odd)]
        return float(np.mean(areas))
