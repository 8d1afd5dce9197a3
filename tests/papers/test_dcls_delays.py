"""dcls-delays: the card's checks of kernel, counts and tasks; its arms on a small run."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from neuropil.core import advance, start
from neuropil.papers.build._dcls import Ceiling
from neuropil.papers.build._dcls_net import Net, Taps, equal_width, membrane, parameters, scores
from neuropil.papers.build._dcls_tasks import STEP, DelayCode, braille, spoken
from neuropil.papers.build.dcls_delays import STUDY, check
from neuropil.synapses import DelayedDense
from neuropil.worlds.datasets.braille import Braille
from neuropil.worlds.datasets.speech import load_speech

TINY = DelayCode(classes=3, channels=6, train=30, test=12)


def taps(sigma=0.0, discrete=False):
    return Taps(jnp.asarray(STEP * sigma), jnp.asarray(discrete))


def test_counts_of_parameters():
    sizes = (140, 256, 256, 20)
    assert parameters(sizes, False) == 106_496 + 1024
    assert parameters(sizes, True) == 2 * 106_496 + 1024  # the card's total is 214,016
    for channels, classes in ((40, 20), (24, 27)):
        wide = equal_width(channels, 64, 1, classes)
        learned = parameters((channels, 64, classes), True)
        assert abs(parameters((channels, wide, classes), False) / learned - 1) < 0.01


def test_membrane_keeps_what_the_papers_formula_keeps():
    assert np.exp(-STEP / membrane(1.005)) == pytest.approx(1 - 1 / 1.005)
    assert np.exp(-STEP / membrane(2.0)) == pytest.approx(0.5)


def test_a_narrow_gaussian_is_nearly_one_tap_and_the_flag_makes_it_one():
    wire = DelayedDense([[2.0]], [[7 * STEP]], 24 * STEP, taps())
    soft = wire.kernel(25, STEP)[:, 0, 0]
    np.testing.assert_allclose(soft[6:9] / 2, [0.00105, 0.9979, 0.00105], atol=5e-5)
    hard = DelayedDense([[2.0]], [[7.4 * STEP]], 24 * STEP, taps(3.0, True)).kernel(25, STEP)
    assert hard[:, 0, 0].tolist() == [2.0 * (k == 7) for k in range(25)]


def test_without_delays_the_net_is_the_plain_one():
    x = jnp.asarray(np.random.default_rng(0).random((4, 10, 6)) < 0.3)
    plain, late = (Net.of((6, 5, 3), longest, jr.key(1)) for longest in (0, 4))
    late = eqx.tree_at(
        lambda n: [w.delay for w in n.wires], late, [0 * w.delay for w in late.wires]
    )
    late = eqx.tree_at(lambda n: [w.weight for w in n.wires], late, [w.weight for w in plain.wires])
    how = dict(tau=1.005, tail=0)
    run = jax.jit(lambda net, taps: scores(net, x, taps, **how)[0])
    np.testing.assert_allclose(run(plain, taps()), run(late, taps(discrete=True)), atol=1e-4)


def test_dealing_delays_anew_keeps_weights_and_the_set_of_delays():
    net = Net.of((6, 5, 3), 4, jr.key(1))
    dealt = net.shuffled(jr.key(2))
    for a, b in zip(net.wires, dealt.wires, strict=True):
        assert (a.weight == b.weight).all()
        assert not (a.delay == b.delay).all()
        np.testing.assert_array_equal(np.sort(a.delay.ravel()), np.sort(b.delay.ravel()))


def test_in_the_delay_code_rates_say_nothing_and_the_planted_delays_say_all():
    task = DelayCode(train=400, test=200)
    split, onsets = task.draw(jr.key(3)), np.asarray(task.onsets(jr.key(3)))
    assert split.x.shape == (400, 60, 40)
    x, y = np.asarray(split.x), np.asarray(split.y)
    rate = np.array([x[y == c].sum((0, 1)) / 20 for c in range(20)])  # class, channel
    assert rate.mean() == pytest.approx(0.8 + 0.6, abs=0.03)  # signal kept, and noise
    assert abs(rate - rate.mean()).mean() < 0.25  # the spread of 20 trials' counts, no more
    # a class's spikes, each delayed by span - 1 - onset, meet in one step up to their jitter
    late = np.zeros((400, 2 * task.span + task.shifts), int)
    trial, step, channel = np.nonzero(x)
    np.add.at(late, (trial, step + task.span - 1 - onsets[y[trial], channel]), 1)
    window = late[:, :-2] + late[:, 1:-1] + late[:, 2:]
    assert window.max(1).mean() > 20  # of 32 kept ones, with a jitter of one step
    observer = jax.jit(task.log_likelihood)
    assert np.mean(observer(jr.key(3), split.test_x).argmax(-1) == split.test_y) > 0.97
    assert np.mean(observer(jr.key(4), split.test_x).argmax(-1) == split.test_y) < 0.2


def test_braille_events_are_changes_beyond_the_threshold():
    taxel = np.full((8, 76, 12), 200, np.uint8)
    taxel[:, 10:, 0] = 190  # pressed: 1 - x / 255 rises by 0.039
    taxel[:, 20:, 1] = 202  # released by 0.0078: below the threshold
    letters = Braille(taxel, np.arange(8) % 2, ("A", "B"), {})
    task = braille(letters, 0.01, every=4)
    assert (task.channels, task.steps, len(task.split.y), len(task.split.test_y)) == (24, 76, 6, 2)
    assert task.split.x.sum() == 6
    assert task.split.x[:, 10, 0].all()
    assert sorted(task.split.test_y.tolist()) == [0, 1]
    raw = tuple(np.eye(6, 12)[np.asarray(y)] for y in (task.split.y, task.split.test_y))
    ceiling = Ceiling({"real": eqx.tree_at(lambda t: t.raw, task, raw)})
    _, record = ceiling.step(ceiling.init(1.0, jr.key(0)), None, None)
    assert float(record["accuracy-real"]) == 1.0


def test_spoken_digits_are_read_from_their_published_format(tmp_path):
    h5py = pytest.importorskip("h5py", reason="HDF5 files need h5py")
    words = np.array([b"null", b"eins", b"zwei"])
    paths = {}
    for part, n in (("train", 7), ("test", 4)):
        paths[f"shd_{part}.h5"] = tmp_path / f"shd_{part}.h5"
        with h5py.File(paths[f"shd_{part}.h5"], "w") as file:
            times = file.create_dataset("spikes/times", (n,), h5py.vlen_dtype(np.float16))
            units = file.create_dataset("spikes/units", (n,), h5py.vlen_dtype(np.uint16))
            for k in range(n):
                times[k] = np.array([0.005, 0.105, 0.106], np.float16)
                units[k] = np.array([0, 699, 5 * k], np.uint16)
            file["labels"] = (np.arange(n) % 3).astype(np.uint16)
            file["extra/keys"] = words
            file["extra/speaker"] = np.zeros(n, np.uint16)
    task = spoken(load_speech("shd", paths, {}), steps=20, pool=5)
    assert (task.channels, task.steps, task.classes) == (140, 20, 3)
    assert task.split.x.shape == (7, 20, 140)
    assert task.split.test_x[0, 0, 0] == 1
    assert task.split.test_x[0, 10, [139, 0]].tolist() == [1, 1]
    assert task.raw[0].shape == (7, 10 * 140)
    assert sorted(task.split.y.tolist()) == [0, 0, 0, 1, 1, 2, 2]


@pytest.fixture(scope="module")
def trained():
    """Three arms on a tiny code: {arm: (system, state before, state after, record)}."""
    settings = dict(STUDY.scales["smoke"]) | dict(hidden=4, batch=10, longest=4)
    step, out = eqx.filter_jit(advance), {}
    for name in ("learned", "smoothed"):
        system = STUDY.arms[name].build(settings, {"code": TINY})
        carry = start(system, 1.0, jr.key(0))
        after, record = step(system, carry)
        out[name] = (system, carry.state, after.state, record)
    return out


@pytest.mark.slow  # compiles a training step; `neuropil run dcls-delays --scale smoke` does too
def test_arms_share_a_program_and_a_start_and_only_the_learned_one_moves_its_delays(trained):
    (one, before, after, record), (other, start_, frozen, _) = (
        trained["learned"],
        trained["smoothed"],
    )
    assert jax.tree.structure(one) == jax.tree.structure(other)
    assert eqx.tree_equal(before["code"]["net"], start_["code"]["net"])
    for a, b, c in zip(*(s["code"]["net"].wires for s in (before, after, frozen)), strict=True):
        assert (a.weight != b.weight).any()
        assert (a.weight != c.weight).any()
        assert (a.delay != b.delay).any()
        assert (a.delay == c.delay).all()
        assert float(b.delay.min()) >= 0
        assert float(b.delay.max()) <= 4 * STEP
    assert set(record) == {
        f"{what}-code" for what in ("accuracy", "soft", "shuffled", "loss", "alignment", "example")
    }
    assert record["example-code"].shape == (3, 6)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"longest": 5}, "even number"),
        ({"epochs": 7}, "no multiple of ticks"),
        ({"tau": 1.0}, "tau"),
        ({"batch": 4000}, "batch"),
        ({"hidden": 0}, "hidden"),
    ],
)
def test_settings_that_make_no_sense_are_refused(change, says):
    check(STUDY.scales["small"])
    with pytest.raises(ValueError, match=says):
        check(STUDY.scales["small"] | change)
