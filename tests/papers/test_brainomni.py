"""brainomni: devices and what they hear, the ceiling, what a table cannot know, settings that are refused."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

pytest.importorskip("mne", reason="needs the extra neuropil[recordings]")

from neuropil.papers.fit import _brainomni_data as heard
from neuropil.papers.fit._brainomni_judge import Linear, band_power
from neuropil.papers.fit._brainomni_net import Described, Sensors, untrained
from neuropil.papers.fit.brainomni import STUDY, check
from neuropil.worlds import datasets

HOW = heard.Hearing(64.0, 3.0, 10.0, 4)
SIZES = (10, 9, 8, 8, 9, 9)


@pytest.fixture(scope="module")
def devices():
    return heard.data(SIZES, 3, 2, 2, HOW, 0)


def test_devices_have_their_sensors_and_share_no_place(devices):
    assert [len(d.montage.kinds) for d in devices.values()] == [10, 8, 9, 9, 8, 9]
    kinds = {
        name: np.bincount(d.montage.kinds, minlength=3)[:3].tolist() for name, d in devices.items()
    }
    assert kinds == {
        "eeg-a": [10, 0, 0], "eeg-b": [8, 0, 0], "eeg-new": [9, 0, 0],
        "meg-a": [0, 3, 6], "meg-b": [0, 4, 4], "meg-new": [0, 3, 6],
    }  # fmt: skip
    coils = [
        np.unique(np.asarray(devices[n].montage.positions).round(3), axis=0)
        for n in ("meg-a", "meg-b", "meg-new")
    ]
    assert [len(c) for c in coils] == [3, 4, 3]
    apart = np.linalg.norm(coils[0][:, None] - coils[2][None], axis=-1)
    assert apart.min() > 0.2
    for name, device in devices.items():
        length = np.linalg.norm(device.montage.directions, axis=1)
        np.testing.assert_allclose(length, 0.0 if name.startswith("eeg") else 1.0, atol=1e-4)
        assert (device.train is None) == name.endswith("new")


def test_windows_hold_a_burst_of_the_dipole_that_the_label_says():
    brain = heard.brain(0)
    q, label = heard.moments(np.random.default_rng(0), brain, 30, 64.0)
    power = (q[..., : heard.TASK].reshape(30, 5, 128, heard.TASK) ** 2).mean(2)
    assert (power.argmax(-1) == label).mean() > 0.95
    assert np.abs((brain.places * brain.moments).sum(1)).max() < 1e-9  # tangential
    depth = np.linalg.norm(brain.places, axis=1)
    assert depth.min() >= 0.05
    assert depth.max() <= 0.075


def test_noise_is_a_third_of_what_is_heard_and_every_window_has_a_recording(devices):
    told = devices["meg-b"].test
    assert told.x.shape == (40, 8, 128)
    clean = np.einsum("rcs,s->rc", told.gain[3:] ** 2, told.power)
    kinds = np.asarray(devices["meg-b"].montage.kinds)
    for kind in (1, 2):
        assert clean[:, kinds == kind].mean() == pytest.approx(1, rel=0.3)
        assert told.x[:, kinds == kind].std() == pytest.approx(np.sqrt(1 + 1 / 9), rel=0.3)
    assert sorted(set(told.recording.tolist())) == [3, 4]


def test_an_average_reference_sums_to_zero_and_the_true_field_tells_most(devices):
    means = {}
    for how in ("gp", "nearest", "minimum-norm"):
        arm = Linear(how, devices, 64.0)
        means[how] = [np.nanmean(arm.channels(n, devices[n])) for n in heard.NEW]
    assert np.all(np.array(means["minimum-norm"]) > np.array(means["gp"]))
    assert means["gp"][0] > means["nearest"][0]
    device = devices["eeg-new"]
    x = arm.standard(device, device.test.x, np.ones(9, bool))
    np.testing.assert_allclose(x.sum(1), 0, atol=1e-4)


def test_every_channel_is_hidden_once():
    orders = heard.folds(24)
    assert sorted(orders[:, :6].ravel().tolist()) == list(range(24))


def test_band_power_is_where_the_rhythm_is():
    x = np.sin(2 * np.pi * 10 * np.arange(128) / 64)[None, None]
    assert band_power(x, 64.0)[0].argmax() == 1


def test_rows_of_new_devices_are_never_taught(devices):
    sizes = {
        n: STUDY.scales["smoke"][n]
        for n in ("width", "latents", "heads", "filters", "ratios", "lstm", "codes")
    }
    sizes |= {n: STUDY.scales["smoke"][n] for n in ("stages", "decay")}
    model = untrained(sizes, 20, jr.key(0), jnp.float32(1))
    assert isinstance(model.embedding, Described)
    device = devices["eeg-b"]
    sensors = Sensors(device.montage, jnp.arange(8) + 3)
    x = jnp.asarray(device.train.x[:2], jnp.float32)

    @jax.jit
    def slope(model):
        return jax.grad(lambda m: m.loss(x, device.montage.kinds, sensors, jr.key(0))[0])(model)

    found = slope(model).embedding
    taught = np.abs(found.table).max(1) > 0
    assert taught.tolist() == [3 <= i < 11 for i in range(20)]
    assert all(np.abs(a).max() == 0 for a in jax.tree.leaves(found.sensor))
    assert float(found.indexed) == 0


@pytest.mark.skipif(not datasets.available("neuromag-average"), reason="needs neuromag-average")
def test_the_real_cap_and_helmet_lie_around_the_head():
    cap, coils = heard.real_sensors()
    montage = heard.join([heard.Montage.from_info(i) for i in (cap, coils)])
    assert np.bincount(montage.kinds, minlength=3)[:3].tolist() == [60, 102, 204]
    far = np.linalg.norm(montage.positions, axis=1)
    np.testing.assert_allclose(far[:60], 1.0, atol=1e-3)
    assert 1.0 < np.median(far[60:]) < 1.5


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"sizes": (9, 8, 8, 8, 9, 9)}, "threes"),
        ({"heads": 5}, "heads"),
        ({"test": 1}, "40 windows"),
    ],
)
def test_settings_that_make_no_sense_are_refused(change, says):
    for scale in STUDY.scales.values():
        check(scale)
    with pytest.raises(ValueError, match=says):
        check(STUDY.scales["small"] | change)
