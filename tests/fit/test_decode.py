"""Decoders of position: Bayes' rule by hand, planted place fields, ridge in closed form."""

import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.linear_model import Ridge

from neuropil.fit.decode import BayesDecoder, RidgeDecoder


def planted(windows=3000, units=12, seconds=0.5, seed=0):
    rng = np.random.default_rng(seed)
    position = 0.5 - 0.5 * np.cos(np.arange(windows) * 0.05)
    centres = np.linspace(0, 1, units)
    rates = 1 + 20 * np.exp(-0.5 * ((position[:, None] - centres) / 0.1) ** 2)
    return rng.poisson(rates * seconds), position, seconds


def test_posterior_is_bayes_rule_by_hand():
    decoder = BayesDecoder(
        jnp.array([[2.0, 8.0], [6.0, 1.0]]), jnp.array([0.25, 0.75]), jnp.array([0.0, 1.0]), 1
    )
    counts, seconds = np.array([[3, 1]]), 0.5
    p = []
    for rates, prior in (((2.0, 8.0), 0.25), ((6.0, 1.0), 0.75)):
        means = np.array(rates) * seconds
        p.append(prior * np.prod(means ** counts[0] * np.exp(-means)))
    want = np.array(p) / sum(p)
    np.testing.assert_allclose(decoder.posterior(counts, seconds)[0], want, rtol=1e-5)
    assert float(decoder.decode(counts, seconds)[0]) == pytest.approx(want[1], rel=1e-5)


def test_rates_are_shrunk_spikes_over_time():
    counts = np.array([[4], [0], [2], [0]])
    decoder = BayesDecoder.fit(
        counts, np.array([0.1, 0.1, 0.9, 0.9]), 1.0, bins=2, smooth=0.0, shrink=2.0
    )
    mean = 6.5 / 4
    want = [(4 + 2 * mean) / (2 + 2), (2 + 2 * mean) / (2 + 2)]
    np.testing.assert_allclose(decoder.rates[:, 0], want, rtol=1e-5)
    np.testing.assert_allclose(decoder.prior, [0.5, 0.5], rtol=1e-5)


def test_smoothing_loses_neither_spikes_nor_time():
    counts, position, seconds = planted(400)
    sharp = BayesDecoder.fit(counts, position, seconds, smooth=0.0, shrink=1e-9)
    wide = BayesDecoder.fit(counts, position, seconds, smooth=3.0, shrink=1e-9)
    time = lambda d: np.asarray(d.prior) * len(counts) * seconds
    spikes = lambda d: (np.asarray(d.rates) * time(d)[:, None]).sum(0)
    np.testing.assert_allclose(spikes(sharp), counts.sum(0), rtol=5e-3)
    np.testing.assert_allclose(spikes(wide), counts.sum(0), rtol=5e-3)


def test_planted_place_fields_are_decoded_and_movement_helps():
    counts, position, seconds = planted()
    train, test = slice(0, 2000), slice(2000, 3000)
    decoder = BayesDecoder.fit(counts[train], position[train], seconds)
    error = np.abs(np.asarray(decoder.decode(counts[test], seconds)) - position[test]).mean()
    assert error < 0.05
    assert np.abs(np.median(position[train]) - position[test]).mean() > 0.25  # no spikes seen
    belief = decoder.filtered(counts[test], seconds, step=0.05)
    np.testing.assert_allclose(np.asarray(belief.sum(1)), 1, rtol=1e-5)
    assert np.abs(np.asarray(belief @ decoder.places) - position[test]).mean() < error
    shuffled = np.random.default_rng(1).permutation(counts[test])
    assert np.abs(np.asarray(decoder.decode(shuffled, seconds)) - position[test]).mean() > 0.25


def test_units_that_fire_in_one_heading_need_two_sheets():
    counts, position, seconds = planted()
    heading = (np.gradient(position) > 0).astype(int)
    half = counts.shape[1] // 2
    counts = counts * np.where(np.arange(2 * half) < half, heading[:, None], 1 - heading[:, None])
    errors = []
    for sheet in (None, heading[:2000]):
        decoder = BayesDecoder.fit(counts[:2000], position[:2000], seconds, heading=sheet)
        said = np.asarray(decoder.decode(counts[2000:], seconds))
        errors.append(np.abs(said - position[2000:]).mean())
    assert errors[1] < errors[0]
    assert decoder.rates.shape == (40, 12)
    assert decoder.filtered(counts[2000:2010], seconds, 0.05).shape == (10, 40)


def test_ridge_equals_scikit_learn_and_validation_chooses():
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=(60, 30)), rng.normal(size=30)
    y = x @ w + 5 + 3 * rng.normal(size=60)
    ours = RidgeDecoder.fit(x, y, penalties=(7.0,))
    theirs = Ridge(alpha=7.0).fit(x, y)
    np.testing.assert_allclose(ours.weights, theirs.coef_, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(ours.decode(x), theirs.predict(x), rtol=1e-4, atol=1e-4)
    held_x = rng.normal(size=(500, 30))
    grid = (0.01, 1.0, 10.0, 1e4)
    chosen = RidgeDecoder.fit(x, y, penalties=grid, validation=(held_x, held_x @ w + 5))
    errors = [
        np.mean((Ridge(alpha=p).fit(x, y).predict(held_x) - held_x @ w - 5) ** 2) for p in grid
    ]
    assert float(chosen.penalty) == pytest.approx(grid[int(np.argmin(errors))])


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: BayesDecoder.fit(np.ones((3, 2)), np.ones(4), 1.0), "match"),
        (lambda: BayesDecoder.fit(np.ones((0, 2)), np.ones(0), 1.0), "hold a window"),
        (lambda: BayesDecoder.fit(np.ones((3, 2)), np.ones(3), 1.0, span=(1.0, 0.0)), "grow"),
        (lambda: BayesDecoder.fit(np.ones((3, 2)), np.ones(3), 1.0).decode(np.ones((3, 5)), 1.0),
         "counts must be"),
        (lambda: BayesDecoder.fit(np.ones((3, 2)), np.ones(3), 1.0)
         .filtered(np.ones((3, 2)), 1.0, 0.0), "step"),
        (lambda: RidgeDecoder.fit(np.ones((3, 2)), np.ones(4)), "match"),
        (lambda: RidgeDecoder.fit(np.ones((3, 2)), np.ones(3)), "validation"),
        (lambda: RidgeDecoder.fit(np.ones((3, 2)), np.ones(3), penalties=(0.0,)), "positive"),
    ],
)  # fmt: skip
def test_bad_requests_say_why(make, match):
    with pytest.raises(ValueError, match=match):
        make()
