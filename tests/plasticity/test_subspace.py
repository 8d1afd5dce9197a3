"""Oja's subspace rule: fixed points, convergence to the principal subspace, frozen rows."""

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from neuropil.core import Managed, run, start
from neuropil.plasticity.subspace import (
    OjaSubspace,
    lateral,
    orthogonal_part,
    orthonormal_rows,
    principal_angles,
    principal_rows,
    second_moment,
)
from neuropil.wiring import Dense

N = 12
SPREAD = np.r_[3.0, 2.5, 2.0, 1.6, np.full(N - 4, 0.4)]
TURN = np.linalg.qr(np.random.default_rng(7).normal(size=(N, N)))[0]  # so that no axis is special


def samples(seed, b=400):
    return jnp.asarray((np.random.default_rng(seed).normal(size=(b, N)) * SPREAD) @ TURN, float)


def rows(seed, m, n=N):
    return jnp.asarray(np.linalg.qr(np.random.default_rng(seed).normal(size=(n, m)))[0].T, float)


def test_orthogonal_part_is_a_projection_where_rows_are_orthonormal():
    H, z = rows(0, 5), samples(1)
    once = orthogonal_part(z, H)
    np.testing.assert_allclose(once @ H.T, 0, atol=1e-5)
    np.testing.assert_allclose(orthogonal_part(once, H), once, atol=1e-5)
    skewed = orthogonal_part(z, 1.2 * H)  # H H^T != 1: not idempotent
    assert float(jnp.abs(orthogonal_part(skewed, 1.2 * H) - skewed).max()) > 0.1


def test_spiking_subspace_cells_round_to_levels():
    z, H = jnp.array([[3.2, 50.0]]), jnp.eye(2)
    assert lateral(z, H, levels=40).tolist() == [[3.0, 20.0]]  # steps of 20 / 40
    np.testing.assert_allclose(orthogonal_part(z, H, levels=40), [[0.2, 30.0]], atol=1e-5)


def test_orthonormal_rows_stay_near_their_own_and_refuse_too_many():
    H = orthonormal_rows(samples(3, 4))
    np.testing.assert_allclose(H @ H.T, np.eye(4), atol=1e-6)
    np.testing.assert_allclose(orthonormal_rows(H), H, atol=1e-6)
    new = orthonormal_rows(orthogonal_part(samples(4, 4), H))
    np.testing.assert_allclose(new @ H.T, 0, atol=1e-5)
    with pytest.raises(ValueError, match="m <= n"):
        orthonormal_rows(jnp.ones((3, 2)))


def test_principal_angles_closed_form():
    turn = np.deg2rad(30.0)
    a = jnp.array([[1.0, 0, 0], [0, 1.0, 0]])
    b = jnp.array([[2.0, 0, 0], [0, np.cos(turn), np.sin(turn)]])  # rows need not have length 1
    np.testing.assert_allclose(principal_angles(a, b), [0.0, 30.0], atol=0.05)
    padded = principal_angles(a, b.at[1].set(0.0), count=1)
    assert float(padded[0]) < 0.05
    assert np.isnan(padded[1])


def test_invariant_subspaces_are_fixed_points():
    z = samples(2)
    C = np.asarray(second_moment(z))
    rule = OjaSubspace((4, N), rate=0.1, repeats=1)
    H = rows(5, 4)
    new, M = rule.learn(H, 0 * H, z, H[:0])
    H = np.asarray(H)
    dH = H @ C @ (np.eye(N) - H.T @ H)  # the card's H C (1 - H^T H)
    np.testing.assert_allclose(M, 0.1 * dH, atol=1e-5)
    np.testing.assert_allclose(new, H + 0.01 * dH, atol=1e-5)
    whole = principal_rows(second_moment(z), N)
    for H in (whole[:4], whole[3:7]):  # stable, unstable
        np.testing.assert_allclose(rule.learn(H, 0 * H, z, H[:0])[0], H, atol=1e-5)


