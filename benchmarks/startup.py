"""What a user waits for before anything happens: `neuropil list`, `--help`, and the imports behind them.

    python benchmarks/startup.py

Each command runs in a new process, interleaved; medians of wall time, the interpreter's own start shown apart.
"""

import statistics
import subprocess
import sys
import time

CASES = {
    "python alone": [sys.executable, "-c", "pass"],
    "neuropil list": [sys.executable, "-m", "neuropil.cli", "list"],
    "neuropil list --json": [sys.executable, "-m", "neuropil.cli", "list", "--json"],
    "neuropil --help": [sys.executable, "-m", "neuropil.cli", "--help"],
    "import neuropil": [sys.executable, "-c", "import neuropil"],
    "import neuropil.core (JAX)": [sys.executable, "-c", "import neuropil.core"],
}


def main(repeats: int = 9) -> None:
    """Print one line a case: median [min .. max] in seconds."""
    seconds: dict[str, list[float]] = {name: [] for name in CASES}
    for _ in range(repeats):
        for name, command in CASES.items():
            began = time.perf_counter()
            subprocess.run(command, check=True, capture_output=True)
            seconds[name].append(time.perf_counter() - began)
    for name, s in seconds.items():
        print(f"{name:28s} {statistics.median(s):.3f} s [{min(s):.3f} .. {max(s):.3f}]")


if __name__ == "__main__":
    main()
