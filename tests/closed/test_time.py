"""One tick, many ticks, delays and loops: when things arrive."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from neuropil.cells import LIF, LeakyIntegrator, Noise, Refractory, ValueReset
from neuropil.core import Chain, Feedback, Lift, Network, Residual, System, Trial, run, start
from neuropil.synapses import Alpha, Delay, Exponential
from neuropil.wiring import Dense


class Sized(System):
    """Keeps what kind of thing dt was when the state was made."""

    def init(self, dt, key):
        assert type(dt) is float
        return jnp.zeros(round(6.0 / dt))

    def step(self, state, x, tick):
        return state, tick.dt


def impulse(n, at=0):
    return jnp.zeros((n, 1)).at[at].set(1.0)


def arrival(system, dt, n, node=None):
    """Time (ms) at which an impulse at tick 0 comes out, or None."""
    xs = impulse(n) if node is None else {node[0]: impulse(n)}
    _, ys = run(system, start(system, dt, jr.key(0)), xs)
    ys = ys if node is None else ys[node[1]]
    (when,) = np.nonzero(np.asarray(ys[:, 0]))
    return [round(float(w * dt), 9) for w in when]


def test_init_gets_dt_as_a_python_number():
    for system, slots in ((Sized(), 60), (Trial(Sized(), 2), 120)):
        carry = start(system, 0.1, jr.key(0))
        assert jax.tree.leaves(carry.state)[0].shape == (slots,)
    with jax.enable_x64(True):
        assert float(start(Sized(), 0.1, jr.key(0)).dt) == 0.1


def test_a_traced_dt_is_refused():
    with pytest.raises(TypeError, match="dt is traced"):
        jax.jit(lambda dt: start(Sized(), dt, jr.key(0)))(0.1)
    for dt in (0.0, -1.0, float("nan")):
        with pytest.raises(ValueError, match="positive"):
            start(Sized(), dt, jr.key(0))


def test_slots_of_a_delay_are_rounded_not_cut():
    assert int(0.3 / 0.1) == 2  # why
    state = start(Delay(0.3, 1), 0.1, jr.key(0)).state
    assert state["line"].shape[0] == 3 + 1  # the newest stands in the ring as well
    on_edge = Delay(0.3, 1).on_edge()
    assert start(on_edge, 0.1, jr.key(0)).state["line"].shape[0] == round(0.3 / 0.1) - 1 + 1
    assert arrival(Delay(0.3, 1), 0.1, 8) == [0.3]


@pytest.mark.parametrize("dt", [1.0, 0.25])
def test_an_impulse_arrives_after_the_delay_at_any_dt(dt):
    assert arrival(Delay(3.0, 1), dt, 20) == [3.0]
    line = Delay(3.0, 1)
    carry = start(line, dt, jr.key(0))
    _, ys = run(line, carry, impulse(20), record=lambda s, y: y)  # one by one
    assert np.nonzero(np.asarray(ys[:, 0]))[0] * dt == [3.0]


def test_a_delay_that_is_no_multiple_of_dt():
    with pytest.raises(ValueError, match="no multiple of dt"):
        start(Delay(0.25, 1), 0.1, jr.key(0))
    line = Delay(0.25, 1, interpolate=True)
    _, ys = run(line, start(line, 0.1, jr.key(0)), impulse(6))
    np.testing.assert_allclose(ys[:, 0], [0, 0, 0.5, 0.5, 0, 0], atol=1e-6)


class Zeros(System):
    """Gives its input on; nothing before the first tick."""

    def init(self, dt, key):
        return ()

    def step(self, state, x, tick):
        return state, jnp.zeros(1) if x is None else x

    def rest(self):
        return jnp.zeros(1)


@pytest.mark.parametrize("dt", [1.0, 0.5])
def test_an_edge_costs_one_tick_and_a_delay_on_it_counts_that(dt):
    through = lambda part: Network({"a": Zeros(), "b": Zeros()}, {"a>b": part})
    assert arrival(through(lambda x: x), dt, 12, "ab") == [dt]
    assert arrival(through(Delay(3.0, 1)), dt, 12, "ab") == [3.0]
    wired = Chain(delay=Delay(3.0, 1), wire=Dense(jnp.ones((1, 1))))
    assert arrival(through(wired), dt, 12, "ab") == [3.0]
    assert arrival(through(Delay(dt, 1)), dt, 12, "ab") == [dt]
    with pytest.raises(ValueError, match="on a network edge"):
        start(through(Delay(0.0, 1)), dt, jr.key(0))


def test_chain_and_residual_pass_within_the_tick():
    assert arrival(Chain(lambda x: x, lambda x: 2 * x), 1.0, 4) == [0.0]
    assert arrival(Residual(Delay(2.0, 1)), 1.0, 6) == [0.0, 2.0]


def test_feedback_is_the_same_tick_forward_and_one_tick_back():
    loop = Feedback(lambda x: x, lambda y: 0.5 * y, merge="add", back_rest=jnp.zeros(1))
    _, ys = run(loop, start(loop, 1.0, jr.key(0)), impulse(5))
    np.testing.assert_array_equal(ys[:, 0], 0.5 ** np.arange(5))


def test_agent_and_world_are_one_episode():
    """The world counts its own steps and the agent says it back: one count, not two interleaved."""

    class World(System):
        def init(self, dt, key):
            return jnp.int32(0)

        def step(self, state, action, tick):
            return state + 1, state + 1

        def rest(self):
            return jnp.int32(0)

    agent = Lift(lambda pair: pair[1])  # acts as it saw the world
    loop = Feedback(agent, World())
    _, seen = run(loop, start(loop, 1.0, jr.key(0)), n=6)
    np.testing.assert_array_equal(seen, np.arange(6))
    # as two edges of a network the world answers to the tick before the last: a loop of two ticks
    echo = Network(
        {"agent": Zeros(), "world": Zeros()}, {"agent>world": _same, "world>agent": _same}
    )
    _, ys = run(echo, start(echo, 1.0, jr.key(0)), {"agent": impulse(6)})
    np.testing.assert_array_equal(ys["agent"][:, 0], [1, 0, 1, 0, 1, 0])


def _same(x):
    return x


PARTS = {
    "dense": lambda: Dense(jr.normal(jr.key(1), (3, 3))),
    "delay": lambda: Delay(4.0, 3),
    "delays": lambda: Delay((1.0, 2.5, 4.0), 3, interpolate=True),
    "exponential": lambda: Exponential(3),
    "alpha": lambda: Alpha(3),
    "integrator": lambda: LeakyIntegrator(3),
    "lif": lambda: LIF(
        3, tau=5.0, noise=Noise(0.5, block=4), refractory=Refractory(2.0), reset=ValueReset()
    ),
    "chain": lambda: Chain(wire=PARTS["dense"](), delay=Delay(2.0, 3), cell=LIF(3, tau=5.0)),
    "residual": lambda: Residual(Delay(2.0, 3)),
}


@pytest.mark.parametrize("name", PARTS)
def test_unroll_is_step_after_step_from_the_middle_of_a_run(name, x64):
    part = PARTS[name]()
    xs = jr.normal(jr.key(3), (14, 3)) + 1.0
    carry = start(part, 1.0, jr.key(0))
    middle, _ = run(part, carry, xs[:5], record=lambda s, y: y)
    for n in (9, 2) if name == "delay" else (9,):  # longer and shorter than the line
        a, fast = run(part, middle, xs[5 : 5 + n])
        b, slow = run(part, middle, xs[5 : 5 + n], record=lambda s, y: y)
        np.testing.assert_allclose(fast, slow, atol=1e-10)
        for one, other in zip(jax.tree.leaves(a.state), jax.tree.leaves(b.state), strict=True):
            if jnp.issubdtype(one.dtype, jnp.floating):
                np.testing.assert_allclose(one, other, atol=1e-10)


def test_recording_a_state_makes_the_steps_go_one_by_one():
    line = Delay(2.0, 1)
    carry = start(line, 1.0, jr.key(0))
    _, kept = run(line, carry, impulse(4), record={"y": "output", "line": "line"})
    assert kept["line"].shape == (4, 3, 1)
    np.testing.assert_array_equal(kept["y"][:, 0], [0, 0, 1, 0])
    np.testing.assert_array_equal(kept["line"].sum((1, 2)), [1, 1, 1, 0])


def test_float64_is_a_context():
    assert start(LIF(2), 1.0, jr.key(0)).state["v"].dtype == jnp.float32
    with jax.enable_x64(True):
        cells = LIF(2)
        _, ys = run(cells, start(cells, 1.0, jr.key(0)), jnp.ones((2, 2)))
        assert ys.dtype == jnp.float64
    cells = LIF(2)
    _, ys = run(cells, start(cells, 1.0, jr.key(0)), jnp.ones((2, 2)))
    assert ys.dtype == jnp.float32


def test_a_param_is_a_number_until_the_object_is_made():
    assert LIF.__dataclass_fields__["tau"].default == 20.0
    cells = LIF(3)
    assert isinstance(cells.tau, jax.Array)
    many = jax.vmap(lambda tau: LIF(3, tau=tau))(jnp.array([5.0, 10.0]))
    assert many.tau.shape == (2,)
