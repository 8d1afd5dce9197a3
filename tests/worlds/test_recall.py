"""Associative recall: what the generator promises, and the two scores in closed form."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from neuropil.worlds.recall import multi_query_recall, recall_accuracy, recall_loss

SHAPE = {"length": 32, "pairs": 6, "vocabulary": 40}


@pytest.fixture(scope="module")
def data():
    return jax.jit(lambda k: multi_query_recall(k, 200, **SHAPE))(jr.key(0))


def test_every_key_is_asked_once_and_answered_with_its_value(data):
    for tokens, targets in zip(np.asarray(data.tokens), np.asarray(data.targets), strict=True):
        pairs = dict(zip(tokens[:12:2].tolist(), tokens[1:12:2].tolist(), strict=True))
        assert len(pairs) == 6
        assert all(1 <= k < 20 <= v < 40 for k, v in pairs.items())
        at = np.flatnonzero(targets >= 0)
        assert sorted(tokens[at]) == sorted(pairs)
        assert [pairs[k] for k in tokens[at].tolist()] == targets[at].tolist()
        assert (at % 2 == 0).all()
        assert at.min() >= 12
        assert (np.delete(tokens[12:], at - 12) == 0).all()


def test_first_gap_has_the_probability_of_the_power_law():
    """Gap g (in twos) has probability proportional to g^(power - 1)."""
    task = {"length": 16, "pairs": 1, "vocabulary": 8}
    draw = lambda power: multi_query_recall(jr.key(1), 4000, power=power, **task).targets
    for power, targets in zip((0.01, 1.0), jax.jit(lambda: (draw(0.01), draw(1.0)))(), strict=True):
        at = np.nonzero(np.asarray(targets) >= 0)[1]
        found = np.bincount((at - 2) // 2, minlength=7) / 4000
        law = np.arange(1.0, 8) ** (power - 1)
        np.testing.assert_allclose(found, law / law.sum(), atol=0.03)


def test_random_filler_changes_nothing_but_filler(data):
    noisy = jax.jit(lambda k: multi_query_recall(k, 200, random_filler=True, **SHAPE))(jr.key(0))
    shown = np.asarray(data.tokens) != 0
    np.testing.assert_array_equal(np.asarray(noisy.tokens)[shown], np.asarray(data.tokens)[shown])
    np.testing.assert_array_equal(noisy.targets, data.targets)
    assert len(np.unique(np.asarray(noisy.tokens)[~shown])) > 30


def test_scores_of_the_perfect_and_the_ignorant(data):
    perfect = 100.0 * jax.nn.one_hot(data.targets, 40)
    assert float(recall_accuracy(perfect, data.targets)) == 1.0
    assert float(recall_loss(perfect, data.targets)) < 1e-6
    nothing = jnp.zeros((200, 32, 40))
    assert float(recall_loss(nothing, data.targets)) == pytest.approx(np.log(40), rel=1e-6)
    assert float(recall_accuracy(nothing, data.targets)) == 0.0


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="5 pairs in length 16"):
        multi_query_recall(jr.key(0), 1, length=16, pairs=5, vocabulary=64)
    with pytest.raises(ValueError, match="vocabulary 8 has 3 keys"):
        multi_query_recall(jr.key(0), 1, length=16, pairs=4, vocabulary=8)
