"""Worker of ei_network.py for Brian2 (C++ standalone); runs in its own environment, without neuropil."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import tempfile
import time

import _common as c
import _ei as e

options = e.options(__doc__, ["brian2-float64", "brian2-float32"])
c.pin()
import brian2 as b  # noqa: E402
import numpy as np  # noqa: E402
from brian2 import ms  # noqa: E402

kind = options.worker.rpartition("-")[2]
b.prefs.core.default_float_dtype = getattr(np, kind)
folder = tempfile.mkdtemp()
b.set_device("cpp_standalone", build_on_run=False)
begin = time.perf_counter()
b.defaultclock.dt = e.DT * ms
n, ne = options.cells, e.excitatory(options.cells)
model = f"""dv/dt = ({e.REST}*mV - v + ge*({e.E_E}*mV - v) + gi*({e.E_I}*mV - v))/({e.TAU}*ms)
    : volt (unless refractory)
dge/dt = -ge/({e.TAU_E}*ms) : 1
dgi/dt = -gi/({e.TAU_I}*ms) : 1""".replace("\n    :", " :")
cells = b.NeuronGroup(
    n,
    model,
    threshold=f"v > {e.THRESHOLD}*mV",
    reset=f"v = {e.RESET}*mV",
    refractory=e.REFRACTORY * ms,
    method="exponential_euler",
)
draw = {name: f"{mean} + {deviation}*randn()" for name, (mean, deviation) in e.BEGIN.items()}
cells.v = f"({draw['v']})*mV"
cells.ge = f"clip({draw['exc']}, 0, inf)"
cells.gi = f"clip({draw['inh']}, 0, inf)"
wires = [
    b.Synapses(cells[:ne], cells, on_pre=f"ge += {e.W_E}"),
    b.Synapses(cells[ne:], cells, on_pre=f"gi += {e.W_I}"),
]
for wire in wires:
    wire.connect(p=e.SYNAPSES / n)
spikes = b.SpikeMonitor(cells, record=bool(options.seeds))
net = b.Network(cells, *wires, spikes)
net.run(options.ms * ms)
b.device.build(directory=folder, compile=True, run=False, debug=False)
first = time.perf_counter() - begin


def once() -> float:
    """Seconds of the run loop alone, as the device reports them. No seed is set: each run draws its own."""
    b.device.run(folder, with_output=False, run_args=[])
    return b.device._last_run_time


if options.seeds:
    found = []
    for _ in range(options.seeds):
        once()
        found.append(e.statistics(np.asarray(spikes.i), np.asarray(spikes.t / ms), n, options.ms))
    print(json.dumps({"seeds": found}))
else:
    times = [once() for _ in range(options.repeats)]
    running = subprocess.Popen(["./main"], cwd=folder, stdout=subprocess.DEVNULL)
    usage = os.wait4(running.pid, 0)[2]  # of the simulation alone, not of the compiler
    print(
        json.dumps(
            {
                "library": f"Brian2 {b.__version__}, C++ standalone, {kind}",
                "first": first + statistics.median(times),
                "times": times,
                "rate": int(spikes.num_spikes) / n / (options.ms / 1000),
                "synapses": sum(len(w) for w in wires),
                "peak_gb": usage.ru_maxrss * 1024 / 1e9,
            }
        )
    )
