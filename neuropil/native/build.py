"""From a `.cc` file of this folder to a loaded library: compiled once a machine, kept in the cache folder."""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from pathlib import Path

import jax
import jaxlib

from neuropil.cache import cache_folder

SOURCES = Path(__file__).parent
COMPILERS = ("c++", "g++", "clang++")
# no -ffast-math: NaN and infinity must arrive where pure JAX puts them. Nobody looks at errno or traps.
FLAGS = (
    *("-O3", "-std=c++17", "-fPIC", "-shared", "-pthread", "-w"),
    *("-fno-math-errno", "-fno-trapping-math"),
)
NATIVE = "-march=native"
PATIENCE = 120  # seconds a compiler may take


class NativeError(RuntimeError):
    """A kernel cannot be had here; the sentence says why and how to get it."""


def _compiler() -> str:
    """The compiler's path: CXX, else the first of the usual names."""
    named = os.environ.get("CXX")
    for name in (named,) if named else COMPILERS:
        path = shutil.which(name)
        if path:
            return path
    wanted = f"CXX={named}" if named else " or ".join(COMPILERS)
    raise NativeError(f"there is no C++ compiler ({wanted}): install g++ or clang++")


@functools.cache
def _processor() -> str:
    """What `-march=native` depends on."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return f"{platform.machine()} {platform.processor()}"
    wanted = ("model name", "flags", "Features", "CPU part")
    first = {line.split(":")[0].strip(): line for line in reversed(lines)}
    return platform.machine() + "".join(first.get(name, "") for name in wanted)


def _run(command: list[str]) -> subprocess.CompletedProcess:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NativeError(f"the compiler {command[0]} cannot be run: {error}") from error


def _compile(compiler: str, source: Path, target: Path) -> None:
    """Compile beside the target, then move it there in one step: two processes may do so at once."""
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".build-") as folder:
        made = Path(folder) / target.name
        common = [compiler, *FLAGS, f"-I{jax.ffi.include_dir()}", f"-I{SOURCES}"]
        done = None
        for extra in ([NATIVE], []):  # some compilers do not know this machine
            done = _run([*common, *extra, str(source), "-o", str(made)])
            if done.returncode == 0:
                os.replace(made, target)
                return
        last = (done.stderr.strip().splitlines() if done else []) or ["no message"]
        raise NativeError(f"{compiler} does not compile {source.name}: {last[0]}")


@functools.cache
def _library(name: str) -> ctypes.CDLL | NativeError:
    """The loaded library of `name`.cc, or why there is none (asked once a process)."""
    try:
        source = SOURCES / f"{name}.cc"
        compiler = _compiler()
        shared = [source, *sorted(SOURCES.glob("*.h"))]
        parts = [
            *(path.read_text() for path in shared),
            jaxlib.__version__,
            _run([compiler, "--version"]).stdout,
            " ".join(FLAGS),
            _processor(),
        ]
        digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:20]
        folder = cache_folder() / "native"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        target = folder / f"{name}-{digest}.so"
        if not target.exists():
            _compile(compiler, source, target)
        return ctypes.CDLL(str(target))
    except NativeError as error:
        return error
    except OSError as error:
        return NativeError(
            f"{cache_folder()} cannot be used ({error}); set NEUROPIL_CACHE to another folder"
        )


def library(name: str) -> ctypes.CDLL:
    """The library compiled from `name`.cc, loaded; compiled first where the cache does not hold it.

    It is kept by what it was made from: the source, the headers, jaxlib, the compiler and the processor.

    Raises NativeError where NEUROPIL_NATIVE is 0, or there is no compiler, or it fails; FileNotFoundError
    where there is no such source.
    """
    if not (SOURCES / f"{name}.cc").exists():
        known = sorted(path.stem for path in SOURCES.glob("*.cc"))
        raise FileNotFoundError(f"native: no source {name}.cc; there are {', '.join(known)}")
    if os.environ.get("NEUROPIL_NATIVE") == "0":
        raise NativeError("NEUROPIL_NATIVE is 0; unset it")
    found = _library(name)
    if isinstance(found, NativeError):
        raise found
    return found
