"""Geometry beyond RDMs beside the common packages, on equal input: medians in milliseconds.

`python benchmarks/geometry.py [names]`. Peers (netrep, DSA, POT, mftma) are measured where they are installed,
in this process, in turn with ours; a peer from an environment of its own comes in by PYTHONPATH. Numbers are
checked to agree before they are timed.
"""

from __future__ import annotations

import sys
import time

import numpy as np
from _common import pin


def data(n, p, q):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, p))
    y = x @ rng.normal(size=(p, q)) / np.sqrt(p) + rng.normal(size=(n, q))
    return x, y


def cka():
    import netrep.metrics.cka as theirs
    from netrep.metrics.cka import LinearCKA
    from netrep.utils import angular_distance

    from neuropil.compare.cka import linear_cka

    theirs.angular_distance = angular_distance
    x, y = data(1000, 400, 300)
    peer = LinearCKA()
    return (
        "linear CKA, 1,000 stimuli x 400 and 300 units",
        "netrep",
        lambda: float(np.arccos(linear_cka(x, y))),
        lambda: float(peer.score(x, y)),
    )


def procrustes():
    from netrep.metrics import LinearMetric

    from neuropil.compare.shape import shape_distance

    x, y = data(1000, 300, 300)
    return (
        "Procrustes angle, 1,000 stimuli x 300 units",
        "netrep",
        lambda: shape_distance(x, y),
        lambda: float(LinearMetric(alpha=1.0).fit_score(x, y)),
    )


def partial():
    from netrep.metrics import LinearMetric

    from neuropil.compare.shape import shape_distance

    x, y = data(1000, 300, 300)
    return (
        "shape distance, alpha 0.5, 1,000 x 300",
        "netrep",
        lambda: shape_distance(x, y, alpha=0.5),
        lambda: float(LinearMetric(alpha=0.5).fit_score(x, y)),
    )


def matching():
    import ot

    from neuropil.compare.matching import soft_matching

    x, y = data(500, 120, 80)

    def theirs():
        a, b = (z - z.mean(0) for z in (x, y))
        r = (a / np.linalg.norm(a, axis=0)).T @ (b / np.linalg.norm(b, axis=0))
        return float((ot.emd(np.full(120, 1 / 120), np.full(80, 1 / 80), 1 - r) * r).sum())

    return "soft matching, 120 and 80 units", "POT", lambda: soft_matching(x, y), theirs


def dsa():
    import torch
    from DSA.simdist import SimilarityTransformDist

    from neuropil.compare.dynamics import similarity_distance

    rng = np.random.default_rng(0)
    a, b = (0.9 * np.linalg.qr(rng.normal(size=(15, 15)))[0] for _ in range(2))
    peer = SimilarityTransformDist(iters=1500, lr=0.01, score_method="angular")

    def theirs():
        torch.manual_seed(0)
        return float(peer.fit_score(torch.tensor(a).float(), torch.tensor(b).float()))

    return (
        "DSA angle of two 15 x 15 operators",
        "dsa-metric",
        lambda: similarity_distance(a, b),
        theirs,
    )


def capacity():
    import mftma.manifold_analysis_correlation as theirs

    from neuropil.compare.manifolds import manifold_geometry

    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(10), 30)
    x = rng.normal(size=(10, 200))[y] + rng.normal(size=(300, 200))
    x = x - x.mean(0)

    def peer():
        each = []
        for i in range(10):
            cloud = x[y == i]
            shape = (cloud - cloud.mean(0)) / np.linalg.norm(cloud.mean(0))
            s = np.concatenate([np.linalg.qr(shape.T)[1], np.ones((1, 30))])
            t = np.random.default_rng((0, i)).normal(size=(20, 31)).T
            each.append(theirs.each_manifold_analysis_D1(s, 0, 20, t_vec=t)[0])
        return float(1 / np.mean(1 / np.array(each)))

    return (
        "manifold capacity, 10 x 30 points, 20 draws",
        "mftma",
        lambda: manifold_geometry(x, y, samples=20, removed=0).alpha,
        peer,
    )


CASES = {f.__name__: f for f in (cka, procrustes, partial, matching, dsa, capacity)}


def measure(case, rounds=7):
    what, name, ours, theirs = case()
    first, second = ours(), theirs()
    # both are minima by search for DSA: ours may only be lower
    same = first <= second + 1e-5 if name == "dsa-metric" else np.isclose(first, second, rtol=1e-5)
    if not same:
        raise SystemExit(f"{what}: {first} here and {second} in {name}")
    times: dict[str, list[float]] = {"ours": [], "theirs": []}
    for _ in range(rounds):
        for key, call in (("ours", ours), ("theirs", theirs)):
            begin = time.perf_counter()
            call()
            times[key].append(1e3 * (time.perf_counter() - begin))
            if sum(times["theirs"]) > 12e3:
                break
    a, b = (float(np.median(t)) for t in times.values())
    print(
        f"| {what} | {a:.2f} | {name} {b:.1f} | {b / a:.1f} | {first:.4f} / {second:.4f} |",
        flush=True,
    )


if __name__ == "__main__":
    pin()
    print("| workload | here, ms | peer, ms | times faster | values |\n|---|---|---|---|---|")
    for chosen in sys.argv[1:] or CASES:
        try:
            measure(CASES[chosen])
        except ImportError as missing:
            print(f"| {chosen} | not measured: {missing} |")
