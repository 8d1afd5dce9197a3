"""Recurrent learners against closed forms: each equals backpropagation through time where it should."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
import pytest

from neuropil.cells import LIF, LSTM, Adaptation, LeakyIntegrator, Rate, SimpleRNN, SubtractReset
from neuropil.core import Chain, Managed, Network, Tick, run, start
from neuropil.learn import Trainer, learnable
from neuropil.learn.credit import Backpropagation, Supervised, squared_error
from neuropil.learn.forward_mode import Broadcast, ForwardMode, eprop, messages, rtrl, snap1, uoro
from neuropil.learn.influence import UnitInfluence
from neuropil.learn.layers import Unsuited
from neuropil.learn.optimiser import Optimiser
from neuropil.learn.overtime import Online, OverTime
from neuropil.learn.truncated import Synthesiser, Truncated, synthetic_gradients
from neuropil.synapses import Delay
from neuropil.wiring import Dense

LOSS = OverTime(squared_error)
T, N = 6, 3


def batch(n=2, inputs=2, outputs=2, ticks=T, scale=1.0):
    a, b = jr.split(jr.key(5))
    x = scale * jr.normal(a, (n, ticks, inputs), jnp.result_type(float))
    return {"x": x, "y": jr.normal(b, (n, ticks, outputs), x.dtype)}


def lstm(key=7):
    a, b = jr.split(jr.key(key))
    return Chain(core=LSTM.init_uniform(2, N, a), readout=Dense.init_uniform(N, 2, b))


def spiking(cell, key=7):
    """Recurrent cells whose filtered output is read out; they hear each other a tick later."""
    a, b, c = jr.split(jr.key(key), 3)
    core = Network(
        {"in": lambda x: x, "cells": cell},
        {
            "in>cells": Dense.init_normal(2, N, a, gain=3.0),
            "cells>cells": Dense.init_normal(N, N, b),
        },
        rest={"in": jnp.zeros(2)},
    )
    parts = {"given": lambda x: {"in": x}, "core": core, "pick": lambda y: y["cells"]}
    return Chain(**parts, leak=LeakyIntegrator(N, 5.0), readout=Dense.init_normal(N, 2, c))


def alif(**more):
    reset = SubtractReset(detach=True)
    return LIF(N, tau=5.0, threshold=0.5, adaptation=Adaptation(20.0, 0.3), reset=reset, **more)


def delayed():
    """Delays, learned time constants, thresholds and a resting potential that sets the first state."""
    net = spiking(alif(v_rest=0.1))
    edge = Chain(net.parts["core"].edges["cells>cells"], Delay(3.0, N))
    return eqx.tree_at(lambda n: n.parts["core"].edges["cells>cells"], net, edge)


@eqx.filter_jit
def gradient(credit, net, data, learn=None, loss=LOSS):
    learned, fixed = eqx.partition(net, learnable(net, learn))
    return credit.gradient(loss, learned, fixed, data, jr.key(1))


def equal(got, want, atol=1e-12):
    assert jax.tree.structure(got) == jax.tree.structure(want)
    assert any(np.abs(a).max() > 1e-3 for a in jax.tree.leaves(want))
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        np.testing.assert_allclose(a, b, atol=atol, rtol=0)


@pytest.mark.parametrize("make", [lstm, delayed])
def test_real_time_recurrent_learning_is_backpropagation_through_time(make, x64):
    net, data = make(), batch(scale=2.0)
    learn = None if make is lstm else "*"
    loss, _, want, _ = gradient(Backpropagation(), net, data, learn)
    online, _, got, _ = gradient(rtrl(), net, data, learn)
    equal(got, want)
    assert float(online) == pytest.approx(float(loss), abs=1e-12)
    if make is lstm:
        equal(gradient(Truncated(T), net, data)[2], want)


def test_plain_truncation_is_that_of_run(x64):
    net, data = lstm(), batch()

    def cost(net):
        one = lambda x: run(net, start(net, 1.0, jr.key(0)), x, truncate=2)[1]
        return jax.vmap(lambda x, y: jax.vmap(squared_error)(one(x), y).sum())(
            data["x"], data["y"]
        ).mean()

    want = eqx.filter_jit(eqx.filter_grad(cost))(net)
    equal(gradient(Truncated(2), net, data)[2], want)
    silent = synthetic_gradients(2, 2 * N, (4,), jr.key(3))  # it begins with a prediction of zero
    _, _, got, own = gradient(silent, net, data)
    equal(got, want)
    assert any(np.abs(a).max() > 0 for a in jax.tree.leaves(own))


def test_snap1_is_exact_for_a_diagonal_recurrence_and_else_keeps_its_own_unit(x64):
    net, data = SimpleRNN.init_uniform(2, N, jr.key(0)), batch(outputs=N, n=1)
    mixed = gradient(snap1(N), net, data)[2]
    alone = eqx.tree_at(lambda n: n.recurrent, net, jnp.diag(jnp.array([0.9, -0.5, 0.3])))
    equal(gradient(snap1(N), alone, data)[2], gradient(Backpropagation(), alone, data)[2])
    W, U, b = (np.asarray(a) for a in (net.weight, net.recurrent, net.bias))
    h, m, g = np.zeros(N), np.zeros((N, N)), np.zeros((N, N))
    for x, y in zip(np.asarray(data["x"][0]), np.asarray(data["y"][0]), strict=True):
        new = np.tanh(W @ x + U @ h + b)
        slope = 1 - new**2
        m = slope[:, None] * (np.diag(U)[:, None] * m + h)  # dh_i / dU_ij, through h_i alone
        h = new
        g += (h - y)[:, None] * m
    np.testing.assert_allclose(mixed.recurrent, g, atol=1e-12)
    want = gradient(Backpropagation(), net, data)[2].recurrent
    assert float(jnp.abs(want - mixed.recurrent).max()) > 1e-3


def test_a_random_rank_one_influence_is_right_in_the_mean(x64):
    net, data = SimpleRNN.init_uniform(2, N, jr.key(0)), batch(outputs=N, n=1)
    want = gradient(Backpropagation(), net, data)[2]
    loss = OverTime(squared_error)
    draws = jax.jit(jax.vmap(lambda k: uoro().gradient(loss, net, net_none(net), data, k)[2]))
    found = draws(jr.split(jr.key(2), 6000))
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(want), strict=True):
        error = np.asarray(a.std(0)) / np.sqrt(len(a))
        assert (error > 0).any()
        assert (np.abs(np.asarray(a.mean(0) - b)) < 4.5 * error + 1e-12).all()
    assert float(error.max()) < 0.1


def net_none(net):
    return eqx.filter(net, lambda a: not eqx.is_inexact_array(a))


def cut_gradient(net, data):
    """Backpropagation through time with what cells told each other held constant."""

    def cost(moving, rest):
        net = eqx.combine(moving, rest)

        def tick(state, now):
            t, x, y = now
            hidden = jax.lax.stop_gradient(state["core"].outputs)
            core = eqx.tree_at(lambda s: s.outputs, state["core"], hidden)
            state, out = net.step({**state, "core": core}, x, Tick(t, jnp.asarray(1.0), jr.key(0)))
            return state, squared_error(out, y)

        def one(x, y):
            now = (jnp.arange(T, dtype=jnp.int32), x, y)
            return jax.lax.scan(tick, net.init(1.0, jr.key(0)), now)[1].sum()

        return jax.vmap(one)(data["x"], data["y"]).mean()

    return eqx.filter_jit(eqx.filter_grad(cost))(*eqx.partition(net, learnable(net)))


@pytest.mark.parametrize("cell", ["rate", "alif"])
def test_eprop_is_backpropagation_where_paths_between_units_are_cut(cell, x64):
    net = spiking(alif() if cell == "alif" else Rate(N, 4.0, jnp.tanh))
    data = batch(scale=2.0)
    want = cut_gradient(net, data)
    learner = eprop(N, net)
    assert learner.cut == ("core.outputs",)
    got = gradient(learner, net, data)[2]
    equal(got, want)
    assert float(jnp.abs(got.parts["core"].edges["cells>cells"].weight).max()) > 1e-4


def test_learning_signals_come_through_weights_of_their_own(x64):
    linear = OverTime(lambda y, target: y @ target)  # the error of an output does not depend on it
    net, data = spiking(alif()), batch(scale=2.0)
    W = net.parts["readout"].weight
    B = jr.normal(jr.key(9), W.shape, W.dtype)
    core = lambda g: (g.parts["core"], g.parts["readout"].weight)
    with_back = lambda W, B, adaptive=False: eqx.tree_at(
        lambda n: n.parts["readout"], net, Broadcast(W, B, adaptive=adaptive)
    )
    swapped = eqx.tree_at(lambda n: n.parts["readout"].weight, net, B)
    learner = eprop(N, net)
    want = gradient(learner, swapped, data, None, linear)[2]
    got = gradient(learner, with_back(W, B), data, None, linear)[2]
    equal(core(got), core(want))
    assert float(jnp.abs(got.parts["readout"].back).max()) == 0
    got = gradient(learner, with_back(W, B, True), data, None, linear)[2].parts["readout"]
    np.testing.assert_array_equal(got.back, got.weight)


def test_a_perfect_prediction_of_what_was_cut_off_gives_backpropagation_through_time(x64):
    """Linear units, error |s|^2 / 2: the later error's gradient is P s, P = A'(1 + gamma P)A."""
    A = np.array([[0.4, -0.3], [0.2, 0.3]])
    net = SimpleRNN(jnp.eye(2), jnp.asarray(A), jnp.zeros(2), lambda a: a)
    x = jnp.zeros((1, 60, 2)).at[0, :20].set(jr.normal(jr.key(0), (20, 2)))
    data, loss = {"x": x, "y": jnp.zeros_like(x)}, OverTime(squared_error)

    def predicted(gamma):
        P = np.zeros((2, 2))
        for _ in range(200):
            P = A.T @ (np.eye(2) + gamma * P) @ A
        return Truncated(1, Matrix(jnp.asarray(P)), gamma)

    # inputs still to come are not in the state: they are what the prediction cannot know
    still = {"x": x.at[0, 1:].set(0.0), "y": data["y"]}
    want = gradient(Backpropagation(), net, still, None, loss)[2]
    _, _, got, own = gradient(predicted(1.0), net, still, None, loss)
    equal(got, want)
    assert float(jnp.abs(own.synthesiser.weight).max()) < 1e-12
    _, _, discounted, own = gradient(predicted(0.1), net, still, None, loss)
    assert float(jnp.abs(own.synthesiser.weight).max()) < 1e-12
    assert float(jnp.abs(discounted.recurrent - want.recurrent).max()) > 1e-3


class Matrix(eqx.Module):
    weight: jax.Array

    def __call__(self, s):
        return self.weight @ s


@pytest.mark.parametrize("name", ["rtrl", pytest.param("dni", marks=pytest.mark.slow)])
def test_online_steps_add_up_in_a_state_that_does_not_grow(name):
    net, data = SimpleRNN.init_uniform(2, N, jr.key(0)), batch(outputs=N, n=1)
    credit = rtrl() if name == "rtrl" else synthetic_gradients(1, N, (4,), jr.key(3))
    online = Online(net, LOSS, credit)
    one = jax.tree.map(lambda a: a[0], (data["x"], data["y"]))
    one = one if credit.span is None else jax.tree.map(lambda a: a[:, None], one)
    carry = start(online, 1.0, jr.key(0))
    end, out = run(online, carry, one)
    assert [a.shape for a in jax.tree.leaves(end)] == [a.shape for a in jax.tree.leaves(carry)]
    total = jax.tree.map(lambda a: a.sum(0), out["grad"])
    _, _, way, own = gradient(credit, net, data)
    want = way if name == "rtrl" else (way, own)
    got = total if name == "rtrl" else (total.model, total.credit)
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_memory_does_not_grow_with_the_sequence_where_it_does_for_backpropagation():
    net, grow = SimpleRNN.init_uniform(2, N, jr.key(0)), {}
    for name, credit in (("rtrl", rtrl()), ("bptt", Backpropagation())):
        use = []
        for ticks in (10, 1000):
            like = jax.eval_shape(lambda ticks=ticks: batch(outputs=N, n=1, ticks=ticks))
            go = lambda data, credit=credit: credit.gradient(
                LOSS, net, net_none(net), data, jr.key(1)
            )
            memory = jax.jit(go).lower(like).compile().memory_analysis()
            given = sum(a.size * 4 for a in jax.tree.leaves(like))
            use.append(
                memory.temp_size_in_bytes - given * 3
            )  # copies of the inputs, other axes first
        grow[name] = use[1] - use[0]
    assert grow["rtrl"] <= 0
    assert grow["bptt"] > 1000


def test_a_network_that_learns_while_it_runs_by_a_managed_optimiser():
    net = spiking(Rate(N, 4.0, jnp.tanh))
    online = Online(net, OverTime(squared_error), eprop(N, net))
    whole = Managed(online, Optimiser(online.learned, optax.adam(0.02)), owns="learned")
    target = jnp.broadcast_to(jnp.array([0.5, -0.5]), (200, 2))
    _, out = run(whole, start(whole, 1.0, jr.key(1)), (jnp.ones((200, 2)), target))
    assert float(out["loss"][-20:].mean()) < 0.05 * float(out["loss"][:20].mean())


@pytest.mark.slow
def test_trainer_takes_a_recurrent_learner_and_its_synthesiser_by_one_argument():
    net, data = lstm(), batch(n=4)
    credit = synthetic_gradients(2, 2 * N, (4,), jr.key(3), scale=4.0)
    measure = lambda out, y: {"last": jnp.sum((out[-1] - y[-1]) ** 2)}
    trainer = Trainer(
        net, OverTime(squared_error, measure=measure), optax.adam(0.02), credit=credit
    )
    carry = start(trainer, 1.0, jr.key(0))
    many = jax.tree.map(lambda a: jnp.broadcast_to(a, (60, *a.shape)), data)
    carry, out = run(trainer, carry, many)
    assert float(out["loss"][-1]) < 0.7 * float(out["loss"][0])
    assert float(out["last"][-1]) > 0
    assert float(jnp.abs(trainer.credit(carry).synthesiser.weights[-1]).max()) > 0


def test_what_cannot_be_learned_is_refused_with_a_reason():
    net, data = lstm(), batch()
    with pytest.raises(Unsuited, match="OverTime"):
        Trainer(net, Supervised(squared_error), optax.sgd(0.1), credit=rtrl())
    with pytest.raises(Unsuited, match="no state"):
        Trainer(jnp.ones(2), LOSS, optax.sgd(0.1), credit=Truncated(2))
    with pytest.raises(Unsuited, match="OverTime"):
        Online(net, Supervised(squared_error), uoro())
    with pytest.raises(ValueError, match="spans of 4"):
        gradient(Truncated(4), net, data)
    with pytest.raises(ValueError, match="at least 1 tick"):
        Truncated(0)
    with pytest.raises(TypeError):
        Truncated(1, jnp.ones(2))
    with pytest.raises(ValueError, match="factor"):
        Truncated(1, None, -1.0)
    with pytest.raises(ValueError, match="scale"):
        Synthesiser((), (), 0.0)
    with pytest.raises(ValueError, match="dt"):
        OverTime(squared_error, dt=0.0)
    with pytest.raises(ValueError, match="units"):
        snap1(0)
    with pytest.raises(ValueError, match="not made of 4 units"):
        gradient(snap1(4), net, data)
    with pytest.raises(ValueError, match="cut="):
        messages(Rate(2))
    with pytest.raises(ValueError, match="one of them"):
        eprop(3)
    with pytest.raises(ValueError, match="back has shape"):
        Broadcast(jnp.ones((1, 2)), jnp.ones((2, 1)))


def ask(learner, net, learn=None):
    data = batch()
    return learner.why_not(net, LOSS, data["x"][0, 0], data["y"][0, 0], jr.key(0), learn)


def test_why_units_do_not_fit_is_found_by_trying_a_tick():
    net, rates = lstm(), spiking(Rate(N, 4.0, jnp.tanh))
    assert ask(rtrl(), net) == ""
    assert "not made of 2 units" in ask(snap1(2), net)
    assert "no row for each unit" in ask(eprop(N, rates), rates, "*")  # one tau for all
    assert ask(eprop(N, rates), rates) == ""


@pytest.mark.slow
def test_paths_between_units_are_found_by_trying_a_tick():
    net = lstm()
    assert ask(snap1(N), net) == ""
    assert "not cut" in ask(ForwardMode(UnitInfluence(N, alone=True)), net)
    two = Chain(
        Dense.init_uniform(2, N, jr.key(0)), Dense(jnp.ones((N, N))), Rate(N, 4.0, jnp.tanh)
    )
    both = Chain(two, Dense.init_uniform(N, 2, jr.key(1)))
    assert "reaches more than one unit" in ask(snap1(N), both)
