"""Accounting against counts by hand."""

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from neuropil.accounting import FLOAT_45NM, LOIHI, Table, account, operations
from neuropil.cells import LIF
from neuropil.core import Chain, Managed, Network, To, run, start
from neuropil.plasticity import PairSTDP
from neuropil.synapses import Conductance, Exponential, Receptors
from neuropil.wiring import Conv, Dense, LowRank, Signed, Sparse

KEY = jr.key(0)


def numbers(wires, x):
    return tuple(int(n) for n in operations(wires, jnp.asarray(x, jnp.float32)))


def test_operations_of_every_wiring_by_hand():
    w = jnp.array(
        [[1.3, 0, -3.2], [0, 1.2, -5.1], [-1.1, 2.7, 0]]
    )  # the example of NeuroBench's pages
    assert numbers(Dense(w, jnp.ones(3)), [0, 1.3, -1]) == (9, 4)  # a bias is no synapse
    assert numbers(Signed.of(Dense(w)), [0, 1.3, -1]) == (9, 4)
    sparse = Sparse(
        jnp.array([0, 2, 1, 1]), jnp.array([1.0, 0.0, 2.0, 3.0]), 3, indptr=[0, 2, 3, 4]
    )
    assert numbers(sparse, [1, 0, 1]) == (9, 2)  # a weight of 0 is not there
    assert numbers(Sparse(jnp.array([[0, 1], [1, 2]]), 0.5, 3), [0, 2]) == (
        6,
        2,
    )  # one weight for all
    picture = jnp.zeros((1, 4)).at[0, 0].set(1.0)
    conv = Conv(jnp.array([[[1.0, 2.0, 0.0]], [[1.0, 1.0, 1.0]]]))
    # 2 x (2 + 3 + 3 + 2) at the edges; the corner meets two weights of either kernel
    assert numbers(conv, picture) == (20, 4)
    assert numbers(LowRank(jnp.ones((3, 2)), jnp.ones((4, 2))), [1, 0, 1, 1]) == (14, 12)


def net():
    """Two cells that spike at each unit of input, and what they drive."""
    return Chain(
        wire=Dense(jnp.array([[2.0, 0.0, 0.0], [0.0, 2.0, 0.0]])),
        cell=LIF(2, drive="jump"),
        out=Dense(jnp.array([[1.0, 1.0], [0.0, 1.0]])),
    )


def test_a_net_by_hand():
    xs = jnp.array([[1.0, 0, 0], [0, 1.0, 1.0], [0.5, 0, 0]])  # the third tick is graded
    bill = account(net(), xs, 1.0, KEY)
    wire, cell, out = bill.rows
    assert (wire.dense, wire.acs, wire.macs) == (18, 2, 1)
    # v = 2 | 0; then 1/e^(1/20) (1, and 0.95 is kept) | 2; then 0.9 + 1 | 0.95: spikes 1 0, 0 1, 1 0
    assert (cell.outputs, cell.active, cell.spikes) == (6, 3, 3)
    assert (out.dense, out.acs, out.macs) == (12, 1 + 2 + 1, 0)
    assert (bill.dense, bill.acs, bill.macs, bill.spikes, bill.ticks) == (30, 6, 1, 3, 3)
    assert bill.activation_sparsity == 0.5
    assert bill.connection_sparsity == pytest.approx(1 - 5 / 10)
    assert bill.parameters == 6 + 4 + 4  # weights, and tau, threshold, v_rest, resistance
    assert bill.footprint == 4 * (14 + 2)  # and the potentials
    assert bill.energy(FLOAT_45NM) == pytest.approx(1 * 4.6 + 6 * 0.9)
    with pytest.raises(ValueError, match="1 multiply-accumulates, which Loihi has not"):
        bill.energy(LOIHI)
    assert bill.energy(Table("toy", 1.0, 2.0, 10.0, 100.0)) == 1 + 12 + 60 + 300
    text = str(bill)
    assert "parts.wire" in text
    assert "14 parameters, 64 bytes, 3 ticks" in text


def test_spikes_alone_have_a_price_on_loihi_and_samples_are_averaged():
    xs = np.zeros((2, 3, 3), np.float32)
    xs[0, 0, 0] = 1.0  # one spike in the first sample, none in the second
    bill = account(net(), xs, 1.0, KEY, samples=True)
    assert (bill.samples, bill.acs, bill.spikes) == (2, (1 + 1) / 2, 0.5)
    assert bill.energy(LOIHI) == pytest.approx(23.6 * 1 + 81 * 6 + 1.7 * 0.5)
    one = account(net(), xs[0], 1.0, KEY)
    assert one.acs == 2


def test_a_recurrent_network_counts_the_edges_of_the_tick_before():
    cells = LIF(4, drive="jump", tau=5.0)
    ring = Sparse(jnp.array([[1], [2], [3], [0]]), 2.0 * jnp.ones((4, 1)), 4)
    loop = Network({"E": cells}, {"E>E": ring})
    xs = {"E": jnp.zeros((5, 4)).at[0, 0].set(2.0)}
    bill = account(loop, xs, 1.0, KEY)
    by = {r.path: r for r in bill.rows}
    assert by["nodes.E"].spikes >= 5  # round and round
    assert by["edges.E>E"].acs == by["nodes.E"].spikes - 1  # the last spike is still on its way
    assert by["edges.E>E"].dense == 5 * 16
    assert bill.connection_sparsity == 0.75


def test_cells_behind_receptors_are_counted_and_the_run_is_the_same():
    cell = Receptors(LIF(4, tau=5.0), ampa=Conductance(4, tau=2.0, reversal=3.0))
    wire = Sparse.random(4, 4, 2, KEY, weight=0.8)
    loop = Network({"E": cell}, {"E>E": Chain(wire, To("ampa"))})
    xs = {"E": jnp.full((20, 4), 1.2)}
    bill = account(loop, xs, 1.0, KEY)
    by = {r.path: r for r in bill.rows}
    spikes = run(loop, start(loop, 1.0, KEY), xs)[1]["E"]
    assert by["nodes.E.cell"].spikes == int(spikes.sum()) > 4
    assert by["edges.E>E.parts.0"].acs == 2 * int(spikes[:-1].sum())


def test_what_cannot_be_counted_is_said():
    with pytest.raises(ValueError, match="nothing to count"):
        account(Chain(jnp.tanh), jnp.ones((2, 3)), 1.0, KEY)
    inner = Chain(wire=Dense(jnp.ones((2, 3))), cell=LIF(2))
    rule = PairSTDP(3, 2)
    plastic = Managed(inner, rule, "parts.wire.weight", {"pre": "input", "post": "output"})
    with pytest.raises(ValueError, match="Managed"):
        account(plastic, jnp.ones((2, 3)), 1.0, KEY)
    bill = account(
        Chain(wire=Dense(jnp.ones((2, 3))), slow=Exponential(2)), jnp.ones((2, 3)), 1.0, KEY
    )
    assert bill.left_out == ("parts.slow",)
    assert "not counted: parts.slow" in str(bill)
    assert np.isnan(bill.activation_sparsity)
