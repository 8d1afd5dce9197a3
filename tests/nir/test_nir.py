"""Exchange by NIR: nets of snnTorch spike here as there, ours come back as they went out; closed forms."""

from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from neuropil.cells import LIF, LeakyIntegrator, NoReset, Refractory, SubtractReset, ValueReset
from neuropil.core import Chain, System, run, start
from neuropil.synapses import Delay, Exponential
from neuropil.wiring import Conv, Dense, LowRank, Signed, Sparse

nir = pytest.importorskip("nir", reason="needs the package nir (pip install neuropil[nir])")
from neuropil import nir as exchange  # noqa: E402

HERE = Path(__file__).parent
KEY = jr.key(0)


def spikes(net, xs, dt=0.1):
    return np.asarray(run(net, start(net, dt, KEY), jnp.asarray(xs, jnp.float32))[1])


def one(node, shape, dt=1.0, **how):
    """The system of a graph that holds one node."""
    ends = {"input": nir.Input({"input": np.array(shape)}), "output": nir.Output({"output": None})}
    graph = nir.NIRGraph(ends | {"n": node}, [("input", "n"), ("n", "output")], type_check=False)
    return exchange.from_nir(graph, dt, **how)


@pytest.mark.parametrize(
    ("name", "reset"),
    [
        ("forward", "late-subtract"),  # Leaky and Synaptic, a time constant a cell
        ("zero", "value"),
        ("prompt", "subtract"),  # snnTorch's reset_delay=False
        ("recurrent", "late-subtract"),
        # convolution, mean pool, flatten
        pytest.param("image", "late-subtract", marks=pytest.mark.slow),
    ],
)
def test_a_net_of_snntorch_gives_its_spikes_here(name, reset):
    net = exchange.read(HERE / f"snntorch_{name}.nir", 0.1, reset=reset)
    stored = np.load(HERE / f"snntorch_{name}.npz")
    ys = spikes(net, stored["inputs"])
    assert stored["spikes"].sum() > 5
    np.testing.assert_array_equal(ys, stored["spikes"])
    if name == "forward":  # the other meanings are others
        other = exchange.read(HERE / f"snntorch_{name}.nir", 0.1, reset="value")
        assert (spikes(other, stored["inputs"]) != stored["spikes"]).any()


def test_step_and_unroll_of_a_graph_agree():
    net = exchange.read(HERE / "snntorch_forward.nir", 0.1, reset="late-subtract")
    stored = np.load(HERE / "snntorch_forward.npz")
    carry = start(net, 0.1, KEY)
    outputs = run(net, carry, jnp.asarray(stored["inputs"], jnp.float32), record=lambda state, y: y)
    np.testing.assert_array_equal(outputs[1], stored["spikes"])


def own(key):
    """A net of most of what NIR can say, in our own words."""
    a, b, c = jr.split(key, 3)
    return Chain(
        wire=Dense.init_normal(6, 8, a, gain=4.0, bias=True),
        current=Exponential(8, tau=3.0),
        cell=LIF(8, tau=jnp.linspace(4.0, 12.0, 8), v_rest=0.1, reset=ValueReset(0.2)),
        delay=Delay(2.0, 8),
        sparse=Sparse.random(8, 5, 3, b, weight=2.0),
        soft=LIF(5, tau=5.0, drive="jump", reset=SubtractReset(), threshold=1.5),
        out=Dense.init_normal(5, 3, c),
        read=LeakyIntegrator(3, tau=8.0),
    )


def test_a_net_comes_back_with_its_spikes(tmp_path):
    net = own(KEY)
    xs = (np.random.default_rng(1).random((80, 6)) < 0.4).astype(np.float32)
    exchange.write(tmp_path / "net.nir", net, 6, 1.0)
    back = exchange.read(tmp_path / "net.nir", 1.0)
    went = np.asarray(run(net, start(net, 1.0, KEY), xs)[1])
    came = np.asarray(run(back, start(back, 1.0, KEY), xs)[1])
    assert (np.diff(went, axis=0) != 0).all(1).sum() > 20
    np.testing.assert_allclose(came, went, atol=2e-5)  # one spike amiss would be 0.1 or more
    first = nir.read(tmp_path / "net.nir")
    again = exchange.to_nir(back, 6, 1.0)  # and once more: the same graph
    assert set(again.nodes) == set(first.nodes)
    assert {tuple(e) for e in again.edges} == {tuple(e) for e in first.edges}
    tau = np.linspace(4.0, 12.0, 8)
    np.testing.assert_allclose(
        first.nodes["net_cell"].tau, 1e-3 / (1 - np.exp(-1 / tau)), rtol=1e-5
    )
    exact = exchange.to_nir(net, 6, 1.0, scheme="exact")
    np.testing.assert_allclose(exact.nodes["net_cell"].tau, 1e-3 * tau, rtol=1e-6)
    same = exchange.from_nir(exact, 1.0, scheme="exact").nodes["net_cell"]
    np.testing.assert_allclose(same.tau, tau, rtol=1e-6)


