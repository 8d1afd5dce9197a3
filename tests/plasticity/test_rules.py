"""Hebbian rules, triplets, three factors and rules in turn, against closed forms and fixed points."""

import functools

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from neuropil.core import Batched, Chain, Every, Managed, System, run, start
from neuropil.plasticity import (
    BCM,
    HardBounds,
    Hebb,
    Homeostat,
    InTurn,
    NoBounds,
    Normalise,
    Oja,
    PairSTDP,
    ThreeFactor,
    Triplet,
    pair_window,
    symmetric_stdp,
    trial_change,
    triplet_stdp,
)
from neuropil.wiring import Dense, Signed
from tests.plasticity.ends import Ends

READS = {"pre": "input.pre", "post": "input.post"}


def learn(rule, xs, w, dt=1.0, reads=READS):
    """The weight after a run."""
    system = Managed(Ends(jnp.asarray(w, float)), rule, "weight", reads)
    return run(system, start(system, dt, jr.key(0)), xs, record=None)[0].state.theta


def feedforward(rule, xs, w):
    """The weight of a linear network y = W x after it has seen inputs."""
    net = Managed(Dense(jnp.asarray(w, float)), rule, "weight", {"pre": "input", "post": "output"})
    return np.asarray(run(net, start(net, 1.0, jr.key(0)), xs, record=None)[0].state.theta)


@functools.cache
def data():
    """Centred samples of three orthogonal directions of variance 9, 4, 1, and the directions (rows)."""
    rng = np.random.default_rng(0)
    axes = np.linalg.qr(rng.standard_normal((4, 4)))[0][:3]
    return jnp.asarray(rng.standard_normal((4000, 3)) * [3, 2, 1] @ axes), axes


def test_oja_finds_the_first_component_and_sanger_the_first_k(x64):
    xs, axes = data()
    first = 0.1 * np.random.default_rng(1).standard_normal((2, 4))
    own = feedforward(Oja(4, 2, 0.002), xs, first)
    np.testing.assert_allclose(np.abs(own @ axes.T), [[1, 0, 0]] * 2, atol=0.12)
    sanger = feedforward(Oja(4, 2, 0.002, "earlier"), xs, first)
    np.testing.assert_allclose(np.abs(sanger @ axes.T), np.eye(2, 3), atol=0.15)
    # the mean change at the k leading components is 0, for the whole batch at once
    moment = xs.T @ xs / len(xs)
    lead = jnp.linalg.eigh(moment)[1][:, ::-1][:, :2].T
    for explained in ("earlier", "all"):
        net = Managed(Batched(Dense(lead), len(xs)), Oja(4, 2, 1.0, explained), "part.weight",
                      {"pre": "input", "post": "output"})  # fmt: skip
        end = run(net, start(net, 1.0, jr.key(0)), xs[None], record=None)[0].state.theta
        np.testing.assert_allclose(end, lead, atol=1e-9)


def test_bcm_answers_to_one_of_k_inputs_with_k(x64):
    k, rng = 3, np.random.default_rng(3)
    patterns = np.linalg.qr(rng.standard_normal((k, k)))[0] + 0.1
    shown = jnp.asarray(patterns[rng.integers(0, k, 12000)])
    first = (
        rng.uniform(0.2, 0.8, (2, k)) @ np.linalg.inv(patterns).T
    )  # answers to all of them at first
    w = feedforward(BCM(k, 2, 0.005, tau=100.0), shown, first)
    answers = np.sort(w @ patterns.T, 1)
    np.testing.assert_allclose(answers[:, -1], k, rtol=0.15)
    np.testing.assert_allclose(answers[:, :-1], 0, atol=0.15)


def test_hebb_grows_to_the_correlation_and_anti_hebb_away(x64):
    xs = {"pre": jnp.asarray([[1.0, 2.0]] * 3), "post": jnp.asarray([[3.0]] * 3)}
    np.testing.assert_allclose(learn(Hebb(2, 1, 0.1), xs, [[0, 0]]), [[0.9, 1.8]])
    np.testing.assert_allclose(learn(Hebb(2, 1, 0.1, anti=True), xs, [[0, 0]]), [[-0.9, -1.8]])
    # with forgetting the fixed point is rate y x / (1 - exp(-dt / tau))
    long = jax.tree.map(lambda a: jnp.tile(a, (40, 1)), xs)
    fixed = 0.1 * 3 * np.array([[1.0, 2.0]]) / -np.expm1(-0.2)
    np.testing.assert_allclose(
        learn(Hebb(2, 1, 0.1, tau_weight=5.0), long, [[0, 0]]), fixed, rtol=1e-8
    )
    both = {"pre": xs["pre"].reshape(1, 3, 2), "post": xs["post"].reshape(1, 3, 1)}
    system = Managed(Batched(Ends(jnp.zeros((1, 2))), 3), Hebb(2, 1, 0.1), "part.weight", READS)
    mean = run(system, start(system, 1.0, jr.key(0)), both, record=None)[0].state.theta
    np.testing.assert_allclose(mean, [[0.3, 0.6]])


