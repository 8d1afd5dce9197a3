"""How far a run is, and how long it will take."""

from __future__ import annotations

import time
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from neuropil.studies.folder import Job, label


def clock(seconds: float | int) -> str:
    """A duration for people.

    >>> clock(42), clock(184), clock(7300)
    ('42 s', '3 min 04 s', '2 h 01 min')
    """
    seconds = round(seconds)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60:02d} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60:02d} min"


class Estimate:
    """Time left: chunks left of each arm times its own mean, over the workers.

    The first chunk of a job is left out of the mean where there are others, for it may compile.
    """

    def __init__(self, left: dict[str, int], workers: int):
        self.left, self.workers = dict(left), workers
        self.later: dict[str, list[float]] = {}
        self.first: dict[str, list[float]] = {}

    def saw(self, arm: str, tick: int, seconds: float) -> None:
        """A chunk is done."""
        self.left[arm] -= 1
        (self.first if tick == 1 else self.later).setdefault(arm, []).append(seconds)

    def seconds(self) -> float | None:
        """Time left, or None before the first chunk."""
        known = {arm: _mean(self.later.get(arm) or times) for arm, times in self._seen().items()}
        if not known:
            return None
        usual = _mean(list(known.values()))
        return sum(n * known.get(arm, usual) for arm, n in self.left.items()) / self.workers

    def _seen(self) -> dict[str, list[float]]:
        return {
            a: self.later.get(a, []) + self.first.get(a, []) for a in (*self.first, *self.later)
        }


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


class Bar:
    """A progress bar with time left; on a pipe, one line for each finished job."""

    def __init__(
        self, console: Console, jobs: list[Job], ticks: dict[str, int], done: int, workers: int
    ):
        left = dict.fromkeys(ticks, 0)
        for arm, _ in jobs:
            left[arm] += ticks[arm]
        self.console, self.live = console, console.is_terminal
        self.estimate = Estimate(left, max(1, min(workers, len(jobs))))
        total = sum(left.values())
        self.jobs, self.of, self.began = done, done + len(jobs), time.monotonic()
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed}/{task.total} chunks, {task.fields[left]}"),
            console=console,
            transient=True,
            disable=not self.live,
        )
        self.task = self.progress.add_task("starting", total=total, left="compiling")

    def __enter__(self) -> Bar:
        self.progress.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self.progress.__exit__(*error)

    def __call__(self, event: dict) -> None:
        if event["event"] == "tick":
            self.estimate.saw(event["arm"], event["tick"], event["seconds"])
            left = self.estimate.seconds()
            text = "" if left is None else f"about {clock(left)} left"
            what = f"{event['arm']}, {label(tuple(event['seeds']))}"
            self.progress.update(self.task, advance=1, description=what, left=text)
        elif event["event"] == "resumed":
            self.estimate.left[event["arm"]] -= event["tick"]
            self.progress.update(self.task, advance=event["tick"])
        elif event["event"] == "done":
            self.jobs += 1
            if not self.live:
                left = self.estimate.seconds()
                more = f", about {clock(left)} left" if left else ""
                what = f"{event['arm']}, {label(tuple(event['seeds']))}"
                self.console.print(f"{self.jobs}/{self.of} {what} done{more}", highlight=False)
