"""Arms of dynamic_connectome.py: affinity, factorisation and communities, on three sets of data."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import equinox as eqx
import numpy as np
from scipy.spatial.distance import squareform
from sklearn.metrics import normalized_mutual_info_score

from neuropil.compare.modularity import louvain
from neuropil.core import System
from neuropil.core.random import fold, generator
from neuropil.fit.blockmodel import block_model
from neuropil.fit.factor import factor_match, nonnegative_cp
from neuropil.papers.fit._dynamic_connectome_data import (
    SETTINGS,
    Worm,
    benchmark_graph,
    plant,
    rewired,
)
from neuropil.stats import shifts, slope_affinity, window_correlation

RESOLUTIONS = (0.5, 0.75, 1.0, 1.5, 2.0)
KINDS = {"slope": slope_affinity, "window": window_correlation}


@dataclass(frozen=True)
class Method:
    """What an arm does. `affinity`: slope, window or static; `parts`: ntf or svd; `groups`: blocks or louvain;
    `shifted`: each trace turned in time by its own; `clean`: what the motifs alone did."""

    affinity: str = "slope"
    parts: str = "ntf"
    groups: str = "blocks"
    shifted: bool = False
    clean: bool = False

    @property
    def judges_graphs(self) -> bool:
        """Whether the benchmark of graphs tells this arm from others."""
        return self == Method() or self == Method(groups="louvain") or self.shifted


def correlation(a, b) -> float:
    """Pearson's, 0 where one is constant."""
    a, b = a - a.mean(), b - b.mean()
    size = np.sqrt((a @ a) * (b @ b))
    return float(a @ b / size) if size > 0 else 0.0


