"""Filters equal MNE's to rounding, in memory and lazily, whole and in parts."""

import numpy as np
import pytest

from neuropil.recordings import Lazy, Recording
from neuropil.recordings import preprocess as pp

mne = pytest.importorskip("mne", reason="needs the extra neuropil[recordings]")
X = np.random.default_rng(0).normal(size=(1, 1500, 3))


def both(x=X, rate=200.0, **more):
    whole = Recording.from_array(x, rate=rate, unit="uV", **more)
    lazy = Recording.from_array(Lazy(x.shape, float, lambda *b: x[b]), rate=rate, unit="uV", **more)
    return whole, lazy


@pytest.mark.parametrize(("low", "high"), [(1.0, 40.0), (None, 30.0), (5, None)])
def test_fir_is_mne_also_in_lazy_parts_and_at_the_ends(low, high):
    whole, lazy = both()
    want = mne.filter.filter_data(X[0].T, 200.0, low, high, verbose="error").T
    got, later = pp.filter(whole, low, high), pp.filter(lazy, low, high)
    np.testing.assert_allclose(got.to_numpy()[0], want, atol=1e-12)
    assert "lazy" in repr(later)
    for a, b in ((0.0, 0.2), (2.0, 3.0), (7.3, 7.5)):
        i = slice(round(a * 200), round(b * 200))
        np.testing.assert_allclose(later.select(time=(a, b)).to_numpy()[0], want[i], atol=1e-12)
    assert got.history[-1].name == "filter"
    assert whole.history == ()


def test_notch_iir_and_a_signal_shorter_than_its_filter():
    whole, lazy = both()
    want = mne.filter.notch_filter(X[0].T, 200.0, [50, 75], verbose="error").T
    np.testing.assert_allclose(pp.notch(whole, [50, 75]).to_numpy()[0], want, atol=1e-12)
    short, _ = both(X[:, :60])
    want = mne.filter.filter_data(X[0, :60].T, 200.0, 1, 40, verbose="error").T
    np.testing.assert_allclose(pp.filter(short, 1, 40).to_numpy()[0], want, atol=1e-12)
    from scipy import signal

    sos = signal.butter(4, [8, 30], "bandpass", fs=200.0, output="sos")
    got = pp.filter(lazy, 8, 30, method="iir").select(time=(1.0, 2.0)).to_numpy()[0]
    np.testing.assert_allclose(got, signal.sosfiltfilt(sos, X[0], axis=0)[200:400], atol=1e-12)


def test_trials_that_end_early_are_filtered_up_to_their_end():
    long, short = X[0, :900, :1], X[0, 900:1300, :1]
    ragged = Recording.from_trials([long, short], rate=200.0, unit="uV")
    got = pp.filter(ragged, None, 30).to_numpy(0)
    want = mne.filter.filter_data(short.T, 200.0, None, 30, verbose="error").T
    np.testing.assert_allclose(got[1, :400], want, atol=1e-12)
    assert (got[1, 400:] == 0).all()
    half = pp.resample(ragged, 100.0)
    assert half.shape == (2, 450, 1)
    np.testing.assert_array_equal(half.mask.sum("time").values.ravel(), [450, 200])
    hole = np.ones((1, 1500), bool)
    hole[0, 700] = False
    whole, _ = both(mask=hole)
    with pytest.raises(
        ValueError, match="masked samples in the middle, over which filter would smear"
    ):
        pp.filter(whole, None, 30)


@pytest.mark.parametrize("rate", [100.0, 150.0, 500.0, 128.0])
def test_resampling_keeps_a_sine_and_reads_parts(rate):
    whole, lazy = both()
    got, later = pp.resample(whole, rate), pp.resample(lazy, rate)
    part = later.select(time=(2.0, 3.0)).to_numpy()
    np.testing.assert_array_equal(part, got.select(time=(2.0, 3.0)).to_numpy())
    t = np.arange(1500) / 200
    sine, _ = both(np.sin(2 * np.pi * 7 * t)[None, :, None])
    fast = pp.resample(sine, rate)
    want = np.sin(2 * np.pi * 7 * fast.data.time.values)
    np.testing.assert_allclose(fast.to_numpy()[0, :, 0], want, atol=5e-3)
    assert (fast.rate, fast.shape[1]) == (rate, round(1500 * rate / 200))


