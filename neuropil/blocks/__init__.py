"""Deep-learning parts used across papers: attention, state-space layers, norms, embeddings."""

from neuropil.blocks.attention import Attention, attention, attention_weights, causal, rotary
from neuropil.blocks.averages import becomes, moved_or_learned, silent
from neuropil.blocks.dropout import dropout
from neuropil.blocks.fastweights import FastWeights, unit_silu
from neuropil.blocks.filtering import (
    BatchNorm,
    clip_norm,
    convolve,
    filter_each,
    glorot,
    pool,
    window_moments,
)
from neuropil.blocks.gated import QLSTM, RGLRU, Gated
from neuropil.blocks.inhibition import EICircuit, nonzero_floor, scaled_gradient
from neuropil.blocks.latents import CrissCross, CrossAttention
from neuropil.blocks.linear import (
    KernelSum,
    Learned,
    LinearAttention,
    elu_plus_one,
    identity,
    taylor,
)
from neuropil.blocks.liquid import lattice, lattice_chance, liquid
from neuropil.blocks.patched import PatchedAttention, PatchedLayer, patched_causal
from neuropil.blocks.plain import MLP, LayerNorm, Positions, RMSNorm, ShortConvolution, sinusoids
from neuropil.blocks.quantisers import (
    FiniteScalar,
    Quantised,
    ResidualQuantiser,
    Usage,
    VectorQuantiser,
    rotated,
    straight_through,
    usage,
)
from neuropil.blocks.recurrence import LinearRecurrence, linear_scan, separable
from neuropil.blocks.reservoir import (
    BalancedReservoir,
    EchoState,
    balanced_wiring,
    balancing_scale,
    spectral_radius,
)
from neuropil.blocks.retention import Retention
from neuropil.blocks.sampling import nucleus
from neuropil.blocks.scalars import ScalarQuantiser
from neuropil.blocks.seanet import (
    ResidualUnit,
    SEANetDecoder,
    SEANetEncoder,
    SkippedLSTM,
    StridedFilter,
    TransposedFilter,
)
from neuropil.blocks.ssm import S6, SSD, DiagonalSSM
from neuropil.blocks.thought import (
    NeuronModels,
    Synchronisation,
    all_pairs,
    certainty,
    first_sure_tick,
    selected_ticks_loss,
)
from neuropil.blocks.transformer import TransformerLayer, stacked_layers, through
from neuropil.blocks.vision import VisionTransformer, patches

__all__ = [
    "MLP",
    "QLSTM",
    "RGLRU",
    "S6",
    "SSD",
    "Attention",
    "BalancedReservoir",
    "BatchNorm",
    "CrissCross",
    "CrossAttention",
    "DiagonalSSM",
    "EICircuit",
    "EchoState",
    "FastWeights",
    "FiniteScalar",
    "Gated",
    "KernelSum",
    "LayerNorm",
    "Learned",
    "LinearAttention",
    "LinearRecurrence",
    "NeuronModels",
    "PatchedAttention",
    "PatchedLayer",
    "Positions",
    "Quantised",
    "RMSNorm",
    "ResidualQuantiser",
    "ResidualUnit",
    "Retention",
    "SEANetDecoder",
    "SEANetEncoder",
    "ScalarQuantiser",
    "ShortConvolution",
    "SkippedLSTM",
    "StridedFilter",
    "Synchronisation",
    "TransformerLayer",
    "TransposedFilter",
    "Usage",
    "VectorQuantiser",
    "VisionTransformer",
    "all_pairs",
    "attention",
    "attention_weights",
    "balanced_wiring",
    "balancing_scale",
    "becomes",
    "causal",
    "certainty",
    "clip_norm",
    "convolve",
    "dropout",
    "elu_plus_one",
    "filter_each",
    "first_sure_tick",
    "glorot",
    "identity",
    "lattice",
    "lattice_chance",
    "linear_scan",
    "liquid",
    "moved_or_learned",
    "nonzero_floor",
    "nucleus",
    "patched_causal",
    "patches",
    "pool",
    "rotary",
    "rotated",
    "scaled_gradient",
    "selected_ticks_loss",
    "separable",
    "silent",
    "sinusoids",
    "spectral_radius",
    "stacked_layers",
    "straight_through",
    "taylor",
    "through",
    "unit_silu",
    "usage",
    "window_moments",
]
