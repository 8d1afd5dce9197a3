"""Learning from two cues with a fusion head whose gradient follows inverse effectiveness."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jax import Array, lax
from jaxtyping import Bool, Float, Int

from neuropil.cells import LIF, Triangle, ValueReset
from neuropil.core import Batched, Chain, System, run, start
from neuropil.learn import learnable
from neuropil.papers.build._iemf_data import BINS, Cues, Pairs, cue_samples, standardised
from neuropil.wiring import Dense

MODES = ("none", "inverse", "reversed", "constant")
MOMENTUM, DECAY, SMOOTHING = 0.9, 5e-4, 0.1


class Rule(eqx.Module):
    """What an arm does; arrays, so that all arms are one program.

    `auxiliary`: each cue has a head and a loss of its own; `mode` (index in `MODES`): what scales the
    gradient of the fusion head; `noise`: that gradient is perturbed; `clean`: the cues are not degraded.
    """

    auxiliary: Bool[Array, ""]
    mode: Int[Array, ""]
    noise: Bool[Array, ""]
    clean: Bool[Array, ""]

    @staticmethod
    def of(auxiliary: bool, mode: str = "none", noise: bool = False, clean: bool = False) -> Rule:
        """Flags by name. ValueError for a mode that is none."""
        flag = lambda b: jnp.asarray(b, bool)
        return Rule(flag(auxiliary), jnp.int32(MODES.index(mode)), flag(noise), flag(clean))


class Fusion(eqx.Module):
    """Two encoders, a head on both features side by side, and a head on each."""

    image: Chain
    events: Chain
    fused: Dense
    alone: tuple[Dense, Dense]

    @staticmethod
    def init(cues: Pairs, width: int, classes: int, spiking: bool, key: Array) -> Fusion:
        """Encoders input -> width -> width, of ReLU units or of LIF cells (the paper's: the membrane halves
        at every step, threshold 0.5, hard reset without gradient)."""
        a, b, c, d, e = jr.split(key, 5)

        def cell():
            if not spiking:
                return jax.nn.relu
            half = 1 / jnp.log(2.0)
            reset = ValueReset(0.0, detach=True)
            return LIF(width, half, threshold=0.5, reset=reset, surrogate=Triangle(2.0))

        def encoder(inputs, key):
            one, two = jr.split(key)
            return Chain(
                Dense.init_uniform(inputs, width, one, bias=True),
                cell(),
                Dense.init_uniform(width, width, two, bias=True),
                cell(),
            )

        return Fusion(
            encoder(cues.image.shape[-1], a),
            encoder(cues.events.shape[-1], b),
            Dense.init_uniform(2 * width, classes, c, bias=True),
            (
                Dense.init_uniform(width, classes, d, bias=True),
                Dense.init_uniform(width, classes, e, bias=True),
            ),
        )

    def __call__(self, pairs: Pairs, spiking: bool) -> tuple[Array, Array, Array]:
        """Logits of both cues, of the picture and of the events; means over steps where it spikes."""
        n = len(pairs.label)
        if spiking:
            image = jnp.broadcast_to(pairs.image, (BINS, *pairs.image.shape))
            events = pairs.events.swapaxes(0, 1)
        else:
            image, events = pairs.image[None], pairs.events.mean(1)[None]

        def features(encoder, xs):
            system = Batched(encoder, n)
            return run(system, start(system, 1.0, jr.key(0)), xs)[1].mean(0)

        a, v = features(self.image, image), features(self.events, events)
        return (
            jax.vmap(self.fused.forward)(jnp.concatenate([a, v], -1)),
            jax.vmap(self.alone[0].forward)(a),
            jax.vmap(self.alone[1].forward)(v),
        )


def ratio(logits: tuple[Array, Array, Array], label: Array) -> Array:
    """r: mean confidence of the single cues in the true class, over that of both (sums over the batch)."""
    rows = jnp.arange(len(label))
    both, a, v = (jax.nn.softmax(y)[rows, label].sum() for y in logits)
    return (a + v) / 2 / both


def effectiveness(r: Array) -> Array:
    """xi = 1 + tanh(1 - r): above 1 where the single cues are weak, below 1 where they are strong."""
    return 1 + jnp.tanh(1 - r)


def modulated(gradient: Fusion, xi: Array, noise: Array, key: Array) -> Fusion:
    """The gradient with its fusion head scaled by xi and, where `noise`, perturbed by its own deviation."""

    def change(g, key):
        return xi * g + noise * (g.std() + 1e-8) * jr.normal(key, g.shape)

    head = gradient.fused
    keys = jr.split(key)
    new = Dense(change(head.weight, keys[0]), change(head.bias, keys[1]))
    return eqx.tree_at(lambda f: f.fused, gradient, new)


def _cross_entropy(logits: Array, label: Array) -> Array:
    wanted = jax.nn.one_hot(label, logits.shape[-1])
    wanted = (1 - SMOOTHING) * wanted + SMOOTHING / logits.shape[-1]
    return -(wanted * jax.nn.log_softmax(logits)).sum(-1).mean()


def _right(logits: Array, label: Array) -> Array:
    return (logits.argmax(-1) == label).mean()


class Fit(eqx.Module):
    """One training from the start: minibatches of SGD with momentum, the best epoch by validation kept."""

    spiking: bool = eqx.field(static=True)
    epochs: int = eqx.field(static=True)
    batch: int = eqx.field(static=True)
    rate: float = eqx.field(static=True)

    def update(self, learned, fixed, momentum, batch: Pairs, rule: Rule, constant, key):
        """One minibatch: (parameters, momentum, xi)."""

        def loss(learned):
            logits = eqx.combine(learned, fixed)(batch, self.spiking)
            both, *single = (_cross_entropy(y, batch.label) for y in logits)
            return both + jnp.where(rule.auxiliary, sum(single), 0.0), logits

        (_, logits), gradient = jax.value_and_grad(loss, has_aux=True)(learned)
        r = lax.stop_gradient(ratio(logits, batch.label))
        kinds = jnp.stack([jnp.ones(()), effectiveness(r), effectiveness(2 - r), constant])
        xi = kinds[rule.mode]
        gradient = modulated(gradient, xi, rule.noise, key)
        momentum = jax.tree.map(
            lambda m, g, p: MOMENTUM * m + g + DECAY * p, momentum, gradient, learned
        )
        learned = jax.tree.map(lambda p, m: p - self.rate * m, learned, momentum)
        return learned, momentum, xi

    def __call__(self, net: Fusion, samples: list[Pairs], rule: Rule, constant, key) -> dict:
        """Accuracies of the best epoch by validation, and xi by epoch."""
        train, valid, test = samples
        # constants of the cells carry units and stay fixed: only wiring learns
        learned, fixed = eqx.partition(net, learnable(net))
        count = len(train.label) // self.batch

        def step(carry, now):
            learned, momentum = carry
            index, key = now
            batch = jax.tree.map(lambda a: a[index], train)
            learned, momentum, xi = self.update(
                learned, fixed, momentum, batch, rule, constant, key
            )
            return (learned, momentum), xi

        def epoch(carry, key):
            learned, momentum, best, score = carry
            a, b = jr.split(key)
            index = jr.permutation(a, len(train.label))[: count * self.batch]
            (learned, momentum), xi = lax.scan(
                step, (learned, momentum), (index.reshape(count, -1), jr.split(b, count))
            )
            reached = _right(eqx.combine(learned, fixed)(valid, self.spiking)[0], valid.label)
            better = reached > score
            best = jax.tree.map(lambda new, old: jnp.where(better, new, old), learned, best)
            return (learned, momentum, best, jnp.maximum(score, reached)), xi.mean()

        begin = (learned, jax.tree.map(jnp.zeros_like, learned), learned, -jnp.ones(()))
        (last, _, best, score), xi = lax.scan(epoch, begin, jr.split(key, self.epochs))
        logits = eqx.combine(best, fixed)(test, self.spiking)
        right = [_right(y, test.label) for y in logits]
        # independent cues: the product of what each says is the ideal way to join them
        product = _right(sum(jax.nn.log_softmax(y) for y in logits[1:]), test.label)
        final = _right(eqx.combine(last, fixed)(test, self.spiking)[0], test.label)
        return {
            "accuracy": right[0],
            "alone": jnp.stack(right[1:]),
            "product": product,
            "last": final,
            "valid": score,
            "trained": rule.auxiliary,
            "xi": xi,
        }


class Strengths(System):
    """A tick trains one kind of network (rate, then spiking) at one strength of the cues.

    Output of a tick: test accuracy with both cues at the best epoch by validation, with each cue alone
    ("alone", picture and events; heads that were not trained say nothing) and with the product of what both
    say, at the last epoch, and xi by epoch.
    """

    cues: Cues
    rule: Rule
    snr: Float[Array, " strength"]
    samples: tuple[int, int, int] = eqx.field(static=True)
    width: int = eqx.field(static=True, default=64)
    epochs: int = eqx.field(static=True, default=15)
    batch: int = eqx.field(static=True, default=32)
    rate: float = eqx.field(static=True, default=0.05)

    def init(self, dt, key):
        return ()

    def step(self, state, x, tick):
        level = len(self.snr)
        return state, lax.cond(
            tick.i < level,
            lambda: self.fit(False, tick.i, tick.key),
            lambda: self.fit(True, tick.i - level, tick.key),
        )

    def fit(self, spiking: bool, strength: Array, key: Array) -> dict:
        """Train and test one network. Data, weights and order depend on the key alone, not on the arm."""
        a, b, c = jr.split(key, 3)
        snr = jnp.where(self.rule.clean, 30.0, self.snr[strength])
        samples = standardised(cue_samples(self.cues, a, self.samples, snr))
        net = Fusion.init(samples[0], self.width, len(self.cues.train.first) - 1, spiking, b)
        fit = Fit(spiking, self.epochs, self.batch, self.rate)
        inverse = jnp.int32(MODES.index("inverse"))
        constant = self.rule.mode == MODES.index("constant")

        # the arm with a constant xi first trains with the rule itself, to learn the constant: its mean
        def phase(k, carry):
            _, mean = carry
            mode = jnp.where(constant & (k == 0), inverse, self.rule.mode)
            out = fit(net, samples, eqx.tree_at(lambda r: r.mode, self.rule, mode), mean, c)
            return out, out["xi"].mean()

        shapes = jax.eval_shape(lambda: fit(net, samples, self.rule, jnp.ones(()), c))
        nothing = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)
        return lax.fori_loop(0, jnp.where(constant, 2, 1), phase, (nothing, jnp.ones(())))[0]
