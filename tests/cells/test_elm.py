"""The ELM neuron: counts of the paper, fixed point, decay, routing, both rules, gradient."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from neuropil.cells import ELM, LSTM, Timescales, windows
from neuropil.core import Chain, run, start
from neuropil.learn.optimiser import learnable
from neuropil.wiring import Dense


@pytest.mark.parametrize(("units", "count"), [(1, 4601), (20, 8002), (100, 54_002)])
def test_parameters_of_the_released_models(units, count):
    """Branch-ELM on NeuronIO: 45 branches x 100 synapses, two outputs (the paper's repository)."""
    cell = ELM.init_uniform(1278, units, jr.key(0), route=windows(1278, 45, 100))
    model = Chain(cell=cell, read=Dense.init_uniform(units, 2, jr.key(1), bias=True))
    learned = eqx.filter(model, learnable(model))
    assert sum(a.size for a in jax.tree.leaves(learned)) == count


def test_routing_of_the_released_models():
    route = windows(1278, 45, 100)
    assert (route[1] - route[0] == 29).all()
    assert route[44].tolist() == [1276, 1277] + [-1] * 98
    assert (route >= 0).sum() == 4282


def forced(units, rule, constant, **more):
    """A neuron whose proposal is 1.7159 tanh(2 constant / 3), whatever comes."""
    cell = ELM.init_uniform(2, units, jr.key(0), rule=rule, **more)
    zero = jax.tree.map(jnp.zeros_like, (cell.branch, cell.memory, cell.bias, cell.out))
    where = lambda c: (c.branch, c.memory, c.bias, c.out, c.out_bias)
    return eqx.tree_at(where, cell, (*zero, jnp.full(units, constant)))


def test_fixed_point_of_both_rules_and_decay_of_the_memory(x64):
    f = lambda c: 1.7159 * np.tanh(2 * c / 3)
    assert f(1.0) == pytest.approx(1, abs=1e-4)
    for rule in ("v1", "v2"):
        cell = forced(3, rule, 0.7, tau=(1.0, 20.0))
        tau = np.asarray(cell.tau())
        state = start(cell, 0.5, jr.key(0))
        carry, ms = run(cell, state, jnp.zeros((1200, 2)))
        share = 1.0 if rule == "v1" else np.expm1(-2.5 / tau) / (5 * np.expm1(-0.5 / tau))
        np.testing.assert_allclose(ms[-1], 5 * f(0.7) * share, rtol=1e-10)
        silent = eqx.tree_at(lambda c: c.out_bias, cell, jnp.zeros(3))
        _, after = run(silent, carry, jnp.zeros((1200, 2)))
        t = 0.5 * np.arange(1, 1201)[:, None]
        np.testing.assert_allclose(after, np.asarray(ms[-1]) * np.exp(-t / tau), atol=1e-12)


def test_synapses_sum_on_their_branch_and_decay(x64):
    route = np.array([[0, 1, -1], [1, 2, 1]])
    cell = ELM.init_uniform(3, 2, jr.key(0), route=route)
    cell = eqx.tree_at(lambda c: c.synapse, cell, jnp.array([[1.0, 2.0, 9.0], [3.0, -4.0, 0.5]]))
    xs = jnp.zeros((300, 3)).at[0].set(jnp.array([1.0, 10.0, 100.0]))
    carry = start(cell, 0.1, jr.key(0))
    _, bs = run(cell, carry, xs, record="branch")
    np.testing.assert_allclose(bs[0], [21, 35])  # a negative weight counts as zero
    np.testing.assert_allclose(bs[:, 0], 21 * np.exp(-0.1 * np.arange(300) / 5), rtol=1e-9)


def test_equation_by_hand(x64):
    cell = ELM.init_uniform(3, 4, jr.key(0), rule="v2", tau=(2.0, 50.0), phi=jax.nn.silu)
    xs = jr.normal(jr.key(1), (9, 3))
    b, m, want = np.zeros(3), np.zeros(4), []
    w = {k: np.asarray(getattr(cell, k)) for k in "branch memory bias out out_bias".split()}
    tau = np.asarray(cell.tau())
    for x in np.asarray(xs):
        b = np.exp(-2 / 5) * b + 0.5 * x
        m = np.exp(-2 / tau) * m
        z = w["branch"] @ b + w["memory"] @ m + w["bias"]
        proposal = w["out"] @ (z / (1 + np.exp(-z))) + w["out_bias"]
        m = m + (1 - np.exp(-2 * 5 / tau)) * 1.7159 * np.tanh(2 / 3 * proposal)
        want.append(m)
    np.testing.assert_allclose(run(cell, start(cell, 2.0, jr.key(0)), xs)[1], want, rtol=1e-10)


def test_timescales_stay_between_their_bounds():
    tau = Timescales.log_spaced(5, 1.0, 448.0)
    np.testing.assert_allclose(tau(), np.geomspace(1, 448, 5), rtol=1e-3)
    far = Timescales(jnp.array([-50.0, 50.0]), 1.0, 448.0)
    np.testing.assert_allclose(far(), [1, 448])
    with pytest.raises(ValueError, match="low < high"):
        Timescales.log_spaced(3, 5.0, 5.0)


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="route names input 3"):
        ELM.init_uniform(3, 2, jr.key(0), route=np.array([[0, 3]]))
    cell = ELM.init_uniform(3, 2, jr.key(0))
    with pytest.raises(ValueError, match="branch has shape"):
        ELM(cell.synapse, cell.bias[:, None], cell.memory, cell.bias, cell.out, cell.out_bias,
            cell.tau, inputs=3)  # fmt: skip


def test_chrono_initialisation_spans_the_horizon():
    """Forget gates of time constants uniform on 1 .. horizon - 1; input gates opposite."""
    cell = LSTM.init_chrono(3, 400, jr.key(0), horizon=224)
    i, f, g, o = np.split(np.asarray(cell.bias), 4)
    np.testing.assert_allclose(i, -f)
    spans = np.exp(f)
    assert 1 <= spans.min() < 5
    assert 215 < spans.max() <= 223
    assert spans.mean() == pytest.approx(112, abs=10)
    assert (g == 0).all()
    assert (o == 0).all()
    with pytest.raises(ValueError, match="horizon"):
        LSTM.init_chrono(3, 4, jr.key(0), horizon=2)
