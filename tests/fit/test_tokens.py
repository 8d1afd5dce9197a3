"""Spike tokens and the spike transformer: round trips, exact likelihood, causality, closed forms."""

import math
from itertools import product

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from neuropil.fit.spikelikelihood import (
    attention_mass,
    batched,
    contrastive_loss,
    generate,
    log_probability,
    next_token_loss,
    nucleus,
    pretraining_loss,
)
from neuropil.fit.spiketransformer import (
    Attention,
    Behaviour,
    Block,
    Outputs,
    SpikeTransformer,
    dropout,
    sinusoid,
)
from neuropil.fit.tokens import SpikeTokens

SMALL = SpikeTokens(units=2, bins=2, past_bins=3, length=6, past_length=8)
PLAIN = dict(width=8, heads=2, rate=0.0, scale=0.5)


@eqx.filter_jit
def _forward(net, windows, behaviour, frames):
    return batched(net, windows, behaviour, frames)


def said(net, windows, behaviour=None, frames=None):
    """Outputs for up to 16 windows: filled up to 16, so that all tests share one compilation."""
    n = windows.ids.shape[0]
    fill = lambda tree: jax.tree.map(
        lambda a: jnp.concatenate([a, jnp.repeat(a[-1:], 16 - n, axis=0)]), tree
    )
    out = _forward(net, fill(windows), fill(behaviour), fill(frames))
    return jax.tree.map(lambda a: a[:n], out)


def stacked(*windows):
    return jax.tree.map(lambda *a: jnp.stack(a), *windows)


def all_rasters(past, counts, tokens):
    """Windows of every raster with these counts a bin, after one past."""
    rows = np.array(list(product(counts, repeat=tokens.bins * tokens.units)))
    rows = rows.reshape(-1, tokens.bins, tokens.units)
    series = np.concatenate([np.tile(past, (len(rows), 1, 1)), rows], axis=1)
    return tokens.windows(series.reshape(-1, tokens.units), 3 + 5 * np.arange(len(rows)))


@pytest.fixture(scope="module")
def model():
    return SpikeTransformer(SMALL, key=jr.key(0), **PLAIN)


@pytest.fixture(scope="module")
def raster():
    return np.random.default_rng(0).binomial(1, 0.4, (30, 2))


def test_decode_gives_back_every_raster():
    rng = np.random.default_rng(1)
    counts = rng.poisson(0.7, (200, 5))
    starts = np.arange(7, 190, 3)
    tokens = SpikeTokens(5, 4, 7, 60, 80)
    ids, times = tokens.encode(counts, starts)
    back = tokens.decode(ids, times)
    np.testing.assert_array_equal(back, counts[starts[:, None] + np.arange(4)])
    past = tokens.decode(*tokens.encode(counts, starts, past=True), past=True)
    np.testing.assert_array_equal(past, counts[starts[:, None] + np.arange(-7, 0)])
    assert tokens.longest(counts, starts) == (ids != tokens.pad).sum(1).max()


def test_tokens_stand_in_order_and_end():
    tokens = SpikeTokens(3, 2, 4, 8, 8)
    ids, times = tokens.encode(np.array([[0, 0, 2], [1, 0, 1]]), [0])
    assert ids[0].tolist() == [3, 2, 2, 0, 2, 4, 5, 5]
    assert times[0].tolist() == [0, 0, 0, 1, 1, 6, 7, 7]
    ids, _ = tokens.encode(np.zeros((2, 3), int), [0])
    assert ids[0].tolist() == [3, 4, 5, 5, 5, 5, 5, 5]  # an empty window is SOS, EOS
    assert (tokens.id_vocabulary, tokens.time_vocabulary) == (6, 8)


