import numpy as np
import pytest
from scipy import stats
from scipy.spatial.distance import pdist

from neuropil.compare.geometry import (
    compare_rdms,
    crossnobis,
    noise_ceiling,
    rdm,
    rdm_ceiling,
    similarity,
    square,
    stimuli,
    vector,
)
from neuropil.worlds import datasets


@pytest.fixture
def patterns():
    return np.random.default_rng(0).normal(size=(9, 14)) + 100


@pytest.mark.parametrize("method", ["correlation", "euclidean", "sqeuclidean"])
def test_distances_are_those_of_scipy(patterns, method):
    np.testing.assert_allclose(rdm(patterns, method), pdist(patterns, method), rtol=1e-9)


def test_crossnobis_is_its_definition_pair_of_runs_by_pair_of_runs():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(4, 5, 7))
    root = rng.normal(size=(7, 7))
    precision = root @ root.T + np.eye(7)
    expected = []
    for i in range(5):
        for j in range(i + 1, 5):
            d = x[:, i] - x[:, j]
            values = [d[r] @ precision @ d[s] / 7 for r in range(4) for s in range(4) if r != s]
            expected.append(np.mean(values))
    np.testing.assert_allclose(crossnobis(x, precision), expected, rtol=1e-10)
    np.testing.assert_allclose(crossnobis(np.stack([x[0], x[0]])), rdm(x[0], "sqeuclidean") / 7)


def test_crossnobis_is_unbiased_also_with_missing_runs():
    rng = np.random.default_rng(2)
    signal = rng.normal(size=(4, 30))
    true = rdm(signal, "sqeuclidean") / 30
    gone = np.array([[0, 0, 1, 0], [1, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 1]], bool)
    total = 0
    for _ in range(800):
        runs = signal + 2 * rng.normal(size=(4, 4, 30))
        runs[gone] = np.nan
        total = total + crossnobis(runs) / 800
    # one estimate has a standard error near 1; plain distances would be 2 * 4 / runs too large
    np.testing.assert_allclose(total, true, atol=0.2)


def test_similarities_are_those_of_scipy():
    rng = np.random.default_rng(3)
    a, b = rng.integers(0, 9, (2, 28)).astype(float)
    assert similarity(a, b) == pytest.approx(stats.pearsonr(a, b)[0], abs=1e-12)
    assert similarity(a, b, "spearman") == pytest.approx(stats.spearmanr(a, b)[0], abs=1e-12)
    cosine = a @ b / np.linalg.norm(a) / np.linalg.norm(b)
    assert similarity(a, b, "cosine") == pytest.approx(cosine, abs=1e-12)
    assert similarity(np.stack([a, b]), a).shape == (2,)
    assert similarity(np.stack([a, b]), np.stack([a, b, a])).shape == (2, 3)


def test_a_bootstrap_draw_is_the_similarity_of_copied_stimuli_without_their_own_pairs():
    rng = np.random.default_rng(4)
    a, b = rdm(rng.normal(size=(10, 6))), rdm(rng.normal(size=(10, 6)))
    for method in ("pearson", "spearman"):
        score = compare_rdms(a, b, method=method, resamples=3, permutations=2, seed=7)
        again = np.random.default_rng(7)
        picks = again.integers(0, 10, (3, 10))
        again.integers(0, 1, (3, 1))
        orders = np.array([again.permutation(10) for _ in range(2)])
        i, j = np.triu_indices(10, 1)
        corr = stats.pearsonr if method == "pearson" else stats.spearmanr
        for draw, pick in zip(score.draws, picks, strict=True):
            keep = pick[i] != pick[j]
            x, y = square(a)[pick[i], pick[j]][keep], square(b)[pick[i], pick[j]][keep]
            assert draw == pytest.approx(corr(x, y)[0], abs=1e-5)
        for draw, order in zip(score.null, orders, strict=True):
            assert draw == pytest.approx(corr(square(a)[order[i], order[j]], b)[0], abs=1e-5)


def test_p_is_uniform_when_geometries_are_unrelated():
    rng = np.random.default_rng(5)
    p = np.array(
        [
            compare_rdms(
                rdm(rng.normal(size=(10, 5))),
                rdm(rng.normal(size=(10, 5))),
                resamples=0,
                permutations=39,
                seed=k,
            ).p
            for k in range(150)
        ]
    )
    # pairs that share a stimulus are dependent: relabelling stimuli, not pairs, keeps p honest
    assert abs(p.mean() - 0.5) < 0.07
    assert np.mean(p <= 0.05) < 0.05 + 4 * np.sqrt(0.05 * 0.95 / 150)


def test_noise_ceiling_of_subjects_holds_the_truth():
    rng = np.random.default_rng(6)
    true = rng.normal(size=190)
    subjects = true + rng.normal(size=(12, 190))
    for method in ("pearson", "spearman", "cosine"):
        lower, upper = noise_ceiling(subjects, method)
        reached = similarity(subjects, true, method).mean()
        assert lower < reached + 0.01
        assert reached < upper + 0.01
        assert upper - lower < 0.1
    score = compare_rdms(true, subjects, resamples=50, permutations=19)
    assert score.ceiling == pytest.approx(noise_ceiling(subjects))
    assert score.p == 0.05


def test_ceiling_from_repeats_is_reached_by_the_true_geometry():
    rng = np.random.default_rng(7)
    signal = rng.normal(size=(150, 40)) * np.linspace(0.2, 2, 40)
    runs = signal + 1.5 * rng.normal(size=(8, 150, 40))
    runs[6:, ::2] = np.nan
    top = rdm_ceiling(runs, splits=5)
    reached = similarity(rdm(signal, "sqeuclidean"), crossnobis(runs))
    assert 0.5 < top < 0.99
    assert reached == pytest.approx(top, abs=0.03)


@pytest.mark.skipif(not datasets.available("rdm-92images"), reason="needs rdm-92images")
def test_human_and_monkey_it_agree_as_published():
    data = datasets.load("rdm-92images")
    human, monkey = vector(data.human_it_mean), vector(data.monkey_it)
    score = compare_rdms(monkey, human, resamples=200, permutations=200)
    assert score.value == pytest.approx(0.49, abs=0.005)
    assert score.p < 0.01
    assert score.interval[0] < 0.49 < score.interval[1]


def test_refusals(patterns):
    with pytest.raises(ValueError, match="not the number of pairs"):
        stimuli(np.zeros(5))
    with pytest.raises(ValueError, match="stimulus 2 has the same response"):
        rdm(np.where(np.arange(9)[:, None] == 2, 1.0, patterns))
    with pytest.raises(ValueError, match="NaN"):
        rdm(patterns * np.nan)
    with pytest.raises(ValueError, match="method must be"):
        rdm(patterns, "manhattan")
    with pytest.raises(ValueError, match="2 or more runs"):
        crossnobis(patterns[None])
    lonely = np.full((2, 3, 4), np.nan)
    lonely[0] = 1
    with pytest.raises(ValueError, match="share no two different runs"):
        crossnobis(lonely)
    with pytest.raises(ValueError, match="3 and 4 stimuli"):
        similarity(np.zeros(3), np.zeros(6))
    with pytest.raises(ValueError, match="symmetric"):
        vector(np.arange(9.0).reshape(3, 3))
    with pytest.raises(ValueError, match="square, not"):
        vector(np.zeros((2, 3)))
    with pytest.raises(ValueError, match="2 or more subjects"):
        noise_ceiling(np.zeros(6))
