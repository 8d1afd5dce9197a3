r"""Losses over time, and learners that go along with time: what they share.

A recurrent learner (`OnlineCredit`) sees a model tick by tick (or a few ticks at a time), keeps a memory whose
size does not depend on how long the sequence is, and gives at every step its part of the gradient. It serves in
two places:

    Trainer(net, OverTime(squared_error), optax.adam(1e-3), credit=rtrl())  # a tick is a batch of sequences
    Managed(Online(net, OverTime(squared_error), rtrl()), Optimiser(...))   # a tick is a tick

In the second the network learns while the sequence is running.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jax import Array, lax

from neuropil.core import System, Tick
from neuropil.core.random import tick_keys
from neuropil.learn.credit import Credit, Taught, batch_of
from neuropil.learn.layers import Unsuited
from neuropil.learn.optimiser import learnable


@dataclass(frozen=True)
class OverTime:
    r"""The error of a model that runs over time: the sum over ticks, the mean over samples.

    $$L = \frac1n \sum_{samples} \sum_t \mathrm{error}(y_t, \mathrm{target}_t)$$

    A batch is {"x": (sample, time, ...), "y": (sample, time, ...)}, any trees of arrays. Ticks without a target
    have an error of 0: put a mask into y.

    - `error(output, y)`: of one tick of one sample, a number (`squared_error`, `cross_entropy`);
    - `dt` (ms): the length of a tick;
    - `measure(outputs, ys)`: {name: number} of one sample, over all its ticks, reported as means.

    It is a loss for `Trainer` by itself, then with backpropagation through time.

    >>> from neuropil.cells import SimpleRNN
    >>> from neuropil.learn.credit import squared_error
    >>> net = SimpleRNN.init_uniform(1, 2, jr.key(0))
    >>> batch = {"x": jnp.zeros((4, 3, 1)), "y": jnp.zeros((4, 3, 2))}
    >>> OverTime(squared_error)(net, batch, jr.key(1))[0].shape
    ()
    """

    error: Callable[[Any, Any], Array]
    dt: float = 1.0
    measure: Callable[[Any, Any], dict] | None = None

    def __post_init__(self):
        if not self.dt > 0:
            raise ValueError(f"OverTime: dt = {self.dt} ms but it must be positive")

    def __call__(self, model: Any, batch: dict, key: Any) -> tuple[Array, dict]:
        xs, ys = batch_of(batch)
        inner, keys = self.keys(xs, key)
        state = jax.vmap(lambda k: model.init(self.dt, k))(inner)
        times = jnp.arange(jax.tree.leaves(xs)[0].shape[1], dtype=jnp.int32)
        ticks = Tick(times, self.clock(1), jnp.swapaxes(tick_keys_of(keys, times), 0, 1))
        _, out = model.unroll_batch(state, swap(xs), ticks)
        out = swap(out)
        errors = jax.vmap(jax.vmap(self.error))(out, ys)
        return errors.sum(1).mean(), self.measured(out, ys)

    def measured(self, outputs: Any, ys: Any) -> dict:
        """Means of what is measured over a batch of outputs (sample, time, ...)."""
        if self.measure is None:
            return {}
        return jax.tree.map(jnp.mean, jax.vmap(self.measure)(outputs, ys))

    def keys(self, xs: Any, key: Any) -> tuple[Array, Array]:
        """Keys of each sample's first state and of its ticks, as `core.start` draws them."""
        n = jax.tree.leaves(xs)[0].shape[0]
        pairs = jax.vmap(jr.split)(jr.split(key, n))
        return pairs[:, 0], pairs[:, 1]

    def clock(self, span: int) -> Array:
        """Length of `span` ticks, as an array of the default float type."""
        return jnp.asarray(self.dt * span, jnp.result_type(float))


def tick_keys_of(keys: Array, i: Array) -> Array:
    """Keys of ticks i of every sample: (sample,) -> (sample, time)."""
    return jax.vmap(lambda k: tick_keys(k, i))(keys)


def swap(tree: Any) -> Any:
    """The first two axes of every array, exchanged: (sample, time) and (time, sample)."""
    return jax.tree.map(lambda a: jnp.swapaxes(a, 0, 1), tree)


def moving_sizes(model: Any) -> list[int]:
    """Sizes of the floating-point arrays in a model's state. Raises Unsuited where it has none.

    >>> from neuropil.cells import LSTM
    >>> moving_sizes(LSTM.init_uniform(2, 5, jr.key(0)))
    [5, 5]
    """
    if not isinstance(model, System):
        raise Unsuited(f"needs a System that runs over time; {type(model).__name__} has no state")
    state = jax.eval_shape(lambda: model.init(1.0, jr.key(0)))
    sizes = [a.size for a in jax.tree.leaves(state) if jnp.issubdtype(a.dtype, jnp.floating)]
    if not sizes:
        raise Unsuited(
            f"needs a state that lasts from tick to tick; {type(model).__name__} has none"
        )
    return sizes


