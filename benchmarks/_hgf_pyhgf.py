"""Worker of hgf.py for pyhgf; runs in an environment of its own, without neuropil."""

from __future__ import annotations

import argparse
import json

import _common as c
import _hgf_task as t
import numpy as np


def main() -> None:
    """One network reused, or a new one a call; prints one line of JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--n", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--update", default="standard")
    options = parser.parse_args()
    c.pin()
    import pyhgf
    from pyhgf.model import HGF

    x, found = t.series(options.n), {}

    def make():
        return HGF(
            n_levels=3,
            model_type="continuous",
            update_type=options.update,
            initial_mean={"1": 0.0, "2": 0.0, "3": 0.0},
            initial_precision=dict(zip("123", t.PRECISION, strict=True)),
            tonic_volatility=dict(zip("123", t.OMEGA, strict=True)),
            continuous_precision=t.NOISE,
        )

    def once(net):
        net.input_data(input_data=x)
        # without this the arrays may not be there yet
        found["mean"] = float(np.asarray(net.node_trajectories[2]["mean"])[-1])

    kept = make()
    reused = c.clock_both(lambda: once(kept), options.repeats)
    new = c.clock_both(lambda: once(make()), max(3, options.repeats // 3))
    name = f"pyhgf {pyhgf.__version__}, {options.update}"
    print(json.dumps({"library": name, "reused": reused, "new": new, **found}))


if __name__ == "__main__":
    main()
