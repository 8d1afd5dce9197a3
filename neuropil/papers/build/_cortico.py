"""A recurrent cortex under truncated backpropagation, with and without a cerebellum that predicts the rest.

All arms are one program: where credit is cut, and what is put in its place, are arrays. That the gradient is
that of `neuropil.learn.Truncated` for every horizon is tested.
"""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import optax
from jax import lax
from jaxtyping import Array, Float, Int

from neuropil.cells import LSTM
from neuropil.core import System, Tick
from neuropil.learn import Synthesiser
from neuropil.papers.build._cortico_tasks import ends, line_inputs, line_targets
from neuropil.wiring import Dense

PLAIN, LEARNED, SHUFFLED, RANDOM = range(4)  # what is put in place of later error
FACTOR = 0.1  # of a synthetic gradient (official code)


class Net(eqx.Module):
    """Cortex (LSTM and readout) and cerebellum."""

    cortex: LSTM
    readout: Dense
    cerebellum: Synthesiser

    @staticmethod
    def init(
        inputs: int, cells: int, outputs: int, hidden: tuple[int, ...], scale: int, key
    ) -> Net:
        """Uniform on +-1/sqrt(fan-in), as PyTorch; the cerebellum's last layer is zero."""
        a, b, c = jr.split(key, 3)
        cortex = LSTM.init_uniform(inputs, cells, a)
        readout = Dense.init_uniform(cells, outputs, b, bias=True)
        return Net(cortex, readout, Synthesiser.init_zero(2 * cells, hidden, c, scale=scale))

    def start(self, n: int) -> Float[Array, "n state"]:
        """States [h, c] at rest."""
        return jnp.zeros((n, 2 * self.cortex.recurrent.shape[1]))

    def tick(self, s: Array, x: Array) -> tuple[Array, Array]:
        """(states, inputs) -> (states, outputs), a batch at once."""

        now = Tick(jnp.int32(0), jnp.asarray(1.0), jr.key(0))  # the cells know no time and no noise

        def one(s, x):
            h, c = jnp.split(s, 2)
            after, h = self.cortex.step({"h": h, "c": c}, x, now)
            return jnp.concatenate([after["h"], after["c"]]), self.readout.forward(h)

        return jax.vmap(one)(s, x)

    def states(self, x: Float[Array, "time n input"]) -> tuple[Array, Array]:
        """All states, the first at rest, (time + 1, n, state), and outputs (time, n, output)."""

        def body(s, x):
            s, y = self.tick(s, x)
            return s, (s, y)

        first = self.start(x.shape[1])
        _, (s, y) = lax.scan(body, first, x)
        return jnp.concatenate([first[None], s]), y


def cost(net: Net, nudge: Array, x: Array, error: Any, cut: Array, ahead: Array) -> Array:
    """Error of a batch, with no credit across a cut and `ahead` put in its place there.

    `nudge` (time, n, state) is zero: its gradient at the start of a span is that of the state before it.
    """

    def body(s, now):
        x, cut, ahead, nudge = now
        s, y = net.tick(s + nudge, x)
        extra = cut * jnp.sum(ahead * s)
        return jnp.where(cut > 0, lax.stop_gradient(s), s), (y, extra)

    _, (y, extra) = lax.scan(body, net.start(x.shape[1]), (x, cut, ahead, nudge))
    return error(y) + FACTOR * extra.sum()


def gradient(
    net: Net, x: Array, error: Any, cut: Array, mode: Array, mix: Array, key: Array
) -> tuple[Net, Array]:
    """(gradient of cortex and cerebellum, predictions at all states (time + 1, n, state)).

    `error(y)`: of the outputs (time, n, output) of the whole batch, a number; `cut` (time,): 1 where a span
    ends; `mix` (state, state): of the random control.
    """
    steps = cut.shape[0]
    flat = lambda C, s: jax.vmap(C)(s.reshape(-1, s.shape[-1])).reshape(s.shape)
    nudge = jnp.zeros((steps, x.shape[1], mix.shape[0]))
    begins = jnp.concatenate([jnp.ones(1), cut[:-1]])

    def plain(_):
        slope = jax.grad(cost)(net, nudge, x, error, cut, jnp.zeros_like(nudge))
        return slope, jnp.zeros((steps + 1, *nudge.shape[1:]))

    def predicted(_):
        s, _ = net.states(x)
        foreseen, back = jax.vjp(lambda C: flat(C, s), net.cerebellum)
        ahead = given(mode, foreseen[1:], s[1:], mix, key)
        slope, goal = jax.grad(cost, (0, 1))(net, nudge, x, error, cut, ahead)
        wrong = 2 * begins[:, None, None] * (foreseen[:-1] - goal) / net.cerebellum.scale
        (own,) = back(jnp.concatenate([wrong, jnp.zeros_like(wrong[:1])]))
        return eqx.tree_at(lambda n: n.cerebellum, slope, own), foreseen

    return lax.cond(mode == PLAIN, plain, predicted, None)