def test_too_many_spikes_are_refused_or_the_last_are_kept():
    tokens = SpikeTokens(2, 3, 3, 4, 4)
    full = np.ones((3, 2), int)
    with pytest.raises(ValueError, match="room for 2"):
        tokens.encode(full, [0])
    ids, times = tokens.encode(full, [0], truncate=True)
    assert ids[0].tolist() == [2, 0, 1, 3]
    assert times[0, 1:3].tolist() == [2, 2]


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: SpikeTokens(0, 1, 1, 3, 3), "units"),
        (lambda: SpikeTokens(1, 1, 1, 2, 3), "length"),
        (lambda: SMALL.encode(np.zeros((4, 3)), [0]), "counts must be"),
        (lambda: SMALL.encode(np.full((4, 2), 0.5), [0]), "whole numbers"),
        (lambda: SMALL.encode(np.zeros((4, 2)), [3]), "over the end"),
        (lambda: SMALL.encode(np.zeros((4, 2)), [-1]), "starts"),
        (lambda: SpikeTransformer(SMALL, key=jr.key(0), width=6, heads=2), "multiple of 4"),
        (lambda: Attention(8, 3, jr.key(0)), "multiple of 3"),
        (lambda: Behaviour("speed"), "either"),
        (lambda: contrastive_loss({"a": jnp.ones((2, 2))}), "two modalities"),
        (lambda: nucleus(jnp.zeros(3), 0.0), "nucleus"),
    ],
)
def test_bad_requests_say_why(make, match):
    with pytest.raises(ValueError, match=match):
        make()


@pytest.mark.parametrize("repeats", [False, True])
def test_probabilities_of_all_rasters_sum_to_one(raster, repeats):
    """The footing of the comparison: every raster of a window, in one enumeration. Logits are drawn
    for each position, so they stand for a network that counts tokens."""
    tokens = SpikeTokens(2, 2, 3, 30, 30)
    windows = all_rasters(raster[:3], range(6) if repeats else (0, 1), tokens)
    n, positions = windows.ids.shape[0], windows.ids.shape[1] - 1
    same = lambda key, width: jnp.tile(2 * jr.normal(key, (1, positions, width)), (n, 1, 1))
    ids, times = same(jr.key(1), tokens.id_vocabulary), same(jr.key(2), tokens.time_vocabulary)
    ids = ids.at[..., tokens.eos].add(2.0)  # so that six spikes in a bin hardly ever come
    out = Outputs(ids, times, ids, {}, {}, {})
    total = jnp.exp(log_probability(out, windows, tokens, repeats=repeats)).sum()
    wasteful = jnp.exp(log_probability(out, windows, tokens, ordered=False)).sum()
    assert float(total) == pytest.approx(1.0, abs=0.02 if repeats else 1e-5)
    assert float(wasteful) < 1


def test_probabilities_of_the_network_sum_to_one(model, raster):
    windows = all_rasters(raster[:3], (0, 1), SMALL)
    total = jnp.exp(log_probability(said(model, windows), windows, SMALL)).sum()
    assert float(total) == pytest.approx(1.0, abs=1e-5)


def test_log_probability_by_hand(model, raster):
    """One window of one spike: p(id) q(t) over what may come first, then p(EOS) over what may follow."""
    counts = raster.copy()
    counts[3:5] = [[0, 1], [0, 0]]
    windows = SMALL.windows(counts, [3])
    out = said(model, windows)
    p = jnp.exp(out.id_logits[0])
    q = jnp.exp(out.time_logits[0, :, :2])
    q = q / q.sum(1, keepdims=True)
    first = p[0, 1] * q[0, 0] / (p[0, 0] + p[0, 1] + p[0, 3])
    after = (p[1, 0] + p[1, 1]) * q[1, 1]  # after unit 1 in bin 0 only bin 1 is left
    end = p[1, 3] / (p[1, 3] + after)
    got = log_probability(out, windows, SMALL)[0]
    assert float(got) == pytest.approx(float(jnp.log(first * end)), abs=1e-5)


@pytest.mark.slow
def test_generation_draws_from_that_probability(model, raster):
    window = SMALL.windows(raster, [3])[0]
    draw = jax.jit(jax.vmap(lambda key: generate(model, window, key, mass=1.0)))
    drawn = draw(jr.split(jr.key(1), 2000))
    rasters = SMALL.decode(drawn.ids, drawn.times).reshape(-1, 4)
    assert set(np.unique(rasters)) <= {0, 1}
    found = np.bincount(rasters @ [8, 4, 2, 1], minlength=16) / len(rasters)
    windows = all_rasters(raster[:3], (0, 1), SMALL)
    exact = np.exp(np.asarray(log_probability(said(model, windows), windows, SMALL)))
    np.testing.assert_allclose(found, exact, atol=4 * np.sqrt(exact.max() / 2000))