def test_signed_and_low_rank_wiring_are_written_as_what_they_multiply_by():
    signed = Signed.dale(Dense(jnp.ones((2, 2))), [1, -1])
    low = LowRank(jnp.ones((3, 1)), jnp.arange(2.0)[:, None])
    graph = exchange.to_nir(Chain(a=signed, b=low), 2, 1.0)
    assert graph.nodes["net_a"].weight.tolist() == [[1, -1], [1, -1]]
    assert graph.nodes["net_b"].weight.tolist() == [[0, 1]] * 3


def test_a_synapse_and_its_cell_are_one_node():
    cell = Chain(
        weight=exchange.Scale(jnp.array([2.0, 3.0])),
        synapse=LeakyIntegrator(2, tau=3.0),
        cell=LIF(2, tau=8.0, reset=ValueReset(0.0)),
    )
    graph = exchange.to_nir(cell, 2, 1.0, scheme="exact")
    assert [type(n).__name__ for n in graph.nodes.values()] == ["Input", "CubaLIF", "Output"]
    assert graph.nodes["net"].tau_syn.tolist() == pytest.approx([3e-3, 3e-3])


def test_a_recurrent_graph_and_a_convolution_come_back(tmp_path):
    loop = exchange.Graph(
        {"input": lambda x: x, "cell": LIF(4, tau=5.0), "rec": Dense(-0.4 * jnp.ones((4, 4)))},
        [("input", "cell"), ("cell", "rec"), ("rec", "cell")],
        ["input"],
        ["cell"],
    )
    assert loop.late == (("rec", "cell"),)
    xs = np.full((30, 4), 2.0, np.float32) * np.linspace(0.6, 1, 4, dtype=np.float32)
    free = spikes(LIF(4, tau=5.0), xs, 1.0)
    held = spikes(loop, xs, 1.0)
    assert 0 < held.sum() < free.sum()
    subgraph = exchange.from_nir(
        nir.NIRGraph(
            {
                "input": nir.Input({"input": np.array([4])}),
                "loop": nir.NIRGraph(
                    {
                        "in": nir.Input({"input": np.array([4])}),
                        "cell": nir.LIF(*(np.full(4, v) for v in (5.5166e-3, 1.0, 0.0, 1.0))),
                        "rec": nir.Linear(np.full((4, 4), -0.4)),
                        "out": nir.Output({"output": np.array([4])}),
                    },
                    [("in", "cell"), ("cell", "rec"), ("rec", "cell"), ("cell", "out")],
                ),
                "output": nir.Output({"output": np.array([4])}),
            },
            [("input", "loop"), ("loop", "output")],
        ),
        1.0,
        reset="subtract",
    )
    assert np.abs(spikes(subgraph, xs, 1.0) - held).sum() <= 1  # 1 / (1 - exp(-1 / 5)) = 5.5167
    pictures = Chain(
        conv=Conv.init_uniform(2, 3, (3, 3), KEY),
        cell=LIF((3, 4, 4), tau=3.0, drive="jump", threshold=0.2),
    )
    exchange.write(tmp_path / "c.nir", pictures, (2, 4, 4), 1.0)
    x = (np.random.default_rng(0).random((12, 2, 4, 4)) < 0.5).astype(np.float32)
    went, came = spikes(pictures, x, 1.0), spikes(exchange.read(tmp_path / "c.nir", 1.0), x, 1.0)
    assert went.sum() > 5
    np.testing.assert_array_equal(came, went)


def test_membranes_against_their_equations():
    xs = np.random.default_rng(0).normal(size=(7, 2)).astype(np.float32)
    tau, r, leak, w, syn = (
        np.array(v) for v in ([0.01, 0.02], [2.0, 3.0], [0.1, -0.2], [0.5, 1.0], [0.004, 0.008])
    )
    nodes = {
        "li": nir.LI(tau, r, leak),
        "cuba": nir.CubaLI(tau_syn=syn, tau_mem=tau, r=r, v_leak=leak, w_in=w),
        "i": nir.I(r),
    }
    current, v, vi = np.zeros(2), leak.copy(), np.zeros(2)
    vl, want = leak.copy(), {n: [] for n in nodes}
    for x in xs:  # Euler, the synapse before its membrane
        vl = vl + 1e-3 / tau * (leak - vl + r * x)
        current = current + 1e-3 / syn * (w * x - current)
        v = v + 1e-3 / tau * (leak - v + r * current)
        vi = vi + 1e-3 * r * x
        for name, value in (("li", vl), ("cuba", v), ("i", vi)):
            want[name].append(value)
    for name, node in nodes.items():
        np.testing.assert_allclose(spikes(one(node, [2]), xs, 1.0), want[name], atol=1e-5)
    exact = spikes(one(nodes["li"], [2], scheme="exact"), np.ones((5, 2), np.float32), 1.0)
    ends = leak + r * (1 - np.exp(-np.arange(1, 6)[:, None] * 1e-3 / tau))
    np.testing.assert_allclose(exact, ends, atol=1e-5)  # the equation itself, at any dt


