"""The workloads of rsa.py in rsatoolbox (run in an environment of its own), one a process."""

import json
import sys
import time
import warnings

import _common as c
import _rsa_task as t
import numpy as np

warnings.filterwarnings("ignore")
c.pin()
import rsatoolbox as rsa  # noqa: E402

name, repeats = sys.argv[1], int(sys.argv[2])
found = {}
if name.startswith("crossnobis"):
    data, precision = t.patterns("precision" in name)
    c.forget_peak()
    before = c.resident()
    runs, conditions = (
        np.repeat(np.arange(t.RUNS), t.STIMULI),
        np.tile(np.arange(t.STIMULI), t.RUNS),
    )
    described = {"conds": conditions, "runs": runs}
    sets = [
        rsa.data.Dataset(x.reshape(-1, t.CHANNELS).astype(float), obs_descriptors=described)
        for x in data
    ]
    noise = None if precision is None else [precision] * len(sets)

    def once():
        out = rsa.rdm.calc_rdm(
            sets, method="crossnobis", descriptor="conds", cv_descriptor="runs", noise=noise
        )
        found["check"] = float(out.dissimilarities.mean())
else:
    models, subjects = t.rdms()
    c.forget_peak()
    before = c.resident()
    data = rsa.rdm.RDMs(subjects)
    fixed = [rsa.model.ModelFixed(f"m{k}", m) for k, m in enumerate(models)]

    def once():
        out = rsa.inference.eval_bootstrap(
            fixed, data, method="corr", N=t.DRAWS, boot_noise_ceil="ceiling" in name
        )
        found["check"] = float(np.nanmean(out.evaluations))


begin = time.perf_counter()
once()
result = {"first": time.perf_counter() - begin, "times": []}
for _ in range(repeats):  # half a minute each: none is left out to settle
    begin = time.perf_counter()
    once()
    result["times"].append(time.perf_counter() - begin)
memory = c.peak() - before
print(json.dumps({"library": "rsatoolbox", "memory": memory, **result, **found}))
