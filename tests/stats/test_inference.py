"""Exchangeability, corrections, clusters, series, margins, hierarchies: closed forms and what is refused.

False-positive rates and coverages are in test_calibration.py (slow).
"""

import itertools

import numpy as np
import pytest
from scipy import stats as sps

from neuropil import stats as st
from neuropil.stats.score import Score

RNG = np.random.default_rng(0)


def test_orders_keep_what_must_stay():
    labels = np.array([0, 1, 0, 1, 2, 2, 2])
    order = st.shuffles(7, 200, within=labels, seed=1)
    assert (np.sort(order, 1) == np.arange(7)).all()
    assert (labels[order] == labels).all()
    assert len(np.unique(order[:, [4, 5, 6]], axis=0)) == 6
    blocks = np.repeat([3, 1, 2, 9], [2, 2, 2, 3])
    order = st.block_shuffles(blocks, 200, seed=1)
    assert (order[:, 6:] == [6, 7, 8]).all()  # no other block is as long
    assert (np.diff(order[:, :6].reshape(-1, 3, 2), axis=2) == 1).all()
    assert len(np.unique(order, axis=0)) == 6
    apart = st.block_shuffles([0, 1, 0, 1], 50)  # rows of a block need not lie side by side
    assert {tuple(o) for o in apart.tolist()} == {(0, 1, 2, 3), (1, 0, 3, 2)}
    with pytest.raises(ValueError, match="nothing may change places"):
        st.shuffles(3, 5, within=[0, 1, 2])
    with pytest.raises(ValueError, match="equally long"):
        st.block_shuffles([0, 1, 1], 5)
    with pytest.raises(ValueError, match="one label for each"):
        st.shuffles(3, 5, within=[0, 1])


def test_all_sign_flips_give_the_exact_p_value():
    x = RNG.normal(size=7) + 0.4
    score = st.sign_flip(x, tail="greater")
    means = [np.mean(np.array(s) * x) for s in itertools.product((1, -1), repeat=7)]
    assert score.p == np.mean(np.array(means) >= x.mean() - 1e-12)
    ours = st.sign_flip(x).p
    theirs = sps.permutation_test((x,), np.mean, permutation_type="samples", n_resamples=np.inf)
    assert ours == pytest.approx(theirs.pvalue)
    together = st.sign_flips(6, 100, together=[0, 0, 1, 1, 2, 2])
    assert together.shape == (7, 6)
    assert (together[:, ::2] == together[:, 1::2]).all()
    two = st.sign_flip(np.stack([x, -x], 1), lambda v: v.mean(0), draws=50)
    np.testing.assert_allclose(two.null[:, 0], -two.null[:, 1])
    with pytest.raises(ValueError, match="finite"):
        st.sign_flip(np.array([1.0, np.nan]))


def test_permutation_takes_orders_and_several_targets():
    x, y = RNG.normal(size=(2, 12))
    orders = st.shuffles(12, 40, seed=3)
    both = st.permutation(lambda a, b: np.array([a @ b, -(a @ b)]), x, y, orders=orders)
    one = st.permutation(np.dot, x, y, orders=orders)
    np.testing.assert_allclose(both.null[:, 0], one.null)
    assert len(both) == 2
    with pytest.raises(ValueError, match="orders"):
        st.permutation(np.dot, x, y, orders=orders[:, :5])


def test_corrections_by_hand_and_nan_is_no_test():
    p = np.array([0.001, np.nan, 0.04, 0.03, 0.5])
    np.testing.assert_allclose(st.holm(p), [0.004, np.nan, 0.09, 0.09, 0.5])
    np.testing.assert_allclose(st.fdr(p), [0.004, np.nan, 0.16 / 3, 0.16 / 3, 0.5])
    harmonic = 1 + 1 / 2 + 1 / 3 + 1 / 4
    np.testing.assert_allclose(
        st.fdr(p, dependent=True), np.minimum(st.fdr(p) * harmonic, 1), rtol=1e-12
    )
    with pytest.raises(ValueError, match="no finite"):
        st.holm(np.array([np.nan]))
    with pytest.raises(ValueError, match="between 0 and 1"):
        st.fdr(np.array([1.5]))


def test_family_wise_is_the_largest_of_each_draw():
    null = RNG.normal(size=(199, 4))
    value = np.array([2.0, 0.5, np.nan, 3.0])
    one_step = st.family_wise(Score(value, null=null), step_down=False)
    top = null[:, [0, 1, 3]].max(1)
    want = [(1 + (top >= v).sum()) / 200 for v in (2.0, 0.5, 3.0)]
    np.testing.assert_allclose(one_step[[0, 1, 3]], want)
    assert np.isnan(one_step[2])
    step_down = st.family_wise(Score(value, null=null))
    assert step_down[3] == one_step[3]  # the largest has the whole family against it
    assert (step_down[[0, 1]] <= one_step[[0, 1]]).all()
    assert step_down[1] == (1 + (null[:, 1] >= 0.5).sum()) / 200  # the last stands alone
    single = Score(value, null=null)
    assert (step_down >= single.p - 1e-12)[[0, 1, 3]].all()
    less = st.family_wise(Score(-value, null=-null, tail="less"))
    np.testing.assert_allclose(less, step_down)
    both = st.family_wise(Score(np.array([-5.0, 0.0]), null=null[:, :2], tail="two-sided"))
    assert both[0] == 1 / 200
    with pytest.raises(ValueError, match="several targets"):
        st.family_wise(Score(1.0, null=np.zeros(3)))


