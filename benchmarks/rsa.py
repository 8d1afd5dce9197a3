"""Representational similarity beside rsatoolbox, in one run: crossnobis RDMs and the bootstrap of models.

    python benchmarks/rsa.py [--rsatoolbox-python PATH] [--part rdms|inference] [--rounds 1]

rsatoolbox lives in an environment of its own, named by `--rsatoolbox-python` or NEUROPIL_RSATOOLBOX_PYTHON
(`pip install rsatoolbox==0.3.2`); where it is not there it is left out, with the reason. The same random data
go into both (`_rsa_task.py`); rsatoolbox computes in double precision, neuropil in the single precision of the
data for crossnobis and in double for the bootstrap. Both draw stimuli and subjects; the draws differ, so means
agree to the error of 1,000 draws only (tests/against compares the same draws to rounding). `models` is the
whole of `compare_models`: both bootstraps and the jackknife of the corrected variance, 1,000 relabellings,
tests.
"""

from __future__ import annotations

import argparse
import json
import os
import sys

import _common as c
import _rsa_task as t

PARTS = {
    "rdms": ["crossnobis", "crossnobis, precision"],
    "inference": ["bootstrap, ceiling", "bootstrap", "models"],
}
WORK = [name for names in PARTS.values() for name in names]
LIMITS = {
    "crossnobis": "0.06 s: the products at peak",
    "crossnobis, precision": "0.5 s: the same",
    "bootstrap": "0.1 s",
    "bootstrap, ceiling": "0.1 s",
}


def measure(name: str, repeats: int) -> None:
    """The worker for neuropil."""
    c.pin()
    import numpy as np

    from neuropil.compare.geometry import compare_models, crossnobis
    from neuropil.compare.resampled import resampled

    found = {}
    if name.startswith("crossnobis"):
        data, precision = t.patterns("precision" in name)
        c.forget_peak()
        before = c.resident()

        def once():
            found["check"] = float(crossnobis(data, precision).mean(dtype=float))
    else:
        models, subjects = t.rdms()
        c.forget_peak()
        before = c.resident()
        rng = np.random.default_rng(0)

        def drawn(n):
            out = np.zeros((t.DRAWS, n))
            np.add.at(out, (np.arange(t.DRAWS)[:, None], rng.integers(0, n, (t.DRAWS, n))), 1)
            return out

        def once():
            if name == "models":
                draws = compare_models(models, subjects).score.draws
            else:
                people = drawn(t.SUBJECTS)[None]
                args = models, subjects, drawn(t.STIMULI), people, "pearson", "ceiling" in name
                draws = resampled(*args).value
            found["check"] = float(np.nanmean(draws))

    result = c.clock_both(once, repeats)
    memory = c.peak() - before
    print(json.dumps({"library": "neuropil", "memory": memory, **result, **found}))


def main() -> int:
    """All rows, printed and stored."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--worker", choices=WORK)
    parser.add_argument("--rsatoolbox-python", default=os.environ.get("NEUROPIL_RSATOOLBOX_PYTHON"))
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--part", choices=PARTS, nargs="*", default=list(PARTS))
    parser.add_argument("--dry", action="store_true", help="print only, leave RESULTS.md")
    options = parser.parse_args()
    if options.worker:
        measure(options.worker, options.repeats)
        return 0
    for part in options.part:
        text = table(part, options)
        print(text)
        if not options.dry:
            c.store(f"rsa {part}", text)
    return 0


def table(part: str, options) -> str:
    """The rows of one part in Markdown."""
    jobs = {}
    for name in PARTS[part]:
        args = ["--worker", name, "--repeats", str(options.repeats)]
        jobs[name, "neuropil"] = lambda args=args: c.worker(sys.executable, __file__, args)
        if name != "models":
            args = [name, "1" if "ceiling" in name else "2"]
            jobs[name, "rsatoolbox"] = lambda args=args: c.peer(
                options.rsatoolbox_python, "_rsa_rsatoolbox.py", args, "--rsatoolbox-python"
            )
    rows = []
    for (name, library), runs in c.rounds(jobs, options.rounds).items():
        if "skipped" in runs[0]:
            rows.append([name, library, runs[0]["skipped"], "", "", "", ""])
            continue
        rows.append(
            [
                name,
                library,
                f"{c.spread([x for r in runs for x in r['times']], digits=3)} s",
                f"{runs[0]['first']:.2f} s",
                f"{min(r['memory'] for r in runs):.2f} GB",
                f"{runs[0]['check']:.6f}",
                LIMITS.get(name, "") if library == "neuropil" else "",
            ]
        )
    head = [
        "work",
        "library",
        "time",
        "first call",
        "memory above the data",
        "mean of results",
        "limit",
    ]
    if part == "rdms":
        text = (
            f"{t.SETS} sets of {t.STIMULI} stimuli x {t.RUNS} runs x {t.CHANNELS} channels, in single "
            "precision here and in double there."
        )
    else:
        text = (
            f"{t.MODELS} models on {t.SUBJECTS} subjects' RDMs of {t.STIMULI} stimuli, {t.DRAWS} draws of both "
            "(other draws here and there)."
        )
    text += f" {c.MACHINE}, {c.THREADS} threads. Nothing is compiled: a first call costs what a later one does."
    title = {"rdms": "crossnobis", "inference": "bootstrap of models"}[part]
    return f"## Representational similarity beside rsatoolbox: {title}\n\n{c.table(head, rows)}\n\n{text}\n"


if __name__ == "__main__":
    sys.exit(main())