def test_uniform_model_costs_the_logarithm_of_the_vocabulary(model, raster):
    windows = SMALL.windows(raster, np.arange(3, 19))
    flat = eqx.tree_at(
        lambda m: (m.id_head.weight, m.time_head.weight),
        model,
        (jnp.zeros_like(model.id_head.weight), jnp.zeros_like(model.time_head.weight)),
    )
    ids, times = next_token_loss(said(flat, windows), windows, SMALL)
    assert float(ids) == pytest.approx(math.log(SMALL.units + 3), abs=1e-5)
    assert float(times) == pytest.approx(math.log(SMALL.time_vocabulary), abs=1e-5)


def test_loss_weights_with_and_without_alignment(raster):
    net = SpikeTransformer(
        SMALL, key=jr.key(0), behaviours=(Behaviour("speed", 2, attend=True),), **PLAIN
    )
    windows, speed = SMALL.windows(raster, np.arange(3, 11)), {"speed": jnp.ones((8, 2))}
    score = eqx.filter_jit(pretraining_loss)
    loss, terms = score(net, windows, speed)
    assert float(loss) == pytest.approx(float(0.6 * terms["id"] + 0.4 * terms["time"]), rel=1e-5)
    loss, terms = score(net, windows, speed, align=True)
    by_hand = 0.45 * terms["id"] + 0.3 * terms["time"] + 0.25 * terms["align"]
    assert float(loss) == pytest.approx(float(by_hand), rel=1e-5)


def test_later_tokens_change_nothing_before_them_and_the_past_changes_all(model, raster):
    window = SMALL.windows(raster, [3])[0]
    other = eqx.tree_at(lambda w: w.ids, window, window.ids.at[2].set((window.ids[2] + 1) % 2))
    past = eqx.tree_at(lambda w: w.past_ids, window, (window.past_ids + 1) % 2)
    a, b, c = said(model, stacked(window, other, past)).id_logits
    np.testing.assert_array_equal(a[:2], b[:2])
    assert float(jnp.abs(a[2:] - b[2:]).max(axis=1).min()) > 1e-5
    assert float(jnp.abs(c - a).max(axis=1).min()) > 1e-5


def test_parameters_are_as_many_as_the_paper_says():
    count = lambda m: sum(a.size for a in jax.tree.leaves(eqx.filter(m, eqx.is_array)))
    assert count(Attention(16, 2, jr.key(0))) == 4 * 16**2 + 4 * 16
    assert count(Block(16, 2, jr.key(0))) == 12 * 16**2 + 15 * 16


def test_attention_is_the_same_whichever_side_the_projections_stand():
    attention = Attention(8, 2, jr.key(0), scale=0.7)
    attention = eqx.tree_at(lambda a: a.value.bias, attention, jr.normal(jr.key(3), (8,)))
    source, x = jr.normal(jr.key(1), (9, 8)), jr.normal(jr.key(2), (5, 8))
    split = lambda y: y.reshape(-1, 2, 4)
    q, k, v = (split(m(a)) for m, a in ((attention.query, x), (attention.key, source),
                                        (attention.value, source)))  # fmt: skip
    weights = jax.nn.softmax(jnp.einsum("thd,shd->hts", q, k) / 2, axis=-1)
    want = attention.out(jnp.einsum("hts,shd->thd", weights, v).reshape(5, 8))
    for rows in (5, 4):  # 2 x 5 queries against 9 keys, then 2 x 4: both ways of the products
        got, seen = attention(x[:rows], source)
        np.testing.assert_allclose(got, want[:rows], atol=1e-5)
        np.testing.assert_allclose(seen, weights[:, :rows], atol=1e-5)


