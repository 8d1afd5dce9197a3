"""Gabor energy: a grating excites its own channel, whatever its phase; light alone excites none."""

import numpy as np
import pytest

from neuropil.coding.gabor import gabor_energy

ROWS, COLUMNS = np.mgrid[:48, :48]


@pytest.mark.parametrize("k", [0, 2, 3])
@pytest.mark.parametrize("phase", [0.0, 1.0])
def test_a_grating_excites_its_own_channel_at_any_phase(k, phase):
    angle = np.pi * k / 6
    wave = np.cos(2 * np.pi / 8 * (np.cos(angle) * COLUMNS + np.sin(angle) * ROWS) + phase)
    energy = gabor_energy(wave[None])[0, :, 2:4, 2:4].mean((1, 2)).reshape(3, 6)  # far from the rim
    assert np.unravel_index(energy.argmax(), energy.shape) == (1, k)
    assert energy[1, k] == pytest.approx(1.0, rel=0.05)


def test_light_alone_excites_nothing_and_contrast_scales():
    image = np.random.default_rng(0).normal(size=(1, 48, 48))
    np.testing.assert_allclose(gabor_energy(np.ones((1, 48, 48))), 0, atol=1e-9)
    np.testing.assert_allclose(gabor_energy(3 * image + 7), 3 * gabor_energy(image), atol=1e-8)


def test_bad_sizes_are_refused():
    with pytest.raises(ValueError, match="fields do not fill"):
        gabor_energy(np.ones((1, 50, 48)))
    with pytest.raises(ValueError, match="does not fit"):
        gabor_energy(np.ones((1, 12, 12)), cells=2)
