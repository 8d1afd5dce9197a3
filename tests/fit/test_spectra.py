"""Errors by band and the loss of phases, against values known in closed form."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neuropil.fit.spectra import BANDS, band_errors, unit_circle_loss

DRAW = np.random.default_rng(0)


def test_errors_of_a_band_for_signals_known_in_closed_form():
    x = DRAW.normal(size=(40, 200))
    for guess, error, phase in ((x, 0, 0), (0.5 * x, 0.25, 0), (-x, 4, 2), (0 * x, 1, None)):
        for name, found in band_errors(x, guess, 200.0).items():
            assert found.error == pytest.approx(error, abs=1e-4), name
            if phase is not None:
                assert found.phase == pytest.approx(phase, abs=1e-4), name
    assert band_errors(x, x, 200.0)["beta"].amplitude == 0
    other = DRAW.normal(size=(40, 200))
    found = band_errors(x, other, 200.0)["beta"]  # 40 x 17 frequencies
    assert found.error == pytest.approx(2, abs=0.3)
    assert found.phase == pytest.approx(1, abs=0.15)


def test_an_error_stays_in_its_band_and_bands_must_hold_a_frequency():
    time = np.arange(200) / 200
    parts = {name: np.cos(2 * np.pi * round((a + b) / 2) * time) for name, (a, b) in BANDS.items()}
    truth = sum(parts.values())
    for gone in parts:
        found = band_errors(truth, truth - parts[gone], 200.0)
        assert {n: round(e.error, 3) for n, e in found.items()} == {
            n: float(n == gone) for n in parts
        }
    with pytest.raises(ValueError, match="no frequency"):
        band_errors(truth[:20], truth[:20], 200.0)
    with pytest.raises(ValueError, match="same shape"):
        band_errors(truth, truth[:20], 200.0)


def test_the_loss_of_phases_is_0_2_1_and_one_tenth_more_than_1():
    phase = jnp.asarray(DRAW.uniform(-np.pi, np.pi, 20000), jnp.float32)
    other = jnp.asarray(DRAW.uniform(-np.pi, np.pi, 20000), jnp.float32)
    loss = lambda told: float(unit_circle_loss(jnp.cos(told), jnp.sin(told), phase))
    assert loss(phase) == pytest.approx(0, abs=1e-5)
    assert loss(phase + 2 * np.pi) == pytest.approx(0, abs=1e-5)  # no jump at the cut
    assert loss(phase + np.pi) == pytest.approx(2, abs=1e-5)
    assert loss(other) == pytest.approx(1, abs=0.02)
    zero = jnp.zeros_like(phase)
    assert float(unit_circle_loss(zero, zero, phase)) == pytest.approx(1.1, abs=1e-5)
    assert np.isfinite(jax.grad(lambda c: unit_circle_loss(c, zero, phase))(zero)).all()
