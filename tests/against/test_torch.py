"""Learners against torch's autograd (an environment of its own has torch; skipped elsewhere).

Each learner is written here a second time, as it is usually written in torch: feedback alignment as an autograd
function with another matrix on the way back, the others with `detach`.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from neuropil.cells import LSTM, SimpleRNN
from neuropil.core import Chain
from neuropil.learn import (
    Backpropagation,
    DirectFeedbackAlignment,
    FeedbackAlignment,
    OverTime,
    Supervised,
    TargetPropagation,
    cross_entropy,
    layers,
    learnable,
    rtrl,
    squared_error,
)
from neuropil.wiring import Dense

torch = pytest.importorskip("torch", reason="torch is not installed (a peer, optional)")

SAMPLES, SIZES = 8, (5, 6, 4, 3)


def mlp():
    a, b, c = jr.split(jr.key(0), 3)
    make = lambda m, n, k: Dense.init_normal(m, n, k, gain=1.5)
    return Chain(make(5, 6, a), jnp.tanh, make(6, 4, b), jnp.tanh, make(4, 3, c))


def data():
    rng = np.random.default_rng(0)
    return {
        "x": jnp.asarray(rng.standard_normal((SAMPLES, 5))),
        "y": jnp.arange(SAMPLES) % 3,
    }


def ours(credit, net, batch, loss):
    """(directions of the arrays that learn, those of the learner's own)."""
    learned, fixed = eqx.partition(net, learnable(net))
    go = eqx.filter_jit(lambda c, l, b: c.gradient(loss, l, fixed, b, jr.key(1))[2:])
    return [jax.tree.leaves(tree) for tree in go(credit, learned, batch)]


def tensors(arrays, grad=True):
    made = [torch.tensor(np.asarray(a), dtype=torch.float64) for a in arrays]
    return [t.requires_grad_(grad) for t in made]


def equal(got, wanted):
    assert len(got) == len(wanted)
    for a, b in zip(got, wanted, strict=True):
        np.testing.assert_allclose(a, b.numpy(), rtol=1e-9, atol=1e-12)


def error(output, y):
    return torch.nn.functional.cross_entropy(output, torch.tensor(np.asarray(y)).long())


def linear(back):
    """x -> W x whose error goes down through `back` in place of W."""

    class Linear(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, w):
            ctx.save_for_backward(x)
            return x @ w.T

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            return g @ back, g.T @ x

    return Linear.apply


def test_feedback_alignment(x64):
    net, batch = mlp(), data()
    credit = FeedbackAlignment.init(net, batch["x"][0], jr.key(2))
    w = tensors(layer.wiring.weight for layer in layers(net))
    back = tensors((b.weight for b in credit.feedback), grad=False)
    a = torch.tanh(torch.tensor(np.asarray(batch["x"])) @ w[0].T)
    a = torch.tanh(linear(back[0])(a, w[1]))
    wanted = torch.autograd.grad(error(linear(back[1])(a, w[2]), batch["y"]), w)
    equal(ours(credit, net, batch, Supervised(cross_entropy))[0], wanted)


def test_direct_feedback_alignment(x64):
    net, batch = mlp(), data()
    credit = DirectFeedbackAlignment.init(net, batch["x"][0], jr.key(2))
    w = tensors(layer.wiring.weight for layer in layers(net))
    back = tensors(credit.feedback, grad=False)
    a, told = torch.tensor(np.asarray(batch["x"])), []
    for weight in w[:-1]:
        a = torch.tanh(a.detach() @ weight.T)
        told.append(a)
    output = a.detach() @ w[2].T
    loss = error(output, batch["y"])
    (wrong,) = torch.autograd.grad(loss, output, retain_graph=True)  # a mean over samples already
    hidden = [
        torch.autograd.grad(a, weight, wrong @ b.T)[0]
        for a, weight, b in zip(told, w[:-1], back, strict=True)
    ]
    equal(
        ours(credit, net, batch, Supervised(cross_entropy))[0],
        [*hidden, *torch.autograd.grad(loss, w[2])],
    )


def test_difference_target_propagation(x64):
    """Without noise, so that both learn their inverses on the same activities."""
    net, batch, step = mlp(), data(), 0.05
    credit = TargetPropagation.init(net, batch["x"][0], jr.key(2), step=step, noise=0.0)
    w = tensors(layer.wiring.weight for layer in layers(net))
    (v,) = tensors(g.wiring.weight for g in credit.feedback)
    back = lambda a: torch.tanh(a @ v.T)
    x = torch.tensor(np.asarray(batch["x"]))
    a1 = torch.tanh(x @ w[0].T)
    a2 = torch.tanh(a1.detach() @ w[1].T)
    top = a2.detach().requires_grad_()
    loss = error(top @ w[2].T, batch["y"])
    (slope,) = torch.autograd.grad(loss, top, retain_graph=True)
    with torch.no_grad():
        t2 = a2 - step * SAMPLES * slope  # of each sample, not of their mean
        t1 = a1 - back(a2) + back(t2)
    near = lambda a, t: ((a - t) ** 2).sum() / 2 / SAMPLES
    wanted = [
        *torch.autograd.grad(near(a1, t1) / step, w[0]),
        *torch.autograd.grad(near(a2, t2) / step, w[1]),
        *torch.autograd.grad(loss, w[2]),
    ]
    again = back(torch.tanh(a1 @ w[1].T).detach())
    inverses = torch.autograd.grad(near(again, a1.detach()), [v])
    got, mine = ours(credit, net, batch, Supervised(cross_entropy))
    equal(got, wanted)
    equal(mine, inverses)


@pytest.mark.parametrize("kind", ["rnn", "lstm"])
def test_backpropagation_through_time_and_real_time_recurrent_learning(kind, x64):
    units, time = 4, 5
    cell = (SimpleRNN if kind == "rnn" else LSTM).init_uniform(2, units, jr.key(0))
    peer = (torch.nn.RNN if kind == "rnn" else torch.nn.LSTM)(2, units, batch_first=True).double()
    names = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0")
    with torch.no_grad():
        for name, value in zip(names, (cell.weight, cell.recurrent, cell.bias), strict=True):
            getattr(peer, name).copy_(torch.tensor(np.asarray(value)))
        peer.bias_hh_l0.zero_()
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((3, time, 2)), rng.standard_normal((3, time, units))
    ((peer(torch.tensor(x))[0] - torch.tensor(y)) ** 2).sum().div(2 * 3).backward()
    wanted = [getattr(peer, name).grad for name in names]
    batch = {"x": jnp.asarray(x), "y": jnp.asarray(y)}
    for credit in (Backpropagation(), rtrl()):
        equal(ours(credit, cell, batch, OverTime(squared_error))[0], wanted)
