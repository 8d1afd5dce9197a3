"""A spiking cell, its gradient through time and its plastic synapses against closed forms."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from neuropil.cells import LIF, LeakyIntegrator, NoGradient, SuperSpike, ValueReset
from neuropil.core import Chain, Event, Lift, Managed, Network, System, run, start
from neuropil.plasticity import NoBounds, PairSTDP
from neuropil.wiring import Dense


@pytest.mark.parametrize("dt", [0.1, 0.01])
def test_lif_interval_is_the_closed_form(dt, x64):
    """T = tau ln((R I - v_reset) / (R I - threshold)), to the next tick."""
    tau, reset, current = 10.0, -0.5, np.array([1.2, 1.5, 2.0, 4.0])
    cells = LIF(4, tau=tau, reset=ValueReset(reset), v_rest=0.0)
    n = round(60.0 / dt)
    _, spikes = run(cells, start(cells, dt, jr.key(0)), jnp.broadcast_to(current, (n, 4)))
    exact = tau * np.log((current - reset) / (current - 1.0))
    for k in range(4):
        intervals = np.diff(np.nonzero(np.asarray(spikes[:, k]))[0]) * dt
        np.testing.assert_allclose(intervals, np.ceil(exact[k] / dt) * dt, atol=1e-9)


def recurrent(weight, out, cell):
    """A small recurrent network read out by a leaky integrator; weights are its parameters."""
    net = Network({"a": cell}, {"a>a": Dense(weight)})
    return Chain(net=net, pick=Lift(lambda y: y["a"]), out=Dense(out), leak=LeakyIntegrator(1))


class Tanh(System):
    """A smooth cell, so that gradients can be held against finite differences."""

    def init(self, dt, key):
        return jnp.zeros(3)

    def step(self, v, x, tick):
        v = 0.8 * v + jnp.tanh(x)
        return v, v

    def rest(self):
        return jnp.zeros(3)


W = 0.5 * jr.normal(jr.key(1), (3, 3))
OUT = jr.normal(jr.key(2), (1, 3))
XS = jr.normal(jr.key(3), (24, 3)) + 0.7


def loss(weight, cell, **more):
    system = recurrent(weight, OUT.astype(weight.dtype), cell)
    xs = {"a": XS.astype(weight.dtype)}
    _, y = run(system, start(system, 1.0, jr.key(0)), xs, **more)
    return (y**2).sum()


def slopes(f, w, h=1e-6):
    w = np.asarray(w)
    out = np.zeros_like(w)
    for at in np.ndindex(*w.shape):
        up, down = w.copy(), w.copy()
        up[at] += h
        down[at] -= h
        out[at] = (f(jnp.asarray(up)) - f(jnp.asarray(down))) / (2 * h)
    return out


@pytest.mark.parametrize("kind", ["smooth", "spiking"])
def test_bptt_is_the_finite_difference(kind, x64):
    """For spikes with the true derivative (none), so that both see the same function."""
    cell = Tanh() if kind == "smooth" else LIF(3, tau=5.0, surrogate=NoGradient(), threshold=0.8)
    w = W.astype(jnp.float64)
    out = OUT.astype(jnp.float64)

    @jax.jit
    def f(w):  # the spiking cells' weights act through spikes only: differentiate the readout's
        if kind == "smooth":
            return loss(w, cell)
        system = recurrent(W.astype(w.dtype), w[:1], cell)
        _, y = run(system, start(system, 1.0, jr.key(0)), {"a": XS.astype(w.dtype)})
        return (y**2).sum()

    at = w if kind == "smooth" else jnp.concatenate([out, out])
    g = np.asarray(jax.jit(jax.grad(f))(at))
    np.testing.assert_allclose(g, slopes(f, at), rtol=1e-6, atol=1e-7)
    assert np.abs(g).max() > 0.01


def test_rematerialised_gradients_are_the_plain_ones(x64):
    cell = LIF(3, tau=5.0, surrogate=SuperSpike())
    w = W.astype(jnp.float64)
    plain, again = jax.jit(lambda w: (jax.grad(loss)(w, cell), jax.grad(loss)(w, cell, remat=7)))(w)
    np.testing.assert_allclose(again, plain, rtol=1e-12)
    assert float(jnp.abs(plain).max()) > 1e-4


def test_truncation_cuts_the_gradient_at_its_multiples(x64):
    """v_t = b v_{t-1} + w x_t: d v_T / d w sums b^(T-t) x_t over the ticks since the last multiple."""

    class Leak(System):
        w: jax.Array

        def init(self, dt, key):
            return jnp.zeros(())

        def step(self, v, x, tick):
            v = 0.9 * v + self.w * x
            return v, v

    xs = jr.normal(jr.key(0), (10,))

    def last(w, size):
        system = Leak(w)
        return run(system, start(system, 1.0, jr.key(0)), xs, truncate=size)[1][-1]

    weight = 0.9 ** np.arange(9, -1, -1) * np.asarray(xs)
    for size, first in ((None, 0), (4, 8), (5, 5), (20, 0)):
        value, g = jax.value_and_grad(last)(jnp.asarray(1.0), size)
        np.testing.assert_allclose(value, weight.sum(), rtol=1e-12)  # forward nothing changes
        np.testing.assert_allclose(g, weight[first:].sum(), rtol=1e-12)


def test_forward_mode_is_backward_mode(x64):
    cell, w = LIF(3, tau=5.0), W.astype(jnp.float64)
    f = lambda w: loss(w, cell)
    along = jr.normal(jr.key(9), w.shape)
    _, slope = jax.jvp(f, (w,), (along,))
    np.testing.assert_allclose(slope, (jax.grad(f)(w) * along).sum(), rtol=1e-9)


def test_pair_stdp_is_its_closed_form(x64):
    """One pre spike at 10 ms, post spikes at 15 and 40 ms, then a pre spike at 50 ms."""
    pre, post = jnp.zeros((60, 1)), jnp.zeros((60, 1))
    xs = {
        "pre": pre.at[jnp.array([10, 50])].set(1.0),
        "post": post.at[jnp.array([15, 40])].set(1.0),
    }
    rule = PairSTDP(1, 1, 0.01, 0.012, 20.0, 30.0, bounds=NoBounds())
    event = lambda theta, x: Event(theta, {"pre": x["pre"], "post": x["post"]}, x, None)

    class Alone(System):
        def init(self, dt, key):
            return rule.init(dt, key), jnp.zeros((1, 1))

        def step(self, state, x, tick):
            new = rule.step(state[0], event(state[1], x), tick)
            return new, new[1]

    _, theta = run(Alone(), start(Alone(), 1.0, jr.key(0)), xs)
    up = 0.01 * (np.exp(-5 / 20) + np.exp(-30 / 20))
    down = 0.012 * (np.exp(-35 / 30) + np.exp(-10 / 30))
    np.testing.assert_allclose(theta[49, 0, 0], up, atol=1e-15)
    np.testing.assert_allclose(theta[-1, 0, 0], up - down, atol=1e-15)


def test_three_deep_a_neuron_its_synapse_and_the_rate_of_its_plasticity(x64):
    """A homeostat owns A+ of the STDP that owns the weight: too many spikes lower A+, exactly."""

    class Homeostat(System):
        target: float = eqx.field(static=True, default=0.2)

        def init(self, dt, key):
            return jnp.zeros(())

        def step(self, spikes, event, tick):
            gain = 1 - 0.01 * (event.reads["rate"].mean() - self.target)
            return spikes + event.reads["rate"].mean(), event.theta * gain

    pre, post = 6, 2
    net = Chain(wire=Dense(jnp.full((post, pre), 0.4)), cell=LIF(post, tau=10.0, drive="jump"))
    stdp = PairSTDP(pre, post, 0.02, 0.01)
    plastic = Managed(net, stdp, "parts.wire.weight", {"pre": "input", "post": "output"})
    system = Managed(plastic, Homeostat(), "slow.a_plus", {"rate": "output"})
    xs = (jr.uniform(jr.key(0), (80, pre)) < 0.3).astype(float)
    carry, kept = run(
        system,
        start(system, 1.0, jr.key(0)),
        xs,
        record={"y": "output", "a": "theta", "w": "fast.theta"},
    )
    assert carry.state.fast.theta.shape == (post, pre)
    gains = np.cumprod(1 - 0.01 * (np.asarray(kept["y"]).mean(1) - 0.2))
    np.testing.assert_allclose(kept["a"], 0.02 * gains, rtol=1e-12)
    # the weights are those of STDP with A+ as it was at each tick
    trace, w = np.zeros((2, max(pre, post))), np.full((post, pre), 0.4)
    a_plus = np.concatenate([[0.02], 0.02 * gains[:-1]])
    for t in range(80):
        trace *= np.exp(-1 / 20)
        z, s = np.asarray(kept["y"][t]), np.asarray(xs[t])
        up = np.minimum(a_plus[t] * np.outer(z, trace[0, :pre]), 1 - w)
        w = w + up - np.minimum(0.01 * np.outer(trace[1, :post], s), w)
        trace[0, :pre] += s
        trace[1, :post] += z
    np.testing.assert_allclose(carry.state.fast.theta, w, atol=1e-12)
    assert 0 < float(kept["y"].mean()) < 1
