"""RSA beyond the closed forms of test_geometry: whitening, bootstraps, flexible models, bad input."""

import numpy as np
import pytest
from scipy import stats

from neuropil.compare import geometry as g
from neuropil.compare.dissimilarity import _whole
from neuropil.compare.flexible import crossvalidated, nonnegative
from neuropil.compare.rdms import _tau
from neuropil.compare.resampled import pair_weights, resampled, weighted_ranks
from neuropil.compare.spread import standard_error

LINEAR = ("pearson", "cosine", "whitened-pearson", "whitened-cosine")


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def spd(rng, n):
    root = rng.normal(size=(n, n))
    return root @ root.T + np.eye(n)


def test_mahalanobis_and_poisson_are_their_definitions(rng):
    x, precision = rng.normal(size=(5, 4)), spd(rng, 4)
    rate = (rng.poisson(3.0, (5, 4)) + 0.1) / 1.1
    i, j = np.triu_indices(5, 1)
    quadratic = [(x[a] - x[b]) @ precision @ (x[a] - x[b]) / 4 for a, b in zip(i, j, strict=True)]
    np.testing.assert_allclose(g.rdm(x, "mahalanobis", precision=precision), quadratic)
    divergence = [stats.entropy(rate[a], rate[b]) for a, b in zip(i, j, strict=True)]
    assert len(divergence) == 10
    kl = [
        np.sum((rate[a] - rate[b]) * np.log(rate[a] / rate[b])) / 4
        for a, b in zip(i, j, strict=True)
    ]
    np.testing.assert_allclose(g.rdm(rate, "poisson", prior=(1.0, 0.0)), kl)
    np.testing.assert_allclose(
        g.rdm(np.stack([x, 2 * x]), "euclidean")[1], 2 * g.rdm(x, "euclidean")
    )


def test_cross_poisson_is_its_definition_and_has_no_bias(rng):
    runs = rng.poisson(3.0, (3, 4, 5)).astype(float)
    rate = (runs + 0.1) / 1.1
    found, at = g.cross_poisson(runs), 0
    for i in range(4):
        for j in range(i + 1, 4):
            each = [
                (rate[r, i] - rate[r, j]) @ (np.log(rate[s, i]) - np.log(rate[s, j])) / 5
                for r in range(3) for s in range(3) if r != s
            ]  # fmt: skip
            assert found[at] == pytest.approx(np.mean(each))
            at += 1
    same = g.cross_poisson(rng.poisson(4.0, (400, 2, 5, 30)).astype(float))
    assert abs(same.mean()) < 4 * same.mean(1).std() / 20
    plain = g.rdm(rng.poisson(4.0, (5, 30)).astype(float), "poisson")
    assert plain.mean() > 20 * abs(same.mean())


def test_sets_of_runs_are_done_one_by_one_and_a_run_may_lack_a_stimulus(rng):
    runs, precision = rng.normal(size=(3, 4, 6, 130)), spd(rng, 130)
    runs[1, 2, 0, 0] = np.nan
    for p in (None, precision):
        every = g.crossnobis(runs, p)
        for k in range(3):
            np.testing.assert_allclose(every[k], g.crossnobis(runs[k], p), rtol=1e-9)
    counts = rng.poisson(2.0, (3, 4, 6)).astype(float)
    gone = counts.copy()
    gone[0, 1, 2] = np.nan
    assert np.isfinite(g.cross_poisson(gone)).all()


def test_a_far_mean_leaves_the_digits(rng):
    runs = rng.normal(size=(4, 6, 50))
    near = g.crossnobis(runs)
    np.testing.assert_allclose(g.crossnobis((runs + 300).astype(np.float32)), near, atol=3e-4)
    blunt = _whole((runs + 300).astype(np.float32), None, False, None)
    assert np.abs(blunt).max() > 1e4  # what the differences would have to come out of