class OnlineCredit(Credit):
    """A learner that goes along with time. A subclass writes `begin` and `advance`.

    `span`: how many ticks it takes at once; None: one, and then its inputs have no time axis.
    """

    @property
    def span(self) -> int | None:
        """Ticks taken at once, with a leading time axis; None: one tick, without."""
        return None

    def begin(self, learned: Any, fixed: Any, dt: float, key: Array) -> Any:
        """The state before the first tick: the model's, and what the learner remembers."""
        raise TypeError(f"{type(self).__name__} has no begin(learned, fixed, dt, key)")

    def advance(
        self, error: Callable, learned: Any, fixed: Any, state: Any, x: Any, y: Any, tick: Tick
    ) -> tuple[Any, Array, Any, Any, Any]:
        """(state, error, output, direction for the model, direction for what of its own learns)."""
        raise TypeError(f"{type(self).__name__} has no advance(error, learned, fixed, ...)")

    def advance_batch(self, error, learned, fixed, state, x, y, tick):
        """The same for many samples (keys of `tick` are (sample,)); errors and directions are means."""
        one = lambda s, x, y, k: self.advance(
            error, learned, fixed, s, x, y, Tick(tick.i, tick.dt, k)
        )
        state, e, out, *ways = jax.vmap(one)(state, x, y, tick.key)
        mean = lambda tree: jax.tree.map(lambda a: a.mean(0), tree)
        return state, mean(e), out, *map(mean, ways)

    def refuses(self, model, loss):
        if not isinstance(model, System):
            return f"needs a System that runs over time; {type(model).__name__} has no state"
        if not isinstance(loss, OverTime):
            return "needs to see the error of each tick; write OverTime(squared_error) as the loss"
        return ""

    def gradient(self, loss, learned, fixed, batch, key):
        xs, ys = batch_of(batch)
        span, length = self.span or 1, jax.tree.leaves(xs)[0].shape[1]
        if length % span:
            raise ValueError(
                f"{type(self).__name__}: {length} ticks do not come in spans of {span}; pad the sequence"
            )
        inner, keys = loss.keys(xs, key)
        state = jax.vmap(lambda k: self.begin(learned, fixed, loss.dt * span, k))(inner)

        def cut(tree):  # (sample, time, ...) -> (step, sample, ticks of a step, ...)
            if self.span is None:
                return swap(tree)
            return jax.tree.map(
                lambda a: jnp.swapaxes(a.reshape(a.shape[0], -1, span, *a.shape[2:]), 0, 1), tree
            )

        def one(now, here):
            state, total = now
            i, x, y = here
            tick = Tick(i, loss.clock(span), jax.vmap(lambda k: tick_keys(k, i))(keys))
            state, error, out, way, own = self.advance_batch(
                loss.error, learned, fixed, state, x, y, tick
            )
            total = jax.tree.map(jnp.add, total, (error, way, own))
            return (state, total), None if loss.measure is None else out

        own = eqx.filter(self, self.teaches())
        zeros = jax.tree.map(jnp.zeros_like, (learned, own))
        total = (jnp.zeros((), jnp.result_type(float)), *zeros)
        steps = jnp.arange(length // span, dtype=jnp.int32)
        (_, (error, way, own)), outs = lax.scan(one, (state, total), (steps, cut(xs), cut(ys)))
        if loss.measure is None:
            return error, {}, way, own
        outs = swap(outs)  # (sample, step, ...)
        if self.span is not None:
            outs = jax.tree.map(lambda a: a.reshape(a.shape[0], length, *a.shape[3:]), outs)
        return error, loss.measured(outs, ys), way, own


class Online(System):
    r"""A model that is differentiated while it runs: the fast half of a network that learns at every step.

    $$(s_t, e_t, g_t) = f(s_{t-1}, x_t, \mathrm{target}_t), \qquad \sum_t g_t = dL / d\theta
      \text{ or what stands for it}$$

    `Managed(Online(...), Optimiser(online.learned, tx), owns="learned")` moves the parameters at every step;
    its state does not grow with time.

    **Arguments**: `model`, a System; `loss`, an `OverTime`; `credit`, an `OnlineCredit`; `learn`, patterns as
    in `Trainer`.

    Input of a step: (x, target), of one tick or of `credit.span` ticks. Output: {"loss", "y", "grad",
    "metrics": {}}. The state is the model's with the learner's memory. dt is that of a step; the model's is
    dt / span.

    >>> import optax
    >>> from neuropil.cells import SimpleRNN
    >>> from neuropil.core import Managed, run, start
    >>> from neuropil.learn import Online, Optimiser, OverTime, rtrl, squared_error
    >>> online = Online(SimpleRNN.init_uniform(1, 2, jr.key(0)), OverTime(squared_error), rtrl())
    >>> net = Managed(online, Optimiser(online.learned, optax.sgd(0.1)), owns="learned")
    >>> carry, out = run(net, start(net, 1.0, jr.key(1)), (jnp.ones((50, 1)), jnp.full((50, 2), 0.5)))
    >>> bool(out["loss"][-1] < 0.1 * out["loss"][0])
    True

    Raises Unsuited where the learner refuses the model.
    """

    learned: Any
    fixed: Any
    credit: OnlineCredit
    loss: OverTime = eqx.field(static=True)

    def __init__(
        self,
        model: Any,
        loss: Callable,
        credit: OnlineCredit,
        learn: tuple[str, ...] | str | None = None,
    ):
        if reason := credit.refuses(model, loss):
            raise Unsuited(f"Online: {type(credit).__name__} {reason}")
        self.learned, self.fixed = eqx.partition(model, learnable(model, learn))
        own, self.credit = eqx.partition(credit, credit.teaches())
        if jax.tree.leaves(own):
            self.learned = Taught(self.learned, own)
        self.loss = loss

    def _parts(self) -> tuple[Any, OnlineCredit, bool]:
        if isinstance(self.learned, Taught):
            return self.learned.model, eqx.combine(self.learned.credit, self.credit), True
        return self.learned, self.credit, False

    def init(self, dt, key):
        learned, credit, _ = self._parts()
        return credit.begin(learned, self.fixed, dt, key)

    def step(self, state, x, tick):
        learned, credit, both = self._parts()
        x, y = x
        state, error, out, way, own = credit.advance(
            self.loss.error, learned, self.fixed, state, x, y, tick
        )
        way = Taught(way, own) if both else way
        return state, {"loss": error, "y": out, "grad": way, "metrics": {}}
