"""`run`: from a slug to verdicts, in a folder that a killed run can be taken up from."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from neuropil.cache import cache_folder
from neuropil.studies.environment import code, environment, promised
from neuropil.studies.finish import describe, finish
from neuropil.studies.folder import Job, read_json, whole_lines, write_json
from neuropil.studies.plan import Plan, plan
from neuropil.studies.pool import run_jobs
from neuropil.studies.progress import Bar
from neuropil.studies.refuse import Refused
from neuropil.studies.study import Study

IN_PROCESS = "smoke"


def compilation_cache() -> None:
    """Let JAX keep compiled functions across processes and runs."""
    import jax

    jax.config.update("jax_compilation_cache_dir", str(cache_folder() / "xla"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.3)


def bench(study: Study, settings: dict) -> Any:
    """The study's data loaded, ready to build arms. Refused where the data cannot be read."""
    from neuropil.studies.job import Bench

    try:
        data = study.load(settings)
    except (ValueError, OSError, EOFError) as error:
        raise Refused(f"{study.slug}: its data cannot be loaded: {error}") from error
    return Bench(study, settings, data)


def run(
    target: str,
    scale: str | None = None,
    *,
    seeds: int | None = None,
    sets: Iterable[str] = (),
    out: Path | str | None = None,
    resume: bool = False,
    workers: int | None = None,
    console: Any = None,
) -> tuple[dict, Path]:
    """Run a study; the summary and the folder it was written to.

    **Arguments**: as on the command line, `neuropil run --help`.

    Raises Refused (a ValueError of one line) for whatever cannot be done.
    """
    from rich.console import Console

    console = console or Console(stderr=True)
    settled = plan(target, scale, seeds, sets, out, resume, workers)
    return execute(settled, console), settled.folder.path


def execute(plan: Plan, console: Any) -> dict:
    """Do what was planned."""
    with plan.folder.lock() as lock:
        _open(plan, console)
        ticks = {arm: plan.study.chunks(arm, plan.settings) for arm in plan.study.arms}
        alone = plan.scale == IN_PROCESS or _accelerator()
        jobs = plan.jobs(_accelerator())
        left = [job for job in jobs if not _complete(plan, job, ticks[job[0]])]
        if plan.demo:
            console.print(
                f"[bold]A demonstration on {plan.demo}, not the claim[/]: {_why_demo(plan)}"
            )
        workers = 1 if alone else plan.workers
        try:
            with Bar(console, left, ticks, len(jobs) - len(left), workers) as seen:
                if not left:
                    pass
                elif alone:
                    _in_process(plan, left, seen, console)
                else:
                    run_jobs(plan.folder, left, workers, lock, seen)
        except KeyboardInterrupt:
            raise Refused(f"interrupted; go on with: {plan.again()}", 130) from None
        except OSError as error:
            raise _disk(plan, error) from error
        except Refused as refused:
            if refused.code == 1:
                raise Refused(f"{refused}; go on with: {plan.again()}", 1) from refused
            raise
        try:
            return finish(plan)
        except OSError as error:
            raise _disk(plan, error) from error


def _why_demo(plan: Plan) -> str:
    if plan.study.scales[plan.scale].get("data") == plan.demo:
        return f"scale {plan.scale} runs on embedded data"
    missing = plan.study.datasets
    get = " and ".join(f"neuropil data get {name}" for name in missing)
    return f"{', '.join(missing)} is not on this machine ({get} fetches it)"


def _disk(plan: Plan, error: OSError) -> Refused:
    why = error.strerror or str(error)
    return Refused(
        f"cannot write in {plan.folder.path}: {why}; what is stored stays; make room, then:"
        f" {plan.again()}",
        1,
    )


def _open(plan: Plan, console: Any) -> None:
    """Write what is known before the first chunk, or see that a resumed run is still the same."""
    here = {**environment(plan.datasets), "device": _device()}
    if not plan.resume:
        config = {**plan.config(), "workers": plan.workers}
        config |= {"promised": promised(plan.study.slug), "code": code()}
        try:
            write_json(plan.folder / "environment.json", here)
            write_json(plan.folder / "study.json", describe(plan.study))
            write_json(plan.folder / "config.json", config)
        except OSError as error:
            raise _disk(plan, error) from error
        return
    then = read_json(plan.folder / "environment.json")
    changed = [
        k for k in ("versions", "cpu", "device", "code", "datasets") if then.get(k) != here[k]
    ]
    if changed:
        console.print(
            f"[yellow]resumed with other {', '.join(changed)}[/]: its numbers may differ in the last"
            " bits from an uninterrupted run"
        )
        then.setdefault("resumed", []).append({k: here[k] for k in changed})
        write_json(plan.folder / "environment.json", then)


def _complete(plan: Plan, job: Job, ticks: int) -> bool:
    """Whether every line of a job is there and its last checkpoint stands."""
    arm, seeds = job
    if not (plan.folder.checkpoints(arm, seeds) / str(ticks)).is_dir():
        return False
    lines = (whole_lines(plan.folder.job(arm, seed) / "metrics.jsonl") for seed in seeds)
    return all(len(rows) == ticks for rows in lines)


def _device() -> str:
    import jax

    first = jax.devices()[0]
    return first.platform if first.platform == "cpu" else f"{first.platform}: {first.device_kind}"


def _accelerator() -> bool:
    import jax

    return jax.default_backend() != "cpu"


def _in_process(plan: Plan, jobs: list[Job], seen: Callable[[dict], Any], console: Any) -> None:
    """The jobs one after the other, in this process: small runs, and runs on a GPU."""
    import jax

    from neuropil.studies.job import run_job

    left = list(jobs)
    with jax.enable_x64(plan.study.x64), _stoppable(console) as stop:
        tools = bench(plan.study, plan.settings)
        while left:
            arm, seeds = left.pop(0)
            try:
                done = run_job(tools, plan.folder, arm, seeds, seen, stop)
            except jax.errors.JaxRuntimeError as error:
                if len(seeds) == 1 or "RESOURCE_EXHAUSTED" not in str(error):
                    raise
                console.print(
                    f"{arm}: {len(seeds)} seeds do not fit in memory together; one by one"
                )
                left = [(arm, (seed,)) for seed in seeds] + left
                continue
            if not done:
                raise KeyboardInterrupt
            seen({"event": "done", "arm": arm, "seeds": seeds})


@contextmanager
def _stoppable(console: Any) -> Iterator[Callable[[], bool]]:
    """Ctrl-C once: stop at the end of this chunk; twice: at once."""
    pressed: list[int] = []

    def press(number: int, frame: Any) -> None:
        if pressed:
            raise KeyboardInterrupt
        pressed.append(number)
        console.print("stopping at the end of this chunk (Ctrl-C again: at once)")

    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    before = signal.signal(signal.SIGINT, press)
    try:
        yield lambda: bool(pressed)
    finally:
        signal.signal(signal.SIGINT, before)
