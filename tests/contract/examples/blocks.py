"""Deep-learning parts."""

from __future__ import annotations

import jax.numpy as jnp
import jax.random as jr

from neuropil import blocks
from tests.contract.examples.base import (
    TICKS,
    Example,
    dense,
    normal,
)


def _balanced(key):
    excite, inhibit = blocks.balanced_wiring(5, key, degree=3, excitatory=0.6)
    return blocks.BalancedReservoir(excite, inhibit, dense(2, 5, key).weight, leak=0.3)


EXAMPLES = {
    "attention": Example(
        lambda k: blocks.Attention.init_normal(4, key=k, heads=2, capacity=4),
        normal(4),
        (blocks.Attention,),
    ),
    "attention with a prefix": Example(
        lambda k: blocks.Attention.init_normal(4, key=k, heads=2, capacity=4, prefix=2),
        normal(4),
        (blocks.Attention,),
    ),
    "fast weights": Example(
        lambda k: blocks.FastWeights.init_normal(4, heads=2, key=k, chunk=4),
        normal(4),
        (blocks.FastWeights,),
    ),
    "linear attention": Example(
        lambda k: blocks.LinearAttention.init_normal(4, key=k, heads=2),
        normal(4),
        (blocks.LinearAttention,),
    ),
    "diagonal ssm": Example(
        lambda k: blocks.DiagonalSSM.init_linear(4, 3, key=k), normal(4), (blocks.DiagonalSSM,)
    ),
    "s6": Example(lambda k: blocks.S6.init_normal(4, 3, key=k), normal(4), (blocks.S6,)),
    "ssd": Example(
        lambda k: blocks.SSD.init_normal(4, 3, key=k, heads=2), normal(4), (blocks.SSD,)
    ),
    "qlstm, gated": Example(
        lambda k: blocks.Gated.init_normal(4, 6, blocks.QLSTM.init_normal(6, key=k), key=k),
        normal(4),
        (blocks.QLSTM, blocks.Gated),
    ),
    "rg-lru": Example(lambda k: blocks.RGLRU.init_normal(4, key=k), normal(4), (blocks.RGLRU,)),
    "positions": Example(
        lambda k: blocks.Positions(blocks.sinusoids(TICKS, 4)), normal(4), (blocks.Positions,)
    ),
    "short convolution": Example(
        lambda k: blocks.ShortConvolution.init_uniform(4, 3, key=k),
        normal(4),
        (blocks.ShortConvolution,),
    ),
    "echo state": Example(
        lambda k: blocks.EchoState.random(3, 4, k, density=0.8, bias_scale=0.1, leak=0.7),
        normal(3),
        (blocks.EchoState,),
    ),
    "echo state, sparse": Example(
        lambda k: blocks.EchoState.random(3, 4, k, density=0.8, sparse=True),
        normal(3),
        (blocks.EchoState,),
    ),
    "balanced reservoir": Example(_balanced, normal(2), (blocks.BalancedReservoir,)),
    "retention": Example(
        lambda k: blocks.Retention.init_normal(4, heads=2, key=k), normal(4), (blocks.Retention,)
    ),
    "neuron models": Example(
        lambda k: blocks.NeuronModels.init_uniform(4, memory=3, hidden=2, key=k),
        normal(4),
        (blocks.NeuronModels,),
    ),
    "synchronisation": Example(
        lambda k: blocks.Synchronisation(jr.uniform(k, (10,)), *blocks.all_pairs(jnp.arange(4))),
        normal(4),
        (blocks.Synchronisation,),
    ),
}