@pytest.mark.parametrize("dt", [0.1, 0.2])
def test_a_hebbian_rule_on_traces_is_symmetric_stdp(dt, x64):
    """Two traces multiplied and integrated give the window rate tau / 2 exp(-|s| / tau), to order dt."""
    gaps = np.array([-12.0, -4.0, 4.0, 12.0])
    t = round(300 / dt)
    pre = jnp.zeros((t, len(gaps))).at[round(100 / dt)].set(1.0)
    post = jnp.zeros((t, len(gaps)))
    post = post.at[jnp.asarray(np.round((100 + gaps) / dt).astype(int)), jnp.arange(len(gaps))].set(
        1.0
    )
    xs, zero = {"pre": pre, "post": post}, jnp.zeros((4, 4))
    traces = np.diagonal(learn(Hebb(4, 4, 0.1, 20.0, 20.0), xs, zero, dt))
    np.testing.assert_allclose(traces, np.exp(-np.abs(gaps) / 20), rtol=2 * dt / 20)
    spikes = np.diagonal(learn(symmetric_stdp(4, 4, 1.0, bounds=NoBounds()), xs, zero, dt))
    np.testing.assert_allclose(spikes, np.exp(-np.abs(gaps) / 20), rtol=1e-9)


def test_stdp_drifts_under_poisson_input_as_its_window_says(x64):
    """Mean change: product of rates times the area of the window; exactly so where rates stand for spikes."""
    dt, t, n, rate = 1.0, 3000, 24, 0.03
    rule = PairSTDP(n, n, 0.01, 0.004, 20.0, 40.0, NoBounds())
    area = sum(s * a * 1 / np.expm1(dt / tau) for s, a, tau in ((1, 0.01, 20.0), (-1, 0.004, 40.0)))
    expected = rate**2 * t * area
    rng = np.random.default_rng(0)
    spikes = {k: jnp.asarray(rng.random((t, n)) < rate, float) for k in ("pre", "post")}
    change = learn(rule, spikes, jnp.zeros((n, n)), dt)
    assert abs(float(change.mean()) / expected - 1) < 0.1  # deviation of the mean: 0.03
    constant = jax.tree.map(lambda a: jnp.full_like(a, rate), spikes)
    flat = learn(rule, constant, jnp.zeros((n, n)), dt)
    np.testing.assert_allclose(
        flat, expected, rtol=0.03
    )  # traces start at 0: less by about 40 / 3000


def by_triplets(rule, pre, post, dt):
    """Pfister and Gerstner's sum over pairs and triplets of one synapse's spikes (ticks)."""
    total, trip = 0.0, rule.triplet
    decay = lambda a, b, tau: np.exp(-(a - b[b < a]) * dt / float(tau)).sum()
    for t in post:
        slow = float(rule.a_plus) + float(trip.a_plus) * decay(t, post, trip.tau_y)
        total += decay(t, pre, rule.tau_plus) * slow
    for t in pre:
        slow = float(rule.a_minus) + float(trip.a_minus) * decay(t, pre, trip.tau_x)
        total -= decay(t, post, rule.tau_minus) * slow
    return total


def test_triplets_depend_on_the_rate_of_pairing(x64):
    """Twenty pairings at 1 to 50 Hz, 10 ms apart: as the sum says, and as in cortex (Sjöström et al. 2001)."""
    dt, rates = 1.0, (1.0, 10.0, 20.0, 50.0)
    full = Triplet(6.5e-3, 2.3e-4)
    rule = triplet_stdp(8, 8, triplet=full, bounds=NoBounds())
    pre, post = np.zeros((19_100, 8)), np.zeros((19_100, 8))
    expected = []
    for k, (rate, gap) in enumerate((r, g) for g in (10, -10) for r in rates):
        at = 20 + np.arange(20) * round(1000 / rate)
        pre[at, k], post[at + gap, k] = 1.0, 1.0
        expected.append(by_triplets(rule, at, at + gap, dt))
    xs = {"pre": jnp.asarray(pre), "post": jnp.asarray(post)}
    found = np.diagonal(learn(rule, xs, jnp.zeros((8, 8)), dt))
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    before, after = found[:4], found[4:]
    assert (np.diff(before) > 0).all()  # potentiation grows with the rate
    assert after[0] < 0 < after[-1]  # post before pre depresses, but potentiates at 50 Hz
    with pytest.raises(ValueError, match="tick by tick"):
        trial_change(rule, xs["pre"], xs["post"], dt)


