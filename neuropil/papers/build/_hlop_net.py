"""The spiking network of hlop and four ways to find its gradient, each giving the activity its
lateral circuits see. Constants: the official code's scripts for PMNIST (main, bptt, ottt)."""

from __future__ import annotations

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jax import lax
from jaxtyping import Array, Float, Int

from neuropil.cells import LIF, Sigmoid, SubtractReset
from neuropil.core import Tick
from neuropil.learn.projection import guarded_linear
from neuropil.learn.rate_gradient import RateLIF, weighted_rate

FLOOR = 0.0005  # least trained threshold
Layers = tuple[Float[Array, "k b n"], ...]  # what the three lateral circuits see, k batches each


class Net(eqx.Module):
    """Weights of three layers without biases, fixed random ways back, and trained thresholds."""

    weights: tuple[Array, Array, Array]
    back: tuple[Array, Array]
    threshold: Float[Array, "2"]

    @staticmethod
    def shapes(pixels: int, hidden: int, classes: int) -> list[tuple[int, int]]:
        """Shapes of the three weights (post, pre) and the two ways back."""
        two, three = (hidden, hidden), (classes, hidden)
        return [(hidden, pixels), two, three, two, three]

    @staticmethod
    def of(numbers: Float[Array, " n"], pixels: int, hidden: int, classes: int) -> Net:
        """From numbers uniform on [0, 1): weights uniform on +-1/sqrt(fan-in), forth and back."""
        w, at = [], 0
        for post, pre in Net.shapes(pixels, hidden, classes):
            block = numbers[at : at + post * pre].reshape(post, pre)
            w.append((2 * block - 1) / math.sqrt(pre))
            at += post * pre
        return Net((w[0], w[1], w[2]), (w[3], w[4]), jnp.full(2, 0.3))

    @staticmethod
    def size(pixels: int, hidden: int, classes: int) -> int:
        """How many numbers `of` needs."""
        return sum(a * b for a, b in Net.shapes(pixels, hidden, classes))

    def moved(self, gradient: Net, rate: Array, train_threshold: Array) -> Net:
        """One step of plain gradient descent; the ways back stay."""
        weights = tuple(w - rate * g for w, g in zip(self.weights, gradient.weights, strict=True))
        step = jnp.where(train_threshold, rate, 0.0) * gradient.threshold
        return Net(weights, self.back, jnp.maximum(self.threshold - step, FLOOR))


def cross_entropy(
    logits: Float[Array, "b c"], y: Int[Array, " b"], share: Float[Array, " b"]
) -> Float[Array, ""]:
    """Sum over samples of share x cross-entropy (share = 1/b: the mean)."""
    return -jnp.sum(share * jnp.take_along_axis(jax.nn.log_softmax(logits), y[:, None], 1)[:, 0])


def _batches(z: Float[Array, "time b n"]) -> Float[Array, "1 tb n"]:
    """Every step of every sample as one big batch."""
    return z.reshape(1, -1, z.shape[-1])


class Bptt(eqx.Module):
    """Backpropagation through time with a surrogate; per-spike traces. `aligned`: errors go down
    through fixed random weights (feedback alignment)."""

    steps: int = eqx.field(static=True, default=6)
    aligned: bool = eqx.field(static=True, default=False)

    def cell(self, n: int, surrogate=Sigmoid(4.0, closed=True)) -> LIF:
        """v <- v / 2 + x, a spike where v >= 1, then v <- v - 1 (no gradient through the reset)."""
        soft = SubtractReset(detach=True)
        tau = 1 / math.log(2)  # in ticks: exp(-1 / tau) = 1/2
        return LIF(n, tau=tau, reset=soft, surrogate=surrogate, drive="jump")

    def spikes(self, current: Float[Array, "*time b n"]) -> Float[Array, "t b n"]:
        """Spikes of a population; a current without time axis is the same at every step."""
        cell, tick = self.cell(current.shape[-1]), Tick(jnp.int32(0), jnp.ones(()), jr.key(0))
        step = jax.vmap(lambda s, x: cell.step(s, x, tick))
        start = {"v": jnp.zeros(current.shape[-2:], current.dtype)}
        if current.ndim == 2:
            return lax.scan(lambda s, _: step(s, current), start, length=self.steps)[1]
        return lax.scan(step, start, current)[1]

    def answer(self, net: Net, x: Array, trace: Array | None = None) -> tuple[Array, Layers]:
        """Logits (b, class): the mean over steps; and the activity before each weight matrix."""
        w1, w2, w3 = net.weights
        b2, b3 = net.back if self.aligned else (None, None)
        s1 = self.spikes(guarded_linear(x, w1, trace))
        s2 = self.spikes(guarded_linear(s1, w2, back=b2))
        return guarded_linear(s2.mean(0), w3, back=b3), (x[None], _batches(s1), _batches(s2))

    def gradient(self, net, x, y, share, trace) -> tuple[Array, Net, Layers]:
        """(loss, gradient, activity); `trace` stands for x in the gradient of the first weights."""
        return _autodiff(self, net, x, y, share, trace)


