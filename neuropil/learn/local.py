"""Learners with a loss at every layer: nothing crosses from one layer to the next but activity."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jax import Array
from jaxtyping import Float

from neuropil.core import param
from neuropil.core.param import Part
from neuropil.learn.credit import Objective, batch_of, refuses_layers
from neuropil.learn.layers import Back, Unsuited, activities, layers, mirror, unit_rms
from neuropil.learn.targets import cut


def _flat(a: Array) -> Array:
    return a.reshape(len(a), -1)


class ForwardForward(Objective):
    r"""Every layer learns by itself to be active for true pairs of input and label, and quiet for false ones.

    Goodness $G_i = \sum_j a_{ij}^2$, threshold $\theta_i$ = `threshold` x cells:

    $$L_i = \langle \mathrm{softplus}(\theta_i - G_i^{+}) \rangle +
      \langle \mathrm{softplus}(G_i^{-} - \theta_i) \rangle$$

    The first `classes` numbers of an input are the place of its label: the data hold 1/classes there (no
    label); the learner writes the true label for the positive pass, another one for the negative. The last
    layer reads the activity of the unlabelled input with the loss's own error.

    It needs `unit_rms` ahead of every layer but the first: else a layer reads the goodness of the one before.

    Source: Hinton (2022), arXiv:2212.13345, section 3.3 (negative labels at random, softmax readout).
    """

    needs: ClassVar[str] = (
        "layers with `unit_rms` ahead of all but the first; whole-number labels, with a place in the input"
    )
    locality: ClassVar[str] = "activity of its own layer in two passes; no feedback"
    classes: int = eqx.field(static=True)
    threshold: Array = param(1.0, bounds=(0, None))

    @classmethod
    def init(cls, net: Any, x: Any, key: Any, *, threshold: float | int = 1.0) -> ForwardForward:
        """As many classes as the network has outputs. Raises Unsuited where the input has no place for them."""
        found = jax.eval_shape(lambda x: activities(net, x)[-1], _like(x))
        if len(found.shape) != 1 or len(jnp.shape(x)) != 1 or jnp.shape(x)[0] <= found.shape[0]:
            raise Unsuited(
                f"ForwardForward needs a flat input with a place for the label ahead of it, not {jnp.shape(x)} "
                f"for outputs {found.shape}; write jnp.concatenate([jnp.full(classes, 1 / classes), x])"
            )
        reason = cls(found.shape[0], threshold)._missing(net)
        if reason:
            raise Unsuited(f"ForwardForward {reason}")
        return cls(found.shape[0], threshold)

    def _missing(self, model) -> str:
        parts = layers(model)
        if len(parts) < 2:
            return "needs a hidden layer; with one layer there is no goodness"
        if not all(unit_rms in part.before for part in parts[1:]):
            return (
                "needs unit_rms ahead of every layer but the first, else a layer reads the goodness before it; "
                "write Chain(Dense(...), jax.nn.relu, unit_rms, Dense(...))"
            )
        return ""

    def refuses(self, model, loss):
        return refuses_layers(model, loss) or self._missing(model)

    def goodness(self, model: Any, xs: Array) -> list[Array]:
        """G_i - theta_i of the hidden layers, each (sample,)."""
        _, *hidden, _ = jax.vmap(lambda x: activities(model, x))(xs)
        flat = [_flat(a) for a in hidden]
        return [jnp.sum(a**2, -1) - self.threshold * a.shape[1] for a in flat]

    def labelled(self, xs: Array, ys: Array) -> Array:
        """Inputs with these labels written in."""
        return xs.at[:, : self.classes].set(jax.nn.one_hot(ys, self.classes, dtype=xs.dtype))

    def objective(self, loss, model, batch, key):
        xs, ys = batch_of(batch)
        if not jnp.issubdtype(jnp.asarray(ys).dtype, jnp.integer) or ys.ndim != 1:
            raise TypeError("ForwardForward: batch['y'] must be labels, whole numbers (sample,)")
        wrong = (ys + jr.randint(key, ys.shape, 1, self.classes)) % self.classes
        outputs = jax.vmap(lambda x: activities(model, x)[-1])(xs)
        value, metrics = loss.judged(outputs, ys)
        total = value
        for sign, labels in ((-1, ys), (1, wrong)):
            for g in self.goodness(model, self.labelled(xs, labels)):
                total = total + jnp.mean(jax.nn.softplus(sign * g))
        return total, (value, metrics)


class Prototypes(Part):
    r"""Similarity to the prototypes of the classes should be the one-hot label.

    $$L_i = \frac{s}{d_i}\, \overline{(a_i c_i^\top - Y)^2}$$

    with activity $a_i$ (sample, $d_i$), prototypes $c_i$ (class, $d_i$), the mean over samples and classes.
    `scale` s = 128 (official code, MLP).
    """

    scale: Array = param(128.0, bounds=(0, None), source="256 x 0.5, official code, MLP settings")

    def top(self, ys: Array, outputs: int) -> Array:
        """What the feedback network starts from: every class once, whatever the batch."""
        return jnp.eye(outputs)

    def __call__(self, a: Array, c: Array, ys: Array) -> Float[Array, ""]:
        a, c = _flat(a), _flat(c)
        wanted = jax.nn.one_hot(ys, len(c), dtype=a.dtype)
        return self.scale / a.shape[1] * jnp.mean((a @ c.T - wanted) ** 2)


class CosinePrototypes(Part):
    r"""The same with directions only, and with samples and prototypes pushed apart.

    $$w\, \overline{(\hat a \hat c^\top - Y)^2} + v\, \overline{(\hat a \hat a^\top - I)^2}
      + v\, \overline{(\hat c \hat c^\top - I)^2}, \qquad \hat a = a / |a|$$

    w = `match`, v = `apart` (official code, convolutional).
    """

    match: Array = param(
        0.5, bounds=(0, None), source="official code, settings of the CNN on MNIST"
    )
    apart: Array = param(
        0.5, bounds=(0, None), source="official code, settings of the CNN on MNIST"
    )

    def top(self, ys: Array, outputs: int) -> Array:
        """Every class once."""
        return jnp.eye(outputs)

    def __call__(self, a: Array, c: Array, ys: Array) -> Float[Array, ""]:
        unit = lambda v: v / (jnp.sqrt(jnp.sum(v**2, -1, keepdims=True) + 1e-16))
        a, c = unit(_flat(a)), unit(_flat(c))
        wanted = jax.nn.one_hot(ys, len(c), dtype=a.dtype)
        near = lambda gram, goal: jnp.mean((gram - goal) ** 2)
        own = near(a @ a.T, jnp.eye(len(a))) + near(c @ c.T, jnp.eye(len(c)))
        return self.match * near(a @ c.T, wanted) + self.apart * own


class Paired(Part):
    r"""Both networks should say the same for each sample: $L_i = s\, \overline{(a_i - c_i)^2}$ (autoencoder).

    The feedback network starts from the target of each sample.
    """

    scale: Array = param(1.0, bounds=(0, None))

    def top(self, ys: Array, outputs: int) -> Array:
        """The targets of the batch."""
        return ys

    def __call__(self, a: Array, c: Array, ys: Array) -> Float[Array, ""]:
        return self.scale * jnp.mean((_flat(a) - _flat(c)) ** 2)


class CounterCurrent(Objective):
    r"""Two networks in opposite directions teach each other layer by layer.

    Forward $a_i = \varphi(W_i \bar a_{i-1})$ from the input, backward $c_{i-1} = \psi(B_i \bar c_i)$ from the
    target; the bar cuts the gradient. Every pair $(a_i, c_i)$, i < L, has a local loss (`match`); the last
    layer has the loss's own error:

    $$\Delta W_i \propto -\partial\, \mathrm{match}(a_i, c_i) / \partial W_i, \qquad
      \Delta B_{i+1} \propto -\partial\, \mathrm{match}(a_i, c_i) / \partial B_{i+1}$$

    - `feedback`: $B_1 .. B_L$; - `match`: `Prototypes` (classification), `CosinePrototypes`, `Paired`
      (autoencoder); - `frozen`: the feedback network stays as it was drawn.

    The paper clips forward and backward gradients each to norm 1:
    `optax.multi_transform({"model": tx, "credit": tx}, Taught("model", "credit"))`.

    >>> from neuropil.core import Chain
    >>> from neuropil.wiring import Dense
    >>> net = Chain(Dense(jnp.ones((3, 2))), jax.nn.elu, Dense(jnp.ones((1, 3))))
    >>> [b.wiring.weight.shape for b in CounterCurrent.init(net, jnp.ones(2), jr.key(0)).feedback]
    [(2, 3), (3, 1)]

    Source: Kao, Hariharan (2024), NeurIPS, arXiv:2409.19841; code: IandRover/CCL-NeurIPS24.
    """

    needs: ClassVar[str] = "layers; a feedback network (its own, learned); labels or target vectors"
    locality: ClassVar[str] = (
        "activity of its own layer in both networks; no error, no transposed weights"
    )
    feedback: tuple[Back, ...]
    match: Prototypes | CosinePrototypes | Paired
    frozen: bool = eqx.field(static=True, default=False)

    @classmethod
    def init(
        cls,
        net: Any,
        x: Any,
        key: Array,
        *,
        match: Prototypes | CosinePrototypes | Paired | None = None,
        activation: Callable = jax.nn.elu,
        frozen: bool = False,
    ) -> CounterCurrent:
        """A mirrored feedback network, its weights uniform on +-1/sqrt(fan-in).

        Raises Unsuited for a network without layers, or where a layer has no way back.
        """
        return cls(mirror(net, x, key, activation), match or Prototypes(), frozen)

    def refuses(self, model, loss):
        return refuses_layers(model, loss, len(self.feedback))

    def teaches(self):
        like = jax.tree.map(lambda _: False, self)
        learns = jax.tree.map(lambda a: eqx.is_inexact_array(a) and not self.frozen, self.feedback)
        return eqx.tree_at(lambda s: s.feedback, like, learns)

    def signals(self, top: Array) -> list[Array]:
        """[c_0, ..., c_L] from c_L, each (class or sample, ...); no gradient passes from one to the next."""
        out = [top]
        for back in reversed(self.feedback):
            out.insert(0, jax.vmap(back)(jax.lax.stop_gradient(out[0])))
        return out

    def objective(self, loss, model, batch, key):
        xs, ys = batch_of(batch)
        acts = jax.vmap(lambda x: activities(model, x))(xs)
        value, metrics = loss.judged(acts[-1], ys)
        top = self.match.top(ys, math.prod(acts[-1].shape[1:])).astype(xs.dtype)
        pairs = zip(acts[:-1], self.signals(cut(top))[:-1], strict=True)
        return value + sum(self.match(a, c, ys) for a, c in pairs), (value, metrics)


def _like(x: Any) -> Any:
    return jax.ShapeDtypeStruct(jnp.shape(x), jnp.result_type(float))
