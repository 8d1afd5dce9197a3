"""Strict while testing: implicit rank promotion is an error, and so are warnings of our own code."""

import os

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("MPLBACKEND", "Agg")
# small shapes, many programs: what takes the time is LLVM's optimiser, and no test is about its work
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")

import jax
import pytest

jax.config.update("jax_numpy_rank_promotion", "raise")


@pytest.fixture
def x64():
    """Double precision for one test (a context, never a global flag)."""
    with jax.enable_x64(True):
        yield


@pytest.fixture
def key():
    """The key of seed 0."""
    return jax.random.key(0)