def given(mode: Array, foreseen: Array, s: Array, mix: Array, key: Array) -> Array:
    """What takes the place of later error: the prediction, or a control of the same length."""
    order = jr.permutation(key, foreseen.shape[1])
    turned = s @ mix.T
    length = lambda a: jnp.linalg.norm(a, axis=-1, keepdims=True)
    turned = turned * length(foreseen) / jnp.maximum(length(turned), 1e-12)
    kinds = {SHUFFLED: foreseen[:, order], RANDOM: turned}
    for kind, value in kinds.items():
        foreseen = jnp.where(mode == kind, value, foreseen)
    return foreseen


class Cortex(System):
    """Networks that learn one task each, from scratch; a tick is a task at a horizon.

    Task 0 draws lines from a number, 1 draws the digit that an image shows, 2 names it. Output of a tick:
    final `error` (MSE, or 1 - accuracy), its `curve`, `ataxia` and `paths` of task 0 (else NaN), and `cosine`
    of the prediction to the true gradient (NaN without a cerebellum).
    """

    plan: Int[Array, "tick 2"]  # task, horizon
    mode: Int[Array, ""]
    rate: Float[Array, ""]
    train: tuple[Array, Array]  # images (n, time, input), labels
    test: tuple[Array, Array]
    strokes: Float[Array, "class time 2"]
    cells: tuple[int, int] = eqx.field(static=True)
    hidden: tuple[tuple[int, ...], tuple[int, ...]] = eqx.field(static=True)
    updates: tuple[int, int] = eqx.field(static=True)
    batch: int = eqx.field(static=True, default=50)
    steps: int = eqx.field(static=True, default=10)
    sparse: tuple[int, int] = eqx.field(static=True, default=(2, 4))
    points: int = eqx.field(static=True, default=20)
    digit_rate: float = eqx.field(static=True, default=1e-3)

    def init(self, dt, key):
        return {"key": key}  # the same weights and batches at every horizon of a task

    def step(self, state, x, tick):
        task, horizon = self.plan[tick.i]
        key = jr.fold_in(state["key"], task)
        lines, digits = (
            (lambda: self._lines(key, horizon)),
            (lambda: self._digits(key, task, horizon)),
        )
        record = lax.cond(task == 0, lines, digits)
        return state, record | {"did": self.plan[tick.i]}

    def _lines(self, key, horizon):
        inputs, targets = line_inputs(self.steps), line_targets(self.steps)
        heard = (jnp.arange(self.steps) % self.sparse[0] == 0)[:, None, None]

        def draw(key):
            which = jr.randint(key, (self.batch,), 0, len(inputs))
            goal = targets[:, which]
            error = lambda y: jnp.sum(heard * (y - goal) ** 2) / 2
            return inputs[:, which], error

        def judge(net):
            _, y = net.states(inputs)
            return jnp.mean(jnp.sum((y - targets) ** 2, -1)), y

        net, curve, cosine = self._fit(0, key, horizon, self.rate, draw, judge, 1, 2)
        error, paths = judge(net)
        return {
            "error": error,
            "curve": curve,
            "ataxia": irregularity(paths[:, 1:]),
            "cosine": cosine,
            "paths": paths,
        }

    def _digits(self, key, task, horizon):
        (x, labels), (test_x, test_labels) = self.train, self.test
        steps, outputs = x.shape[1], len(self.strokes)
        heard = (jnp.arange(steps) % self.sparse[1] == 0)[:, None, None]
        seen = lambda x: jnp.swapaxes(x, 0, 1).astype(jnp.float32) / 255
        goal = lambda labels: jnp.swapaxes(self.strokes[labels], 0, 1)

        def draw(key):
            which = jr.randint(key, (self.batch,), 0, len(x))
            here, label = goal(labels[which]), labels[which]

            def error(y):
                drawing = jnp.sum(heard * (y[..., :2] - here) ** 2) / 2
                naming = -jnp.take_along_axis(jax.nn.log_softmax(y[-1]), label[:, None], 1).sum()
                return jnp.where(task == 1, drawing, naming)

            return seen(x[which]), error

        def judge(net):
            _, y = net.states(seen(test_x))
            drawn = jnp.mean(jnp.sum((y[..., :2] - goal(test_labels)) ** 2, -1))
            named = jnp.mean(jnp.argmax(y[-1], -1) == test_labels)
            return jnp.where(task == 1, drawn, 1 - named), y

        rate = jnp.asarray(self.digit_rate)
        net, curve, cosine = self._fit(1, key, horizon, rate, draw, judge, x.shape[2], outputs)
        nothing = jnp.full((self.steps, 7, 2), jnp.nan)
        none = jnp.asarray(jnp.nan)
        return {
            "error": judge(net)[0],
            "curve": curve,
            "ataxia": none,
            "cosine": cosine,
            "paths": nothing,
        }

    def _fit(self, place, key, horizon, rate, draw, judge, inputs, outputs):
        """(net after all updates, error along the way, cosine of prediction to true gradient)."""
        first, order, last = jr.split(key, 3)
        n = self.cells[place]
        a, b = jr.split(first)
        net = Net.init(inputs, n, outputs, self.hidden[place], self.batch, a)
        mix = jr.normal(b, (2 * n, 2 * n))
        tx = optax.chain(
            optax.clip_by_global_norm(1.0), optax.scale_by_adam(0.9, 0.98, 1e-9), optax.scale(-1.0)
        )
        steps = draw(order)[0].shape[0]
        cut = ends(steps, horizon)

        def update(i, now):
            net, state = now
            k = jr.fold_in(order, i)
            x, error = draw(jr.fold_in(k, 0))
            slope, _ = gradient(net, x, error, cut, self.mode, mix, jr.fold_in(k, 1))
            slope = jax.tree.map(lambda g: g / self.batch, slope)
            move, state = tx.update(slope, state)
            return eqx.apply_updates(net, jax.tree.map(lambda m: rate * m, move)), state

        def stretch(now, j):
            size = self.updates[place] // self.points
            now = lax.fori_loop(j * size, (j + 1) * size, update, now)
            return now, judge(now[0])[0]

        (net, _), curve = lax.scan(stretch, (net, tx.init(net)), jnp.arange(self.points))
        x, error = draw(last)
        return net, curve, cosine(net, x, error, self.mode)


