"""Lempel-Ziv complexity against the parsing done by hand, published cases and entropy rates."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neuropil.stats.complexity import (
    bernoulli_entropy,
    lempel_ziv,
    lz76,
    markov_entropy_rate,
    markov_rate,
)


def words(text):
    """The parsing as it is defined: the shortest word that the text before its last sign does not hold."""
    found, begin = [], 0
    while begin < len(text):
        end = begin + 1
        while end <= len(text) and text[begin:end] in text[: end - 1]:
            end += 1
        found.append(text[begin : min(end, len(text))])
        begin = end
    return found


def train(text):
    return np.array([int(c) for c in text])


def test_the_case_of_the_literature():
    text = "0001101001000101"
    assert words(text) == ["0", "001", "10", "100", "1000", "101"]
    assert int(lz76(train(text))) == 6


@pytest.mark.parametrize("n", [2, 31, 32, 33, 100])
def test_constant_and_alternating_trains(n):
    trains = np.stack([np.zeros(n), np.ones(n), np.arange(n) % 2], axis=1)
    expected = [2, 2, len(words("".join(str(int(c)) for c in trains[:, 2])))]
    assert lz76(trains).tolist() == expected


def test_every_train_of_a_batch_is_parsed_as_by_hand():
    rng = np.random.default_rng(0)
    n = 100
    p = np.array([[0.05, 0.2], [0.5, 0.8]])
    trains = rng.random((n, 3, 2, 2)) < p
    trains[:, 2] = np.repeat(trains[::4, 2], 4, axis=0)  # with structure in time
    got = np.asarray(lz76(trains))
    for at in np.ndindex(3, 2, 2):
        text = "".join(str(int(c)) for c in trains[(slice(None), *at)])
        assert got[at] == len(words(text)), at
    inside = jax.jit(lambda x: lempel_ziv(x))(jnp.asarray(trains))
    np.testing.assert_allclose(inside, got * np.log2(n) / n, rtol=1e-6)
    assert int(lz76(trains[:1, 0, 0, 0])) == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("p", "measured"),
    [(0.1, (0.611, 0.488, 0.483, 0.458)), (0.2, (0.930, 0.825, 0.758, 0.733))],
)
def test_complexity_tends_to_the_entropy_rate(p, measured):
    """The means of ten trains that were measured elsewhere (method card); ours are of 40 trains."""
    rng = np.random.default_rng(1)
    for n, there in zip((100, 250, 1000, 4000), measured, strict=True):
        c = np.asarray(lempel_ziv(rng.random((n, 40)) < p))
        error = c.std() / np.sqrt(10)
        assert abs(c.mean() - there) < 4 * error + 0.005
    assert abs(c.mean() / float(bernoulli_entropy(p)) - 1) < 0.05


def test_entropy_rates_in_closed_form(x64):
    assert float(bernoulli_entropy(0.5)) == pytest.approx(1, abs=1e-12)
    assert bernoulli_entropy(jnp.array([0.0, 1.0])).tolist() == [0.0, 0.0]
    assert float(bernoulli_entropy(0.2)) == pytest.approx(0.7219280948873623, abs=1e-12)
    assert float(markov_rate(0.125, 0.5)) == pytest.approx(0.2, abs=1e-12)
    # pi0 H(P(1|0)) + pi1 H(P(1|1))
    hand = 0.8 * 0.5435644431995964 + 0.2 * 1.0
    assert float(markov_entropy_rate(0.125, 0.5)) == pytest.approx(hand, abs=1e-12)


def test_nothing_to_parse_is_refused():
    with pytest.raises(ValueError, match="at least 1 bin"):
        lz76(np.zeros((0, 2)))
    with pytest.raises(ValueError, match="at least 2 bins"):
        lempel_ziv(np.zeros(1))
