"""Worlds outside JAX: the loop, Gymnasium, MuJoCo's swimmer beside ours, films."""

import io
import sys

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from neuropil.agents import Acts, Categorical, Gaussian
from neuropil.core import Carry, run, start
from neuropil.worlds.film import draw_lines, film, gif
from neuropil.worlds.host import Gym, live
from neuropil.worlds.mujoco import MujocoSwimmer, swimmer_xml
from neuropil.worlds.swimmer import Swimmer
from neuropil.worlds.world import Episodes


def test_gymnasium_and_an_agent_live_together():
    pytest.importorskip("gymnasium", reason="pip install neuropil[agents]")
    world = Gym("CartPole-v1", n=3)
    agent = Acts(Categorical(lambda o: jnp.stack([-o[2], o[2]])))
    _, lived = live(agent, world, 60, jr.key(0))
    world.close()
    over, first = lived["over"], lived["first"]
    assert over.any()
    np.testing.assert_array_equal(first[1:], over[:-1])
    assert (lived["reward"][first] == 0).all()
    assert (lived["reward"][~first] == 1).all()


@pytest.mark.parametrize(
    ("package", "make"),
    [("gymnasium", lambda: Gym("CartPole-v1")), ("mujoco", MujocoSwimmer)],
)
def test_without_the_extra_a_world_says_what_to_install(monkeypatch, package, make):
    monkeypatch.setitem(sys.modules, package, None)  # as where it is not installed
    with pytest.raises(ImportError, match=rf"needs {package}: pip install neuropil\[agents\]"):
        make()


def test_what_is_missing_is_named_before_the_run():
    pytest.importorskip("gymnasium", reason="pip install neuropil[agents]")
    with pytest.raises(ValueError, match="cannot make 'NoSuchWorld-v0'"):
        Gym("NoSuchWorld-v0")
    with pytest.raises(ValueError, match="links = 1"):
        swimmer_xml(1)


@pytest.mark.parametrize("links", [3, 6])
def test_our_swimmer_moves_as_the_one_of_mujoco(links, x64):
    """Inside the joints' limits, where both bodies obey the same equations."""
    mujoco = pytest.importorskip("mujoco", reason="pip install neuropil[agents]")
    theirs = MujocoSwimmer(links)
    ours = Swimmer(links, inner=15)
    theirs.begin()
    data = theirs.data[0]
    data.qpos[:], data.qvel[:] = 0, 0
    data.qpos[3:] = 0.1 * np.cos(np.arange(links - 1))
    mujoco.mj_forward(theirs.model, data)
    theta = np.pi / 2 + np.concatenate([[0.0], np.cumsum(data.qpos[3:])])
    state = ours.begin(jr.key(0)) | {"theta": jnp.asarray(theta)}
    carry = start(ours, 30.0, jr.key(0))
    t = np.arange(20)[:, None]
    actions = 0.4 * np.sin(2 * np.pi * t / 20 - np.arange(links - 1))
    _, out = run(ours, Carry(carry.i, carry.dt, carry.key, state), jnp.asarray(actions))
    seen = np.stack([theirs.step(a[None]).observation[0] for a in actions])
    bends = slice(0, links - 1)
    assert np.abs(seen[:, bends]).max() < 0.8 * 2 * np.pi / links, "the test itself meets a limit"
    scale = np.abs(seen).max(0, keepdims=True) + 1e-3
    np.testing.assert_allclose(out.observation / scale, seen / scale, atol=0.12)
    np.testing.assert_allclose(out.observation[:, bends], seen[:, bends], atol=0.01)


def test_mujoco_swimmers_are_cut_off_and_begin_anew():
    pytest.importorskip("mujoco", reason="pip install neuropil[agents]")
    world = MujocoSwimmer(3, n=2, limit=4)
    agent = Acts(Gaussian(lambda o: o[:2], jnp.zeros(2)))
    _, lived = live(agent, world, 8, jr.key(0), dt=30.0)
    np.testing.assert_array_equal(lived["over"][:, 0], np.arange(8) % 5 == 3)
    np.testing.assert_array_equal(lived["first"][:, 0], np.arange(8) % 5 == 4)
    picture = world.picture()
    assert picture is None or picture.shape == (240, 320, 3)


def test_a_rollout_becomes_a_gif(tmp_path):
    from PIL import Image

    world = Episodes(Swimmer(3, inner=1))
    _, states = run(
        world,
        start(world, 3.0, jr.key(0)),
        jnp.zeros((5, 2)),
        record=lambda state, out: state["world"],
    )
    data = film(world.world, states, tmp_path / "film.gif", every=1, width=60)
    assert (tmp_path / "film.gif").read_bytes() == data
    assert Image.open(io.BytesIO(data)).n_frames >= 1
    red = draw_lines(np.array([[[0.0, 0.0], [1.0, 1.0]]]), (0, 1, 0, 1), width=10)
    assert (red == [200, 40, 30]).all(-1).any()
    with pytest.raises(ValueError, match="no frame"):
        gif([])
    with pytest.raises(TypeError, match="no lines"):
        film(object(), jax.tree.map(jnp.asarray, [0.0]))