def test_shrinkage_ends_in_the_diagonal_or_the_sample_covariance(rng):
    few, many = rng.normal(size=(6, 10)), rng.normal(size=(4000, 3)) @ spd(rng, 3)
    shrunk = g.noise_covariance(few)
    np.testing.assert_allclose(np.diag(shrunk), few.var(0, ddof=1))
    assert np.linalg.eigvalsh(shrunk)[0] > 0
    np.testing.assert_allclose(g.noise_covariance(many), np.cov(many.T), rtol=0.01, atol=0.05)
    np.testing.assert_allclose(g.noise_covariance(few, None), np.cov(few.T))
    gap = rng.normal(size=(3, 5, 4))
    gap[0, 2] = np.nan
    assert np.isfinite(g.noise_precision(gap)).all()


@pytest.mark.parametrize("method", ["whitened-pearson", "whitened-cosine"])
def test_whitening_is_by_the_inverse_covariance_of_distances(rng, method):
    n = 6
    i, j = np.triu_indices(n, 1)
    contrasts = np.zeros((15, n))
    contrasts[np.arange(15), i], contrasts[np.arange(15), j] = 1, -1
    a, b = rng.uniform(size=(2, 15))
    x, y = (a - a.mean(), b - b.mean()) if "pearson" in method else (a, b)
    for noise in (None, spd(rng, n), rng.uniform(1, 2, n)):
        full = np.eye(n) if noise is None else np.diag(noise) if noise.ndim == 1 else noise
        inverse = np.linalg.inv((contrasts @ full @ contrasts.T) ** 2)
        expected = x @ inverse @ y / np.sqrt(x @ inverse @ x * (y @ inverse @ y))
        assert g.similarity(a, b, method, noise) == pytest.approx(expected)


def test_ranks_of_copies(rng):
    x, w = rng.integers(0, 5, 20).astype(float), rng.integers(0, 4, 20).astype(float)
    copies = np.repeat(np.arange(20), w.astype(int))
    ranks = stats.rankdata(x[copies])
    np.testing.assert_allclose(weighted_ranks(x, w)[copies], ranks)
    np.testing.assert_allclose(weighted_ranks(x, w, np.argsort(x))[copies], ranks)
    a, b = rng.integers(0, 4, (2, 12)).astype(float)
    up, across = np.triu_indices(12, 1)
    signs = np.sign(a[up] - a[across]) * np.sign(b[up] - b[across])
    assert _tau(a, b, "tau-a") == pytest.approx(signs.mean())


@pytest.mark.parametrize("method", g.METHODS)
def test_a_draw_is_the_similarity_of_the_copies(rng, method):
    models, subjects = rng.uniform(size=(2, 2, 28))
    counts = np.array([[2, 1, 1, 0, 1, 1, 2, 0], np.ones(8)])
    people = np.array([[[1, 1], [2, 0]]])
    found = resampled(models, subjects, counts, people, method)
    each = g.similarity(models, subjects, method)
    np.testing.assert_allclose(found.value[0, 1], each[:, 0])
    np.testing.assert_allclose(
        resampled(models, subjects, counts[1:], people[:, :1], method).ceiling[0, 0],
        g.noise_ceiling(subjects, method),
    )
    if not method.startswith("whitened"):  # those need the matrix: tests/against has them
        copies = np.repeat(np.arange(28), pair_weights(counts)[0].astype(int))
        kind = {
            "tau-a": lambda a, b: _tau(a, b, "tau-a"),
            "tau-b": lambda a, b: _tau(a, b, "tau-b"),
        }
        rank = stats.rankdata if method in ("spearman", "rho-a") else lambda x: x
        corr = lambda a, b: np.corrcoef(rank(a), rank(b))[0, 1]
        cosine = lambda a, b: a @ b / np.linalg.norm(a) / np.linalg.norm(b)
        of = kind.get(method, cosine if method == "cosine" else corr)
        if method != "rho-a":
            expected = np.mean([of(models[0][copies], s[copies]) for s in subjects])
            assert found.value[0, 0, 0] == pytest.approx(expected)


