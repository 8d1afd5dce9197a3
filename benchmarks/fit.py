"""Models of recordings beside other libraries in one run: HMM, GLM-HMM, coupled GLM, decoders that filter.

    python benchmarks/fit.py [em filters glm] [--dynamax-python PATH] [--nemos-python PATH] [--rounds 3]

em: 20,000 bins, 5 states, 20 iterations from the same start; Poisson counts of 50 cells, and binary choices
with 10 inputs. What is timed is a whole `fit`, checks of the data included; the first call, with compilation,
stands apart. dynamax compiles inside every call of `fit_em`. filters: 200 channels, two velocities; bin by bin
(`decoder.online()`: NumPy in, NumPy out, as in a closed loop) and all 1,000 bins at once (`predict`).
glm: 20,000 bins of 100 cells, each from the past 30 bins of all through 5 bumps, one ridge penalty.
dynamax and NeMoS live in environments of their own, named by the options or by NEUROPIL_DYNAMAX_PYTHON and
NEUROPIL_NEMOS_PYTHON.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
from pathlib import Path

import _common as c
import _fit_task as t

PARTS = ("em", "filters", "glm")


def em(repeats: int, path: str) -> dict:
    """Both models with states by neuropil."""
    import numpy as np

    from neuropil.fit.emissions import GLM, Poisson
    from neuropil.fit.hmm import HMM

    task = t.hidden()
    more = dict(iterations=t.ITERATIONS, tolerance=0)
    poisson = HMM(t.STATES, Poisson(), start={"rate": task["rate"]}, **more)
    weights = np.concatenate([np.zeros((t.STATES, 1)), task["weights"]], axis=1)[:, :, None]
    glm = HMM(t.STATES, GLM("bernoulli"), start={"weights": weights}, **more)
    choices, x = task["choices"][:, None], task["x"]
    out = {}
    out["poisson"] = c.clock_both(lambda: poisson.fit(task["counts"]), repeats)
    out["glm"] = c.clock_both(lambda: glm.fit(choices, inputs=x), repeats)
    return out | {"likelihood": float(poisson.history_[0])}


def filters(repeats: int, path: str) -> dict:
    """Both filters by neuropil: seconds of a run of all bins, and of as many single bins."""
    import numpy as np

    from neuropil.fit.filters import DiscriminativeKalmanDecoder, KalmanDecoder

    z, x = t.velocity()
    out = {}
    for name, model in (("kalman", KalmanDecoder()), ("dkf", DiscriminativeKalmanDecoder())):
        model.fit(x[: t.TRAIN], z[: t.TRAIN])
        rows = x[t.TRAIN :]
        out[name + "_run"] = c.clock_both(lambda m=model, rows=rows: m.predict(rows), repeats)
        step, state = model.online()

        def online(step=step, state=state, rows=rows, said=out):
            for row in rows:
                state, guess = step(state, row)
                last = np.asarray(guess)
            said["last"] = np.atleast_2d(last)[-1]

        out[name + "_bin"] = c.clock_both(online, repeats)
        apart = [np.abs(out.pop("last") - model.predict(rows)[-1]).max()]
        few = lambda rows=rows, online=online: online(rows=rows.reshape(-1, t.FEW, t.CHANNELS))
        out[name + "_few"] = c.clock_both(few, repeats)
        apart.append(np.abs(out.pop("last") - model.predict(rows)[-1]).max())
        out[name + "_apart"] = float(max(apart))
    return out


def glm(repeats: int, path: str) -> dict:
    """The coupled GLM by neuropil; its coefficients go to `path`."""
    import jax
    import numpy as np

    from neuropil.fit.glm import GLM, raised_cosines

    counts, basis = t.coupled(), raised_cosines(t.FEATURES, t.LAGS)
    settings = GLM(penalty=t.PENALTY, basis=basis)
    found = []
    fit = lambda: found.append(jax.block_until_ready(settings.fit(counts)))
    out = c.clock_both(fit, repeats)
    fitted = found[-1]
    # kernels are basis x weights: the weights again, feature by feature as the design has them
    weights = np.linalg.lstsq(
        basis, np.asarray(fitted.kernels).transpose(2, 1, 0).reshape(t.LAGS, -1)
    )
    weights = weights[0].reshape(t.FEATURES, t.COUPLED, t.COUPLED).transpose(1, 0, 2)
    weights = weights.reshape(-1, t.COUPLED)
    np.save(path, np.vstack([np.asarray(fitted.bias)[None], weights]))
    return out


def merged(runs: list[dict], name: str | None, what: str = "times") -> list[float]:
    """One quantity of all rounds."""
    return [v for run in runs for v in (run if name is None else run[name])[what]]


def rows_of(title: str, peers: dict, name: str | None, unit: float, digits: int) -> list[list[str]]:
    """A row for each library, neuropil the first."""
    base, lines = statistics.median(merged(next(iter(peers.values())), name)), []
    for who, runs in peers.items():
        if "skipped" in runs[0]:
            lines.append([title, who, runs[0]["skipped"], "", "", ""])
            continue
        times = merged(runs, name)
        first = statistics.median((run if name is None else run[name])["first"] for run in runs)
        cpu = statistics.median(merged(runs, name, "cpu")) / unit
        lines.append([title, runs[0].get("name", who), c.spread(times, unit, digits), f"{cpu:.{digits}f}",
                      f"{statistics.median(times) / base:.2f}", f"{first:.2f}"])  # fmt: skip
    return lines


def machine() -> str:
    """Where and how it was measured."""
    return (
        f"{c.MACHINE}, {c.THREADS} threads; median [min..max]; CPU: of all threads. Load of the machine at "
        f"the end: {os.getloadavg()[0]:.1f}."
    )


def report_em(found: dict[str, list[dict]], paths: dict) -> str:
    """The table of both models with states."""
    peers = {"neuropil": found["neuropil"], "dynamax": found["dynamax"]}
    lines = rows_of("Poisson HMM, 50 cells", peers, "poisson", 1e-3, 1)
    lines += rows_of("GLM-HMM, binary choice", peers, "glm", 1e-3, 1)
    head = ["20 iterations", "library", "ms a fit", "CPU ms", "times neuropil", "first call (s)"]
    text = (
        f"## HMM and GLM-HMM by EM, 20,000 bins, 5 states\n\n{machine()}\n\n{c.table(head, lines)}"
    )
    if "skipped" not in peers["dynamax"][0]:
        a, b = (runs[0]["likelihood"] for runs in peers.values())
        text += f"\n\nLog likelihood of the counts at the same parameters: {a:.2f} and {b:.2f}, "
        text += f"{abs(a - b) / abs(b):.1e} apart."
    return text


def report_filters(found: dict[str, list[dict]], paths: dict) -> str:
    """Microseconds a bin."""
    ours, rows = found["neuropil"], []
    for name, title in (("kalman", "Kalman"), ("dkf", "discriminative Kalman")):
        row = [title]
        for how in ("bin", "few", "run"):
            cpu = statistics.median(merged(ours, f"{name}_{how}", "cpu"))
            row += [
                c.spread(merged(ours, f"{name}_{how}"), 1e-6 * t.BINS, 1),
                f"{cpu / t.BINS * 1e6:.1f}",
            ]
        rows.append([*row, f"{max(run[name + '_apart'] for run in ours):.1e}"])
    head = ["decoder, 200 channels", "us a bin, one by one", "CPU us", f"{t.FEW} at once", "CPU us",
            "1,000 at once", "CPU us", "apart at the last bin"]  # fmt: skip
    return f"## Decoders that filter\n\n{machine()}\n\n{c.table(head, rows)}"


def penalised(theta) -> float:
    """What both GLMs minimise, without log y!."""
    import numpy as np

    from neuropil.fit.glm import raised_cosines

    counts, theta = t.coupled(), theta.astype(float)
    design = t.history(counts, raised_cosines(t.FEATURES, t.LAGS))
    eta = theta[:1] + design @ theta[1:]
    return float((np.exp(eta) - counts * eta).sum() + t.PENALTY / 2 * (theta[1:] ** 2).sum())


def report_glm(found: dict[str, list[dict]], paths: dict) -> str:
    """The table of the coupled GLM, and how far coefficients are apart."""
    import numpy as np

    peers = {"neuropil": found["neuropil"], "NeMoS": found["NeMoS"]}
    head = [
        "50,100 coefficients",
        "library",
        "seconds a fit",
        "CPU s",
        "times neuropil",
        "first call (s)",
    ]
    lines = rows_of("GLM of 100 coupled cells", peers, None, 1.0, 2)
    text = (
        f"## Coupled GLM, 100 cells, 20,000 bins, float32\n\n{machine()}\n\n{c.table(head, lines)}"
    )
    if "skipped" not in peers["NeMoS"][0]:
        a, b = (np.load(path) for path in paths.values())
        apart, size = np.abs(a - b), np.sqrt((b[1:] ** 2).mean())
        ours, theirs = (penalised(theta) for theta in (a, b))
        text += f"\n\nCoefficients differ by {apart.max():.1e} at most, {np.sqrt((apart**2).mean()):.1e} root "
        text += f"mean square (of {size:.2f}). The penalised negative log likelihood that both minimise, in "
        text += f"double precision: neuropil {ours:.2f}, NeMoS {theirs:.2f} nats (the lower, the nearer)."
    return text


def main() -> None:
    """Workers in turn, then the tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], default=[])
    parser.add_argument("--dynamax-python", default=os.environ.get("NEUROPIL_DYNAMAX_PYTHON"))
    parser.add_argument("--nemos-python", default=os.environ.get("NEUROPIL_NEMOS_PYTHON"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--worker")
    o = parser.parse_args()
    if o.worker:
        c.pin()
        print(json.dumps(globals()[o.parts[0]](o.repeats, o.worker)))
        return
    repeats = str(o.repeats)
    with tempfile.TemporaryDirectory() as folder:
        paths = {who: str(Path(folder) / f"{who}.npy") for who in ("neuropil", "NeMoS")}
        for part in o.parts or PARTS:
            args = [part, "--worker", paths["neuropil"], "--repeats", repeats]
            jobs = {"neuropil": lambda args=args: c.worker(sys.executable, __file__, args)}
            if part == "em":
                jobs["dynamax"] = lambda: c.peer(
                    o.dynamax_python, "_fit_dynamax.py", [repeats], "--dynamax-python"
                )
            if part == "glm":
                jobs["NeMoS"] = lambda: c.peer(
                    o.nemos_python, "_fit_nemos.py", [repeats, paths["NeMoS"]], "--nemos-python"
                )
            text = globals()[f"report_{part}"](c.rounds(jobs, o.rounds), paths)
            c.store(f"fit-{part}", text)
            print(text)


if __name__ == "__main__":
    main()