def test_clusters_are_mne_s_with_its_p_values():
    mne_stats = pytest.importorskip("mne.stats", reason="needs the extra neuropil[recordings]")
    x = RNG.normal(size=(8, 25))
    x[:, 8:14] += 1.2
    found = st.cluster_test(x, draws=63, seed=2)
    t, _, p, _ = mne_stats.permutation_cluster_1samp_test(
        x,
        threshold=sps.t.isf(0.025, 7),
        n_permutations=64,
        rng=2,
        out_type="mask",
        verbose="ERROR",
    )
    np.testing.assert_allclose(found.map, t)
    np.testing.assert_allclose(found.p, p)
    best = found.members[found.p.argmin()]
    assert best[9:13].all()
    assert not best[:5].any()
    assert found.mass.value.max() == pytest.approx(found.map[best].sum())
    line = np.arange(5.0)[:, None]
    near = st.neighbours(line, 1.5)
    a, b = RNG.normal(size=(2, 6, 4, 5))
    a[:, 1:3, 1:3] -= 4
    two = st.cluster_test(a, b, adjacency=near, draws=49, tail="less")
    assert two.p.min() == 1 / 50
    assert two.members[two.p.argmin()][1:3, 1:3].all()
    assert two.map[1, 1] == pytest.approx(sps.ttest_ind(a[:, 1, 1], b[:, 1, 1]).statistic)
    swapped = st.cluster_test(b, a, adjacency=near, draws=49, tail="greater")
    np.testing.assert_allclose(swapped.map, -two.map)
    assert swapped.p.min() == 1 / 50
    both = st.cluster_test(a, b, draws=49)  # without adjacency: a lattice of times and units
    signs = {int(np.sign(both.map[m]).sum() / m.sum()) for m in both.members}
    assert signs <= {-1, 1}
    assert both.p.min() == 1 / 50
    assert both.mass.null.min() >= 0
    none = st.cluster_test(RNG.normal(size=(5, 4)), threshold=50.0, draws=19)
    assert len(none.p) == 0
    assert len(st.cluster_test(a, b, threshold=50.0, draws=19).p) == 0
    assert "Clusters(0 over (4,)" in repr(none)
    with pytest.raises(ValueError, match="adjacency"):
        st.cluster_test(x, adjacency=near)
    with pytest.raises(ValueError, match="3 rows"):
        st.cluster_test(x[:2])


def test_effective_samples_meet_the_formula_of_autoregressive_series():
    n, a, b = 60_000, 0.7, 0.5
    rng = np.random.default_rng(1)

    def ar(phi):
        from scipy.signal import lfilter

        return lfilter([1], [1, -phi], rng.normal(size=n))

    x, y = ar(a), ar(b)
    assert st.effective_samples(x) == pytest.approx(n * (1 - a) / (1 + a), rel=0.06)
    assert st.effective_samples(x, y) == pytest.approx(n * (1 - a * b) / (1 + a * b), rel=0.04)
    np.testing.assert_allclose(st.autocorrelation(x)[:4], a ** np.arange(4), atol=0.02)
    wave = np.cos(np.pi * np.arange(100))
    assert st.effective_samples(wave) == 100
    assert st.effective_samples(np.arange(50.0), np.arange(50.0) ** 2) < 10
    r, m = 0.37, 33
    t = r * np.sqrt((m - 2) / (1 - r**2))
    assert st.correlation_p(r, m) == pytest.approx(2 * sps.t.sf(t, m - 2))
    white, other = rng.normal(size=(2, 50))
    assert st.correlation_p(np.corrcoef(white, other)[0, 1], 50) == pytest.approx(
        sps.pearsonr(white, other).pvalue
    )
    with pytest.raises(ValueError, match="y never changes"):
        st.effective_samples(white, np.ones(50))
    with pytest.raises(ValueError, match="not finite at sample 2"):
        st.series_correlation(np.r_[0, 1, np.nan, np.arange(12)], np.arange(15.0))


def test_a_series_correlation_is_pearson_s_with_the_null_of_its_effective_samples():
    x, y = RNG.normal(size=(2, 60))
    score = st.series_correlation(x, y)
    assert score.value == pytest.approx(np.corrcoef(x, y)[0, 1])
    p = st.correlation_p(score.value, st.effective_samples(x, y))
    assert score.p == pytest.approx(p, abs=0.003)
    assert st.series_correlation(x, x).value == pytest.approx(1)
    white = st.effective_samples(x, y)
    assert score.n == round(white)


