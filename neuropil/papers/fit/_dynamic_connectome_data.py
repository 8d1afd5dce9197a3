"""Planted motifs, graphs with planted communities, and the worm, for dynamic_connectome.py."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d

# (topological mixing, weight mixing, weight exponent, mean degree): the nine of benchmark.ipynb
SETTINGS = (
    (0.5, 0.5, 0.5, 25), (0.5, 0.5, 1.0, 25), (0.5, 0.5, 2.0, 25),
    (0.25, 0.5, 2.0, 25), (0.5, 0.5, 2.0, 25), (0.75, 0.5, 2.0, 25),
    (0.5, 0.5, 2.0, 10), (0.5, 0.25, 2.0, 25), (0.5, 0.75, 2.0, 25),
)  # fmt: skip
HARD = 5  # topological mixing 0.75: more edges lead out of a community than stay


@dataclass(frozen=True)
class Planted:
    """`traces` (worm, neuron, frame), NaN where a neuron was not seen; `clean` the same of motifs alone;
    `members` (motif, neuron), `time` (motif, frame), `worms` (motif, worm): what is to be found."""

    traces: np.ndarray
    clean: np.ndarray
    members: np.ndarray
    time: np.ndarray
    worms: np.ndarray


def slow(rng, *shape) -> np.ndarray:
    """Noise smoothed over 4 frames, sd 1."""
    x = gaussian_filter1d(rng.normal(size=shape), 4, axis=-1)
    return x / x.std(-1, keepdims=True)


def plant(rng, neurons: int, worms: int, frames: int, motifs: int) -> Planted:
    """Groups of a quarter of the neurons that follow a signal in common in their own stretch of time."""
    members = np.zeros((motifs, neurons))
    for row in members:
        chosen = rng.choice(neurons, neurons // 4, replace=False)
        row[chosen] = rng.uniform(0.7, 1.3, len(chosen))
    centre = (np.arange(motifs)[:, None] + 0.5) * frames / motifs
    time = np.exp(-0.5 * ((np.arange(frames) - centre) / (frames / (2.5 * motifs))) ** 2)
    load = rng.uniform(0.5, 1.5, (motifs, worms)) * (rng.random((motifs, worms)) > 0.3)
    load[:, 0] = np.where(load.any(1), load[:, 0], 1.0)  # a motif of no worm could not be found
    common = 2.0 * slow(rng, worms, frames)
    clean = np.einsum("kw,kn,kt,wt->wnt", load, members, time, common)
    traces = clean + slow(rng, *clean.shape) + 0.1 * rng.normal(size=clean.shape)
    traces[rng.random((worms, neurons)) < 0.15] = np.nan
    return Planted(traces, clean, members, time, load)


def _power(rng, exponent, low, high, n):
    """Draws of a density x^-exponent between low and high."""
    u = rng.random(n)
    if exponent == 1:
        return low * (high / low) ** u
    a, b = low ** (1 - exponent), high ** (1 - exponent)
    return (a + u * (b - a)) ** (1 / (1 - exponent))


def _degrees(rng, n, mean, high):
    """Power law of exponent 2 up to `high`, cut below where its mean is right."""
    low, top = 0.5, float(mean)
    for _ in range(60):
        cut = (low + top) / 2
        if np.log(high / cut) / (1 / cut - 1 / high) < mean:
            low = cut
        else:
            top = cut
    return np.maximum(np.rint(_power(rng, 2, cut, high, n)).astype(int), 1)


def wired(rng, stubs: np.ndarray, allowed: np.ndarray, tries: int = 30) -> np.ndarray:
    """A simple graph whose degrees are `stubs` as nearly as `allowed` pairs (node, node) let them be:
    half-edges are joined at random; what makes a loop, a double or a forbidden edge is drawn again."""
    n, graph = len(stubs), np.zeros((len(stubs), len(stubs)), bool)
    left = np.repeat(np.arange(n), stubs)
    for _ in range(tries):
        left = rng.permutation(left)
        again = [left[-1]] if len(left) % 2 else []
        for i, j in zip(left[0::2], left[1::2], strict=False):
            if i != j and allowed[i, j] and not graph[i, j]:
                graph[i, j] = graph[j, i] = True
            else:
                again += [i, j]
        left = np.array(again, int)
        if len(left) < 2:
            break
    return graph


def benchmark_graph(
    rng, topology: float, weight: float, beta: float, mean: float | int, nodes: int
) -> tuple[np.ndarray, np.ndarray]:
    """Weights (node, node) and labels of a weighted LFR graph.

    Degrees follow a power law (exponent 2, at most 0.8 n), community sizes another (1, from 10 to half of
    all, or the mixing could not be had); each node has the share `topology` of its edges and `weight` of its
    strength, degree ** beta, outside. An edge gets the mean of what its two ends give to each of theirs.

    Source: Lancichinetti and Fortunato (2009), Phys. Rev. E 80, 016118, without its rewiring and its
    least-squares weights.
    """
    high = int(0.8 * nodes)
    degree = _degrees(rng, nodes, mean, high)
    sizes = []
    while sum(sizes) < nodes:
        sizes.append(int(_power(rng, 1, 10, nodes // 2, 1)[0]))
    sizes[-1] -= sum(sizes) - nodes
    if sizes[-1] < 10 and len(sizes) > 1:
        last = sizes.pop()
        sizes[-1] += last
    if len(sizes) == 1:  # one community says nothing: such graphs are skipped in the paper
        sizes = [nodes // 2, nodes - nodes // 2]
    inside = np.rint((1 - topology) * degree).astype(int)
    labels, room = np.zeros(nodes, int), np.array(sizes)
    for i in np.argsort(-degree):  # those with many partners first, where there are enough
        fits = (room > 0) & (np.array(sizes) > inside[i])
        fits = fits if fits.any() else room == np.where(room > 0, room, 0).max()
        labels[i] = rng.choice(np.flatnonzero(fits), p=room[fits] / room[fits].sum())
        room[labels[i]] -= 1
    inside = np.minimum(inside, np.array(sizes)[labels] - 1)
    same = labels[:, None] == labels
    within, across = wired(rng, inside, same), wired(rng, degree - inside, ~same)
    strength = (within | across).sum(1).astype(float) ** beta
    total = np.zeros((nodes, nodes))
    for graph, share in ((within, 1 - weight), (across, weight)):
        each = share * strength / np.maximum(graph.sum(1), 1)
        total += graph * (each[:, None] + each) / 2
    return total, labels


def rewired(rng, weights: np.ndarray) -> np.ndarray:
    """The same degrees and the same weights, without communities."""
    graph = wired(rng, (weights > 0).sum(1), np.ones(weights.shape, bool))
    i, j = np.nonzero(np.triu(graph))
    drawn = rng.permutation(weights[np.triu(weights) > 0])
    out = np.zeros(weights.shape)
    out[i, j] = out[j, i] = np.resize(drawn, len(i))
    return out


@dataclass(frozen=True)
class Worm:
    """`traces` (neuron, frame), `partners` (pair of left and right, 2), `synapses` (neuron, neuron)."""

    traces: np.ndarray
    names: tuple[str, ...]
    partners: np.ndarray
    synapses: np.ndarray


def load(settings: dict) -> Worm:
    """98 neurons of one worm and who has a synapse with whom (Cook, either direction); or a stand-in of
    partners that belong to the same motifs."""
    if settings["data"] != "worm":
        made = plant(np.random.default_rng(0), 10, 1, 300, 4)
        base = np.nan_to_num(made.clean[0])
        rng = np.random.default_rng(1)
        traces = np.concatenate([base + slow(rng, 10, 300), base + slow(rng, 10, 300)])
        names = tuple(f"A{c}{side}" for side in "LR" for c in "ABCDEFGHIJ")
        edges = np.tile(made.members.T @ made.members > 0, (2, 2))
    else:
        from neuropil.worlds import datasets

        recording = datasets.load("celegans-whole-brain-calcium")
        traces = np.asarray(recording.data.values)[0].T.astype(float)
        names = tuple(str(name) for name in recording.data["unit"].values)
        at = {name: i for i, name in enumerate(names)}
        edges = np.zeros((len(names), len(names)), bool)
        table = datasets.load("celegans-connectome").cook
        for pre, post in zip(table["pre"], table["post"], strict=True):
            if pre in at and post in at:
                edges[at[pre], at[post]] = True
    at = {name: i for i, name in enumerate(names)}
    pairs = [(i, at[n[:-1] + "R"]) for n, i in at.items() if n[-1] == "L" and n[:-1] + "R" in at]
    edges = (edges | edges.T) & ~np.eye(len(names), dtype=bool)
    return Worm(traces, names, np.array(pairs), edges)