def test_sinusoid_and_dropout():
    code = sinusoid(jnp.array([0.0, 2.0]), 4)
    np.testing.assert_allclose(code[0], [0, 1, 0, 1], atol=1e-6)
    np.testing.assert_allclose(code[1], [math.sin(2), math.cos(2), math.sin(0.02), math.cos(0.02)],
                               atol=1e-6)  # fmt: skip
    seeds = jr.bits(jr.key(0), (2,), jnp.uint32)
    x = jnp.ones((300, 200))
    one, two = (dropout(x, 0.2, s) for s in seeds)
    assert set(np.unique(one).tolist()) == {0.0, 1.25}
    assert float(one.mean()) == pytest.approx(1.0, abs=4 * 0.5 / math.sqrt(x.size))
    both = float(((one > 0) & (two > 0)).mean())  # masks of two seeds are independent
    assert both == pytest.approx(0.64, abs=4 * 0.5 / math.sqrt(x.size))
    neighbours = float(((one[:, 1:] > 0) & (one[:, :-1] > 0)).mean())
    assert neighbours == pytest.approx(0.64, abs=4 * 0.5 / math.sqrt(x.size))
    assert dropout(x, 0.2, None) is x


@pytest.mark.slow
def test_stimulus_and_behaviour_are_attended_to(raster):
    behaviours = (Behaviour("speed", 3, attend=True), Behaviour("place", predict=True))
    net = SpikeTransformer(
        SMALL, key=jr.key(0), behaviours=behaviours, frames=(2, 4, 4), patch=(1, 2, 2), **PLAIN
    )
    windows = SMALL.windows(raster, [3, 3, 3])
    speed = jnp.array([[0.0, 1.0, 2.0], [0.0, 1.0, 5.0], [0.0, 1.0, 2.0]])
    frames = jnp.tile(jr.normal(jr.key(1), (1, 2, 4, 4)), (3, 1, 1, 1)).at[2, 0, 0].add(3.0)
    out = said(net, windows, {"speed": speed}, frames)
    assert out.attention["stimulus"].shape == (3, 1, 2, 5, 9)  # 8 patches and SOS
    assert out.attention["behaviour"].shape == (3, 1, 2, 5, 3)
    assert sorted(out.features) == ["behaviour", "spikes", "stimulus"]
    assert out.behaviour["place"].shape == (3,)
    plain, faster, brighter = out.id_logits
    assert float(jnp.abs(faster - plain).max()) > 1e-5
    assert float(jnp.abs(brighter - plain).max()) > 1e-5
    with pytest.raises(ValueError, match="only"):
        net(windows[0], {"heading": jnp.zeros(3)})


def test_the_official_norm_of_one_number_would_erase_the_behaviour():
    """Why values are not layer-normalised here: over one feature the norm gives its shift, always."""
    value = jnp.array([[-3.0], [0.5], [40.0]])
    centred = value - value.mean(axis=-1, keepdims=True)
    np.testing.assert_array_equal(centred, jnp.zeros((3, 1)))


def test_attention_mass_counts_pairs_of_positions(model, raster):
    windows = SMALL.windows(raster, np.arange(3, 13))
    out = said(model, windows)
    mass, count = attention_mass(out, windows, SMALL)
    past = np.stack([raster[s - 3 : s].sum(0) for s in range(3, 13)])
    now = np.stack([raster[s : s + 2].sum(0) for s in range(3, 13)])
    np.testing.assert_allclose(count, now.T @ past)
    assert float(mass.sum()) <= now.sum() + 1e-4  # each prediction has one unit of attention
    _, inside = attention_mass(out, windows, SMALL, ("encoder",))
    assert float(inside.sum()) == sum(n * (n - 1) / 2 for n in now.sum(1))


def test_alignment_is_lowest_when_each_row_finds_its_own():
    rows = jr.normal(jr.key(0), (6, 8))
    same = contrastive_loss({"a": rows, "b": 2 * rows})
    mixed = contrastive_loss({"a": rows, "b": rows[::-1]})
    apart = contrastive_loss({"a": jnp.eye(2), "b": jnp.eye(2)}, 1.0)
    assert float(same) < float(mixed)
    assert float(apart) == pytest.approx(-1 + math.log(math.e + 1), abs=1e-6)
