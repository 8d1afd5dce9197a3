"""langevin-flow: the count of parameters, the population and its ceiling, what the test may not see."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from neuropil.fit.langevin import LangevinFlow
from neuropil.papers.fit import _langevin_flow as page
from neuropil.papers.fit.langevin_flow import STUDY, check

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("inputs", "outputs", "hidden", "official"),
    [(30, 30, 64, 387_214), (137, 182, 280, 4_510_422)],
)
def test_parameters_are_those_of_the_official_network(inputs, outputs, hidden, official):
    """Torch's GRU has a second bias of two gates, which adds to the first: 2 x hidden numbers more."""
    make = lambda key: LangevinFlow.of(inputs, outputs, hidden=hidden, feedforward=512, key=key)
    net = eqx.filter_eval_shape(make, jr.key(0))
    sizes = [a.size for a in jax.tree.leaves(net) if jnp.issubdtype(a.dtype, jnp.floating)]
    assert sum(sizes) == official - 2 * hidden


def test_population_has_its_mean_rate_and_the_true_rates_are_the_ceiling():
    s = STUDY.scales["small"] | dict(conditions=12, bins=20, settle=100)
    trials = page.population(np.random.default_rng(0), s)
    assert trials.train.shape == (96, 20, 30)
    assert trials.test.shape == trials.rates.shape == (24, 20, 30)
    assert trials.rates.mean() == pytest.approx(0.4, rel=1e-5)
    assert trials.train.mean() == pytest.approx(0.4, rel=0.03)
    assert page.explained(trials.rates, trials.rates) == 1.0
    flat, _ = page.predicted("mean", trials, s, jr.key(0), 0)
    assert abs(page.explained(trials.rates, flat)) < 0.05
    assert page.held_bits(trials, flat) == pytest.approx(0.0, abs=1e-5)
    truth, _ = page.predicted("true-rates", trials, s, jr.key(0), 0)
    assert page.held_bits(trials, truth) > 0.2
    again = page.population(np.random.default_rng(0), s)
    np.testing.assert_array_equal(again.train, trials.train)


def test_test_segments_of_a_recording_are_no_training_segments():
    segments = RNG.poisson(0.5, (100, 10, 6)) + 1000.0 * np.arange(100)[:, None, None]
    trials = page.recorded(np.random.default_rng(1), segments, 2)
    numbers = lambda a: set((a[:, 0] // 1000).ravel().astype(int))
    assert not numbers(trials.train) & numbers(trials.test)
    assert (len(trials.train), len(trials.test), trials.rates) == (80, 20, None)


def test_smoothing_keeps_what_is_constant():
    np.testing.assert_allclose(page.smoothed(np.ones((2, 9, 3)), 2.0), 1.0)
    spread = page.smoothed(np.eye(21)[None], 2.0)[0, :, 10]
    assert spread[10] / spread[12] == pytest.approx(np.exp(0.5), rel=1e-4)


@pytest.mark.parametrize(
    ("change", "word"),
    [({"tested": 10}, "tested"), ({"batch": 1000}, "batch"), ({"held": 29}, "held")],
)
def test_settings_that_make_no_sense_are_refused(change, word):
    check(STUDY.scales["small"])
    with pytest.raises(ValueError, match=word):
        check(STUDY.scales["small"] | change)