def affinities(method: Method, traces: np.ndarray, every: int, rng) -> np.ndarray:
    """Tensor (sample, worm, pair) of traces (worm, neuron, frame); NaN where a neuron was not seen."""
    if method.shifted:
        frames = traces.shape[-1]
        turns = shifts(frames, traces[..., 0].size, frames // 10, int(rng.integers(2**31)))
        traces = np.take_along_axis(traces, turns.reshape(traces.shape), -1)
    if method.affinity == "static":
        i, j = np.triu_indices(traces.shape[1], 1)
        with np.errstate(invalid="ignore"):
            r = np.stack([np.corrcoef(worm)[i, j] for worm in traces])
        return np.maximum(r, 0)[None]
    return np.stack([KINDS[method.affinity](worm, every=every) for worm in traces], axis=1)


def decomposed(method: Method, tensor: np.ndarray, parts: int, key, sweeps: int, starts: int):
    """Factors (time, part), (worm, part), (pair, part), not negative; a static affinity is its own only one."""
    seen = np.isfinite(tensor)
    if method.affinity == "static":
        pair = tensor[0].sum(0, where=seen[0]) / np.maximum(seen[0].sum(0), 1)
        return np.ones((1, 1)), np.ones((tensor.shape[1], 1)), pair[:, None]
    if method.parts == "ntf":
        mask = None if seen.all() else seen
        found = nonnegative_cp(tensor, parts, key, mask=mask, sweeps=sweeps, starts=starts)
        return tuple(np.asarray(f, float) for f in found.factors)
    samples, worms, pairs = tensor.shape
    u, s, v = np.linalg.svd(np.where(seen, tensor, 0).reshape(samples, -1), full_matrices=False)
    u, v = u[:, :parts] * s[:parts], v[:parts].reshape(parts, worms, pairs)
    sign = np.where(v.sum((1, 2)) < 0, -1.0, 1.0)
    u, v = np.maximum(u * sign, 0), np.maximum(v * sign[:, None, None], 0)
    counts = seen[0]
    over_worms = v.sum(1) / np.maximum(counts.sum(0), 1)
    over_pairs = v.sum(2) / np.maximum(counts.sum(1), 1)
    return u, over_pairs.T, over_worms.T


def grouped(method: Method, pair: np.ndarray, most: int) -> np.ndarray:
    """Labels of neurons from a pair pattern; all in one group where it is 0."""
    weights = squareform(np.maximum(pair, 0), checks=False)
    if not weights.any():
        return np.zeros(len(weights), int)
    if method.groups == "louvain":
        return louvain(weights)
    return block_model(weights, most=most).labels


def jaccard(labels: np.ndarray, members: np.ndarray) -> float:
    """Of the group that is most like a set of members."""
    groups = labels == np.unique(labels)[:, None]
    return float(((groups & members).sum(1) / (groups | members).sum(1)).max())


def motifs(method: Method, settings: dict, key) -> dict:
    """Planted motifs: correlation of each pair, time and worm factor with the truth, and Jaccard."""
    s, count = settings, settings["motifs"]
    made = plant(generator(key, "planted"), s["neurons"], s["worms"], s["frames"], count)
    traces = made.clean if method.clean else made.traces
    tensor = affinities(method, traces, s["every"], generator(key, "shifts"))
    time, worm, pair = decomposed(
        method, tensor, count + 1, fold(key, "starts"), s["sweeps"], s["starts"]
    )
    truth = np.stack([squareform(np.outer(m, m), checks=False) > 0 for m in made.members])
    alike = np.array([[correlation(p, t.astype(float)) for p in pair.T] for t in truth])
    moves = method.affinity != "static"
    chosen = _assigned(alike) if moves else np.zeros(count, int)
    bumps = made.time[:, :: s["every"]]
    labels = [grouped(method, pair[:, c], s["most"]) for c in np.unique(chosen)]
    of = dict(zip(np.unique(chosen), labels, strict=True))
    gone = np.full(count, np.nan)
    each = lambda factor, true: np.array(
        [correlation(factor[:, c], t) for c, t in zip(chosen, true, strict=True)]
    )
    return {
        "pair": alike[np.arange(count), chosen],
        "time": each(time, bumps) if moves else gone,
        "worm": each(worm, made.worms) if moves else gone,
        "jaccard": np.array(
            [jaccard(of[c], m > 0) for c, m in zip(chosen, made.members, strict=True)]
        ),
        "course": time[:, chosen].T if moves else np.full(bumps.shape, np.nan),
        "bump": bumps,
    }


def _assigned(alike):
    from scipy.optimize import linear_sum_assignment

    return linear_sum_assignment(-alike)[1]


def graphs(method: Method, settings: dict, key) -> np.ndarray:
    """Normalised mutual information with planted labels, a graph of each of the nine settings."""
    found = []
    for number, setting in enumerate(SETTINGS[: settings["graphs"]]):
        rng = generator(key, f"graph {number}")
        weights, labels = benchmark_graph(rng, *setting, settings["nodes"])
        score = partial(normalized_mutual_info_score, labels)
        if (
            method.groups == "louvain"
        ):  # its best resolution, told by the truth: a rival at its best
            found.append(max(score(louvain(weights, resolution=g)) for g in RESOLUTIONS))
            continue
        if method.shifted:
            weights = rewired(rng, weights)
        found.append(score(block_model(weights, edges=True, most=settings["most"]).labels))
    return np.array(found)


def worm(method: Method, settings: dict, data: Worm, key) -> dict:
    """The recording. `partners`: share of left-right pairs in one community, less the share of all pairs,
    which is what names drawn at random give; `synapses`: pairs with a synapse inside communities against
    all pairs there; `stability`: cosine of matched pair factors of the two halves of the recording."""
    s, rng = settings, generator(key, "worm shifts")
    tensor = affinities(method, data.traces[None], s["every_worm"], rng)
    fit = lambda x, name: decomposed(
        method, x, s["parts"], fold(key, name), s["sweeps_worm"], s["starts_worm"]
    )
    time, _, pair = fit(tensor, "worm")
    labels = np.stack([grouped(method, p, s["most_worm"]) for p in pair.T])
    same = labels[:, :, None] == labels[:, None]
    i, j = np.triu_indices(len(data.names), 1)
    chance = same[:, i, j].mean(1)
    partners = same[:, data.partners[:, 0], data.partners[:, 1]].mean(1)
    inside = (same & data.synapses)[:, i, j].sum(1) / data.synapses[i, j].sum()
    half, steady = len(tensor) // 2, np.nan
    if half:
        one, two = (fit(t, "half")[2] for t in (tensor[:half], tensor[half : 2 * half]))
        steady = float(factor_match((one,), (two,))[1].mean())
    keep = s["parts"]
    padded = np.full((keep, len(data.names)), -1)
    padded[: len(labels)] = labels
    course = np.full((keep, -(-data.traces.shape[1] // s["every_worm"])), np.nan)
    if half:
        course = time.T
    return {
        "partners": np.array((partners - chance).mean()),
        "synapses": np.array((inside / chance).mean()),
        "stability": np.array(steady),
        "labels": padded,
        "real_course": course,
    }


class Connectome(System):
    """An arm: one tick is all of its experiments."""

    method: Method = eqx.field(static=True)
    settings: dict = eqx.field(static=True)
    data: Worm = eqx.field(static=True)

    def init(self, dt, key):
        return {"key": key}

    def step(self, state, x, tick):
        s, key = self.settings, state["key"]
        out = motifs(self.method, s, key)
        out["graphs"] = np.full(s["graphs"], np.nan)
        if self.method.judges_graphs:
            out["graphs"] = graphs(self.method, s, key)
        nothing = {
            "partners": np.array(np.nan),
            "synapses": np.array(np.nan),
            "stability": np.array(np.nan),
        }
        if self.method.clean:  # of a recording there is none without its noise
            return state, out | nothing
        return state, out | worm(self.method, s, self.data, key)