def test_nodes_without_memory_against_their_meaning():
    x = np.arange(1, 9, dtype=np.float32).reshape(1, 1, 2, 4)
    pool = (np.array([2, 2]), np.array([2, 2]), np.array([0, 0]))
    assert spikes(one(nir.SumPool2d(*pool), [1, 2, 4]), x).ravel().tolist() == [14, 22]
    assert spikes(one(nir.AvgPool2d(*pool), [1, 2, 4]), x).ravel().tolist() == [3.5, 5.5]
    assert spikes(one(nir.Flatten({"input": np.array([1, 2, 4])}, 0, -1), [1, 2, 4]), x).shape == (
        1,
        8,
    )
    line = x.reshape(1, 1, 8)
    kernel = np.array([[[1.0, 0.0, -1.0]]], np.float32)
    conv = nir.Conv1d(8, kernel, 2, 1, 2, 1, np.array([0.5], np.float32))
    padded = np.pad(line[0, 0], 1)
    by_hand = [padded[i] - padded[i + 4] + 0.5 for i in range(0, 6, 2)]
    np.testing.assert_allclose(spikes(one(conv, [1, 8]), line)[0, 0], by_hand)
    assert spikes(one(nir.Scale(np.array([2.0, 3.0])), [2]), np.ones((1, 2))).tolist() == [[2, 3]]
    assert spikes(one(nir.Threshold(np.array([1.0, 1.0])), [2]), [[1.0, 1.1]]).tolist() == [[0, 1]]
    late = spikes(one(nir.Delay(np.array([0.001, 0.003])), [2]), np.eye(5, 2), 1.0)
    assert late.T.tolist() == [[0, 1, 0, 0, 0], [0, 0, 0, 0, 1]]
    cell = nir.IF(np.array([500.0]), np.array([1.0]), np.array([0.0]))
    assert spikes(one(cell, [1]), np.ones((7, 1)), 1.0).ravel().tolist() == [0, 0, 1, 0, 0, 1, 0]


class Unknown(System):
    """A part of a user."""

    def init(self, dt, key):
        return ()

    def step(self, state, x, tick):
        return state, x


@pytest.mark.parametrize(
    ("part", "says"),
    [
        (LIF(3, refractory=Refractory(2.0)), "refractory"),
        (LIF(3, reset=NoReset()), "NoReset"),
        (Unknown(), "Unknown"),
        (jnp.tanh, "cannot say"),
    ],
)
def test_what_nir_cannot_say_is_refused_by_name(part, says):
    with pytest.raises(ValueError, match=f"net.*{says}"):
        exchange.to_nir(part, 3, 1.0)


def test_what_is_not_known_is_refused_by_name():
    class Odd(nir.NIRNode):
        def __init__(self):
            self.input_type, self.output_type, self.metadata = {"input": None}, {"output": None}, {}

    with pytest.raises(ValueError, match="n is a Odd"):
        one(Odd(), [2])
    fast = nir.LI(np.array([5e-4]), np.array([1.0]), np.array([0.0]))
    with pytest.raises(ValueError, match="Euler steps of 1 ms"):
        one(fast, [1])
    with pytest.raises((ValueError, TypeError), match="'soft'"):
        one(fast, [1], reset="soft")
    with pytest.raises(ValueError, match="no Input"):
        exchange.from_nir(nir.NIRGraph({"a": fast}, [], type_check=False), 1.0)
    with pytest.raises(ValueError, match="is no node"):
        exchange.Graph({"a": jnp.tanh}, [("a", "b")], ["a"], ["a"])


@pytest.mark.slow
def test_what_was_read_can_be_trained():
    net = exchange.read(HERE / "snntorch_forward.nir", 0.1, reset="late-subtract")
    xs = jnp.asarray(np.load(HERE / "snntorch_forward.npz")["inputs"][:20], jnp.float32)

    def loss(weight):
        moved = eqx.tree_at(lambda g: g.nodes["0"].weight, net, weight)
        return jnp.sum(run(moved, start(moved, 0.1, KEY), xs)[1])

    slope = jax.grad(loss)(net.nodes["0"].weight)
    assert bool(jnp.isfinite(slope).all())
    assert float(jnp.abs(slope).max()) > 0
