"""Strict while testing: implicit rank promotion is an error, and so are warnings of our own code."""

import os

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("MPLBACKEND", "Agg")
# small shapes, many programs: what takes the time is LLVM's optimiser, and no test is about its work
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")

import gc

import jax
import pytest

# traced programs are many small objects that live long: looking through them all for cycles after
# every 700 new ones is a tenth of the time
gc.set_threshold(50_000, 20, 50)

jax.config.update("jax_numpy_rank_promotion", "raise")


# a handful by default; CI runs the tests of all papers after the suite
PAPERS = {"htm", "pyhgf", "nested_dynamical_systems", "deep_ssvep", "bridge", "dead_salmons"}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """What shares compiled functions runs in one worker: a file, or an example of the contract.

    Tests of papers are slow, but for a handful.
    """
    for item in items:
        if item.path.parent.name == "papers" and item.path.stem.removeprefix("test_") not in PAPERS:
            item.add_marker(pytest.mark.slow)
        names = item.callspec.params if hasattr(item, "callspec") else {}
        shared = names["name"] if item.path.name == "test_contract.py" and "name" in names else ""
        item.add_marker(pytest.mark.xdist_group(f"{item.path.stem} {shared}".strip()))


@pytest.fixture
def x64():
    """Double precision for one test (a context, never a global flag)."""
    with jax.enable_x64(True):
        yield


@pytest.fixture
def key():
    """The key of seed 0."""
    return jax.random.key(0)