def test_relabelling_and_models_come_in_any_number(rng):
    true = rng.uniform(size=66)
    subjects = true + 0.2 * rng.normal(size=(5, 66))
    models = {"true": true, "noisy": true + 0.5 * rng.normal(size=66), "none": rng.uniform(size=66)}
    for method in ("pearson", "rho-a", "whitened-cosine"):
        found = g.compare_models(models, subjects, method=method, resamples=100, permutations=99)
        alone = g.compare_rdms(
            models["noisy"], subjects, method=method, resamples=100, permutations=99
        )
        assert found["noisy"].value == pytest.approx(alone.value)
        np.testing.assert_allclose(found["noisy"].null, alone.null)
        assert found.best()[0] == "true"
        assert np.asarray(found.score.p).shape == (3,)
        assert np.allclose(found.p, found.p.T, equal_nan=True)
        assert found.difference.value[0, 2] == pytest.approx(
            found["true"].value - found["none"].value
        )
        assert "best: true" in repr(found)
        assert found.p_ceiling[2] < 0.05
    few = g.compare_models(
        [true[:28]], subjects[:, :28], method="tau-a", resamples=5, permutations=9
    )
    assert few.score.interval[0][0] < few.score.value[0] <= 1


def test_one_subject_has_stimuli_only(rng):
    true = rng.uniform(size=66)
    one = g.compare_rdms(true, true + 0.3 * rng.normal(size=66), resamples=100, permutations=19)
    assert one.ceiling is None
    assert one.interval[0] < one.value < one.interval[1]
    with pytest.raises(ValueError, match="one subject says nothing of other subjects"):
        g.compare_rdms(true, true, over="both")


def test_the_parts_of_a_variance_are_counted_once(rng):
    """Additive effects of subjects and stimuli on every pair: the truth is A / S + 4 B / N."""
    s, n, draws = 10, 14, 3000
    people, things = rng.normal(size=s), rng.normal(size=n)
    i, j = np.triu_indices(n, 1)
    rdms = 2 * people[:, None] + (things[i] + things[j])[None]

    def value(counts, weight):
        w = pair_weights(counts)
        return ((w / w.sum(1, keepdims=True)) @ rdms.T * weight).sum(1)[:, None, None] / s

    counts = rng.multinomial(n, np.full(n, 1 / n), draws).astype(float)
    weight = rng.multinomial(s, np.full(s, 1 / s), draws).astype(float)
    left = np.concatenate([np.ones((1, s)), (1 - np.eye(s)) * s / (s - 1)])
    ways = {
        "both": value(counts, weight),
        "stimuli": value(counts, np.ones((draws, s))),
        "subjects": value(np.ones((draws, n)), weight),
        "left out": np.stack([value(1 - np.eye(n), np.tile(w, (n, 1)))[:, 0] for w in left]),
    }
    truth = 4 * people.var(ddof=1) / s + 4 * things.var(ddof=1) / n
    found = standard_error(ways, "both", s, n, lambda x: x)
    assert found.error[0] ** 2 == pytest.approx(truth, rel=0.15)
    assert 9 <= found.freedom[0] <= 22
    alone = standard_error(ways, "subjects", s, n, lambda x: x)
    assert alone.error[0] ** 2 == pytest.approx(4 * people.var(ddof=1) / s, rel=0.1)


def test_least_squares_without_negative_weights_is_scipys(rng):
    from scipy.optimize import nnls

    parts, y = rng.normal(size=(5, 30, 4)), rng.normal(size=(5, 30))
    inner, target = parts.swapaxes(1, 2) @ parts, np.einsum("dij,di->dj", parts, y)
    found = nonnegative(inner, target)
    for k in range(5):
        expected = nnls(parts[k], y[k])[0]
        if expected.any():
            np.testing.assert_allclose(found[k], expected, atol=1e-8)