def test_orthonormal_rows_do_not_move_on_white_data():
    white = jnp.asarray(
        np.sqrt(N) * np.concatenate([TURN, -TURN]), float
    )  # second moment exactly 1
    H = rows(6, 4)
    new, _ = OjaSubspace((4, N)).learn(H, 0 * H, white, H[:0])
    np.testing.assert_allclose(new, H, atol=1e-6)


@pytest.mark.parametrize("frozen", [0, 3])
def test_second_moment_and_samples_give_the_same_step(frozen):
    given = (rows(1, 4), jnp.zeros((4, N)), samples(3, b=40), rows(0, 3)[:frozen])
    many = OjaSubspace((4 + frozen, N), frozen=frozen, rate=0.02).learn(*given)
    H, _, z, old = map(np.asarray, given)
    y = [H, 0 * H]
    for _ in range(5):  # the rule as it is written, sample by sample
        activity = z @ y[0].T
        error = z - z @ old.T @ old - activity @ y[0]
        dH = np.clip(activity.T @ error / len(z), -10, 10)
        y[1] = 0.9 * y[1] + 0.1 * dH
        y[0] = y[0] + 0.02 * y[1]
    few = OjaSubspace((4 + frozen, N), frozen=frozen, rate=0.02, levels=10**9)  # samples, unrounded
    for got in (many, few.learn(*given)):
        np.testing.assert_allclose(got[0], y[0], atol=1e-5)
        np.testing.assert_allclose(got[1], y[1], atol=1e-5)


def test_entries_are_clipped():
    z = jnp.full((1, 2), 100.0)
    rule = OjaSubspace((1, 2), rate=1.0, momentum=0.0, repeats=1)
    _, M = rule.learn(jnp.array([[0.1, 0.0]]), jnp.zeros((1, 2)), z, jnp.zeros((0, 2)))
    assert M.tolist() == [[10.0, 10.0]]


@pytest.fixture(scope="module")
def learned():
    """Four rows learnt in a circuit, then two more beside them, frozen."""
    first = Managed(Dense(rows(8, 4)), OjaSubspace((4, N), rate=0.02), "weight", {"pre": "input"})
    z = samples(0, 200 * 32).reshape(200, 32, N)
    carry, _ = run(first, start(first, 1.0, jr.key(0)), z)
    H = carry.state.theta
    grown = Dense(jnp.concatenate([H, rows(9, 2)]))
    rule = OjaSubspace((6, N), frozen=4, rate=0.02)
    second = Managed(grown, rule, "weight", {"pre": "input"})
    carry, _ = run(second, start(second, 1.0, jr.key(1)), 3 * z)
    return H, carry.state.theta


def test_rows_span_the_principal_subspace(learned):
    H, _ = learned
    best = principal_rows(second_moment(samples(99, 20_000)), 4)
    assert float(principal_angles(H, best).max()) < 4.0  # the random start is at about 80 degrees
    np.testing.assert_allclose(H @ H.T, np.eye(4), atol=0.05)


def test_frozen_rows_are_the_same_to_the_bit_and_new_ones_learn_the_residual(learned):
    H, grown = learned
    assert (grown[:4] == H).all()
    overlap = principal_angles(grown[4:], H)
    assert float(overlap.min()) > 80.0  # they began at random and went where the old rows are not
    np.testing.assert_allclose(jnp.linalg.norm(grown[4:], axis=1), 1.0, atol=0.05)


def test_refusals_name_the_fault():
    with pytest.raises(ValueError, match="0 < m <= n"):
        OjaSubspace((5, 3))
    with pytest.raises(ValueError, match="leave one to learn"):
        OjaSubspace((3, 5), frozen=3)
    with pytest.raises(ValueError, match="rate"):
        OjaSubspace((3, 5), rate=-1.0)
    with pytest.raises(ValueError, match="repeats"):
        OjaSubspace((3, 5), repeats=0)
