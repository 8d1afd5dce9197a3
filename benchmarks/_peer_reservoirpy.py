"""reservoirpy on the task of reservoir.py. Run by it, in an environment of its own."""

import argparse
import json

import _common as c
import _reservoir_task as t


def main() -> None:
    """One line of JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    c.pin()
    import reservoirpy
    from reservoirpy.nodes import Reservoir, Ridge

    x, y, x_test, y_test = t.series()
    found = []

    def once():
        net = Reservoir(units=t.UNITS, lr=t.LEAK, sr=t.RADIUS, rc_connectivity=t.DENSITY, seed=1)
        model = net >> Ridge(ridge=t.RIDGE)
        model.fit(x, y, warmup=t.WASHOUT)
        found.append(model.run(x_test))

    clocked = c.clock_both(once, options.repeats)
    name = f"reservoirpy {reservoirpy.__version__}, float64"
    print(json.dumps({"library": name, **clocked, "nrmse": t.nrmse(found[-1], y_test)}))


if __name__ == "__main__":
    main()
