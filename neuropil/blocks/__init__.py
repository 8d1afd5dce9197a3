"""Deep-learning parts used across papers: attention, state-space layers, norms, embeddings."""

from neuropil.blocks.attention import Attention, attention, attention_weights, causal

__all__ = ["Attention", "attention", "attention_weights", "causal"]
