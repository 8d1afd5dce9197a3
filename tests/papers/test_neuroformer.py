"""Neuroformer's study: blocks without overlap, scores on one footing, read-outs free of rates."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from neuropil.core import System, advance, start
from neuropil.fit.spiketransformer import Behaviour
from neuropil.fit.tokens import SpikeTokens
from neuropil.papers.fit import _neuroformer_circuit as circuit
from neuropil.papers.fit import _neuroformer_report as report
from neuropil.papers.fit import _neuroformer_track as track
from neuropil.papers.fit import _neuroformer_train as training
from neuropil.papers.fit.neuroformer import STUDY
from neuropil.studies import Results

TINY = STUDY.scales["smoke"] | {"data": "simulated-track", "train_bins": 3000}
KEY = jr.key(7)


@pytest.fixture(scope="module")
def shuttle():
    return track.load(TINY)


def one_tick(system):
    return advance(system, start(system, 1.0, KEY))[1]


def test_blocks_and_labels_are_contiguous_and_never_meet(shuttle):
    settings = TINY | {"stride": 2, "shares": (5, 25, 100)}
    bins, past = settings["track_bins"], settings["track_past"]
    seen = []
    for seed in range(6):
        at = track.task(shuttle, settings, jr.key(seed))
        reach = lambda rows, at=at: {b for s in at.starts[rows] for b in range(s - past, s + bins)}
        test, validation, free = reach(at.test), reach(at.validation), reach(at.free)
        assert not test & free
        assert not validation & free
        assert not test & validation
        assert set(at.labelled[5]) <= set(at.labelled[25]) <= set(at.labelled[100]) <= set(at.free)
        known = np.sort(at.labelled[100])
        place = np.searchsorted(known, at.labelled[25])
        assert np.all(np.diff(place) % len(known) == 1)  # one stretch, round the end
        seen.append(int(at.starts[at.test[0]]))
    assert len(set(seen)) > 1  # the seed draws the block


def test_running_is_where_position_changes(shuttle):
    change = np.abs(np.gradient(shuttle.position)) / shuttle.seconds
    assert change[shuttle.running].mean() > 0.15
    assert np.median(change[~shuttle.running]) == 0


def test_decoders_beat_the_median_and_know_more_with_more_labels(shuttle):
    settings = TINY | {"stride": 4, "shares": (5, 100)}
    error = {h: one_tick(track.Decoder(shuttle, settings, h)) for h in ("chance", "bayes", "glm")}
    assert error["bayes"]["error_100"] < error["glm"]["error_100"] < error["chance"]["error_100"]
    assert error["bayes"]["error_100"] < error["bayes"]["error_5"]


def test_truth_is_the_ceiling_and_constant_rates_are_zero():
    settings = TINY | {"train_bins": 6000, "test_bins": 3000, "penalties": (100.0,), "lags": 5}
    bits = {
        name: one_tick(make(settings))["bits"]
        for name, make in (
            ("truth", circuit.Truth),
            ("rates", circuit.Rates),
            ("glm", circuit.CoupledGLM),
        )
    }
    assert bits["rates"] == 0
    assert bits["truth"] > bits["glm"] > 0


def test_cooccurrence_counts_pairs():
    made = circuit.experiment(TINY, KEY)
    block, past = made.blocks["test"], TINY["past"]
    want = np.zeros((30, 30))
    for t in range(block.start, block.stop):
        want += np.outer(made.spikes[t], made.spikes[t - past : t].sum(0))
    found = circuit.Cooccurrence(TINY).step(KEY, None, None)[1]
    np.testing.assert_allclose(found["map"], circuit.per_spike(want, want), rtol=1e-9)
    np.testing.assert_array_equal(found["adjacency"], made.circuit.adjacency())


def test_a_map_per_spike_does_not_see_rates():
    """Independent units of very different rates: the raw mass finds 'hubs', the ratio does not."""
    rng = np.random.default_rng(0)
    rate = np.linspace(0.01, 0.3, 30)
    spikes = rng.random((40_000, 30)) < rate
    before = np.stack([spikes[k : k - 10] for k in range(10)]).sum(0)
    mass = spikes[10:].T.astype(float) @ before
    columns = lambda m: np.corrcoef(m.mean(0), rate)[0, 1]
    assert columns(mass) > 0.99
    ratio = circuit.per_spike(mass, mass)
    assert abs(ratio.mean() - 1) < 1e-9
    assert np.abs(ratio - 1).mean() < 0.05


def test_wiring_scores_of_the_truth_and_of_its_transpose():
    made = circuit.experiment(TINY, KEY)
    truth = made.circuit.adjacency().astype(float)
    assert circuit.wiring(truth, made) == {"auroc": 1.0, "auroc_within_hub": 1.0, "direction": 1.0}
    back = circuit.wiring(truth.T, made)
    assert back["direction"] == 0
    assert back["auroc"] < 0.5


def test_shuffling_gives_another_past_of_the_same_block():
    plain, mixed = circuit.Tokens(TINY), circuit.Tokens(TINY, shuffled=True)
    _, a, index, _ = plain.windows(KEY)
    _, b, _, _ = mixed.windows(KEY)
    np.testing.assert_array_equal(a.ids, b.ids)
    assert np.mean(np.all(a.past_ids == b.past_ids, axis=1)) < 0.1
    for rows in index.values():
        line = lambda w, rows=rows: sorted(map(bytes, w.past_ids[rows]))
        assert line(a) == line(b)


def spec(**change):
    tokens = SpikeTokens(4, 1, 3, 5, 6)
    heads = (Behaviour("z", attend=True),)
    return training.Spec(**(dict(tokens=tokens, width=8, heads=2, state=1, history=1,
                                 behaviours=heads, dropout=0.0, scale=0.3) | change))  # fmt: skip


def test_weights_as_one_array_are_the_network():
    flat = training.fresh(spec(), jr.key(0))
    model = flat()
    want = jax.eval_shape(spec().build, jr.key(0))
    assert jax.tree.structure(model) == jax.tree.structure(want)
    same = jax.tree.map(lambda a, b: a.shape == b.shape, model, want)
    assert all(jax.tree.leaves(same))
    np.testing.assert_array_equal(model.history[0].first.gain, 1)
    np.testing.assert_array_equal(model.history[0].up.bias, 0)
    np.testing.assert_array_equal(model.place, 0)
    drawn = np.concatenate([model.history[0].up.weight.ravel(), model.ids.ravel()])
    assert drawn.std() == pytest.approx(0.3, rel=0.2)
    assert model.tokens == spec().tokens


def test_only_weights_of_linear_maps_decay():
    flat = training.fresh(spec(), jr.key(0))
    tx = training.optimiser(spec(), 0.1, 0.5, 0)
    opt, theta = tx.init(flat), flat
    for _ in range(2):  # the rate is 0 at the first step of the warm-up
        updates, opt = tx.update(jax.tree.map(jnp.zeros_like, theta), opt, theta)
        theta = jax.tree.map(lambda a, b: a + b, theta, updates)
    before, after = flat(), theta()
    shrink = 1 - 0.1 / 20 * 0.5
    np.testing.assert_allclose(
        after.history[0].up.weight, shrink * before.history[0].up.weight, rtol=1e-5
    )
    np.testing.assert_array_equal(after.ids, before.ids)
    np.testing.assert_array_equal(after.history[0].first.gain, before.history[0].first.gain)


def test_batches_deal_every_item_before_any_twice():
    order = training.deal(np.random.default_rng(0), np.arange(10, 17), 4, 3)
    assert order.shape == (4, 3)
    assert sorted(order.ravel()[:7]) == list(range(10, 17))


def test_stages_run_one_after_the_other():
    class Part(System):
        name: str

        @property
        def puts(self):
            return {self.name: ()}

        def init(self, dt, key):
            return jnp.int32(0)

        def step(self, state, x, tick):
            return state + 1, {self.name: float(tick.i)}

    stages = training.Stages({"a": Part("a"), "b": Part("b")}, {"a": 2, "b": 1})
    carry, seen = start(stages, 1.0, KEY), []
    for _ in range(3):
        carry, found = advance(stages, carry)
        seen.append([float(found["a"]), float(found["b"])])
    np.testing.assert_array_equal(seen, [[0, np.nan], [1, np.nan], [np.nan, 0]])
    assert {k: int(v) for k, v in carry.state.items()} == {"a": 2, "b": 1}


def test_score_takes_the_last_measured_value():
    history = {"bits": [np.nan, 0.1, 0.2, np.nan], "auroc": [np.nan, np.nan], "loss": [1.0]}
    assert report.score({"shares": report.SHARES}, history) == {"bits": 0.2}


def test_figures_show_every_arm_that_was_measured():
    rng = np.random.default_rng(0)
    maps = {"map": rng.random((3, 30, 30)), "adjacency": rng.random((3, 30, 30)) > 0.9}
    values = {
        "bits": {arm: [0.3, 0.31] for arm in ("neuroformer", "glm", "rates", "truth")},
        "auroc": {arm: [0.9, 0.95] for arm in ("neuroformer", "co-occurrence")},
        "error_5": {arm: [0.1, 0.12] for arm in ("neuroformer", "scratch", "bayes")},
        "error_100": {arm: [0.08, np.nan] for arm in ("neuroformer", "scratch", "bayes")},
    }
    history = {arm: {0: maps, 1: maps} for arm in ("neuroformer", "co-occurrence")}
    made = report.figures(Results(STUDY, TINY, (0, 1), history, values))
    assert sorted(made) == ["decoding", "likelihood", "wiring"]
    assert len(made["wiring"].axes) == 3
    labels = [t.get_text() for t in made["decoding"].axes[0].get_legend().get_texts()]
    assert len(labels) == 3
    nothing = report.figures(Results(STUDY, TINY, (0,), {}, {}))
    assert "wiring" not in nothing


@pytest.mark.parametrize(
    ("change", "match"),
    [({"shares": (1, 5)}, "shares"), ({"width": 6}, "width"), ({"short": 16}, "short")],
)
def test_settings_that_make_no_sense_are_refused(change, match):
    with pytest.raises(ValueError, match=match):
        STUDY.check(STUDY.scales["small"] | change)


@pytest.mark.slow
def test_a_glm_that_is_told_of_pairs_of_hubs_comes_near_the_truth():
    settings = TINY | {"train_bins": 40_000, "test_bins": 10_000, "penalties": (30.0,)}
    bits = [
        one_tick(circuit.CoupledGLM(settings, conjunctions=told))["bits"] for told in (False, True)
    ]
    truth = one_tick(circuit.Truth(settings))["bits"]
    assert bits[0] < bits[1] < truth
    assert truth - bits[1] < truth - bits[0]


@pytest.mark.slow
def test_training_lowers_the_loss_and_goes_on_where_it_stopped():
    settings = TINY | {"epochs": 3, "learning_rate": 1e-2}
    arm = circuit.Tokens(settings)
    carry, losses, first = start(arm, 1.0, KEY), [], None
    for i in range(3):
        if i == 2:
            first = carry
        carry, found = advance(arm, carry)
        losses.append(float(found["loss"]))
    assert losses[2] < losses[0]
    again = advance(circuit.Tokens(settings), first)[1]
    np.testing.assert_array_equal(again["map"], found["map"])
    assert np.isfinite(found["bits"])
