"""Rate, simple recurrent and gated cells: closed forms, and equinox's cells."""

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from neuropil.cells import GRU, LSTM, Rate, SimpleRNN, bidirectional
from neuropil.core import Batched, run, start


def test_rate_has_its_closed_form_at_any_dt(x64):
    taus = jnp.array([5.0, 40.0])
    for dt in (0.5, 2.0):
        cells = Rate(2, tau=taus, phi=jnp.tanh)
        _, r = run(cells, start(cells, dt, jr.key(0)), jnp.full((20, 2), 0.8))
        t = dt * np.arange(1, 21)[:, None]
        np.testing.assert_allclose(r, np.tanh(0.8) * (1 - np.exp(-t / taus[None])), rtol=1e-12)
    with pytest.raises(ValueError, match=r"Rate.tau = -1 ms"):
        Rate(2, tau=-1.0)


def test_simple_rnn_equals_its_equation(x64):
    net = SimpleRNN.init_uniform(3, 4, jr.key(0))
    xs, h, want = jr.normal(jr.key(1), (6, 3)), np.zeros(4), []
    for x in np.asarray(xs):
        h = np.tanh(
            np.asarray(net.weight) @ x + np.asarray(net.recurrent) @ h + np.asarray(net.bias)
        )
        want.append(h)
    np.testing.assert_allclose(run(net, start(net, 1.0, jr.key(0)), xs)[1], want, rtol=1e-12)


def test_gru_equals_equinox(x64):
    theirs = eqx.nn.GRUCell(3, 4, key=jr.key(0))
    ours = GRU(theirs.weight_ih, theirs.weight_hh, theirs.bias, theirs.bias_n)
    xs, h, want = jr.normal(jr.key(1), (7, 3)), jnp.zeros(4), []
    for x in xs:
        h = theirs(x, h)
        want.append(h)
    np.testing.assert_allclose(run(ours, start(ours, 1.0, jr.key(0)), xs)[1], want, atol=1e-13)


def test_lstm_equals_equinox(x64):
    theirs = eqx.nn.LSTMCell(3, 4, key=jr.key(0))
    ours = LSTM(theirs.weight_ih, theirs.weight_hh, theirs.bias)
    xs, state, want = jr.normal(jr.key(1), (7, 3)), (jnp.zeros(4), jnp.zeros(4)), []
    for x in xs:
        state = theirs(x, state)
        want.append(state)
    carry, hs = run(ours, start(ours, 1.0, jr.key(0)), xs)
    np.testing.assert_allclose(hs, [h for h, _ in want], atol=1e-13)
    np.testing.assert_allclose(carry.state["c"], want[-1][1], atol=1e-13)


def test_forget_bias_is_added_to_the_forget_gate_only():
    plain, open_ = (LSTM.init_uniform(2, 3, jr.key(0), forget=f) for f in (0.0, 1.0))
    np.testing.assert_allclose(open_.bias - plain.bias, [0] * 3 + [1] * 3 + [0] * 6, atol=1e-6)


def test_bidirectional_reads_both_ways():
    ahead, behind = GRU.init_uniform(3, 4, jr.key(0)), GRU.init_uniform(3, 4, jr.key(1))
    xs = jr.normal(jr.key(2), (6, 3))
    ys = bidirectional(ahead, behind, xs, dt=1.0, key=jr.key(0))
    np.testing.assert_allclose(
        ys[:, :4], run(ahead, start(ahead, 1.0, jr.key(0)), xs)[1], rtol=1e-6
    )
    # a change of the last input reaches the first output, but only in the backward half
    moved = bidirectional(ahead, behind, xs.at[-1].add(1.0), dt=1.0, key=jr.key(0)) - ys
    assert (moved[0, :4] == 0).all()
    assert (moved[0, 4:] != 0).all()
    both = Batched(ahead, 2), Batched(behind, 2)
    many = bidirectional(*both, jnp.stack([xs, xs], 1), dt=1.0, key=jr.key(0))
    np.testing.assert_allclose(many[:, 1], ys, atol=1e-6)


@pytest.mark.parametrize(
    "make",
    [
        lambda: GRU(jnp.ones((6, 3)), jnp.ones((6, 4)), jnp.ones(6), jnp.ones(4)),
        lambda: GRU(jnp.ones((12, 3)), jnp.ones((12, 4)), jnp.ones(12), jnp.ones(3)),
        lambda: LSTM(jnp.ones((16, 3)), jnp.ones((16, 4)), jnp.ones(12)),
        lambda: SimpleRNN(jnp.ones((4, 3)), jnp.ones(4), jnp.ones(4)),
    ],
)
def test_weights_that_do_not_fit_are_refused(make):
    with pytest.raises(ValueError, match=r"rows|axes|units"):
        make()
