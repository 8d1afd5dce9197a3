r"""Self-distillation without labels: a student that foretells what a slow copy of itself says of other views.

$$L = -\sum_{v \ne w} P_t(v) \cdot \log P_s(w)
    - \lambda \sum_{i\ \text{hidden}} P_t(v)_i \cdot \log P_s(\tilde v)_i$$

with $P_s = \mathrm{softmax}(s / \tau_s)$ and $P_t = \mathrm{softmax}((t - c) / \tau_t)$: the teacher's scores
are centred by a running mean c and sharpened by a low temperature, which together keep both from saying the
same of every image. The second sum is over patches hidden from the student alone. The teacher follows:
$\theta_t \leftarrow m\,\theta_t + (1 - m)\,\theta_s$.

Sources: Caron et al. (2021), arXiv 2104.14294 (class token); Zhou et al. (2022), arXiv 2111.07832 (patches).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import optax
from jaxtyping import Array, Float, Key

from neuropil.blocks.averages import becomes, silent
from neuropil.wiring import Dense


class PrototypeHead(eqx.Module):
    """Scores of a token (width,) against prototypes: cosines with unit vectors, after a small MLP.

    >>> head = PrototypeHead.init_normal(8, 5, key=jr.key(0))
    >>> float(jnp.abs(head(jnp.ones(8))).max()) <= 1.0
    True
    """

    up: Dense
    down: Dense
    prototypes: Float[Array, "prototype narrow"]

    @staticmethod
    def init_normal(
        width: int, prototypes: int, *, key: Key[Array, ""], hidden: int = 128, narrow: int = 32
    ) -> PrototypeHead:
        """Weights normal with deviation 1 / sqrt(inputs)."""
        one, two, three = jr.split(key, 3)
        up = Dense.init_normal(width, hidden, one, bias=True)
        down = Dense.init_normal(hidden, narrow, two, bias=True)
        return PrototypeHead(up, down, jr.normal(three, (prototypes, narrow)))

    def __call__(self, x: Float[Array, " width"]) -> Float[Array, " prototype"]:
        z = self.down.forward(jax.nn.gelu(self.up.forward(x)))
        return _unit(self.prototypes) @ _unit(z)


def _unit(x):
    return x * jax.lax.rsqrt(jnp.sum(x**2, -1, keepdims=True) + 1e-12)


class Branch(eqx.Module):
    """A backbone (image, hidden) -> tokens (1 + patch, width), and the head on each of them."""

    backbone: Any
    head: PrototypeHead

    def __call__(
        self, image: Array, hidden: Array | None = None
    ) -> Float[Array, "token prototype"]:
        return jax.vmap(self.head)(self.backbone(image, hidden))


class Distilled(eqx.Module):
    """Student, its slow teacher and the centre of the teacher's scores (class token, patches).

    `Distilled.of(branch, prototypes)` starts with both equal. `network` is the teacher's backbone, which is
    what is used after training.
    """

    student: Branch
    teacher: Branch
    centre: Float[Array, "2 prototype"]

    @staticmethod
    def of(branch: Branch) -> Distilled:
        """Teacher a copy of the student, centre zero."""
        copy = jax.tree.map(lambda a: jnp.array(a) if eqx.is_array(a) else a, branch)
        return Distilled(branch, copy, jnp.zeros((2, len(branch.head.prototypes))))

    @property
    def network(self) -> Any:
        """The teacher's backbone."""
        return self.teacher.backbone


def distilling(tx: optax.GradientTransformation) -> optax.GradientTransformation:
    """`tx` for the student; teacher and centre are set to their running means (steps of size 1)."""

    def labels(tree):
        name = lambda path: getattr(path[0], "name", "")
        label = lambda path, _: "learn" if name(path) == "student" else "average"
        return jax.tree_util.tree_map_with_path(label, tree)

    return optax.multi_transform({"learn": tx, "average": optax.sgd(1.0)}, labels)


