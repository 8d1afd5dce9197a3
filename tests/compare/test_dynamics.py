"""Dynamical similarity on operators whose distance is known."""

import numpy as np
import pytest

from neuropil.compare.dynamics import (
    delay_embedded,
    dynamic_modes,
    dynamical_similarity,
    eigenvalue_distance,
    similarity_distance,
)


def rotation(angle, size=1.0):
    return size * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def blocks(*parts):
    n = 2 * len(parts)
    out = np.zeros((n, n))
    for i, p in enumerate(parts):
        out[2 * i : 2 * i + 2, 2 * i : 2 * i + 2] = p
    return out


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_the_operator_of_a_linear_system_is_found_in_its_own_modes(rng):
    a = blocks(rotation(0.2, 0.99), rotation(0.5, 0.98)) @ np.eye(4)
    x = [rng.normal(size=(8, 4))]
    for _ in range(60):
        x.append(x[-1] @ a.T)
    found = dynamic_modes(np.stack(x, 1) @ rng.normal(size=(4, 9)))  # nine units see four modes
    want = np.sort_complex(np.linalg.eigvals(a))
    np.testing.assert_allclose(np.sort_complex(np.linalg.eigvals(found)), want, atol=1e-8)


def test_one_unit_and_its_past_unfold_the_circle():
    wave = np.cos(0.3 * np.arange(200))[:, None]
    a = dynamic_modes(wave, delays=2)
    np.testing.assert_allclose(
        np.sort(np.abs(np.angle(np.linalg.eigvals(a)))), [0.3, 0.3], atol=1e-8
    )
    every = delay_embedded(np.arange(6.0)[None, :, None], 2, 3)
    assert every[0].tolist() == [[3.0, 0.0], [4.0, 1.0], [5.0, 2.0]]


@pytest.mark.parametrize("n", [2, 5, 8])
def test_symmetric_operators_differ_by_their_sorted_eigenvalues(rng, n):
    # von Neumann and Mirsky: aligned eigenvectors are best, so the distance is that of sorted spectra
    a, b = (m + m.T for m in rng.normal(size=(2, n, n)))
    want = np.linalg.norm(np.linalg.eigvalsh(a) - np.linalg.eigvalsh(b))
    assert similarity_distance(a, b, metric="euclidean") == pytest.approx(want, rel=1e-5)
    assert eigenvalue_distance(a, b) == pytest.approx(want, rel=1e-9)


def test_rotations_of_two_planes_differ_by_their_angles():
    a, b = blocks(rotation(0.2), rotation(1.0)), blocks(rotation(-0.9), rotation(0.4))
    # <R(s), R(t)> = 2 cos(s - t), and a reflection turns a plane's angle round
    want = np.arccos((2 * np.cos(0.2) + 2 * np.cos(0.1)) / 4)
    assert similarity_distance(a, b) == pytest.approx(want, rel=1e-5)


def test_a_system_is_itself_in_any_coordinates_and_handedness(rng):
    a = rng.normal(size=(6, 6)) / 3
    turn = np.linalg.qr(rng.normal(size=(6, 6)))[0]
    for c in (turn, turn @ np.diag([-1, 1, 1, 1, 1, 1])):
        assert similarity_distance(a, c @ a @ c.T, metric="euclidean", starts=6) < 1e-3
    assert similarity_distance(3 * a, a, starts=2) < 1e-5
    assert similarity_distance(a, a[:4, :4]) > 0.01  # filled up with zeros


def test_two_views_of_one_ring_are_nearer_than_another_speed(rng):
    def seen(step, units):
        phase = rng.uniform(0, 6, (8, 1)) + step * np.arange(50)
        ring = np.stack([np.cos(phase), np.sin(phase)], 2)
        return ring @ rng.normal(size=(2, units)) + 0.02 * rng.normal(size=(8, 50, units))

    x = seen(0.3, 5)
    settings = {"rank": 2, "resamples": 10, "permutations": 19, "starts": 2}
    same = dynamical_similarity(x, seen(0.3, 7), **settings)
    other = dynamical_similarity(x, seen(0.9, 7), **settings)
    assert same.value < 0.05
    assert same.p == 0.05
    assert other.value == pytest.approx(0.6, abs=0.03)  # two turns, 0.6 apart
    assert other.interval[0] > same.interval[1]


def test_what_has_no_dynamics_says_why(rng):
    with pytest.raises(ValueError, match="delays"):
        dynamic_modes(rng.normal(size=(5, 2)), delays=5)
    with pytest.raises(ValueError, match="modes"):
        dynamic_modes(rng.normal(size=(50, 2)), rank=3)
    with pytest.raises(ValueError, match="finite"):
        dynamic_modes(np.full((50, 2), np.nan))
    with pytest.raises(ValueError, match="zeros"):
        similarity_distance(np.zeros((2, 2)), np.eye(2))
    one = rng.normal(size=(40, 2))
    assert dynamical_similarity(one, one[::-1], permutations=3).interval is None  # one trial
