"""brainpy: the membrane and synapse against closed forms, deliveries against each other, the memory network."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from neuropil.cells import LIF, Refractory, ValueReset
from neuropil.core import Chain, Network, To, run, start
from neuropil.core.system import Tick
from neuropil.papers.core import _brainpy_ei as ei
from neuropil.papers.core import _brainpy_memory as memory
from neuropil.papers.core.brainpy import STUDY
from neuropil.synapses import Conductance, Receptors
from neuropil.wiring import Dense
from neuropil.worlds.matching import DelayedMatch

TICK = Tick(jnp.int32(0), jnp.asarray(1.0), jr.key(9))


def test_an_isolated_cell_fires_at_its_closed_form():
    cell = LIF(
        1, 20.0, threshold=-50.0, v_rest=-60.0, reset=ValueReset(-60.0), refractory=Refractory(5.0)
    )
    _, s = run(cell, start(cell, 0.1, jr.key(0)), jnp.full((2000, 1), 20.0))
    gaps = np.diff(np.flatnonzero(s[:, 0])) * 0.1
    wanted = 5 + 20 * np.log(20 / 10)  # 18.86 ms, of the card
    np.testing.assert_allclose(gaps, wanted, atol=0.2)


def test_a_small_epsp_is_its_closed_form():
    source = LIF(1, 1e-3, threshold=0.5)  # fires at the tick of its input
    cell = LIF(1, 20.0, threshold=1e3, v_rest=-60.0)
    node = Receptors(cell, ampa=Conductance(1, 5.0, 0.0))
    net = Network(
        {"pre": source, "post": node},
        {"pre>post": Chain(Dense(jnp.full((1, 1), 0.006)), To("ampa"))},
    )
    kick = {"pre": jnp.zeros((400, 1)).at[0].set(10.0)}
    _, v = run(net, start(net, 0.1, jr.key(0)), kick, record="nodes.post.cell.v")
    t = 0.1 * np.arange(400)
    wanted = 0.006 * 60 * 5 / (20 - 5) * (np.exp(-t / 20) - np.exp(-t / 5))
    found = np.asarray(v[:, 0]) + 60
    assert t[found.argmax()] == pytest.approx(9.24, abs=0.3)
    assert found.max() == pytest.approx(wanted.max(), rel=0.02)  # of the order of g, and of dt


@pytest.fixture(scope="module")
def runs():
    """Spikes of one small network by both deliveries, and in a second whose synapses are other ones."""

    def spikes(net):
        return run(net, ei.begin(net, jr.key(1), 200), n=300, record=lambda s, y: y["cells"] > 0)[1]

    one = [spikes(ei.network(jr.key(0), 200, 20, dense=dense)) for dense in (False, True)]
    return [*one, spikes(ei.network(jr.key(5), 200, 20))]


def test_events_and_the_dense_matrix_give_the_same_spikes(runs):
    events, dense, other = runs
    assert 20 < int(events.sum())
    np.testing.assert_array_equal(events, dense)
    assert int((events != other).sum()) > 0  # it does look at the wiring


def test_interval_cv_and_synchrony_of_known_trains():
    rng = np.random.default_rng(0)
    regular = np.zeros((1000, 3), bool)
    regular[::20] = True
    assert float(ei.interval_cv(jnp.asarray(regular))) == pytest.approx(0, abs=1e-3)
    poisson = jnp.asarray(rng.random((4000, 60)) < 0.05)
    assert float(ei.interval_cv(poisson)) == pytest.approx(0.97, abs=0.05)  # geometric: sqrt(1 - p)
    assert float(ei.synchrony(poisson, 10)) == pytest.approx(0.95, abs=0.15)  # binomial: 1 - p
    together = jnp.broadcast_to(poisson[:, :1], (4000, 60))
    assert float(ei.synchrony(together, 10)) > 30


def test_the_memory_network_has_the_papers_numbers_and_keeps_its_signs():
    net = memory.model(jr.key(0), 24, jnp.ones(()), jnp.full(100, 200.0))
    task = DelayedMatch(2, 4, 2, 4)
    part = memory.Memory(task, jnp.asarray(True), jnp.asarray(True), updates=1, batch=2, tested=2)
    learned = part.trainer(net).inner.fast.learned
    assert sum(a.size for a in jax.tree.leaves(learned)) == 12_802
    wires = net.parts["net"].edges["R>R"]
    changed = eqx.tree_at(lambda w: w.part.weight, wires, jr.normal(jr.key(1), (100, 100)))
    weight = np.asarray(changed.weight)
    assert (weight[:, :80] >= 0).all()
    assert (weight[:, 80:] <= 0).all()
    assert (np.diag(weight) == 0).all()


def test_a_spike_leaves_the_currents_of_the_paper():
    tau = jnp.full(100, 200.0)
    cell = memory.model(jr.key(0), 24, jnp.ones(()), tau).parts["net"].nodes["R"].parts["cell"]
    kick = jnp.zeros((3, 100)).at[0].set(1e3)
    silent = cell.init(1.0, jr.key(0))
    _, kept = run(cell, start(cell, 1.0, jr.key(0)), kick, record={"c": "currents", "s": "output"})
    assert float(silent["currents"][0].sum()) == 0
    assert float(kept["s"][0].min()) == 1
    fast, slow = kept["c"]
    np.testing.assert_allclose(fast[0, :80], 0)  # excitatory cells have none
    np.testing.assert_allclose(fast[0, 80:], 1)
    np.testing.assert_allclose(slow[0], -0.6, rtol=1e-6)


def test_readout_alone_learns_where_it_is_told_so():
    task = DelayedMatch(2, 6, 2, 6)
    make = lambda deep: memory.Memory(
        task, jnp.asarray(True), jnp.asarray(deep), updates=2, batch=4, tested=4, rate=0.1
    )
    first = start(make(True), 1.0, jr.key(0))
    step = jax.jit(lambda deep, c: make(deep).step(c.state, None, TICK)[0])

    def moved(name, after):
        theta = [s["carry"].state["inner"].theta.parts[name] for s in (after, first.state)]
        pairs = zip(*map(jax.tree.leaves, theta), strict=True)
        return max(float(jnp.abs(a - b).max()) for a, b in pairs)

    for deep in (True, False):
        after = step(jnp.asarray(deep), first)
        assert moved("outputs", after) > 0
        assert (moved("net", after) > 0) == deep
        assert (moved("inputs", after) > 0) == deep


def test_the_observer_is_bayes_and_trials_are_fair():
    task = DelayedMatch(0, 60, 3, 60)
    trials = task.draw(jr.key(0), 400)
    assert float(trials.match.mean()) == pytest.approx(0.5, abs=0.1)
    np.testing.assert_array_equal(trials.sample == trials.test, trials.match == 1)
    odds = task.observer(trials.spikes)
    # calibrated: of the trials said to match with probability p, about p do
    p = np.asarray(jax.nn.sigmoid(odds))
    for low, high in ((0.0, 0.5), (0.5, 1.0)):
        inside = (p >= low) & (p < high)
        assert np.asarray(trials.match)[inside].mean() == pytest.approx(p[inside].mean(), abs=0.08)
    rate = np.asarray(trials.spikes[:60].mean((0, 1)))
    assert rate.mean() == pytest.approx(float(task.chances().mean()), rel=0.1)


@pytest.mark.parametrize(
    ("change", "match"),
    [({"fan_out": 0}, "fan_out"), ({"ms": 15.0}, "ms"), ({"test": 0}, "test"), ({"updates": 0}, "updates")],
)  # fmt: skip
def test_settings_that_make_no_sense_are_refused(change, match):
    with pytest.raises(ValueError, match=match):
        STUDY.check(STUDY.scales["small"] | change)
