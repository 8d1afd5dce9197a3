"""What every benchmark needs: interleaved subprocesses, memory and time of one of them, a table.

A benchmark script runs itself: as a driver it starts one subprocess at a time, the variants in turn and
several rounds of them, so that a machine that grows slower slows all variants alike; as a worker
(`--worker NAME`) it measures one variant and prints one line of JSON.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "RESULTS.md"
MACHINE = "2 cores, 24 GiB, AMD EPYC"
THREADS = 2


def environment(extra: dict[str, str] | None = None) -> dict[str, str]:
    """The environment of a worker: a fixed number of threads, the CPU, the library importable."""
    env = dict(os.environ)
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NPROC"):
        env[name] = str(THREADS)
    env["JAX_PLATFORMS"] = "cpu"
    env["PYTHONPATH"] = os.pathsep.join([str(HERE.parent), str(HERE), env.get("PYTHONPATH", "")])
    return env | (extra or {})


def pin() -> None:
    """Keep this process on the first `THREADS` cores it may use."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:THREADS])


def forget_peak() -> float:
    """Set the peak of the resident memory back to what is resident now; returns that, in GB."""
    Path("/proc/self/clear_refs").write_text("5")
    return resident()


def resident() -> float:
    """Resident memory now, in GB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e9


def peak() -> float:
    """Peak of the resident memory since `forget_peak`, in GB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024 / 1e9
    raise RuntimeError("no VmHWM in /proc/self/status; this benchmark needs Linux")


def clock(call, repeats: int) -> tuple[float, list[float]]:
    """(seconds of the first call, seconds of the later ones); `call` must wait for its result."""
    begin = time.perf_counter()
    call()
    first = time.perf_counter() - begin
    call()  # one more that is not counted: allocators and caches settle
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        call()
        times.append(time.perf_counter() - begin)
    return first, times


def once(call) -> dict:
    """{"first", "times", "cpu"} of one call alone: for work that takes minutes and compiles nothing."""
    begin = time.perf_counter()
    call()
    return {"first": time.perf_counter() - begin, "times": [], "cpu": []}


def clock_both(call, repeats: int, settle: bool = True) -> dict:
    """{"first", "times", "cpu"}: as `clock`, and the processor seconds of each call, summed over threads.

    On a machine that others use too, processor seconds say more than those of the wall.
    """
    begin = time.perf_counter()
    call()
    first = time.perf_counter() - begin
    if settle:
        call()
    times, cpu = [], []
    for _ in range(repeats):
        begin, used = time.perf_counter(), time.process_time()
        call()
        times.append(time.perf_counter() - begin)
        cpu.append(time.process_time() - used)
    return {"first": first, "times": times, "cpu": cpu}


def apart(tree):
    """The same arrays in buffers of their own: equal outputs of a program may share one, and a shared one
    cannot be donated twice."""
    import equinox as eqx
    import jax
    import jax.numpy as jnp

    return jax.tree.map(lambda a: jnp.copy(a) if eqx.is_array(a) else a, tree)


def worker(python: str, script: str, args: list[str], extra: dict | None = None) -> dict:
    """One subprocess that prints one line of JSON last; {"skipped": reason} where it cannot run."""
    done = subprocess.run(
        [python, script, *args], env=environment(extra), capture_output=True, text=True
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode or not lines:
        reason = (done.stderr.strip().splitlines() or ["no output"])[-1]
        return {"skipped": reason[:200]}
    return json.loads(lines[-1])


def peer(python: str | None, script: str, args: list[str], option: str) -> dict:
    """A worker beside this file in a peer's environment; left out where none is named by `option`."""
    if not python or not Path(python).exists():
        return {"skipped": f"no environment named; give {option}"}
    return worker(python, str(HERE / script), args)


def rounds(jobs: dict, count: int, say=print) -> dict[str, list[dict]]:
    """Every job in turn, `count` times round: {name: [what each subprocess printed]}."""
    found: dict[str, list[dict]] = {name: [] for name in jobs}
    for r in range(count):
        for name, job in jobs.items():
            if found[name] and "skipped" in found[name][-1]:
                continue
            begin = time.perf_counter()
            found[name].append(job())
            seconds = time.perf_counter() - begin
            note = found[name][-1].get("skipped", "ok")
            say(f"round {r + 1}/{count}  {name}: {note} ({seconds:.0f} s)", file=sys.stderr)
    return found


def spread(times: list[float], unit: float = 1.0, digits: int = 2) -> str:
    """median [min..max]."""
    low, mid, high = min(times) / unit, statistics.median(times) / unit, max(times) / unit
    return f"{mid:.{digits}f} [{low:.{digits}f}..{high:.{digits}f}]"


def table(head: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def store(section: str, text: str) -> None:
    """Put a section into RESULTS.md, in place of the one of that name."""
    mark, end = f"<!-- begin {section} -->", f"<!-- end {section} -->"
    old = RESULTS.read_text() if RESULTS.exists() else "# Benchmarks\n\nWritten by the scripts.\n"
    block = f"{mark}\n{text.strip()}\n{end}\n"
    if mark in old:
        before, _, rest = old.partition(mark)
        after = rest.partition(end)[2].lstrip("\n")
        new = before + block + ("\n" + after if after else "")
    else:
        new = old.rstrip("\n") + "\n\n" + block
    RESULTS.write_text(new)