def test_equivalence_is_two_one_sided_tests():
    x, y = RNG.normal(size=(2, 11)) * 0.3
    judged = st.equivalence(x, margin=(-0.3, 0.4))
    low = sps.ttest_1samp(x, -0.3, alternative="greater").pvalue
    high = sps.ttest_1samp(x, 0.4, alternative="less").pvalue
    assert judged.p == max(low, high)
    assert judged.holds == (-0.3 < judged.score.interval[0] and judged.score.interval[1] < 0.4)
    two = st.equivalence(x, y, margin=0.5)
    want = sps.ttest_ind(x - y.mean() + 0.5, y - y.mean(), equal_var=False, alternative="greater")
    other = sps.ttest_ind(x - 0.5, y, equal_var=False, alternative="less")
    assert two.p == pytest.approx(max(want.pvalue, other.pvalue))
    worse = st.non_inferiority(x, y, margin=0.5)
    assert worse.p == pytest.approx(want.pvalue)
    assert worse.holds == (worse.score.interval[0] > -0.5)
    assert st.equivalence(np.zeros(3), margin=0.1).holds  # no spread at all
    with pytest.raises(ValueError, match="is empty"):
        st.equivalence(x, margin=0.0)
    with pytest.raises(ValueError, match="not be negative"):
        st.non_inferiority(x, margin=-1)
    with pytest.raises(ValueError, match="2 numbers or more"):
        st.equivalence(np.array([1.0]), margin=1)


def test_a_hierarchical_bootstrap_keeps_nesting_and_widens_to_the_truth():
    subject, session = np.repeat([0, 1, 2, 3], 6), np.tile([0, 0, 0, 1, 1, 1], 4)
    levels = {"subject": subject, "session": session}
    seen = []

    def look(rows):
        seen.append(rows)
        return rows.mean()

    st.hierarchical_bootstrap(look, np.arange(24), levels=levels, resamples=30)
    for rows in seen[1:]:  # whole subjects, every row of each
        assert (rows.reshape(4, 6) - rows.reshape(4, 6)[:, :1] == np.arange(6)).all()
    seen.clear()
    over = ("subject", "session", "row")
    st.hierarchical_bootstrap(look, np.arange(24), levels=levels, over=over, resamples=30)
    for rows in seen[1:]:  # a subject's rows lie side by side, within it a session's
        assert (np.ptp(rows.reshape(4, 6) // 6, axis=1) == 0).all()
        assert (np.ptp(rows.reshape(8, 3) // 3, axis=1) == 0).all()
    x = np.random.default_rng(1).normal(size=24)
    for over, free, sizes in (("subject", 3, 4), ("session", 4, 2), ("row", 16, 3)):
        score = st.hierarchical_bootstrap(np.mean, x, levels=levels, over=over, resamples=400)
        sd = score.draws.std() * np.sqrt(sizes / (sizes - 1))
        half = sps.t.isf(0.025, free) * sd
        np.testing.assert_allclose(score.interval, (x.mean() - half, x.mean() + half))
    means = x.reshape(4, 6).mean(1)
    subjects = st.hierarchical_bootstrap(np.mean, x, levels=levels, resamples=4000)
    exact = sps.t.isf(0.025, 3) * means.std(ddof=1) / 2
    assert np.ptp(subjects.interval) / 2 == pytest.approx(exact, rel=0.04)
    with pytest.raises(ValueError, match="no level"):
        st.hierarchical_bootstrap(np.mean, x, levels=levels, over="unit")
    with pytest.raises(ValueError, match="one member"):
        st.hierarchical_bootstrap(np.mean, x, levels={"subject": np.zeros(24)})
    with pytest.raises(ValueError, match="rows each"):
        st.hierarchical_bootstrap(np.mean, x, levels={"subject": np.zeros(3)})


def test_ceilings_by_closed_forms():
    rng = np.random.default_rng(2)
    signal = rng.normal(size=(1, 6000, 2))
    s = np.array([0.5, 1.5])
    repeats = s * signal + rng.normal(size=(4, 6000, 2))
    np.testing.assert_allclose(st.signal_to_noise(repeats), s, rtol=0.03)
    counts = rng.integers(1, 5, 6000)
    repeats[np.arange(4)[:, None] >= counts[None]] = np.nan
    ratio = st.signal_to_noise(repeats)
    np.testing.assert_allclose(ratio, s, rtol=0.06)
    reached = st.correlate(signal[0], np.nanmean(repeats, 0)) ** 2
    np.testing.assert_allclose(st.explainable(s, counts), reached, atol=0.02)
    assert st.explainable(0.0, counts) == 0
    people = signal + rng.normal(size=(12, 6000, 2))
    low, high = st.between(people)
    truth = np.mean([st.correlate(signal[0], p) for p in people], 0)
    assert (low < truth).all()
    assert (truth < high).all()
    np.testing.assert_allclose(low, np.sqrt(0.5) * np.sqrt(1 / (1 + 1 / 11)), atol=0.01)
    noise = rng.normal(size=(5, 40, 1))
    assert st.signal_to_noise(noise)[0] < 0.5
    with pytest.raises(ValueError, match="no sample with 2 repeats"):
        st.signal_to_noise(noise[:1])
    with pytest.raises(ValueError, match="2 or more"):
        st.between(noise[:1])
