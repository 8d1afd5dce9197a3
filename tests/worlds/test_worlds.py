"""Worlds against closed forms: energy, momentum, drag, episodes; and against Gymnasium where installed."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from neuropil.core import run, start
from neuropil.worlds import swimmer as body
from neuropil.worlds.control import CartPole, Pendulum, RandomWalk
from neuropil.worlds.swimmer import Swimmer
from neuropil.worlds.world import Episodes


def test_energy_of_a_cart_pole_is_conserved_to_first_order(x64):
    world, begin = CartPole(), jnp.array([0.0, 0.3, 0.5, -1.0])

    @jax.jit
    def drift(seconds, n):
        end = jax.lax.fori_loop(0, n, lambda _, s: world.moved(s, jnp.zeros(()), seconds), begin)
        return world.energy(end) - world.energy(begin)

    coarse, fine = (abs(float(drift(1.0 / n, n))) for n in (2000, 4000))
    assert fine < 2e-3
    assert coarse / fine == pytest.approx(2.0, rel=0.05)


def test_an_episode_begins_anew_on_the_tick_after_its_end():
    world = Episodes(RandomWalk(3), limit=4)
    xs = jnp.zeros(40, jnp.int32)
    _, out = run(world, start(world, 1.0, jr.key(0)), xs)
    over = np.asarray(out.terminated | out.truncated)
    assert bool(out.first[0])
    np.testing.assert_array_equal(np.asarray(out.first)[1:], over[:-1])
    assert not np.asarray(out.reward)[np.asarray(out.first)].any()
    assert (np.asarray(out.observation)[np.asarray(out.first)] == 1).all()
    assert not (out.terminated & out.truncated).any()
    with pytest.raises(ValueError, match="limit = 0"):
        Episodes(RandomWalk(3), limit=0)


@pytest.mark.parametrize("name", ["CartPole-v1", "Pendulum-v1"])
def test_worlds_move_as_those_of_gymnasium(name):
    gymnasium = pytest.importorskip("gymnasium", reason="pip install neuropil[agents]")
    env, world = (
        gymnasium.make(name).unwrapped,
        {"CartPole-v1": CartPole, "Pendulum-v1": Pendulum}[name](),
    )
    env.reset(seed=0)
    state, dt = (
        jnp.asarray(env.state, jnp.float32),
        {"CartPole-v1": 20.0, "Pendulum-v1": 50.0}[name],
    )
    carry = start(world, dt, jr.key(0))
    carry = type(carry)(carry.i, carry.dt, carry.key, state)
    rng = np.random.default_rng(0)
    actions = rng.integers(0, 2, 12) if name == "CartPole-v1" else rng.uniform(-3, 3, (12, 1))
    _, out = run(
        world, carry, jnp.asarray(actions, jnp.int32 if name == "CartPole-v1" else jnp.float32)
    )
    for k, action in enumerate(actions):
        seen, reward, *_ = env.step(action)
        np.testing.assert_allclose(out.observation[k], seen, atol=2e-4)
        assert float(out.reward[k]) == pytest.approx(float(reward), abs=1e-3)


def _thrown(world, key, omega=3.0):
    state = world.begin(key)
    n = state["theta"].shape[0]
    theta = 0.2 * jnp.arange(n, dtype=state["theta"].dtype)
    return state | {
        "theta": theta,
        "omega": omega * jnp.cos(jnp.arange(n) * 1.0),
        "v": jnp.array([0.2, -0.1]),
    }


def test_a_swimmer_in_no_fluid_keeps_its_momenta_and_energy(x64):
    world = Swimmer(4, density=0.0)
    state = _thrown(world, jr.key(0))

    @jax.jit
    def after(n, seconds):
        return jax.lax.fori_loop(0, n, lambda _, s: world.moved(s, jnp.zeros(3), seconds), state)

    def spin(s):
        middles = world.lines(s).mean(1)
        e = jnp.stack([jnp.cos(s["theta"]), jnp.sin(s["theta"])], -1)
        n = jnp.stack([-e[:, 1], e[:, 0]], -1)
        v = s["v"][None] + body.LENGTH * jnp.asarray(body.lever(4)) @ (s["omega"][:, None] * n)
        at = middles - middles.mean(0)[None]
        return (
            body.MASS * jnp.sum(at[:, 0] * v[:, 1] - at[:, 1] * v[:, 0])
            + body.INERTIA * s["omega"].sum()
        )

    end = after(4000, 2e-5)
    assert float(world.energy(end)) == pytest.approx(float(world.energy(state)), rel=2e-3)
    assert float(spin(end)) == pytest.approx(float(spin(state)), rel=1e-3)
    np.testing.assert_allclose(end["v"], state["v"])


def test_drag_takes_energy_and_a_gliding_body_slows_down_by_its_closed_form(x64):
    world = Swimmer(2)
    state = world.begin(jr.key(0)) | {"theta": jnp.zeros(2), "v": jnp.array([0.0, 0.2])}
    step = jax.jit(lambda s: world.moved(s, jnp.zeros(1), 1e-4))
    moved = jax.lax.fori_loop(0, 1000, lambda _, s: step(s), state)
    np.testing.assert_allclose(moved["v"][1], 0.2 / (1 + 3.0 * 0.2 * 0.1 / 0.01), rtol=2e-3)
    swinging = _thrown(world, jr.key(1))
    _, energy = jax.lax.scan(lambda s, _: (step(s), world.energy(s)), swinging, length=1000)
    assert (np.diff(np.asarray(energy)) <= 0).all()


def test_a_swimmer_at_rest_stays_and_one_link_is_refused():
    world = Swimmer(3)
    still = world.begin(jr.key(0)) | {"theta": jnp.zeros(3)}
    moved = world.moved(still, jnp.zeros(2), jnp.float32(0.003))
    assert float(jnp.abs(moved["omega"]).max()) == 0
    with pytest.raises(ValueError, match="links = 1"):
        Swimmer(1)
