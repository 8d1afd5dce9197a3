"""elm-neuron: counts, the detailed neuron and its NMDA spikes, the adding task, what the arms share."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from neuropil.core import advance, run, start
from neuropil.papers.build import _elm_neuron_digits as digits
from neuropil.papers.build import _elm_neuron_teacher as teacher
from neuropil.papers.build._elm_neuron_models import FittedLIF
from neuropil.papers.build._elm_neuron_train import area_under_curve, target
from neuropil.papers.build.elm_neuron import STUDY, check, specs
from neuropil.stats import auroc

SMALL, SMOKE = (STUDY.scales[s] for s in ("small", "smoke"))


def shapes(ticks, channels):
    shown = digits.Shown(np.zeros((2, ticks, channels), np.uint8), np.zeros(2, np.uint8))
    return {"digits": digits.Digits(shown, shown, 255)}


def test_trained_numbers_are_equal():
    data = shapes(28, 28)
    count = lambda cell, test: specs(cell, SMALL, data)[test].count()
    assert (count("elm", "fit"), count("lstm", "fit"), count("lif", "fit")) == (8042, 8122, 405)
    assert (count("elm", "add"), count("lstm", "add")) == (13_947, 14_693)


def test_the_control_differs_in_its_time_constants_only():
    elm, short = (
        specs("elm", SMALL, shapes(28, 28), slowest=slowest)["add"](jr.key(0))
        for slowest in (0.0, 10.0)
    )
    assert jax.tree.structure(elm) == jax.tree.structure(short)
    slow, fast = (m.parts["cell"].tau() for m in (elm, short))
    np.testing.assert_allclose([slow.min(), slow.max()], [1, 224], rtol=1e-3)
    np.testing.assert_allclose([fast.min(), fast.max()], [1, 10], rtol=1e-3)
    same = jax.tree.map(lambda a, b: bool((a == b).all()), elm, short)
    assert sum(not s for s in jax.tree.leaves(same)) == 1


def test_channels_of_the_detailed_neuron_stand_branch_by_branch():
    excites, inhibits = teacher.wiring()
    assert excites.sum() == 64
    assert inhibits.sum() == 16
    assert ((excites + inhibits).sum(0) == 1).all()
    assert excites[0].sum() == 0  # none on the soma
    for b in range(8):
        own = slice(1 + 4 * b, 5 + 4 * b)
        assert (excites[own].sum(1) == 2).all()
        assert inhibits[own, 10 * b : 10 * b + 10].sum() == 2
    assert teacher.signs().reshape(8, 10).tolist() == [[1] * 8 + [-1] * 2] * 8


def test_a_branch_makes_nmda_spikes():
    """Inputs on one branch at once: twice as many do more than twice as much, then little more."""
    cells = teacher.Teacher(SMALL["ampa"], SMALL["nmda"], SMALL["gaba"], 2)
    without = eqx.tree_at(lambda t: t.opens["nmda"], cells, jnp.zeros_like(cells.opens["nmda"]))

    @jax.jit
    def peak(cell, many):
        x = jnp.zeros((50, 80)).at[0, :8].set((jnp.arange(8) >= 8 - many) * 1.0)
        out = run(cell, start(cells, 1.0, jr.key(0)), x)[1]
        return out["tips"][:, 0].max() + 70, out["soma"].max() + 70

    (two, _), (four, soma), (eight, _) = (peak(cells, n) for n in (2, 4, 8))
    assert four > 2.2 * two
    assert four > 35
    assert eight < 1.5 * four
    assert soma < 0.1 * four  # branches stand apart
    assert peak(without, 4)[0] < 1.8 * peak(without, 2)[0]


def test_inputs_are_poisson_at_their_rates():
    x = np.asarray(teacher.drive(jr.key(0), 20, 1000, (10.0,), (50.0,)))
    hz = 1000 * x.mean((0, 1)).reshape(8, 10)
    np.testing.assert_allclose(hz[:, :8].mean(), 10, rtol=0.05)
    np.testing.assert_allclose(hz[:, 8:].mean(), 50, rtol=0.05)
    assert set(np.unique(x)) == {0, 1}


@pytest.mark.slow
def test_the_detailed_neuron_fires_at_one_to_five_hertz():
    own = tuple(SMALL[k] for k in ("rates", "quiet", "ampa", "nmda", "gaba", "substeps"))
    made = teacher.simulate(40, 1000, 5, own)
    assert 1 < 1000 * made["spike"].mean() < 5
    again = teacher.simulate.__wrapped__(40, 1000, 5, own)
    np.testing.assert_array_equal(made["soma"], again["soma"])


def test_target_is_clipped_below_the_spikes():
    np.testing.assert_allclose(target(jnp.array([-67.7, -60.0, 20.0])), [0, 0.77, 1.27], rtol=1e-5)


def test_area_under_the_curve_equals_the_library_s_with_ties():
    draw = np.random.default_rng(0)
    labels, scores = (
        draw.random(500) < 0.1,
        draw.integers(0, 40, 500) + 10.0 * (draw.random(500) < 0.1),
    )
    want = auroc(labels, scores, permutations=1).value
    ours = area_under_curve(jnp.asarray(labels, float), jnp.asarray(scores))
    assert float(ours) == pytest.approx(want, abs=1e-6)


def test_pairs_of_digits_are_spikes_of_their_columns_and_a_sum():
    x = np.zeros((2, 3, 4), np.uint8)  # two items, three columns, four rows
    x[0, 1, 2], x[1, 2, 0] = 255, 102
    y = np.array([3, 19], np.uint8)
    seen, total = digits.add(jr.key(0), jnp.asarray(x), jnp.asarray(y), 4000, 2)
    assert seen.shape == (12, 4000, 4)
    assert set(np.unique(total)) == {6, 12, 18}
    rate = np.asarray(seen)[:, np.asarray(total) == 6].mean(1)
    want = np.zeros((12, 4))
    want[[2, 3, 8, 9], 2] = 0.5
    np.testing.assert_allclose(rate, want, atol=0.06)
    rate = np.asarray(seen)[:, np.asarray(total) == 18].mean(1)
    assert rate[4, 0] == pytest.approx(0.2, abs=0.05)
    counts, _ = digits.add(jr.key(0), jnp.asarray(x), jnp.asarray(y), 50, 1, 0)
    assert float(counts.max()) == 255


def test_spoken_digits_are_counts_of_ten_milliseconds_without_language(tmp_path):
    h5py = pytest.importorskip("h5py", reason="HDF5 files need neuropil[events]")
    from neuropil.recordings.events import open_trials

    path = tmp_path / "shd_train.h5"
    with h5py.File(path, "w") as file:
        whole, real = h5py.vlen_dtype(np.uint16), h5py.vlen_dtype(np.float32)
        times = file.create_dataset("spikes/times", (2,), real)
        units = file.create_dataset("spikes/units", (2,), whole)
        times[0], units[0] = [0.001, 0.009, 0.5], [3, 3, 699]
        times[1], units[1] = [0.25, 1.7], [0, 1]
        file["labels"] = np.array([4, 17], np.uint16)
    shown = digits.spoken(open_trials(path))
    assert shown.x.shape == (2, 100, 700)
    assert shown.y.tolist() == [4, 7]
    assert shown.x[0, 0, 3] == 2
    assert shown.x[0, 50, 699] == shown.x[1, 25, 0] == 1
    assert shown.x.sum() == 4  # what comes after a second is left out


def test_fitted_lif_filters_leak_and_reset(x64):
    cell = FittedLIF.init_uniform(2, jr.key(0))
    weight = jnp.zeros((5, 2)).at[2, 0].set(0.01).at[0, 1].set(9.0)
    cell = eqx.tree_at(lambda c: c.weight, cell, weight)
    xs = jnp.zeros((40, 2)).at[0, 0].set(1.0)
    carry = start(cell, 1.0, jr.key(0))
    _, y = run(cell, carry, xs)
    b, u, want = np.exp(-1 / (1 + np.exp(2.3))), 0.0, []
    for t in range(40):
        u = b * u + (1 - b) * 0.01 * np.exp(-t / 20)
        want.append(u)
    np.testing.assert_allclose(y[:, 1], want, rtol=1e-6)
    np.testing.assert_allclose(y[:, 0], 5 * (np.array(want) - 1), rtol=1e-6)
    end, y = run(cell, carry, jnp.zeros((1, 2)).at[0, 1].set(1.0))  # u = 9 (1 - b) = 0.79: silent
    assert float(end.state["u"]) == pytest.approx(9 * (1 - b))
    end, y = run(cell, carry, jnp.zeros((2, 2)).at[:, 1].set(1.0))
    assert float(y[-1, 0]) > 0
    assert float(end.state["u"]) == pytest.approx(
        float(y[-1, 0]) / 5
    )  # 1 less than before the spike


@pytest.mark.slow
def test_an_arm_at_smoke_and_its_score(monkeypatch):
    """The LIF arm takes one test; the other metric is left out."""
    blank = {k: np.zeros((3, 300, *s), np.float32) for k, s in
             {"x": (80,), "spike": (), "soma": (), "tips": (8,)}.items()}  # fmt: skip
    blank["spike"][:, ::50] = 1
    data = {"train": blank, "test": blank, **shapes(8, 8)}
    arm = STUDY.arms["lif"]
    system = arm.build(SMOKE, data)
    carry, out = eqx.filter_jit(advance)(system, start(system, 1.0, jr.key(0)))
    assert set(out) == {"loss", "auc", "r2", "rmse", "shown"}
    assert int(carry.state["fit"].i) == SMOKE["fit_steps"]
    history = {k: np.asarray(v)[None] for k, v in out.items()}
    assert set(STUDY.score(SMOKE, history)) >= {"auc", "rmse"}
    history = {"auc": np.array([0.6, 0.7, np.nan]), "accuracy": np.array([np.nan, np.nan, 0.2])}
    assert STUDY.score(SMOKE, history) == {"auc": 0.7, "accuracy": 0.2}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"fit_steps": 7}, "fit_steps"),
        ({"burn": 200}, "burn"),
        ({"pairs": 300}, "250"),
    ],
)
def test_settings_that_make_no_sense_are_refused(change, says):
    check(SMALL)
    with pytest.raises(ValueError, match=says):
        check(SMALL | change)
