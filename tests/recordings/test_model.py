import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from neuropil.core import System
from neuropil.recordings import record


class Leak(System):
    """v <- a v + x + noise; the output is the spike v > 1 and its sum over units."""

    def init(self, dt, key):
        return jnp.zeros(3)

    def step(self, v, x, tick):
        v = 0.9 * v + x + 0.1 * jr.normal(tick.key, v.shape)
        return v, {"spikes": v > 1, "grid": jnp.outer(v, v)}


def test_a_model_gives_a_recording_whatever_the_batching():
    stimuli = jr.normal(jr.key(0), (5, 20, 3))
    rec = record(
        Leak(), stimuli, dt=2.0, key=jr.key(1), path="output.spikes", labels=["a", "b", "c"]
    )
    assert rec.shape == (5, 20, 3)
    assert (rec.rate, rec.unit) == (500.0, "spikes")
    assert rec.data.dtype == bool
    assert rec.about["source"] == "model Leak, output.spikes"
    parts = record(
        Leak(), stimuli, dt=2.0, key=jr.key(1), path="output.spikes", batch=2, unit="spikes"
    )
    np.testing.assert_array_equal(rec.to_numpy(), parts.to_numpy())
    assert rec.bin(0.01).to_numpy().sum() == rec.to_numpy().sum()


def test_inner_axes_become_units_and_the_state_can_be_given():
    stimuli = np.zeros((2, 4, 3))
    rec = record(
        Leak(),
        stimuli,
        dt=1,
        key=jr.key(1),
        path="output.grid",
        unit="mV2",
        state=jnp.full(3, 10.0),
        trials={"stimulus": [4, 7]},
    )
    assert rec.shape == (2, 4, 9)
    assert rec.to_numpy()[:, 0].min() > 50
    assert rec.data.stimulus.values.tolist() == [4, 7]


def test_what_cannot_be_recorded_is_said():
    stimuli = jnp.zeros((2, 4, 3))
    with pytest.raises(TypeError, match="names dict, not one array"):
        record(Leak(), stimuli, dt=1.0, key=jr.key(0))
    with pytest.raises(ValueError, match="give \\(trial, time"):
        record(Leak(), stimuli[:0], dt=1.0, key=jr.key(0), path="output.grid")
    bad = stimuli.at[:].set(jnp.nan)
    with pytest.raises(ValueError, match="NaN or infinite of 72 values"):
        record(Leak(), bad, dt=1.0, key=jr.key(0), path="output.grid", unit="mV2")
