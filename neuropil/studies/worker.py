"""A worker: one process on one core that does the jobs it is sent, and says so line by line.

    python -m neuropil.studies.worker RUN_FOLDER CORE PARENT

The core is chosen before JAX starts: XLA then uses one thread, so a result does not depend on how
many workers there are, nor on what the others do.
"""

import json
import os
import signal
import sys
import traceback
from typing import Any

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


def pin(core: int) -> None:
    """Keep this process on one core, with one thread a numeric library."""
    for name in THREADS:
        os.environ[name] = "1"
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {core})
    else:
        flags = os.environ.get("XLA_FLAGS", "")
        os.environ["XLA_FLAGS"] = f"{flags} --xla_cpu_multi_thread_eigen=false".strip()
    os.environ["JAX_PLATFORMS"] = "cpu"


def die_with(parent: int) -> None:
    """End when the parent is killed (Linux), so that no orphan goes on writing."""
    if sys.platform != "linux":
        return
    import ctypes

    ctypes.CDLL(None, use_errno=True).prctl(1, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def main(folder: str, core: str, parent: str) -> int:
    """Do jobs from standard input until it ends; events go to what was standard output."""
    pin(int(core))
    die_with(int(parent))
    pipe = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # whatever prints goes to the log
    stopping: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, frame: stopping.append(number))

    def emit(event: dict) -> None:
        if os.getppid() != int(parent):
            os._exit(1)
        pipe.write(json.dumps(event) + "\n")

    try:
        _work(folder, emit, stopping)
    except Exception as error:
        emit(failure(error))
        return 1
    return 0


def failure(error: Exception) -> dict:
    """An error as an event: the line of a refusal, or the traceback (to the log) and its last line."""
    from neuropil.studies.refuse import Refused

    if isinstance(error, Refused):
        return {"event": "failed", "line": str(error), "code": error.code}
    traceback.print_exc()
    last = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{os.path.basename(last.filename)}:{last.lineno}"
    return {"event": "failed", "line": f"{type(error).__name__}: {error} ({where})", "code": 1}


def _work(path: str, emit: Any, stopping: list) -> None:
    from neuropil.studies.folder import RunFolder, read_json
    from neuropil.studies.plan import load

    folder = RunFolder(path)
    config = read_json(folder / "config.json")
    import jax

    from neuropil.studies.job import run_job
    from neuropil.studies.runner import bench, compilation_cache

    compilation_cache()

    settings = {k: tuple(v) if isinstance(v, list) else v for k, v in config["settings"].items()}
    study = load(config["target"])
    with jax.enable_x64(study.x64):
        tools = bench(study, settings)
        emit({"event": "ready"})
        for line in sys.stdin:
            job = json.loads(line)
            arm, seeds = job["arm"], tuple(job["seeds"])
            done = run_job(tools, folder, arm, seeds, emit, stop=lambda: bool(stopping))
            emit({"event": "done" if done else "stopped", **job})
            if stopping:
                return


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
