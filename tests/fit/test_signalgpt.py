"""Tokens of samples and the model of them: kernels by hand, causality, uniform logits, the cached sampler."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from neuropil.fit.sampletokens import (
    SampleTokeniser,
    Vocabulary,
    decode_recording,
    encode_recording,
    explained,
    fit_tokeniser,
)
from neuropil.fit.signalgpt import (
    SignalGPT,
    fit_gpt,
    generate,
    next_token_loss,
    token_windows,
    window_features,
)

SIZE = dict(length=16, queries=8, patch=4, raw=4, scored=4, width=8, heads=2, depth=2)


@pytest.fixture(scope="module")
def gpt():
    model = SignalGPT.init(5, 2, 3, key=jr.key(0), **SIZE)
    return eqx.tree_at(lambda m: m.session, model, jr.normal(jr.key(9), (3, 8)))


@pytest.fixture(scope="module")
def said(gpt):
    run = eqx.filter_jit(lambda model, tokens, label: model(tokens, jnp.asarray(label)))
    return lambda tokens, label=0, model=gpt: run(model, tokens, label)


TOKENS = jr.randint(jr.key(1), (16, 2), 0, 5)


def test_every_code_lays_its_kernel_down_at_its_place():
    part = SampleTokeniser.init(4, units=2, taps=3, key=jr.key(0))
    part = eqx.tree_at(lambda p: p.constant, part, jnp.float32(0.5))
    codes = np.array([1, 3, 0, 2, 2])
    K, want = np.asarray(part.kernels), np.full(5, 0.5)
    for t in range(5):
        for k in range(3):  # same padding: the tap in the middle is the code's own sample
            if 0 <= t + k - 1 < 5:
                want[t] += K[codes[t + k - 1], k]
    np.testing.assert_allclose(part.decode(jnp.asarray(codes)), want, atol=1e-6)


@pytest.mark.slow
def test_tau_goes_from_soft_to_hard_weights():
    part = SampleTokeniser.init(6, units=3, taps=2, key=jr.key(0))
    x = jr.normal(jr.key(1), (20,))
    soft, hard, half = (np.asarray(part.weights(x, jnp.float32(t))) for t in (1.0, 0.0, 0.5))
    np.testing.assert_allclose(soft, jax.nn.softmax(part.logits(x)), atol=1e-6)
    assert (hard.argmax(1) == np.asarray(part.encode(x))).all()
    assert set(np.unique(hard)) == {0.0, 1.0}
    np.testing.assert_allclose(half, (soft + hard) / 2, atol=1e-6)


@pytest.mark.slow
def test_a_tokeniser_begun_from_quantiles_explains_as_much_and_learns_without_losing_it():
    x = np.random.default_rng(0).normal(size=(64, 50)).astype(np.float32)
    part = SampleTokeniser.init_quantiles(x, 16, key=jr.key(0), units=8, taps=4)
    told = lambda part: explained(x.T, decode_recording(part, encode_recording(part, x.T, 50)))
    assert told(part) > 95
    part, losses = fit_tokeniser(part, x, key=jr.key(1), stages=4, batch=16, rate=1e-3)
    assert losses.shape == (16,)
    assert losses[-1] < 0.1  # hard choices, of variance 1
    assert told(part) > 93


def test_windows_overlap_so_that_no_code_is_chosen_at_an_edge():
    class Marks(eqx.Module):  # says the place within its window
        def encode(self, x):
            return jnp.arange(x.shape[0])

    codes = encode_recording(Marks(), np.zeros((70, 2)), 40, 10)
    assert codes.shape == (70, 2)
    assert (codes[:, 0] == 10 + np.arange(70) % 20).all()
    with pytest.raises(ValueError, match="margins"):
        encode_recording(Marks(), np.zeros((70, 2)), 20, 10)


def test_a_vocabulary_drops_what_never_occurs_and_is_undone():
    codes = np.array([[3, 3, 3], [7, 7, 1]])
    words = Vocabulary.of(codes, 9)
    assert words.labels(codes).tolist() == [[1, 1, 1], [2, 2, 3]]
    assert (words.codes(words.labels(codes)) == codes).all()
    assert words.labels(np.array([0, 8])).tolist() == [0, 0]


def test_logits_know_nothing_of_later_tokens_or_of_other_channels(gpt, said):
    before = np.asarray(said(TOKENS))
    for at in (9, 12, 15):
        after = np.asarray(said(TOKENS.at[at:].set((TOKENS[at:] + 1) % 5)))
        assert (after[: at - 8] == before[: at - 8]).all()
        assert (after[at - 8 :] != before[at - 8 :]).any()
    other = np.asarray(said(TOKENS.at[:, 1].set(0)))
    assert (other[:, 0] == before[:, 0]).all()
    assert (other[:, 1] != before[:, 1]).any()
    mixed = eqx.tree_at(lambda m: m.mixing, gpt, jnp.ones((2, 2), bool))
    assert (said(TOKENS, 0, mixed)[-1, 0] != said(TOKENS.at[:, 1].set(0), 0, mixed)[-1, 0]).any()


def test_an_unknown_session_is_the_mean_of_all(gpt, said):
    mean = eqx.tree_at(lambda m: m.session, gpt, jnp.tile(gpt.session.mean(0), (3, 1)))
    np.testing.assert_allclose(said(TOKENS, -1), said(TOKENS, 1, mean), atol=1e-5)


def test_uniform_logits_cost_the_logarithm_of_the_number_of_tokens(gpt):
    blank = eqx.tree_at(lambda m: m.head.weight, gpt, jnp.zeros((5, 8)))
    batch = {"tokens": jnp.concatenate([TOKENS, TOKENS[:1]])[None], "label": jnp.array([1])}
    loss = eqx.filter_jit(next_token_loss)(blank, batch, jr.key(0))
    assert float(loss) == pytest.approx(np.log(5), rel=1e-6)


@pytest.mark.slow
def test_the_cached_sampler_draws_what_the_whole_window_would(gpt, said):
    prompt = TOKENS[:13]
    made = np.asarray(generate(gpt, prompt[None], jnp.array([2]), 2, jr.key(3), 0.0))[0]
    known = list(np.asarray(prompt))
    for block in range(2):
        window = known[4 * block :]
        for _ in range(
            4
        ):  # the window's places are filled one after the other, then it moves by four
            filled = window[:16] + [window[-1]] * (16 - len(window))
            place = min(len(window), 16) - 9
            window.append(np.asarray(said(jnp.asarray(np.stack(filled)), 2))[place].argmax(1))
        known += window[-4:]
    assert (made == np.stack(known[13:])).all()
    with pytest.raises(ValueError, match="prompt"):
        generate(gpt, TOKENS[None], jnp.array([2]), 1, jr.key(3))


@pytest.mark.slow
def test_it_learns_a_rhythm_of_tokens_and_the_session_that_tells_which():
    time = np.arange(400)
    tokens = np.stack([time // 2 % 4, time // 2 % 2])[:, :, None].repeat(2, 2)
    data = token_windows(tokens, 17, 256)
    model = SignalGPT.init(5, 2, 2, key=jr.key(0), **SIZE)
    model, losses = fit_gpt(model, data, key=jr.key(1), epochs=4, batch=16, rate=1e-2)
    assert losses[-4:].mean() < 0.35 * losses[0]
    features = window_features(model, jnp.asarray(data["tokens"][:20, :-1], jnp.int32))
    assert features.shape == (20, 16)


@pytest.mark.parametrize("wrong", [dict(scored=5), dict(heads=3), dict(patch=3)])
def test_sizes_that_do_not_fit_are_refused(wrong):
    with pytest.raises(ValueError, match=r"scored|width|patch"):
        SignalGPT.init(5, 2, 3, key=jr.key(0), **(SIZE | wrong))
