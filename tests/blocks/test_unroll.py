"""Every block with time in it: `unroll` equals the scan of `step`, from rest and in mid-run."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from neuropil import blocks
from neuropil.core import System, probe, run, start

WIDTH, HALF = 4, 5

PARTS = {
    "attention": lambda k: blocks.Attention.init_normal(WIDTH, key=k, heads=2, capacity=16),
    "attention, ring outgrown": lambda k: blocks.Attention.init_normal(WIDTH, key=k, capacity=3),
    "linear attention": lambda k: blocks.LinearAttention.init_normal(WIDTH, key=k, heads=2),
    "normalised attention": lambda k: blocks.LinearAttention.init_normalised(WIDTH, key=k, keys=2),
    "S4D": lambda k: blocks.DiagonalSSM.init_linear(WIDTH, 3, key=k),
    "S6": lambda k: blocks.S6.init_normal(WIDTH, 3, key=k),
    "SSD": lambda k: blocks.SSD.init_normal(WIDTH, 3, key=k, heads=2),
    "qLSTM": lambda k: blocks.QLSTM.init_normal(WIDTH, key=k),
    "qLSTM, reversed and gated": lambda k: blocks.Gated.init_normal(
        WIDTH, 6, blocks.QLSTM.init_normal(6, key=k, reversed=True), key=k
    ),
    "RG-LRU": lambda k: blocks.RGLRU.init_normal(WIDTH, key=k),
    "positions": lambda k: blocks.Positions(blocks.sinusoids(2 * HALF, WIDTH)),
    "short convolution": lambda k: blocks.ShortConvolution.init_uniform(WIDTH, 3, key=k),
}


@pytest.mark.parametrize("name", PARTS)
def test_unroll_equals_step_from_rest_and_mid_run(x64, key, name):
    part = eqx.filter_jit(PARTS[name])(key)
    assert probe(part, jnp.zeros(WIDTH))["output"].shape == (WIDTH,)
    xs = jr.normal(jr.fold_in(key, 1), (2 * HALF, WIDTH))
    carry = start(part, 1.0, key)

    @eqx.filter_jit
    def both(part, carry, xs):
        last, one = System.unroll(part, carry.state, xs, _ticks(carry, len(xs)))
        middle, first = part.unroll(carry.state, xs[:HALF], _ticks(carry, HALF))
        end, second = part.unroll(middle, xs[HALF:], _ticks(carry, HALF))
        return (last, one), (end, jnp.concatenate([first, second]))

    step, unroll = both(part, carry, xs)
    bound = getattr(part, "unroll_bound", 1e-10)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=bound, rtol=0), step, unroll)
    assert step[1].dtype == jnp.float64
    assert np.abs(step[1]).max() > 1e-3  # not trivially equal


def _ticks(carry, n):
    from neuropil.core.random import tick_keys
    from neuropil.core.system import Tick

    i = jnp.arange(n, dtype=jnp.int32)
    return Tick(i, carry.dt, tick_keys(carry.key, i))


def test_positions_end_with_the_table(key):
    part = blocks.Positions(blocks.sinusoids(4, 2))
    with pytest.raises(ValueError, match=r"4 rows.*5 tokens"):
        run(part, start(part, 1.0, key), jnp.zeros((5, 2)))
    carry, _ = run(part, start(part, 1.0, key), jnp.zeros((3, 2)))
    with pytest.raises(Exception, match="make it as long as the sequence"):
        jax.block_until_ready(run(part, carry, jnp.zeros((3, 2))))