@pytest.mark.parametrize("method", LINEAR)
def test_flexible_models_find_their_weights_and_are_tested_elsewhere(rng, method):
    parts = rng.uniform(size=(3, 190))
    clean = 0.6 * parts[0] + 0.4 * parts[1]
    subjects = clean + 0.02 * rng.normal(size=(4, 190))
    np.testing.assert_allclose(
        g.fitted(g.Weighted(parts), subjects, method), [0.6, 0.4, 0], atol=0.05
    )
    np.testing.assert_allclose(
        g.fitted(g.Interpolated(parts), subjects, method), [0.6, 0.4, 0], atol=0.05
    )
    assert g.fitted(g.Selected(parts), subjects, method).tolist() == [1, 0, 0]
    models = [g.Weighted(parts), clean, g.Selected(parts)]
    ones = np.ones((1, 20)), np.ones((1, 1, 4))
    value, bound = crossvalidated(models, subjects, *ones, method, (3, 2), 2, rng)
    value, bound = value[0, 0].mean(0), bound[0, 0].mean(0)
    assert value[1] > value[0] - 1e-3 > value[2]
    assert bound[0] < value[1] < bound[1] + 0.01


def test_a_fit_of_noise_is_no_more_than_noise(rng):
    parts, subjects = rng.uniform(size=(6, 91)), rng.uniform(size=(3, 91))
    fitted = g.fitted(g.Weighted(parts), subjects)
    inside = g.similarity(fitted @ parts, subjects).mean()
    found = g.compare_models({"fit": g.Weighted(parts)}, subjects, resamples=30)
    assert inside > 0.1
    assert found["fit"].value < inside
    assert found["fit"].interval[0] < 0 < found["fit"].interval[1]


def test_ceilings_of_halves(rng):
    true = rng.normal(size=300)
    subjects = true + rng.normal(size=(9, 300))
    top = g.split_half_ceiling(subjects)
    assert g.similarity(true, subjects.mean(0)) == pytest.approx(top, abs=0.02)
    assert g.split_half_ceiling(rng.normal(size=(4, 300)), splits=5) < 0.4


def test_reasons_and_defined_answers(rng):
    flat, some = np.full(28, 2.0), rng.uniform(size=28)
    assert np.isnan(g.similarity(flat, some))
    assert np.isnan(g.similarity(flat, some, "spearman"))
    assert g.similarity(flat, some, "rho-a") == 0 == g.similarity(flat, some, "tau-a")
    assert 0 < g.similarity(flat, some, "cosine") < 1
    twice = rng.normal(size=(6, 9))
    twice[3] = twice[1]
    assert g.square(g.rdm(twice, "sqeuclidean"))[1, 3] == pytest.approx(0, abs=1e-12)
    constant = np.column_stack([rng.normal(size=(20, 3)), np.ones(20)])
    parts, runs = g.Weighted(np.stack([some, flat])), rng.normal(size=(2, 3, 2))
    bad = (
        (lambda: g.compare_rdms(flat, some), "equal distances"),
        (lambda: g.compare_models([parts], some, method="spearman"), "least squares"),
        (lambda: g.compare_models([parts], some, folds=(4, 1)), "3 and 1 a fold"),
        (lambda: g.compare_models([], some), "no model"),
        (lambda: g.compare_models({"a": np.stack([some, some])}, some), "is one RDM"),
        (lambda: g.Weighted(some), "2 or more components"),
        (lambda: g.noise_covariance(constant), "channel 3 never changes"),
        (lambda: g.noise_precision(rng.normal(size=(5, 9)), None), "no inverse"),
        (lambda: g.noise_covariance(rng.normal(size=(1, 9))), "2 or more samples"),
        (lambda: g.rdm(-twice, "poisson"), "never negative"),
        (lambda: g.rdm(twice, "mahalanobis"), "give a precision"),
        (lambda: g.rdm(np.abs(twice) * 0, "poisson", prior=(0.0, 0.0)), "no logarithm"),
        (lambda: g.crossnobis(runs, -np.eye(2)), "positive definite"),
        (lambda: g.crossnobis(runs, np.array([[1.0, 2.0], [2.0, 1.0]])), "positive definite"),
        (lambda: g.similarity(some, some, "pearson", np.eye(8)), "whitened methods only"),
        (lambda: g.similarity(some, some, "kendall"), "method must be one of"),
        (lambda: g.split_half_ceiling(some), "2 or more subjects"),
    )  # fmt: skip
    for call, reason in bad:
        with pytest.raises(ValueError, match=reason):
            call()
