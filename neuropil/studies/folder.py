"""A run's folder: files that are whole or not there, JSON Lines that round-trip, one writer at a time."""

import contextlib
import json
import math
import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from neuropil.studies.refuse import Refused

Job = tuple[str, tuple[int, ...]]  # an arm, and the seeds that go through it together
ROOM = 64 * 2**20
_WORDS = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def write(path: Path | str, content: str | bytes) -> None:
    """Write a file so that a kill at any moment leaves the old one or the new one, never a part."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    data = content.encode() if isinstance(content, str) else content
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def plain(value: Any) -> Any:
    """As JSON data: arrays become lists, non-finite numbers become words ("NaN", "-Infinity").

    >>> plain({"a": float("nan"), "b": (1, 2.5)})
    {'a': 'NaN', 'b': [1, 2.5]}
    """
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, Path):
        return str(value)
    return value


def number(value: Any) -> Any:
    """Words of `plain` back to numbers, in nested lists too."""
    if isinstance(value, list):
        return [number(v) for v in value]
    return _WORDS.get(value, value) if isinstance(value, str) else value


def dumps(value: Any, indent: int | None = None) -> str:
    """JSON text whose floats read back to the same bits."""
    return json.dumps(plain(value), indent=indent, allow_nan=False, ensure_ascii=False)


def write_json(path: Path | str, value: Any) -> None:
    """`write` of `dumps`."""
    write(path, dumps(value, indent=1) + "\n")


def read_json(path: Path | str) -> Any:
    """JSON of a run file; Refused where it is missing or broken."""
    try:
        return json.loads(Path(path).read_text())
    except FileNotFoundError:
        raise Refused(f"{path} is missing; is this the folder of a run?") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise Refused(f"{path} is not valid JSON ({error}); it was changed after the run") from None


def label(seeds: tuple[int, ...]) -> str:
    """Seeds as words.

    >>> label((3,)), label((0, 1, 2))
    ('seed 3', 'seeds 0-2')
    """
    return f"seed {seeds[0]}" if len(seeds) == 1 else f"seeds {seeds[0]}-{seeds[-1]}"


def whole_lines(path: Path) -> list[dict]:
    """The JSON lines of a file up to the first that is broken or unfinished (a kill can leave one)."""
    lines: list[dict] = []
    if not path.exists():
        return lines
    for raw in path.read_bytes().split(b"\n")[:-1]:
        try:
            lines.append(json.loads(raw))
        except ValueError:
            break
    return lines


def write_lines(path: Path | str, rows: Iterable[Any]) -> None:
    """JSON Lines, atomically."""
    write(path, "".join(dumps(row) + "\n" for row in rows))


class RunFolder:
    """Paths and files of one run.

    ```
    config.json environment.json study.json     written before the first chunk
    jobs/ARM/SEED/metrics.jsonl timing.jsonl     appended chunk by chunk
    checkpoints/ARM/SEED/TICK/                   Orbax (SEEDS, as 0-4, where vmapped)
    metrics.jsonl timing.jsonl summary.json figures/ report.html   written at the end
    ```
    """

    def __init__(self, path: Path | str):
        self.path = Path(path)

    def __truediv__(self, name: str) -> Path:
        return self.path / name

    def job(self, arm: str, seed: int) -> Path:
        """Where the lines of one arm and seed go."""
        return self.path / "jobs" / arm / str(seed)

    def checkpoints(self, arm: str, seeds: tuple[int, ...]) -> Path:
        """Where the checkpoints of one job go (absolute, as Orbax wants it)."""
        name = str(seeds[0]) if len(seeds) == 1 else f"{seeds[0]}-{seeds[-1]}"
        return (self.path / "checkpoints" / arm / name).absolute()

    def begun(self, arm: str) -> bool:
        """Whether anything of an arm is stored."""
        return (self.path / "checkpoints" / arm).exists()

    @property
    def started(self) -> bool:
        return (self.path / "config.json").exists()

    @property
    def finished(self) -> bool:
        return (self.path / "summary.json").exists()

    def prepare(self, resume: bool, room: int = ROOM) -> None:
        """Make the folder and see that it can be written; Refused, before any work, where not."""
        if self.path.exists() and not self.path.is_dir():
            raise Refused(f"--out {self.path} is a file; name a folder")
        if resume and not self.started:
            raise Refused(
                f"--resume: {self.path} holds no run (no config.json); leave out --resume"
            )
        if not resume and self.path.is_dir() and any(self.path.iterdir()):
            what = "holds a run; add --resume to go on with it" if self.started else "is not empty"
            raise Refused(f"--out {self.path} {what}, or name another folder")
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            probe = self.path / ".probe"
            write(probe, b"0" * 4096)
            probe.unlink()
        except OSError as error:
            raise Refused(f"cannot write in {self.path}: {error.strerror}; use --out DIR") from None
        free = shutil.disk_usage(self.path).free
        if free < room:
            mb = f"{free / 2**20:.0f} MB free, at least {room / 2**20:.0f} MB needed"
            raise Refused(f"no room in {self.path}: {mb}; use --out DIR on another disk")

    @contextlib.contextmanager
    def lock(self, wait: float = 10.0) -> Iterator[int]:
        """Hold the folder; its descriptor is inherited by workers, so orphans keep others out."""
        handle = os.open(self.path / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            _flock(handle, self.path, wait)
            yield handle
        finally:
            os.close(handle)


def _flock(handle: int, path: Path, wait: float) -> None:
    try:
        import fcntl
    except ImportError:  # no such locks on this system: go on without
        return
    end = time.monotonic() + wait
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > end:
                raise Refused(f"{path}: another process is running in this folder") from None
            time.sleep(0.05)
