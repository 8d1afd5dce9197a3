"""Models of recordings: HMM and GLM-HMM by EM beside dynamax, and decoders that filter, in one run.

    python benchmarks/fit.py [--dynamax-python PATH] [--rounds 3] [--repeats 5]

EM: 20,000 bins, 5 states, 20 iterations from the same start; Poisson counts of 50 cells, and binary choices
with 10 inputs. What is timed is a whole `fit`, checks of the data included; the first call, with compilation,
stands apart. dynamax compiles inside every call of `fit_em`. Filters: 200 channels, two velocities; by the tick
(one compiled call a bin, as online) and by the run of 1,000 bins.
dynamax lives in an environment of its own, named by `--dynamax-python` or NEUROPIL_DYNAMAX_PYTHON.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys

import _common as c
import _fit_task as t


def em(repeats: int) -> dict:
    """Both models by neuropil."""
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


def decoders(repeats: int) -> dict:
    """Microseconds a bin of both filters."""
    import equinox as eqx
    import jax
    import jax.numpy as jnp

    from neuropil.core import advance, start
    from neuropil.fit.filters import DiscriminativeKalmanDecoder, KalmanDecoder

    z, x = t.velocity()
    out = {}
    for name, model in (("kalman", KalmanDecoder()), ("dkf", DiscriminativeKalmanDecoder())):
        model.fit(x[: t.TRAIN], z[: t.TRAIN])
        test = x[t.TRAIN :]
        out[name + "_run"] = c.clock_both(
            lambda model=model, test=test: model.predict(test), repeats
        )

        one = eqx.filter_jit(lambda system, carry, row: advance(system, carry, row))
        row = model._features(jnp.asarray(test[:1] - model.center_, float))[0]
        carry = start(model.system_, 1.0, jax.random.key(0))

        def online(model=model, one=one, row=row, carry=carry):
            for _ in range(100):
                carry, belief = one(model.system_, carry, row)
            jax.block_until_ready(belief.mean)

        out[name + "_tick"] = c.clock_both(online, repeats)
    return out


def report(found: dict[str, list[dict]]) -> str:
    """The two tables."""
    ours = found["neuropil"]
    merge = lambda runs, name, what="times": [v for run in runs for v in run[name][what]]
    lines = []
    peers = {"neuropil": ours, "dynamax": found["dynamax"]}
    for name, title in (("poisson", "Poisson HMM, 50 cells"), ("glm", "GLM-HMM, binary choice")):
        base = statistics.median(merge(ours, name))
        for who, runs in peers.items():
            if "skipped" in runs[0]:
                lines.append([title, who, runs[0]["skipped"], "", "", ""])
                continue
            times = merge(runs, name)
            first = statistics.median(run[name]["first"] for run in runs)
            cpu = statistics.median(merge(runs, name, "cpu"))
            lines.append(
                [title, runs[0].get("name", who), c.spread(times, 1e-3, 1), f"{1e3 * cpu:.1f}",
                 f"{statistics.median(times) / base:.2f}", f"{first:.2f}"]
            )  # fmt: skip
    head = [
        "20 iterations of EM",
        "library",
        "ms a fit",
        "CPU ms",
        "times neuropil",
        "first call (s)",
    ]
    text = f"## Models of recordings\n\n{c.MACHINE}, {c.THREADS} threads; median [min..max]; CPU ms: of all "
    text += f"threads. Mean load of the machine at the end: {os.getloadavg()[0]:.1f}.\n\n{c.table(head, lines)}"
    if "skipped" not in found["dynamax"][0]:
        a, b = ours[0]["likelihood"], found["dynamax"][0]["likelihood"]
        text += f"\n\nLog likelihood of the counts at the same parameters: {a:.2f} and {b:.2f}, "
        text += f"{abs(a - b) / abs(b):.1e} apart."
    rows = []
    for name, title in (("kalman", "Kalman"), ("dkf", "discriminative Kalman")):
        run, tick = (merge(ours, f"{name}_{how}") for how in ("run", "tick"))
        cpu = [statistics.median(merge(ours, f"{name}_{how}", "cpu")) for how in ("run", "tick")]
        rows.append(
            [title, c.spread(run, 1e-6 * t.BINS, 1), f"{cpu[0] / t.BINS * 1e6:.1f}",
             c.spread(tick, 1e-4, 1), f"{cpu[1] * 1e4:.1f}"]
        )  # fmt: skip
    head = [
        "decoder, 200 channels",
        "us a bin, run of 1,000",
        "CPU us",
        "us a bin, tick by tick",
        "CPU us",
    ]
    return text + "\n\n" + c.table(head, rows)


def main() -> None:
    """Workers in turn, then the tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--dynamax-python", default=os.environ.get("NEUROPIL_DYNAMAX_PYTHON"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--worker", action="store_true")
    options = parser.parse_args()
    if options.worker:
        c.pin()
        print(json.dumps(em(options.repeats) | decoders(options.repeats)))
        return
    repeats = str(options.repeats)
    jobs = {
        "neuropil": lambda: c.worker(sys.executable, __file__, ["--worker", "--repeats", repeats]),
        "dynamax": lambda: c.peer(
            options.dynamax_python, "_fit_dynamax.py", [repeats], "--dynamax-python"
        ),
    }
    text = report(c.rounds(jobs, options.rounds))
    c.store("fit", text)
    print(text)


if __name__ == "__main__":
    main()
