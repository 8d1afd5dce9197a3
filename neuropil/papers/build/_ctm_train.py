"""Training of a network that thinks, and what it answers at every tick on samples it never saw."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
from jax import Array, lax
from jaxtyping import Bool, Float, Int, UInt8

from neuropil.blocks import certainty, first_sure_tick, selected_ticks_loss
from neuropil.core import System, advance, start
from neuropil.learn import Trainer
from neuropil.learn.optimiser import learnable
from neuropil.papers.build._ctm import CTM, Feedforward, Recurrent, Thinker, think
from neuropil.worlds.mazes import WAIT, Mazes, draw_mazes
from neuropil.worlds.parity import running_parity, sign_sequences

KINDS = {"ctm": CTM, "lstm": Recurrent, "feedforward": Feedforward}
PART = 256  # samples that are tested at once
THRESHOLDS = (0.8, 0.95)
AHEAD = 5  # moves beyond the furthest right one that a maze's loss counts


class Task(eqx.Module):
    """Samples as tokens with an answer at every position. Tokens get `place` appended, the same in all."""

    x: UInt8[Array, "sample token content"]
    y: Int[Array, "sample position"]
    held_x: UInt8[Array, "test token content"]
    held_y: Int[Array, "test position"]
    place: Float[Array, "token where"]
    options: int = eqx.field(static=True)
    ahead: int | None = eqx.field(static=True)

    @property
    def features(self) -> int:
        """Numbers of a token."""
        return self.x.shape[2] + self.place.shape[1]

    @property
    def answers(self) -> int:
        """Logits of a tick."""
        return self.y.shape[1] * self.options

    def tokens(
        self, x: UInt8[Array, "sample token content"]
    ) -> Float[Array, "sample token feature"]:
        """Contents and places."""
        place = jnp.broadcast_to(self.place, (len(x), *self.place.shape))
        return jnp.concatenate([x.astype(jnp.float32), place], -1)


def parity(settings: dict) -> Task:
    """All sequences of a length but those held out; where they are too many to list, draws of them.

    A token is the value (one of two) and a unit vector that turns by half a circle along the sequence.
    """
    length, held = settings["length"], settings["held"]
    rng, every = np.random.default_rng(0), 2 ** min(length, 62)
    many = min(every, settings["sequences"] + 2 * held)
    codes = rng.permutation(every)[:many] if length <= 20 else rng.integers(every, size=many)
    values = sign_sequences(codes, length)
    x, y = np.stack([values > 0, values < 0], -1), running_parity(values)
    angle = np.linspace(0, np.pi, length)
    place = np.stack([-np.sin(angle), np.cos(angle)], -1)
    return _task(x, y, held, settings["judge"], place, 2, None)


def drawn_mazes(settings: dict) -> Mazes:
    """All mazes: those of the test, those of the validation, those of the training."""
    many = settings["mazes"] + 2 * settings["held_mazes"]
    return draw_mazes(many, side=settings["side"], steps=settings["moves"], seed=0)


def mazes(settings: dict) -> Task:
    """Mazes as the 3 x 3 pixels around each cell and the number of the cell; answers are the moves."""
    drawn, place = drawn_mazes(settings), np.eye(settings["side"] ** 2)
    held, judge = settings["held_mazes"], settings["judge"]
    return _task(drawn.patches(), drawn.route, held, judge, place, 5, AHEAD)


def _task(x, y, held: int, judge: str, place, options: int, ahead: int | None) -> Task:
    """The first `held` samples are the test, as many after them the validation."""
    x, y, place = x.astype(np.uint8), y.astype(np.int8), place.astype(np.float32)
    part = slice(0, held) if judge == "test" else slice(held, 2 * held)
    arrays = (x[2 * held :], y[2 * held :], x[part], y[part], place)
    return Task(*map(jnp.asarray, arrays), options, ahead)


def counted(right: Bool[Array, "tick position"], ahead: int | None) -> Float[Array, " position"]:
    """Which positions a loss counts: all, or those up to the last of the longest right beginning over all
    ticks and `ahead` more. (With none right it is as if the first were, as in the released code.)"""
    positions = jnp.arange(right.shape[1])
    if ahead is None:
        return jnp.ones(right.shape[1])
    run = jnp.cumprod(right.astype(jnp.int32), 1).sum(1).max()
    return (positions < jnp.maximum(run - 1, 0) + ahead).astype(jnp.float32)


def sample_loss(
    logits: Float[Array, "tick position option"],
    y: Int[Array, " position"],
    ahead: int | None,
    sure: bool = True,
) -> Float[Array, ""]:
    """Mean cross-entropy of the best tick and of the most certain one (`sure` False: the last one)."""
    told = jnp.take_along_axis(jax.nn.log_softmax(logits), y.astype(int)[None, :, None], -1)[..., 0]
    weight = counted(logits.argmax(-1) == y[None], ahead)[None]
    losses = -(told * weight).sum(1) / weight.sum()
    late = jnp.arange(len(losses), dtype=losses.dtype)  # the "most certain" is then the last
    return selected_ticks_loss(losses, certainty(logits) if sure else late)


@lru_cache(maxsize=16)
def loss_of(ticks: int, options: int, ahead: int | None, sure: bool) -> Callable:
    """The loss of a batch (tokens, answers). Cached: the same function is the same program."""

    def loss(net, batch, key):
        def one(x, y):
            logits = think(net, x, ticks)["logits"].reshape(ticks, -1, options)
            return sample_loss(logits, y, ahead, sure)

        return jax.vmap(one)(*batch).mean()

    return loss


@lru_cache(maxsize=16)
def optimiser(rate: float, updates: int, warm: int) -> optax.GradientTransformation:
    """Adam, linear warm-up and cosine to 0, gradients clipped to norm 1."""
    schedule = optax.warmup_cosine_decay_schedule(0.0, rate, min(warm, updates - 1), updates)
    return optax.chain(optax.clip_by_global_norm(1.0), optax.adam(schedule))


@dataclass(frozen=True)
class Spec:
    """A network by its numbers, so that equal ones are one program. `form`: arguments of its `init_uniform`."""

    kind: str
    inputs: int
    answers: int
    form: tuple[tuple[str, int], ...]

    @staticmethod
    def of(kind: str, task: Task, settings: dict, ticks: int, name: str) -> Spec:
        """The network of an arm."""
        s, more = settings, "" if name == "parity" else "maze_"
        reads = {"width": s["width"], "heads": s["heads"]}
        form = {
            "ctm": reads
            | {n: s[n] for n in ("neurons", "chosen", "hidden")}
            | {"memory": min(s["memory"], ticks)},
            "lstm": reads | {"units": s[more + "lstm"]},
            "feedforward": {"units": s[more + "feedforward"]},
        }[kind]
        inputs = task.features * (task.x.shape[1] if kind == "feedforward" else 1)
        return Spec(kind, inputs, task.answers, tuple(sorted(form.items())))

    def __call__(self, key: Array) -> Thinker:
        return KINDS[self.kind].init_uniform(self.inputs, self.answers, key, **dict(self.form))

    def empty(self, **flags: bool) -> Thinker:
        """The network with zeros in the place of weights, and with other flags."""
        net = jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), jax.eval_shape(self, jr.key(0)))
        if self.kind == "ctm":
            flags = {"private": True, "synchronised": True} | flags
        return replace(net, **{name: jnp.asarray(flag) for name, flag in flags.items()})


class Thinks(System):
    """A network in training; a tick is `every` updates and a test on what was held out.

    Output: "loss", what `measured` says of the held-out samples, and of the first `shown` of them "answer"
    (sample, tick, position), of the first one "rhythm" (tick, neuron); of mazes the "length" of each route.
    "by-certainty": whether the most certain tick was trained (else the last one).
    """

    task: Task
    make: Spec = eqx.field(static=True)
    trainer: Trainer
    ticks: int = eqx.field(static=True)
    batch: int = eqx.field(static=True)
    every: int = eqx.field(static=True)
    sure: bool = eqx.field(static=True)
    shown: int = eqx.field(static=True, default=32)

    def init(self, dt, key):
        net, begin = self.make(key), start(self.trainer, 1.0, key)
        fresh = eqx.filter(net, learnable(net))
        pairs = eqx.filter(
            net, lambda a: jnp.issubdtype(a.dtype, jnp.integer)
        )  # drawn, but do not learn
        return {
            "carry": eqx.tree_at(lambda c: c.state["inner"].theta, begin, fresh),
            "pairs": pairs,
        }

    def step(self, state, x, tick):
        task, fixed = self.task, lambda t: t.inner.fast.fixed
        own = eqx.combine(state["pairs"], fixed(self.trainer))
        trainer = eqx.tree_at(fixed, self.trainer, own)

        def one(carry, key):
            chosen = jr.randint(key, (self.batch,), 0, len(task.x))
            batch = task.tokens(task.x[chosen]), task.y[chosen]
            carry, out = advance(trainer, carry, batch)
            return carry, out["loss"]

        carry, losses = lax.scan(one, state["carry"], jr.split(tick.key, self.every))
        found = self.test(trainer.model(carry)) | {"loss": losses.mean()}
        return {**state, "carry": carry}, found

    def test(self, net: Thinker) -> dict[str, Array]:
        """Answers on what was held out, a few samples at a time."""
        task, many = self.task, len(self.task.held_x)
        part = min(PART, many)

        def some(begin):
            x = lax.dynamic_slice_in_dim(task.held_x, begin, part)
            y = lax.dynamic_slice_in_dim(task.held_y, begin, part)
            out = jax.vmap(lambda t: think(net, t, self.ticks))(task.tokens(x))
            logits = out["logits"].reshape(part, self.ticks, -1, task.options)
            answer = logits.argmax(-1)
            return (answer == y[:, None]), certainty(logits), answer[: self.shown], out["z"][0]

        *out, answer, rhythm = lax.map(some, part * jnp.arange(many // part))
        right, sure = (a.reshape(many, *a.shape[2:]) for a in out)
        out = measured(right, sure) | {"answer": answer[0], "rhythm": rhythm[0]}
        if task.ahead is not None:
            out["length"] = (task.held_y != WAIT).sum(1)
        return out | {"by-certainty": jnp.asarray(self.sure)}


def measured(
    right: Bool[Array, "sample tick position"], sure: Float[Array, "sample tick"]
) -> dict[str, Array]:
    """What is read off answers and certainty.

    "right" (tick, position), the share of right answers; "whole" (tick,), the share of samples with all
    positions right; "sure" (tick,), the mean certainty. At the tick that the network itself chooses, the most
    certain one ("chosen") or the first at a threshold ("halt-80", "halt-95"; the last where none is): share of
    right answers, of whole samples, and the number of ticks; and the ticks of every sample at "halt-80".
    """
    every = right.all(-1)
    stops = {"chosen": sure.argmax(1)}
    for threshold in THRESHOLDS:
        at = jax.vmap(lambda s, t=threshold: first_sure_tick(s, t))(sure)
        stops[f"halt-{100 * threshold:.0f}"] = at
    out = {"right": right.mean(0), "whole": every.mean(0), "sure": sure.mean(0)}
    rows = jnp.arange(len(right))
    for name, at in stops.items():
        out[f"{name}-right"] = right[rows, at].mean()
        out[f"{name}-whole"] = every[rows, at].mean()
        out[f"{name}-ticks"] = 1.0 + at.mean()
    return out | {"ticks": 1 + stops["halt-80"]}