class Dsr(eqx.Module):
    """Differentiation on the spike representation, with weighted rates; the thresholds are trained."""

    steps: int = eqx.field(static=True, default=20)
    dt: float = eqx.field(static=True, default=0.05)
    tau: float = eqx.field(static=True, default=1.0)

    def answer(self, net: Net, x: Array, trace: Array | None = None) -> tuple[Array, Layers]:
        """Logits (b, class): the weighted rate; and the weighted rates before each weight matrix."""
        w1, w2, w3 = net.weights
        rate = lambda s: weighted_rate(s, self.tau, self.dt)
        first, second = (RateLIF(net.threshold[i], self.tau) for i in (0, 1))
        current = guarded_linear(x, w1, trace)
        s1 = first(jnp.broadcast_to(current, (self.steps, *current.shape)), self.dt)
        s2 = second(s1 @ w2.T, self.dt)
        return rate(s2) @ w3.T, (x[None], rate(s1)[None], rate(s2)[None])

    def gradient(self, net, x, y, share, trace) -> tuple[Array, Net, Layers]:
        """(loss, gradient, activity), as for `Bptt`."""
        return _autodiff(self, net, x, y, share, trace)


def _autodiff(rule, net, x, y, share, trace):
    def loss(net):
        logits, layers = rule.answer(net, x, trace)
        return cross_entropy(logits, y, share), layers

    (value, layers), gradient = jax.value_and_grad(loss, has_aux=True)(net)
    return value, gradient, lax.stop_gradient(layers)


class Online(Bptt):
    r"""Online trace rule (OTTT): at each step, error x eligibility trace, nothing flows back in time.

    Trace of a presynaptic cell: $a_t = a_{t-1} / 2 + s_t$. The loss is the mean over steps of the
    cross-entropy of that step's output; the errors of the steps are added up.
    """

    def potentials(self, current):
        """(v before the reset, spikes), each (t, b, n)."""
        s = self.spikes(current)

        def tick(v, now):
            x, s = now
            v = v / 2 + x
            return v - s, v

        whole = jnp.broadcast_to(current, s.shape)
        return lax.scan(tick, jnp.zeros_like(s[0]), (whole, s))[1], s

    def gradient(self, net, x, y, share, trace):
        w1, w2, w3 = net.weights
        slope = Sigmoid(4.0).shape
        v1, s1 = self.potentials(x @ w1.T)
        v2, s2 = self.potentials(s1 @ w2.T)
        a1, a2 = (
            lax.scan(lambda a, s: (a / 2 + s,) * 2, jnp.zeros_like(s[0]), s)[1] for s in (s1, s2)
        )
        logits = s2 @ w3.T
        values = jax.vmap(lambda z: cross_entropy(z, y, share))(logits)
        wrong = jax.nn.softmax(logits) - jax.nn.one_hot(y, logits.shape[-1])[None]
        e3 = wrong * share[None, :, None] / self.steps
        e2 = (e3 @ w3) * slope(v2 - 1)
        e1 = (e2 @ w2) * slope(v1 - 1)
        outer = lambda e, a: jnp.einsum("tbi,tbj->ij", e, a)
        weights = (e1.sum(0).T @ trace, outer(e2, a1), outer(e3, a2))
        gradient = Net(weights, jax.tree.map(jnp.zeros_like, net.back), jnp.zeros(2))
        seen = (jnp.concatenate(pair, 1) for pair in ((s1, a1), (s2, a2)))  # spikes and traces
        return values.mean(), gradient, (jnp.broadcast_to(x, (self.steps, *x.shape)), *seen)


RULES = {
    "bptt": Bptt(),
    "dsr": Dsr(),
    "online": Online(),
    "feedback_alignment": Bptt(aligned=True),
}
