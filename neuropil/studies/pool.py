"""A few pinned workers, a list of jobs, and what to do when a worker dies."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from neuropil.studies.catalogue import PACKAGE
from neuropil.studies.environment import cores
from neuropil.studies.folder import Job, RunFolder, label
from neuropil.studies.refuse import Refused


def choose(left: list[Job], latest: str | None, taken: set[str]) -> Job:
    """The next job of a worker: its own arm (already compiled), else a free arm, else any.

    >>> choose([("a", (1,)), ("b", (0,))], "b", {"a"})
    ('b', (0,))
    >>> choose([("a", (1,)), ("b", (0,))], None, {"a"})
    ('b', (0,))
    """
    own = [job for job in left if job[0] == latest]
    free = [job for job in left if job[0] not in taken]
    return (own or free or left)[0]


def _own_path() -> list[str]:
    """Where this process finds code beside its installation (a checkout, a script's folder)."""
    installed = (sys.prefix, sys.base_prefix)
    return [p for p in (str(PACKAGE.parent), *sys.path) if p and not p.startswith(installed)]


# XLA asks for its large buffers anew at every call; in huge pages they cost a fifth less of a training step.
HUGE = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}


class Worker:
    """A worker process with its log and the job it is on."""

    def __init__(self, folder: RunFolder, number: int, core: int, lock: int, events: queue.Queue):
        self.number = number
        self.job: Job | None = None
        self.latest: str | None = None
        self.log = folder / "logs" / f"worker-{number}.log"
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self.ended = False
        command = [sys.executable, "-m", "neuropil.studies.worker"]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*command, str(folder.path), str(core), str(os.getpid())],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                bufsize=1,
                pass_fds=(lock,) if os.name == "posix" else (),
                start_new_session=True,  # Ctrl-C reaches the parent alone
                env={**HUGE, **os.environ, "PYTHONPATH": os.pathsep.join(_own_path())},
            )
        self.thread = threading.Thread(target=self._listen, args=(events,), daemon=True)
        self.thread.start()

    def _listen(self, events: queue.Queue) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            events.put((self, json.loads(line)))
        events.put((self, {"event": "ended"}))

    def send(self, job: Job) -> None:
        """Give it a job."""
        assert self.process.stdin is not None
        self.job, self.latest = job, job[0]
        try:
            self.process.stdin.write(json.dumps({"arm": job[0], "seeds": job[1]}) + "\n")
        except BrokenPipeError:
            pass  # its end is on the way as an event

    def dismiss(self) -> None:
        """No more jobs: it ends by itself."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.close()
        except BrokenPipeError:
            pass

    def last_words(self) -> str:
        """How it ended, and the last lines of its log."""
        code = self.process.wait()
        how = f"exit status {code}"
        if code < 0:
            how = signal.Signals(-code).name
            how += " (often: out of memory)" if how == "SIGKILL" else ""
        text = self.log.read_text(errors="replace").strip().splitlines()[-5:]
        on = f" on arm {self.job[0]}, {label(self.job[1])}" if self.job else ""
        tail = f"; its log {self.log} ends: {' | '.join(text)}" if text else "; its log is empty"
        return f"worker {self.number} died{on}: {how}{tail}"


def run_jobs(
    folder: RunFolder, jobs: list[Job], workers: int, lock: int, seen: Callable[[dict], Any]
) -> None:
    """Do the jobs in worker processes; `seen(event)` hears of every chunk.

    Raises Refused where a job fails or a worker dies (the others store where they are and stop);
    KeyboardInterrupt passes through after the same.
    """
    left, events = list(jobs), queue.Queue()
    places = cores()
    crew = [
        Worker(folder, n, places[n % len(places)], lock, events)
        for n in range(min(workers, len(jobs)))
    ]
    try:
        while any(not worker.ended for worker in crew):
            worker, event = _next(events, seen)
            if event["event"] in ("ready", "done"):
                seen(event)
                worker.job = None
                if left:
                    taken = {w.latest for w in crew if w.latest and w is not worker}
                    job = choose(left, worker.latest, taken)
                    left.remove(job)
                    worker.send(job)
                else:
                    worker.dismiss()
            elif event["event"] == "failed":
                raise Refused(event["line"], event["code"])
            elif event["event"] == "ended":
                worker.ended = True
                if worker.process.wait() or worker.job:
                    raise Refused(worker.last_words(), 1)
            else:
                seen(event)
    finally:
        stop(crew)


def _next(events: queue.Queue, seen: Callable[[dict], Any]) -> tuple[Worker, dict]:
    while True:
        try:
            return events.get(timeout=0.5)
        except queue.Empty:
            seen({"event": "wait"})


def stop(crew: list[Worker], patience: float = 25.0) -> None:
    """Let each worker end its chunk and store it; kill those that take too long."""
    busy = [worker for worker in crew if worker.process.poll() is None]
    for worker in busy:
        worker.dismiss()
        worker.process.terminate()
    end = time.monotonic() + patience
    try:
        for worker in busy:
            worker.process.wait(timeout=max(0.0, end - time.monotonic()))
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        pass
    for worker in crew:
        if worker.process.poll() is None:
            worker.process.kill()
            worker.process.wait()
