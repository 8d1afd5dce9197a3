"""Combinators and run, by what they mean. Exact facts of the core are in tests/closed."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from neuropil.cells import LIF, LeakyIntegrator
from neuropil.core import (
    Batched,
    Chain,
    Every,
    Feedback,
    Managed,
    Network,
    Parallel,
    Residual,
    System,
    Trial,
    Vmapped,
    advance,
    parameters,
    run,
    start,
)
from neuropil.wiring import Dense


class Sum(System):
    """y_t = s_t = s_{t-1} + x_t."""

    def init(self, dt, key):
        return jnp.zeros(())

    def step(self, state, x, tick):
        return state + x, state + x

    def rest(self):
        return jnp.zeros(())


def play(system, xs=None, dt=1.0, **how):
    return run(system, start(system, dt, jr.key(0)), xs, **how)


def test_chain_keeps_the_order_it_was_written_in():
    chain = Chain(z=lambda x: x + 1, a=lambda x: x * 2)
    assert play(chain, jnp.arange(2.0))[1].tolist() == [2.0, 4.0]


def test_residual_and_parallel():
    assert play(Residual(Sum()), jnp.ones(3))[1].tolist() == [2.0, 3.0, 4.0]
    both = Parallel({"s": Sum(), "x": lambda x: x}, join="sum")
    assert play(both, jnp.ones(3))[1].tolist() == [2.0, 3.0, 4.0]
    parts = Parallel(
        {"s": Chain(Sum(), lambda y: y[None]), "x": lambda x: x[None]}, join="concatenate"
    )
    assert play(parts, jnp.ones(2))[1].tolist() == [[1.0, 1.0], [2.0, 1.0]]


def test_every_holds_its_output_and_has_a_clock_of_its_own():
    class Clock(System):
        def init(self, dt, key):
            return jnp.asarray(dt)

        def step(self, state, x, tick):
            return state, tick.i * state + 0 * x

        def rest(self):
            return jnp.zeros(())

    ys = play(Every(Clock(), 3), jnp.zeros(7), dt=0.5)[1]
    assert ys.tolist() == [0, 0, 0, 1.5, 1.5, 1.5, 3.0]


@pytest.mark.parametrize(
    ("output", "expected"),
    [("last", [2.0, 2.0]), ("sum", [3.0, 3.0]), ("mean", [1.5, 1.5]), ("all", [[1.0, 2.0]] * 2)],
)
def test_trial_starts_afresh(output, expected):
    assert play(Trial(Sum(), 2, output=output), jnp.ones((2, 2)))[1].tolist() == expected


def test_trial_keeps_what_it_is_told():
    assert play(Trial(Sum(), 2, keep=("",), output="last"), jnp.ones((2, 2)))[1].tolist() == [
        2.0,
        4.0,
    ]


def test_feedback_is_forward_now_and_back_one_tick_later():
    loop = Feedback(lambda pair: pair[0] + pair[1], lambda y: 2 * y, back_rest=jnp.zeros(()))
    assert play(loop, jnp.ones(4))[1].tolist() == [1.0, 3.0, 7.0, 15.0]
    world = Feedback(lambda b: b + 1, lambda y: y, merge="add", back_rest=jnp.zeros(()))
    assert play(world, None, n=3)[1].tolist() == [1.0, 2.0, 3.0]


def test_vmapped_copies_have_parameters_of_their_own():
    many = Vmapped.build(lambda k: Dense.init_uniform(3, 2, k), 4, jr.key(1), axes=None)
    xs = jr.normal(jr.key(2), (5, 3))
    ys = play(many, xs)[1]
    assert ys.shape == (5, 4, 2)
    np.testing.assert_allclose(ys[:, 1], xs @ many.part.weight[1].T, rtol=1e-5)


def test_batched_shares_parameters():
    net = Chain(wire=Dense.init_uniform(3, 4, jr.key(0)), cell=LeakyIntegrator(4))
    xs = jr.normal(jr.key(1), (6, 2, 3))
    ys = play(Batched(net, 2), xs)[1]
    for b in range(2):
        np.testing.assert_allclose(ys[:, b], play(net, xs[:, b])[1], rtol=1e-5, atol=1e-6)


def test_network_edges_read_the_last_tick_and_sum():
    net = Network({"a": Sum(), "b": Sum()}, {"a>b": lambda x: x, "a>b:twice": lambda x: 2 * x})
    ys = play(net, {"a": jnp.array([1.0, 0.0, 0.0])})[1]
    assert ys["a"].tolist() == [1, 1, 1]
    assert ys["b"].tolist() == [0, 3, 6]


def test_network_names_what_is_wrong():
    with pytest.raises(ValueError, match="ends at 'c'; the nodes are"):
        Network({"a": Sum()}, {"a>c": lambda x: x})
    with pytest.raises(ValueError, match="has no '>'"):
        Network({"a": Sum()}, {"a": lambda x: x})
    with pytest.raises(KeyError, match=r"input for \['z'\]"):
        play(Network({"a": Sum()}, {}), {"z": jnp.ones(3)})


def test_record_paths_dicts_functions_and_nothing():
    net = Network({"E": LIF(3, tau=10.0)}, {})
    xs = {"E": jnp.full((5, 3), 2.0)}
    _, v = play(net, xs, record="nodes.E.v")
    _, both = play(net, xs, record={"spikes": "output.E", "v": "nodes.E.v"})
    _, f = play(net, xs, record=lambda state, y: state.nodes["E"]["v"].sum())
    carry, nothing = play(net, xs, record=None)
    assert v.shape == (5, 3)
    assert nothing is None
    assert int(carry.i) == 5
    np.testing.assert_array_equal(both["v"], v)
    np.testing.assert_allclose(f, v.sum(1), rtol=1e-6)
    with pytest.raises(KeyError, match=r"did you mean 'E'|has no 'e'"):
        play(net, xs, record="nodes.e.v")


def test_run_in_pieces_is_run_at_once():
    cells = LIF(3, tau=10.0)
    xs = jr.normal(jr.key(3), (10, 3)) + 1
    carry, ys = play(cells, xs)
    half, first = play(cells, xs[:4])
    again, second = run(cells, half, xs[4:])
    np.testing.assert_array_equal(jnp.concatenate([first, second]), ys)
    np.testing.assert_array_equal(again.state["v"], carry.state["v"])
    _, one = advance(cells, half, xs[4])
    np.testing.assert_array_equal(one, ys[4])


@pytest.mark.parametrize("how", [dict(remat=3), dict(remat=True), dict(truncate=4)])
def test_chunks_change_no_number(how):
    cells = LeakyIntegrator(3)
    xs = jr.normal(jr.key(3), (11, 3))
    np.testing.assert_allclose(play(cells, xs, **how)[1], play(cells, xs)[1], rtol=1e-6)


def test_truncate_cuts_the_gradient_at_chunk_ends():
    def first_input_gradient(truncate):
        f = lambda x: play(LeakyIntegrator(1), x, truncate=truncate)[1][-1, 0]
        return jax.grad(f)(jnp.ones((6, 1)))[:, 0]

    whole, cut = first_input_gradient(None), first_input_gradient(3)
    assert (cut[:3] == 0).all()
    assert (whole != 0).all()
    np.testing.assert_allclose(cut[3:], whole[3:], rtol=1e-6)


@pytest.mark.parametrize(
    ("xs", "how", "words"),
    [
        (None, {}, r"run\(system, carry, n=1000\)"),
        ({"a": jnp.ones(3), "b": jnp.ones(4)}, {}, "different lengths"),
        (jnp.float32(1), {}, "no time axis"),
        (jnp.ones(3), dict(remat=-1), "at least 1 tick"),
    ],
)
def test_run_refuses_what_it_cannot_do(xs, how, words):
    with pytest.raises(ValueError, match=words):
        play(Sum(), xs, **how)


@pytest.mark.parametrize("dt", [0.0, -1.0, float("nan")])
def test_start_refuses_a_bad_dt(dt):
    with pytest.raises(ValueError, match="positive number of milliseconds"):
        start(Sum(), dt, jr.key(0))


def test_start_refuses_an_old_key_and_a_traced_dt():
    with pytest.raises(TypeError, match=r"jax.random.key\(0\)"):
        start(Sum(), 1.0, jr.PRNGKey(0))


def test_managed_moves_the_parameter_into_the_state():
    class Shrink(System):
        def init(self, dt, key):
            return ()

        def step(self, state, event, tick):
            return state, event.theta * 0.5

    net = Managed(Dense(jnp.ones((1, 1))), Every(Shrink(), 2), "weight")
    carry, ys = play(net, jnp.ones((5, 1)))
    assert ys[:, 0].tolist() == [1.0, 0.5, 0.5, 0.25, 0.25]
    assert parameters(net, carry)["fast.weight"].tolist() == [[0.125]]
    with pytest.raises(ValueError, match="owned already"):
        Managed(net, Shrink(), "fast.weight")
    with pytest.raises(TypeError, match="path string"):
        Managed(Dense(jnp.ones((1, 1))), Shrink(), lambda s: s.weight)