def cosine(net: Net, x: Array, error: Any, mode: Array) -> Array:
    """Mean cosine of the prediction at a state to the gradient of all error after it."""
    s, _ = net.states(x)
    whole = jnp.zeros(x.shape[0])
    nudge = jnp.zeros((x.shape[0], *s.shape[1:]))
    true = jax.grad(cost, 1)(net, nudge, x, error, whole, nudge)[1:]
    guess = jax.vmap(jax.vmap(net.cerebellum))(s[1:-1])
    length = jnp.linalg.norm(guess, axis=-1) * jnp.linalg.norm(true, axis=-1)
    both = length > 0
    each = jnp.sum(guess * true, -1) / jnp.where(both, length, 1.0)
    mean = jnp.sum(jnp.where(both, each, 0.0)) / jnp.maximum(both.sum(), 1)
    return jnp.where(mode == PLAIN, jnp.nan, mean)


def irregularity(paths: Float[Array, "time line 2"]) -> Float[Array, ""]:
    """How unlike straight lines at constant speed drawn lines are: the share of their extent that is left over.

    sqrt(1 - R^2) of the least squares line in time of every coordinate, R^2 over all lines. No target is used,
    and a line counts by how far it goes, so that not to move is not to be smooth.
    """
    t = jnp.arange(len(paths)) - (len(paths) - 1) / 2
    centred = paths - paths.mean(0, keepdims=True)
    slope = jnp.tensordot(t, centred, 1) / jnp.sum(t**2)
    left = centred - t[:, None, None] * slope[None]
    return jnp.sqrt(jnp.sum(left**2) / jnp.sum(centred**2))