def test_symmetric_stdp_in_all_its_forms(x64):
    """Tick by tick, by sparse updates, by the kernel, and as two products over the trial: one change."""
    rng = np.random.default_rng(4)
    xs = {k: jnp.asarray(rng.random((60, n)) < 0.2, float) for k, n in (("pre", 7), ("post", 5))}
    w = jnp.asarray(rng.uniform(0, 0.9, (5, 7)))
    row = HardBounds(
        jnp.zeros((1, 7)), jnp.ones((1, 7))
    )  # a bound for each pre cell: the full update
    for bounds in (NoBounds(), HardBounds(0.0, 1.0), row):
        make = lambda events, b=bounds: symmetric_stdp(7, 5, 0.03, bounds=b, events=events)
        whole = learn(make(None), xs, w, 0.5)
        np.testing.assert_allclose(learn(make(True), xs, w, 0.5), whole, atol=1e-13)
        assert float(whole.max()) <= 1.0 or isinstance(bounds, NoBounds)
    rule = symmetric_stdp(7, 5, 0.03)
    up, down = trial_change(rule, xs["pre"], xs["post"], 0.5)
    times = 0.5 * jnp.arange(60)
    window = pair_window(rule, times, times)
    by_pairs = jnp.einsum("ti,sj,ts->ij", xs["post"], xs["pre"], window)
    np.testing.assert_allclose(up, by_pairs, atol=1e-12)
    np.testing.assert_array_equal(down, 0)
    some = symmetric_stdp(7, 5, 0.03, bounds=NoBounds(), events=7)
    np.testing.assert_allclose(learn(some, xs, w, 0.5) - w, up, atol=1e-13)


def test_eligibility_waits_for_reward_and_the_gate_chooses_the_cell(x64):
    """One pair, a reward 50 ms later: a_plus exp(-gap / tau_plus) exp(-50 / tau) r, where the gate is open."""
    t = 100
    pre, post = jnp.zeros((t, 1)).at[10].set(1.0), jnp.zeros((t, 2)).at[15].set(1.0)
    xs = {"pre": pre, "post": post, "gate": jnp.tile(jnp.array([1.0, 0.0]), (t, 1))}
    xs["reward"] = jnp.zeros(t).at[65].set(-2.0)
    rule = ThreeFactor(PairSTDP(1, 2, 0.1, 0.1, bounds=NoBounds()), ("reward", "gate"), 200.0, 0.5)
    reads = READS | {"reward": "input.reward", "gate": "input.gate"}
    w = learn(rule, xs, [[0.0], [0.0]], reads=reads)
    expected = 0.1 * np.exp(-5 / 20) * np.exp(-50 / 200) * 0.5 * -2.0
    np.testing.assert_allclose(w, [[expected], [0.0]], rtol=1e-9)
    # a batch: the mean of the samples, each with a trace of its own
    two = jax.tree.map(lambda a: jnp.stack([a, 0 * a], 1), xs)
    batch = ThreeFactor(rule.rule, rule.modulators, 200.0, 0.5, batch=2)
    system = Managed(Batched(Ends(jnp.zeros((2, 1))), 2), batch, "part.weight", reads)
    end = run(system, start(system, 1.0, jr.key(0)), two, record=None)[0].state.theta
    np.testing.assert_allclose(end, [[expected / 2], [0.0]], rtol=1e-9)


def test_reward_teaches_a_choice():
    """REINFORCE as three factors: a unit's noise is eligible, and times reward it follows the gradient."""
    rng = np.random.default_rng(0)
    noise = jnp.asarray(rng.standard_normal((3000, 1)))
    target = 1.5
    net = Chain(wire=lambda x: x["pre"], out=Dense(jnp.zeros((1, 1))))
    rule = ThreeFactor(Hebb(1, 1, 1.0), ("reward",), tau=1e-6, rate=0.05)

    class Bandit(System):
        """Acts with noise and is rewarded by how near it was to the target, less a baseline."""

        net: Chain

        def init(self, dt, key):
            return {"net": self.net.init(dt, key), "mean": jnp.zeros(())}

        def step(self, state, x, tick):
            inner, y = self.net.step(state["net"], {"pre": jnp.ones(1)}, tick)
            reward = -((y + x - target) ** 2).sum()
            out = {"noise": x, "reward": reward - state["mean"], "pre": jnp.ones(1)}
            return {"net": inner, "mean": 0.95 * state["mean"] + 0.05 * reward}, out

        def children(self):
            return {"net": "net"}

    reads = {"pre": "output.pre", "post": "output.noise", "reward": "output.reward"}
    system = Managed(Bandit(net), rule, "net.parts.out.weight", reads)
    end = run(system, start(system, 1.0, jr.key(0)), noise * 0.5, record=None)[0].state.theta
    assert abs(float(end[0, 0]) - target) < 0.3


