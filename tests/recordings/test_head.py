"""The lead field against closed forms: Sarvas for MEG, the Legendre series of a homogeneous sphere for EEG."""

import numpy as np
import pytest
from scipy.special import eval_legendre

from neuropil.recordings.head import RADIUS, cortex, eeg_sensors, lead_field, meg_sensors, sphere_of

mne = pytest.importorskip("mne", reason="needs the extra neuropil[recordings]")

SOURCES = cortex(12)


def sarvas(r0, q, r, n):
    """The field along n at r of a dipole q at r0 in any concentric conductor (Sarvas 1987, eq. 25)."""
    a = r - r0
    A, R, mu0_4pi = np.linalg.norm(a), np.linalg.norm(r), 1e-7
    F = A * (R * A + R * R - r0 @ r)
    grad = (A * A / R + a @ r / A + 2 * A + 2 * R) * r - (A + 2 * R + a @ r / A) * r0
    cross = np.cross(q, r0)
    return mu0_4pi / F**2 * (F * cross - (cross @ r) * grad) @ n


def test_meg_is_sarvas_at_points_and_blind_to_radial_dipoles():
    info = meg_sensors("neuromag")
    info = mne.pick_info(info, mne.pick_types(info, meg="mag")[:20])
    for channel in info["chs"]:
        channel["coil_type"] = 2000  # a point magnetometer
    tangent = np.cross(SOURCES, [0.3, 0.5, 1.0])
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    field = lead_field(info, SOURCES, tangent, save=False)
    want = [
        [sarvas(s, m, p, n) for s, m in zip(SOURCES, tangent, strict=True)]
        for p, n in zip(field.positions, field.normals, strict=True)
    ]
    np.testing.assert_allclose(field.gain, want, rtol=1e-9, atol=1e-12 * np.abs(want).max())
    radial = lead_field(info, SOURCES, save=False)
    assert np.abs(radial.gain).max() < 1e-9 * np.abs(field.gain).max()


def test_eeg_of_one_conductor_is_the_legendre_series():
    """V = sum_n (2n + 1) f^(n-1) / R^(n+1) P_n(cos) q / (4 pi sigma) for a radial dipole at f."""
    names = ["Fz", "C3", "Cz", "C4", "Oz", "T7"]
    field = lead_field(
        eeg_sensors(names), SOURCES, shells=(0.95, 1.0), sigmas=(0.33, 0.33), save=False
    )
    assert (field.labels.tolist(), set(field.measures)) == (names, {"V"})
    n = np.arange(1, 200)[:, None]
    for j, source in enumerate(SOURCES):
        f = np.linalg.norm(source)
        cos = field.positions @ source / (f * RADIUS)
        series = (2 * n + 1) * f ** (n - 1) / RADIUS ** (n + 1) * eval_legendre(n, cos)
        np.testing.assert_allclose(field.gain[:, j], series.sum(0) / (4 * np.pi * 0.33), rtol=1e-6)
    np.testing.assert_allclose(field.referenced().gain.sum(0), 0, atol=1e-9)


def test_sensors_lie_on_their_sphere_and_fields_come_from_the_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("NEUROPIL_CACHE", str(tmp_path))
    info = eeg_sensors(["C3", "C4"])
    both = [info, meg_sensors("ctf151")]
    first = lead_field(both, SOURCES)
    assert len(list(tmp_path.rglob("*.npy"))) == 2
    np.testing.assert_array_equal(lead_field(both, SOURCES).gain, first.gain)
    assert set(first.kinds) == {"eeg", "mag"}
    np.testing.assert_allclose(np.linalg.norm(first.positions[:2], axis=1), RADIUS)
    assert np.linalg.norm(first.positions[2:], axis=1).min() > RADIUS
    np.testing.assert_allclose(first.project(np.eye(12)), first.gain.T)
    moved = lead_field(meg_sensors("ctf151", shift=(0, 0, 0.01)), SOURCES, save=False)
    np.testing.assert_allclose(moved.positions, first.positions[2:] - [0, 0, 0.01])
    centre, radius = sphere_of(first.positions[:2].mean(0) + 0.05 * cortex(9, radius=1, depth=1))
    np.testing.assert_allclose((*centre, radius), (*first.positions[:2].mean(0), 0.05), atol=1e-9)


def test_bad_heads_are_refused():
    with pytest.raises(ValueError, match="no electrode 'C99'"):
        eeg_sensors(["C99"])
    info = eeg_sensors(["C3"])
    with pytest.raises(ValueError, match="outside the brain"):
        lead_field(info, 100 * SOURCES)
    with pytest.raises(ValueError, match=r"shape \(3,\)"):
        lead_field(info, np.ones(3))
    with pytest.raises(ValueError, match="12 sources and moments"):
        lead_field(info, SOURCES, SOURCES[:3])
