"""Where a run was made: versions, commit, machine, data sets, and the claims as they were."""

import os
import platform
import subprocess
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from neuropil.studies import claims
from neuropil.studies.refuse import Refused

ROOT = Path(__file__).parent.parent.parent
PACKAGES = ("neuropil", "jax", "jaxlib", "equinox", "optax", "diffrax", "numpy", "scipy")
PACKAGES += ("scikit-learn", "orbax-checkpoint", "xarray")


def git(*arguments: str) -> str | None:
    """What git says about the checkout this code lies in; None outside one."""
    if not (ROOT / ".git").exists():
        return None
    try:
        done = subprocess.run(
            ["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, timeout=20
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def code() -> dict:
    """Commit of the library, and whether its files differ from that commit (None: no checkout)."""
    status = git(
        "status", "--porcelain", "--untracked-files=no", "--", "neuropil", "pyproject.toml"
    )
    return {"commit": git("rev-parse", "HEAD"), "dirty": None if status is None else bool(status)}


def promised(slug: str) -> dict:
    """The claims of a paper as they stand: their seal, and the commit in which they were written.

    `committed` is True where HEAD holds the very same claims (None outside a checkout).
    """
    now = claims.seal(claims.of(slug))
    text = git("show", "HEAD:neuropil/claims.toml")
    committed = None
    if git("rev-parse", "HEAD") is not None:
        committed = text is not None and claims.seal(claims.of(slug, claims.parse(text))) == now
    return {
        "seal": now,
        "commit": git("log", "-1", "--format=%H", "--", "neuropil/claims.toml"),
        "committed": committed,
    }


def cpu() -> str:
    """The processor's name, as far as the system tells it."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def cores() -> list[int]:
    """Numbers of the cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def environment(datasets: Iterable[str] = ()) -> dict:
    """What `environment.json` holds but the device, which the runner adds: this imports no JAX."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu": cpu(),
        "cores": len(cores()),
        "versions": found,
        "code": code(),
        "datasets": {name: checksums(name) for name in datasets},
    }


def checksums(name: str) -> dict[str, str]:
    """SHA-256 of each file of a data set; Refused where one is not what the registry knows."""
    from neuropil.worlds import datasets

    try:
        return datasets.checksums(name)
    except (KeyError, ValueError, OSError) as error:
        raise Refused(str(error)) from None