def test_sizes_of_a_signed_wiring_are_learned_and_signs_stay():
    wire = Signed.dale(Dense(jnp.full((2, 2), 0.5)), [1, -1])
    net = Managed(
        wire,
        Hebb(2, 2, 0.5, bounds=HardBounds()),
        "part.weight",
        {"pre": "input", "post": "output"},
    )
    carry, ys = run(net, start(net, 1.0, jr.key(0)), jr.normal(jr.key(1), (20, 2)))
    assert float(carry.state.theta.min()) >= 0.0
    assert np.isfinite(ys).all()


def test_a_homeostat_owns_a_parameter_of_the_rule(x64):
    """Second level: depression rises while the cell fires above its target, and so the weight falls."""
    t = 400
    rng = np.random.default_rng(0)
    xs = {k: jnp.asarray(rng.random((t, n)) < 0.05, float) for k, n in (("pre", 2), ("post", 1))}
    keeper = Homeostat(1, 10.0, tau=50.0, gain=1e-6, raises=False, low=0.0)
    slow = Managed(PairSTDP(2, 1), keeper, "a_minus", {"activity": "input.reads.post"})
    system = Managed(Ends(jnp.full((1, 2), 0.5)), slow, "weight", READS)
    state = run(system, start(system, 1.0, jr.key(0)), xs, record=None)[0].state
    a = 1000 * np.asarray(xs["post"])[:, 0]
    level, theta = 10.0, 0.00525
    for x in a:
        level = x + (level - x) * np.exp(-1 / 50.0)
        theta = max(theta - 1e-6 * (10.0 - level), 0.0)
    np.testing.assert_allclose(state.slow.theta, theta, rtol=1e-9)
    assert theta > 0.00525
    plain = learn(PairSTDP(2, 1), xs, [[0.5, 0.5]])
    assert (state.theta < plain).all()


def test_rules_in_turn_see_what_the_last_one_left(x64):
    xs = {"pre": jnp.ones((4, 2)), "post": jnp.ones((4, 1))}
    rule = InTurn(hebb=Hebb(2, 1, 0.5), scale=Every(Normalise(1.0), 2))
    w, expected = learn(rule, xs, [[0.0, 1.0]]), np.array([0.0, 1.0])
    for i in range(4):
        expected = expected + 0.5
        expected = expected / expected.sum() if i % 2 == 0 else expected
    np.testing.assert_allclose(w[0], expected)
    sparse = InTurn(stdp=PairSTDP(2, 1, 0.1, 0.1, events=True), scale=Normalise(1.0))
    full = InTurn(stdp=PairSTDP(2, 1, 0.1, 0.1), scale=Normalise(1.0))
    np.testing.assert_allclose(learn(sparse, xs, [[0.2, 0.8]]), learn(full, xs, [[0.2, 0.8]]))


W = jnp.ones((1, 2))
REFUSED = {
    "negative rate": (lambda: Hebb(2, 1, rate=-0.1), "Hebb.rate = -0.1"),
    "negative potentiation": (lambda: PairSTDP(2, 1, a_plus=-1.0), "a_plus = -1"),
    "nothing read": (lambda: Managed(Dense(W), Hebb(2, 1), "weight"), "must read 'pre', 'post'"),
    "no modulator read": (
        lambda: Managed(Dense(W), ThreeFactor(Hebb(2, 1)), "weight", {"pre": "input", "post": "output"}),
        "must read 'reward'",
    ),
    "no such parameter": (lambda: Managed(Dense(W), Hebb(2, 1), "wieght", READS), "did you mean 'weight'"),
    "two owners": (
        lambda: Managed(Managed(Ends(W), Hebb(2, 1), "weight", READS), Hebb(2, 1), "fast.weight", READS),
        "owned already",
    ),
    "no such state": (
        lambda: start(Managed(Chain(a=Dense(W)), Normalise(), "parts.a.weight", {"v": "b.v"}), 1.0, jr.key(0)),
        "has no 'b'",
    ),
    "ends the wrong way round": (
        lambda: learn(Hebb(1, 2), {"pre": jnp.ones((1, 2)), "post": jnp.ones((1, 1))}, W),
        "(post, pre) = (2, 1)",
    ),
    "batch inside": (lambda: ThreeFactor(Hebb(2, 1, batch=2)), "give the batch to ThreeFactor"),
    "unknown form": (lambda: Oja(2, 1, 0.1, "some"), "explained"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_bad_input_is_refused_before_the_run(name):
    work, word = REFUSED[name]
    with pytest.raises((ValueError, KeyError, TypeError)) as caught:
        work()
    assert word in str(caught.value), str(caught.value)
