"""Data of the RSA benchmark, the same for every library."""

import numpy as np

STIMULI, RUNS, CHANNELS, SETS = 92, 4, 1000, 200
MODELS, SUBJECTS, DRAWS = 5, 20, 1000


def patterns(with_precision):
    """(set, run, stimulus, channel) in single precision, and a noise precision or None."""
    rng = np.random.default_rng(0)
    signal = rng.standard_normal((STIMULI, CHANNELS)).astype(np.float32)
    strength = rng.uniform(0, 1, (SETS, 1, 1, 1)).astype(np.float32)
    data = rng.standard_normal((SETS, RUNS, STIMULI, CHANNELS), np.float32)
    data += strength * signal
    root = rng.standard_normal((CHANNELS, CHANNELS)) / np.sqrt(CHANNELS)
    return data, root @ root.T + np.eye(CHANNELS) if with_precision else None


def rdms():
    """Models (model, pair) and subjects (subject, pair)."""
    rng = np.random.default_rng(0)
    models = rng.uniform(0, 1, (MODELS, STIMULI * (STIMULI - 1) // 2))
    return models, models[0] + 0.5 * rng.standard_normal((SUBJECTS, models.shape[1]))
