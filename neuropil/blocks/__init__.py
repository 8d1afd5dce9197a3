"""Deep-learning parts used across papers: attention, state-space layers, norms, embeddings."""

from neuropil.blocks.attention import Attention, attention, attention_weights, causal, rotary
from neuropil.blocks.fastweights import FastWeights, unit_silu
from neuropil.blocks.gated import QLSTM, RGLRU, Gated
from neuropil.blocks.inhibition import EICircuit, nonzero_floor, scaled_gradient
from neuropil.blocks.linear import (
    KernelSum,
    Learned,
    LinearAttention,
    elu_plus_one,
    identity,
    taylor,
)
from neuropil.blocks.liquid import lattice, lattice_chance, liquid
from neuropil.blocks.plain import MLP, LayerNorm, Positions, RMSNorm, ShortConvolution, sinusoids
from neuropil.blocks.recurrence import LinearRecurrence, linear_scan, separable
from neuropil.blocks.reservoir import (
    BalancedReservoir,
    EchoState,
    balanced_wiring,
    balancing_scale,
    spectral_radius,
)
from neuropil.blocks.retention import Retention
from neuropil.blocks.ssm import S6, SSD, DiagonalSSM
from neuropil.blocks.thought import (
    NeuronModels,
    Synchronisation,
    all_pairs,
    certainty,
    first_sure_tick,
    selected_ticks_loss,
)

__all__ = [
    "MLP",
    "QLSTM",
    "RGLRU",
    "S6",
    "SSD",
    "Attention",
    "BalancedReservoir",
    "DiagonalSSM",
    "EICircuit",
    "EchoState",
    "FastWeights",
    "Gated",
    "KernelSum",
    "LayerNorm",
    "Learned",
    "LinearAttention",
    "LinearRecurrence",
    "NeuronModels",
    "Positions",
    "RMSNorm",
    "Retention",
    "ShortConvolution",
    "Synchronisation",
    "all_pairs",
    "attention",
    "attention_weights",
    "balanced_wiring",
    "balancing_scale",
    "causal",
    "certainty",
    "elu_plus_one",
    "first_sure_tick",
    "identity",
    "lattice",
    "lattice_chance",
    "linear_scan",
    "liquid",
    "nonzero_floor",
    "rotary",
    "scaled_gradient",
    "selected_ticks_loss",
    "separable",
    "sinusoids",
    "spectral_radius",
    "taylor",
    "unit_silu",
]
