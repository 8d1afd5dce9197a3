"""Encoding models beside himalaya and scikit-learn: ridge, banded ridge, and a whole brain in pieces.

    python benchmarks/encoding.py [--himalaya-python PATH] [--keep FILE] [--only JOB ...] [--repeats 2]

Ridge: 20 penalties, 5 folds, 2,000 samples x 1,000 features x 20,000 targets. Banded: 2 bands, 20 shares of
them, 2,000 targets. A whole fit is timed, what depends on the features included. With `--keep` each job's
line is added to a file and the table is made of all lines in it, so that a run may be cut into parts; a peer
that takes minutes may try fewer shares (`--peer-draws`): the table says so and scales its time. himalaya and
torch live in an environment of their own, named by `--himalaya-python` or NEUROPIL_HIMALAYA_PYTHON.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from pathlib import Path

import _common as c
import _encoding_task as t

WHOLE = dict(images=10_000, features=2_000, targets=8 * 40_000)
JOBS = {
    "ridge neuropil": None,
    "ridge himalaya-numpy": None,
    "ridge himalaya-torch": None,
    "ridge sklearn": None,
    "banded neuropil": None,
    "banded himalaya-torch": None,
    "whole neuropil": None,
}


def flops(task: str, basis: float) -> float:
    """Arithmetic of the products with targets, in GFLOP: the basis of all penalties on every fold, the moments
    and the solution (and for bands the turn to each fold's axes)."""
    n, p, v = t.SAMPLES, t.FEATURES, t.TARGETS[task]
    fold = 2 * n * p * v * basis
    each = fold + (2 * p * p * v * t.FOLDS if task == "banded" else 0)
    return 1e-9 * ((t.DRAWS if task == "banded" else 1) * each + 2 * n * p * v + 4 * p * p * v)


def ridge(repeats: int) -> dict:
    """The plain search."""
    import jax
    import numpy as np

    from neuropil.compare.ridge import RidgeSearch

    x, y = t.data("ridge")
    out = {}

    def fit():
        search = RidgeSearch(x, t.ALPHAS, t.FOLDS)
        fitted = search.fit(y)
        out["alpha"] = fitted.alpha[: t.SHOWN].tolist()
        out["error"] = fitted.error[: t.SHOWN].tolist()
        out["basis"] = float(np.mean([int(plan.count) for plan in search.plans]))

    jax.devices()
    base = c.forget_peak()
    found = c.clock_both(fit, repeats) if repeats else c.once(fit)
    return found | out | {"peak": c.peak() - base}


def banded(repeats: int) -> dict:
    """The search over bands."""
    import jax

    from neuropil.compare.banded import BandedRidge

    x, y = t.data("banded")
    groups, out = [0] * (t.FEATURES // 2) + [1] * (t.FEATURES // 2), {}
    # kernels without a mean taken out, as himalaya's
    model = BandedRidge(groups, t.ALPHAS, t.FOLDS, t.shares(), fit_intercept=False)

    def fit():
        out["error"] = model.fit(x, y).error_[: t.SHOWN].tolist()

    jax.devices()
    base = c.forget_peak()
    found = c.clock_both(fit, repeats) if repeats else c.once(fit)
    return found | out | {"peak": c.peak() - base}


def whole(seconds: float) -> dict:
    """Some pieces of 8 subjects x 40,000 vertices x 10,000 images, each read from a file, and what the rest
    would take: features are prepared once a subject, then every piece costs the same."""
    import tempfile

    import numpy as np

    from neuropil.compare.ridge import RidgeSearch

    rng = np.random.default_rng(0)
    x = rng.standard_normal((WHOLE["images"], WHOLE["features"]), np.float32)
    with tempfile.TemporaryDirectory() as folder:
        path, columns = Path(folder) / "betas.npy", 4096
        betas = np.lib.format.open_memmap(path, "w+", np.float32, (len(x), columns))
        for begin in range(0, columns, 512):
            noise = rng.standard_normal((len(x), 512), np.float32)
            betas[:, begin : begin + 512] = noise + x[:, :512] * np.float32(0.3)
        betas.flush()
        betas = np.load(path, mmap_mode="r")
        base, begin = c.forget_peak(), time.perf_counter()
        search = RidgeSearch(x, t.ALPHAS, t.FOLDS)
        search.prepare(WHOLE["targets"])
        prepared = time.perf_counter() - begin
        width = search.width(WHOLE["targets"])
        weights = np.empty((WHOLE["features"], width), np.float32)
        took = []
        while sum(took) < seconds:
            at = len(took) % (columns // width) * width
            begin = time.perf_counter()
            search.fit(betas[:, at : at + width], out=weights)
            took.append(time.perf_counter() - begin)
    piece = statistics.median(took[1:] or took)
    hours = (8 * prepared + WHOLE["targets"] / width * piece) / 3600
    return dict(prepared=prepared, pieces=len(took), width=width, piece=piece, hours=hours,
                peak=c.peak() - base, resident=c.peak())  # fmt: skip


def apart(a: list[float], b: list[float]) -> float:
    """Largest relative difference."""
    return max(abs(x - y) / abs(y) for x, y in zip(a, b, strict=True))


def report(found: dict[str, dict]) -> str:
    """The tables and what they say."""
    text = "## Encoding models\n\n"
    text += f"{c.MACHINE}, {c.THREADS} threads; {t.SAMPLES:,} samples, {t.FEATURES:,} features, 20 penalties, "
    text += "5 folds, single precision. All other work was stopped. Peak: memory above the data.\n"
    for task, title in (("ridge", "Ridge"), ("banded", f"Banded ridge, 2 bands, {t.DRAWS} shares")):
        ours, lines = found.get(f"{task} neuropil"), []
        if ours is None or "skipped" in ours:
            continue
        base = statistics.median(ours["times"] or [ours["first"]])
        for job, run in found.items():
            if not job.startswith(task + " "):
                continue
            if "skipped" in run:
                lines.append([job.partition(" ")[2], run["skipped"], "", "", "", ""])
                continue
            scale = t.DRAWS / run.get("draws", t.DRAWS) if task == "banded" else 1
            times = [scale * v for v in run["times"] or [run["first"]]]
            name = run.get("name", "neuropil") + (
                "" if scale == 1 else f", {run['draws']} shares, time scaled"
            )
            lines.append(
                [name, c.spread(times), f"{scale * run['first']:.1f}",
                 f"{statistics.median(times) / base:.1f}", f"{run['peak']:.2f}",
                 "" if run is ours or "error" not in run or scale != 1
                 else f"{apart(ours['error'], run['error']):.0e}"]
            )  # fmt: skip
        head = ["library", "s a fit", "first fit", "times neuropil", "peak GB", "errors apart"]
        text += f"\n### {title}, {t.TARGETS[task]:,} targets\n\n{c.table(head, lines)}\n"
        if "basis" in ours:
            work = flops(task, ours["basis"])
            text += f"\nArithmetic with targets: {work:,.0f} GFLOP ({ours['basis']:.0f} products stand for 20 "
            text += f"penalties), {work / base:.0f} GFLOP/s over the whole fit, eigenvectors included.\n"
            for job, run in found.items():
                if job.startswith("ridge ") and "error" in run and run is not ours:
                    same = [
                        abs(a / b - 1) < 1e-5
                        for a, b in zip(ours["alpha"], run["alpha"], strict=True)
                    ]
                    text += f"\nThe same penalty as {run['name']} for {sum(same)} of {len(same)} targets.\n"
    if "whole neuropil" in found and "skipped" not in found["whole neuropil"]:
        w = found["whole neuropil"]
        text += (
            f"\n### A whole brain in pieces\n\n8 subjects x 40,000 vertices x {WHOLE['images']:,} images, "
            f"{WHOLE['features']:,} features: {w['prepared']:.0f} s a subject for what the features need, "
            f"then {w['piece']:.1f} s for each piece of {w['width']} vertices read from a file ({w['pieces']} "
            f"pieces were run); all {8 * 40_000:,} vertices would take {w['hours']:.1f} hours at that pace, "
            f"which was not run to its end. Peak of the whole process {w['resident']:.1f} GB.\n"
        )
    return text


def main() -> None:
    """Jobs in turn, then the tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--himalaya-python", default=os.environ.get("NEUROPIL_HIMALAYA_PYTHON"))
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--only", nargs="*", choices=list(JOBS))
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--peer-draws", type=int, default=t.DRAWS)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--worker")
    options = parser.parse_args()
    if options.worker:
        c.pin()
        job = dict(ridge=ridge, banded=banded).get(options.worker)
        print(json.dumps(job(options.repeats) if job else whole(options.seconds)))
        return
    found = {}
    if options.keep and options.keep.exists():
        found = {
            k: v
            for line in options.keep.read_text().splitlines()
            for k, v in json.loads(line).items()
        }
    for job in JOBS if options.only is None else options.only:
        task, who = job.split(" ")
        if who == "neuropil":
            more = [
                "--worker",
                task,
                "--repeats",
                str(options.repeats),
                "--seconds",
                str(options.seconds),
            ]
            found[job] = c.worker(sys.executable, __file__, more)
        else:
            more = [task, who, str(options.repeats), str(options.peer_draws)]
            found[job] = c.peer(
                options.himalaya_python, "_encoding_peer.py", more, "--himalaya-python"
            )
        print(
            job,
            {k: v for k, v in found[job].items() if k not in ("alpha", "error")},
            file=sys.stderr,
        )
        if options.keep:
            with options.keep.open("a") as lines:
                lines.write(json.dumps({job: found[job]}) + "\n")
    text = report({job: found[job] for job in JOBS if job in found})
    c.store("encoding", text)
    print(text)


if __name__ == "__main__":
    main()
