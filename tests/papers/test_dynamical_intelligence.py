"""dynamical-intelligence: the memory's links, the rhythms, the rule, how trials are scored, a smoke network."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from neuropil.core import advance, start
from neuropil.memory import union_density
from neuropil.papers.core import _dynamical_intelligence as page
from neuropil.papers.core import _theta_gamma as net
from neuropil.papers.core.dynamical_intelligence import STUDY, check, plan


def test_links_have_the_density_of_a_binary_memory():
    """1 - (1 - (a / n)^2)^M of the synapses, for M independent pairs."""
    n, a, pairs = 200, 10, 40
    items = page.codes(jr.key(0), 2 * pairs, n, a)
    assert (items.sum(1) == a).all()
    W = net.links(items, np.stack([np.arange(pairs), np.arange(pairs, 2 * pairs)], 1))
    assert float(W.mean()) == pytest.approx(union_density(n * n, a * a, pairs), abs=2e-3)
    for k in range(pairs):
        assert (W @ items[k] >= a * items[pairs + k]).all()


def test_windows_are_von_mises_and_theta_closes_for_one_gamma_cycle():
    t = jnp.arange(200.0)
    w = net.windows(t, jnp.asarray(25.0), jnp.asarray(12.5), 2.0, jnp.zeros(1))[:, 0]
    assert int(w[:25].argmax()) in (12, 13)
    np.testing.assert_allclose(w[:25], w[25:50], atol=1e-5)
    assert float(w[0]) == pytest.approx(np.exp(-4), abs=1e-3)
    assert (
        net.open_theta(t, jnp.asarray(25.0), jnp.asarray(4.0)).tolist()
        == ([1.0] * 75 + [0.0] * 25) * 2
    )


def test_only_what_was_not_predicted_is_learned():
    items = jnp.eye(12)[jnp.arange(12).reshape(4, 3)].sum(1)  # disjoint assemblies of 3
    W = net.links(items, np.array([[0, 1], [1, 2]]))
    same = net.learn_where_wrong(W, items[jnp.array([0, 1, 2])])
    assert (same == W).all()
    new = net.learn_where_wrong(W, items[jnp.array([0, 3, 2])])
    assert (new == net.links(items, np.array([[0, 3], [1, 2], [3, 2]]))).all()
    empty = net.learn_where_wrong(W, jnp.zeros((3, 12)).at[0].set(items[0]))
    assert (empty == W).all()  # silence teaches nothing


def test_spikes_are_named_by_half_of_an_assembly():
    items = jnp.eye(8)[jnp.arange(8).reshape(2, 4)].sum(1)
    spikes = jnp.zeros((50, 8)).at[3, :2].set(1).at[30, 4].set(1).at[40, 2].set(1)
    fired = net.by_cycle(spikes, jnp.asarray(25.0), 2)
    assert fired.sum(1).tolist() == [2, 2]
    assert net.named(fired, items).tolist() == [0, -1]


def test_order_at_any_pace():
    items = jnp.eye(6)[jnp.arange(6).reshape(3, 2)].sum(1)
    at = lambda *times: jnp.zeros((100, 6)).at[jnp.array(times), jnp.arange(6)].set(1)
    assert float(page.in_order(at(1, 1, 9, 9, 60, 60), items)) == 1.0
    assert float(page.in_order(at(1, 1, 60, 60, 9, 9), items)) == pytest.approx(2 / 3)
    assert float(page.in_order(at(5, 5, 5, 5, 5, 5), items)) == pytest.approx(1 / 3)
    assert float(page.in_order(jnp.zeros((100, 6)), items)) == 0.0


def test_trials_ask_for_what_the_sequences_hold():
    t = page.trials(plan(STUDY.scales["small"]))
    forward, reverse = t.kind.index("forward"), t.kind.index("reverse")
    assert t.wanted[forward, :6].tolist() == [0, 1, 2, 3, 4, 5]
    assert t.wanted[reverse, :6].tolist() == [5, 4, 3, 2, 1, 0]
    assert (t.ahead[reverse], t.back[reverse]) == (0.0, 1.0)
    assert t.wanted[t.kind.index("middle"), :5].tolist() == [2, 3, 4, 5, -2]
    gamma = [k == "faster-gamma" for k in t.kind]
    np.testing.assert_allclose(t.period[gamma] * t.ratio[gamma], 200.0)


@pytest.mark.slow
def test_the_network_at_smoke_and_what_a_memory_without_dynamics_reads():
    """One network replays in both directions, fills theta and reads its tree; the ceiling is exact."""
    settings = STUDY.scales["smoke"]
    step = eqx.filter_jit(lambda system, carry: advance(system, carry, None)[1])
    out = {}
    for name in ("theta-gamma", "asynchronous", "clocked"):
        system = STUDY.arms[name].build(settings, None)
        out[name] = jax.tree.map(np.asarray, step(system, start(system, 1.0, jr.key(7))))
    for name in ("theta-gamma", "clocked"):
        for score in ("forward", "reverse", "middle", "in_order"):
            assert out[name][score] == 1.0, (name, score)
        assert out[name]["slower_theta"].tolist() == [2, 3]  # ratio - 1
    assert out["clocked"]["tree"] == out["clocked"]["updated"] == out["clocked"]["kept"] == 1.0
    assert out["asynchronous"]["forward"] < 0.7
    assert out["theta-gamma"]["tree"] > out["asynchronous"]["tree"]
    scores = STUDY.score(settings, {k: v[None] for k, v in out["clocked"].items()})
    assert set(scores) == set(STUDY.metrics)
    assert scores["capacity-error"] == 0.0


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"dense": 5}, "active < dense"),
        ({"of_chunk": 200}, "of_chunk"),
        ({"ratio": 6}, "too few"),
        ({"ratios": (2, 4)}, "at least 3"),
        ({"long": 5}, "at most long"),
        ({"chunks": 1}, "2 chunks"),
        ({"spreads": (2.0,)}, "spreads"),
        ({"draws": 0}, "draws"),
    ],
)
def test_settings_that_make_no_sense_are_refused(change, says):
    check(STUDY.scales["small"])
    with pytest.raises(ValueError, match=says):
        check(STUDY.scales["small"] | change)
