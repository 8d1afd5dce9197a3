"""Worker of stdp.py for Brian2 (C++ standalone); runs in an environment of its own, without neuropil."""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time

import _common as c
import _stdp_task as t


def main() -> None:
    """Build once, run several times, print one line of JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--samples", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    c.pin()
    import brian2 as b
    from brian2 import ms, mV

    begin = time.perf_counter()
    b.set_device("cpp_standalone", build_on_run=False)
    b.defaultclock.dt = 1 * ms
    b.seed(0)
    tick, index = t.spikes(options.samples).reshape(-1, t.INPUTS).nonzero()
    enter = b.SpikeGeneratorGroup(t.INPUTS, index, tick * ms)
    excite = b.NeuronGroup(
        t.CELLS,
        """dv/dt = (-65*mV - v)/(100*ms) : volt (unless refractory)
        dtheta/dt = -theta/(1e7*ms) : volt
        total : 1""",
        threshold="v > -52*mV + theta",
        reset="v = -60*mV; theta += 0.05*mV",
        refractory=5 * ms,
        method="exact",
    )
    inhibit = b.NeuronGroup(
        t.CELLS,
        "dv/dt = (-60*mV - v)/(10*ms) : volt (unless refractory)",
        threshold="v > -40*mV",
        reset="v = -45*mV",
        refractory=2 * ms,
        method="exact",
    )
    excite.v, inhibit.v = -65 * mV, -60 * mV
    plastic = b.Synapses(
        enter,
        excite,
        """w : 1
        dpre/dt = -pre/(20*ms) : 1 (event-driven)
        dpost/dt = -post/(20*ms) : 1 (event-driven)""",
        on_pre="v_post += w*mV; pre = 1; w = clip(w - 1e-4*post, 0, 1)",
        on_post="post = 1; w = clip(w + 1e-2*pre, 0, 1)",
    )
    plastic.connect()
    plastic.w = t.weights().T.ravel()
    # between two samples: the sum of each cell's weights, then its scaling, then the sum is cleared
    between = {"dt": t.TICKS * ms, "when": "start"}
    plastic.run_regularly("total_post += w", order=0, **between)
    plastic.run_regularly(f"w = w * {t.TOTAL} / total_post", order=1, **between)
    excite.run_regularly("total = 0", order=2, **between)
    up = b.Synapses(excite, inhibit, on_pre="v_post += 22.5*mV")
    up.connect(j="i")
    down = b.Synapses(inhibit, excite, on_pre="v_post -= 120*mV")
    down.connect("i != j")
    monitor = b.SpikeMonitor(excite, record=False)
    net = b.Network(enter, excite, inhibit, plastic, up, down, monitor)
    net.run(options.samples * t.TICKS * ms)
    folder = tempfile.mkdtemp()
    b.device.build(directory=folder, compile=True, run=False)
    first, times, counts = time.perf_counter() - begin, [], []
    for _ in range(options.repeats):
        b.device.run(folder, with_output=False, run_args=[])
        times.append(b.device._last_run_time)
        counts.append(int(monitor.num_spikes))
    found = {"library": f"Brian2 {b.__version__}, C++", "first": first, "times": times, "cpu": []}
    print(json.dumps({**found, "spikes": statistics.median(counts) / options.samples}))


if __name__ == "__main__":
    main()