@dataclass(frozen=True)
class SelfDistillation:
    """The loss, for a `Trainer` whose model is `Distilled` and whose optimiser is `distilling(tx)`.

    `views(image, key)` draws a view of an image; `count` views of each are taken, `hide` is the range of the
    share of patches hidden from the student (0 to 0: none and no term of patches), `patch_weight` is lambda,
    `momentum` and `centring` those of teacher and centre.

    Metrics: `class` and `patch`, the two terms; `spread`, the entropy of the teacher's mean answer over that
    of all prototypes alike (near 0: all images are one; collapse), and `sharpness`, one minus the mean entropy
    of an answer over the same (near 0: every answer says nothing).

    >>> from neuropil.blocks import VisionTransformer
    >>> from neuropil.learn import Trainer
    >>> from neuropil.core import run, start
    >>> net = VisionTransformer.init_normal(8, side=8, patch=4, depth=1, heads=2, key=jr.key(0))
    >>> model = Distilled.of(Branch(net, PrototypeHead.init_normal(8, 6, key=jr.key(1))))
    >>> noisy = lambda image, key: image + 0.1 * jr.normal(key, image.shape)
    >>> trainer = Trainer(model, SelfDistillation(noisy), distilling(optax.adam(1e-3)))
    >>> images = jr.normal(jr.key(2), (1, 4, 8, 8))
    >>> carry, out = run(trainer, start(trainer, 1.0, jr.key(3)), images)
    >>> sorted(out)
    ['class', 'grad_norm', 'loss', 'patch', 'sharpness', 'spread']

    Raises ValueError for fewer than two views and for shares that are none.
    """

    views: Callable[[Array, Array], Array]
    count: int = 2
    hide: tuple[float, float] = (0.1, 0.5)
    patch_weight: float = 1.0
    momentum: float = 0.99
    centring: float = 0.9
    student_temperature: float = 0.1
    teacher_temperature: float = 0.04

    def __post_init__(self):
        if self.count < 2:
            raise ValueError(
                f"SelfDistillation: count = {self.count}; a view is told from another: 2 or more"
            )
        if not 0 <= self.hide[0] <= self.hide[1] < 1:
            raise ValueError(f"SelfDistillation: hide = {self.hide}; give a rising range in [0, 1)")

    def __call__(
        self, model: Distilled, images: Float[Array, "image height width *channel"], key: Array
    ):
        seen, hidden = self._drawn(images, key, model.teacher)
        both = lambda branch, *x: jax.vmap(jax.vmap(branch))(*x)
        taught = jax.lax.stop_gradient(both(model.teacher, seen))
        said = jax.nn.log_softmax(both(model.student, seen, hidden) / self.student_temperature)
        centre = jnp.concatenate(
            [model.centre[:1], jnp.repeat(model.centre[1:], taught.shape[2] - 1, 0)]
        )
        target = jax.nn.softmax(
            jax.lax.stop_gradient(taught - centre[None, None]) / self.teacher_temperature
        )
        pairs = jnp.einsum("nvk,nwk->vw", target[:, :, 0], said[:, :, 0]) / len(images)
        others = 1.0 - jnp.eye(self.count)
        whole = -jnp.sum(pairs * others) / jnp.sum(others)
        of_patch = -jnp.sum(target[:, :, 1:] * said[:, :, 1:], -1)
        part = jnp.sum(of_patch * hidden) / jnp.maximum(hidden.sum(), 1)
        metrics = {"class": whole, "patch": part, **_answers(target[:, :, 0])}
        return whole + self.patch_weight * part + silent(self._moves(model, taught)), metrics

    def _drawn(self, images, key, branch):
        """Views (image, view, ...) and which patches the student does not see (image, view, patch)."""
        one, two, three = jr.split(key, 3)
        keys = jr.split(one, (len(images), self.count))
        seen = jax.vmap(lambda image, keys: jax.vmap(lambda k: self.views(image, k))(keys))(
            images, keys
        )
        count = jax.eval_shape(branch, seen[0, 0]).shape[0] - 1
        share = jr.uniform(two, seen.shape[:2], minval=self.hide[0], maxval=self.hide[1])
        rank = jnp.argsort(jnp.argsort(jr.uniform(three, (*seen.shape[:2], count))))
        return seen, rank < share[..., None] * count

    def _moves(self, model: Distilled, taught) -> Float[Array, ""]:
        """Sets teacher and centre to their new running means, once optimised by `distilling`."""
        m, c = self.momentum, self.centring
        arrays = lambda tree: jax.tree.leaves(eqx.filter(tree, eqx.is_inexact_array))
        pull = 0.0
        for slow, fast in zip(arrays(model.teacher), arrays(model.student), strict=True):
            pull += becomes(slow, m * slow + (1 - m) * fast)
        now = jnp.stack([taught[:, :, 0].mean((0, 1)), taught[:, :, 1:].mean((0, 1, 2))])
        return pull + becomes(model.centre, c * model.centre + (1 - c) * now)


def _answers(target: Float[Array, "image view prototype"]) -> dict[str, Array]:
    entropy = lambda p: -jnp.sum(p * jnp.log(p + 1e-9), -1)
    most = jnp.log(target.shape[-1])
    spread = entropy(target.mean((0, 1))) / most
    return {"spread": spread, "sharpness": 1 - entropy(target).mean() / most}