def test_references_and_what_cannot_be_filtered():
    whole, lazy = both(
        labels=["a", "b", "c"],
        columns={"kind": ["eeg", "eeg", "stim"], "bad": [False, True, False]},
    )
    np.testing.assert_allclose(pp.reference(whole).to_numpy()[..., 1], X[..., 1] - X[..., 0])
    np.testing.assert_array_equal(pp.reference(whole).to_numpy()[..., 2], X[..., 2])
    to_b = pp.reference(lazy, "b").to_numpy()
    np.testing.assert_allclose(to_b[..., 0], X[..., 0] - X[..., 1])
    with pytest.raises(ValueError, match="no channel 'z' to reference to"):
        pp.reference(whole, "z")
    with pytest.raises(ValueError, match="give 0 < low < high < 100 Hz"):
        pp.filter(whole, 40, 120)
    with pytest.raises(ValueError, match="do not fit below half the rate"):
        pp.notch(whole, 100)
    counts = Recording.from_array(np.ones((1, 50, 1), int), rate=100.0, unit="spikes")
    with pytest.raises(ValueError, match="these are counts of spikes"):
        pp.filter(counts, 1, 10)
    with pytest.raises(ValueError, match="no ratio of integers"):
        pp.resample(whole, 133.3337)


def test_epochs_and_blocks_cut_where_they_say():
    events = {"onset": [0.1, 1.0, 2.0, 7.49], "label": ["a", "b", "a", "b"], "code": [1, 2, 1, 2]}
    whole, lazy = both(events=events)
    for rec in (whole, lazy):
        cut = pp.epochs(rec, -0.2, 0.3)
        assert cut.shape == (2, 100, 3)  # the first begins too early, the last ends too late
        np.testing.assert_array_equal(cut.to_numpy()[1], X[0, 360:460])
        assert cut.data.label.values.tolist() == ["b", "a"]
        assert (cut.data.code.values.tolist(), cut.data.onset.values.tolist()) == (
            [2, 1],
            [1.0, 2.0],
        )
        assert '"dropped": 2' in cut.history[-1].settings
        np.testing.assert_allclose(cut.data.time[[0, -1]], [-0.2, 0.295])
    based = pp.epochs(whole, -0.2, 0.3, labels="a", baseline=(-0.2, 0.0)).to_numpy()
    np.testing.assert_allclose(based[:, :40].mean(1), 0, atol=1e-12)
    tiles = pp.blocks(lazy, 1.0)
    assert tiles.shape == (7, 200, 3)
    np.testing.assert_array_equal(tiles.to_numpy()[3], X[0, 600:800])
    assert tiles.data.begin.values.tolist() == list(range(7))
    assert tiles.events["onset"].tolist() == pytest.approx([0.1, 0.0, 0.0])
    assert pp.blocks(lazy, 1.0, step_by=0.5).shape[0] == 14
    with pytest.raises(ValueError, match="No event has the label 'z': there are a, b"):
        pp.epochs(whole, 0, 1, labels="z")
    with pytest.raises(ValueError, match="None of the 4 events has all"):
        pp.epochs(whole, -9, 9)
    with pytest.raises(ValueError, match="do not fit"):
        pp.blocks(whole, 9.0)


def test_ica_unmixes_what_was_mixed_and_refuses_a_test_part():
    rng = np.random.default_rng(1)
    blink = (rng.random(4000) < 0.003).astype(float)
    blink = np.convolve(blink, np.hanning(40), "same")
    brain = rng.laplace(size=(4000, 3))
    mixed = np.column_stack([brain @ rng.normal(size=(3, 4)), blink]) * 1e-5
    mixed[:, :4] += 8 * blink[:, None] * [1e-5, 2e-5, 1e-5, 0]
    rec = Recording.from_array(
        mixed[None, :, :4],
        rate=100.0,
        unit="V",
        labels=["Fp1", "Fz", "Cz", "Oz"],
        columns={"kind": ["eeg"] * 4},
    )
    parts = pp.split(rec, by="time", block=2.0, test=0.3)
    ica = pp.ICA.fit(parts.train, 4)
    r = np.abs(ica.like(parts.train, "Fz"))
    clean = ica(parts.test, [int(r.argmax())])
    seen = [
        np.abs(
            np.corrcoef(
                p.to_numpy()[..., 1].ravel(),
                mixed[:, 4].reshape(-1, 200)[parts.test.data.trial].ravel(),
            )[0, 1]
        )
        for p in (parts.test, clean)
    ]
    assert seen[0] > 0.6
    assert seen[1] < 0.2
    with pytest.raises(ValueError, match="leak: an ICA would be fitted on the test"):
        pp.ICA.fit(parts.test)
    with pytest.raises(ValueError, match="names a component that is not there"):
        ica(parts.test, [9])
