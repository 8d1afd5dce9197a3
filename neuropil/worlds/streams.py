"""Continual-learning streams: permuted, split and rotated tasks over one image set, and scores.

A `Stream` keeps the images once, as uint8; task k is a view of them (a permutation of the pixels, a
choice of classes, an angle) that is applied to the rows asked for. Everything random comes from one
key, task k from `fold_in(key, k)`: arms with equal keys see equal streams, and a longer stream
begins with the same tasks.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Float, Int, Key, Shaped, UInt8

from .datasets.images import Images


class Normal(eqx.Module):
    """Pixel normalisation x -> (x / 255 - mean) / std; `Normal(0, 1)` only divides by 255."""

    mean: Float[Array, ""] = eqx.field(converter=lambda v: jnp.asarray(v, float))
    std: Float[Array, ""] = eqx.field(converter=lambda v: jnp.asarray(v, float))

    def __call__(self, x: Shaped[Array, "*n"]) -> Float[Array, "*n"]:
        return (x.astype(self.mean.dtype) / 255 - self.mean) / self.std


def standard(images: Images) -> Normal:
    """The normalisation that gives the training pixels mean 0 and deviation 1 (MNIST: 0.1307,
    0.3081)."""
    x = images.train_x
    return Normal(x.mean(dtype=np.float64) / 255, x.std(dtype=np.float64) / 255)


class Rows(eqx.Module):
    """Images (flattened) with labels; the rows of task k are `order[starts[k] :][: counts[k]]`."""

    x: UInt8[Array, "n pixel"]
    y: Int[Array, " n"]
    order: Int[Array, " n"]
    starts: Int[Array, " task"]
    counts: Int[Array, " task"]
    least: int = eqx.field(static=True)  # no task can be smaller than this, however it is drawn


class Permuted(eqx.Module):
    """Task k shows pixel `order[k, p]` at place p."""

    order: Int[Array, "task pixel"]
    keep_first: bool = eqx.field(static=True)

    def __call__(self, x: Shaped[Array, "*b pixel"], k) -> Shaped[Array, "*b pixel"]:
        return x[..., self.order[k]]

    def draw(self, key: Key[Array, ""]) -> "Permuted":
        tasks, pixels = self.order.shape
        order = [jr.permutation(jr.fold_in(key, k), pixels) for k in range(tasks)]
        if self.keep_first:
            order[0] = jnp.arange(pixels)
        return Permuted(jnp.stack(order), self.keep_first)


class Split(eqx.Module):
    """Task k has the classes `classes[k]`; images stay as they are."""

    classes: Int[Array, "task per"]
    shuffle: bool = eqx.field(static=True)

    def __call__(self, x: Shaped[Array, "*b pixel"], k) -> Shaped[Array, "*b pixel"]:
        return x

    def draw(self, key: Key[Array, ""]) -> "Split":
        if not self.shuffle:
            return self
        flat = jr.permutation(key, self.classes.size)
        return Split(flat.reshape(self.classes.shape), True)


class Rotated(eqx.Module):
    """Task k shows the image turned by `angle[k]` degrees (counter-clockwise, about its middle,
    bilinear, 0 outside). `limit`: angles are drawn from [0, limit); None: they were given."""

    angle: Float[Array, " task"]
    shape: tuple[int, int] = eqx.field(static=True)
    limit: float | None = eqx.field(static=True)

    def __call__(self, x: Shaped[Array, "*b pixel"], k) -> Float[Array, "*b pixel"]:
        h, w = self.shape
        a = jnp.deg2rad(self.angle[k])
        row, col = jnp.meshgrid(jnp.arange(h), jnp.arange(w), indexing="ij")
        dr, dc = row.ravel() - (h - 1) / 2, col.ravel() - (w - 1) / 2
        # where the shown pixel comes from; rows count downwards
        r = jnp.cos(a) * dr + jnp.sin(a) * dc + (h - 1) / 2
        c = -jnp.sin(a) * dr + jnp.cos(a) * dc + (w - 1) / 2
        r0, c0 = jnp.floor(r), jnp.floor(c)
        out = jnp.zeros(x.shape, r.dtype)
        for ri in (r0, r0 + 1):
            for cj in (c0, c0 + 1):
                weight = (1 - jnp.abs(r - ri)) * (1 - jnp.abs(c - cj))
                inside = (ri >= 0) & (ri < h) & (cj >= 0) & (cj < w)
                at = jnp.clip(ri, 0, h - 1) * w + jnp.clip(cj, 0, w - 1)
                corner = jnp.where(inside, weight, 0).reshape((1,) * (x.ndim - 1) + (h * w,))
                out = out + corner * x[..., at.astype(int)]
        return out

    def draw(self, key: Key[Array, ""]) -> "Rotated":
        if self.limit is None:
            return self
        turn = [jr.uniform(jr.fold_in(key, k)) for k in range(self.angle.size)]
        return Rotated(self.limit * jnp.stack(turn), self.shape, self.limit)


class Stream(eqx.Module):
    """Tasks 0..tasks-1 over one image set; make it by `permuted`, `split` or `rotated`.

    `k` may be traced everywhere but in `size`. Labels: `labels[k, y]` is what task k calls class y
    (-1: not in the task).

    >>> import jax.random as jr
    >>> from neuropil.worlds import datasets
    >>> digits = datasets.load("digits")
    >>> stream = permuted(digits, 3, jr.key(0), normal=standard(digits))
    >>> rows = stream.epoch(1, jr.key(1), batch=32)       # (44 steps, 32 rows)
    >>> x, y = stream.sample(1, rows[0])                  # task 1, first mini-batch
    >>> x.shape, y.shape
    ((32, 64), (32,))
    """

    train: Rows
    test: Rows
    plan: Permuted | Split | Rotated
    labels: Int[Array, "task cls"]
    normal: Normal
    own_heads: bool = eqx.field(static=True)

    @property
    def tasks(self) -> int:
        """How many tasks there are."""
        return self.labels.shape[0]

    @property
    def pixels(self) -> int:
        """Length of an input vector."""
        return self.train.x.shape[1]

    @property
    def classes(self) -> int:
        """How many outputs a readout needs (the classes of one task where heads are its own)."""
        return self.plan.classes.shape[1] if self.own_heads else self.labels.shape[1]

    def size(self, k: int, part: str = "train") -> int:
        """Number of images of task k (a concrete number)."""
        return int(_part(self, part).counts[k])

    def sample(self, k, index: Int[Array, "*b"], part: str = "train") -> tuple[Array, Array]:
        """Normalised images (*b, pixel) and labels (*b,) at positions `index` of task k.

        For batches that mix tasks, vmap over both: `jax.vmap(stream.sample)(ks, index)`.
        """
        rows = _part(self, part)
        at = rows.order[rows.starts[k] + index]
        return self.normal(self.plan(rows.x[at], k)), self.labels[k, rows.y[at]]

    def epoch(
        self,
        k,
        key: Key[Array, ""],
        batch: int,
        n: int | None = None,
        part: str = "train",
    ) -> Int[Array, "step {batch}"]:
        """Positions of task k in random order, cut in mini-batches; a last short one is dropped.

        `n`: use only so many images, drawn without replacement. It must be given when `k` is traced
        and tasks differ in size. ValueError when the task has fewer.
        """
        rows = _part(self, part)
        total = rows.x.shape[0]
        traced = any(isinstance(v, jax.core.Tracer) for v in (k, rows.counts))
        most = rows.least if traced else self.size(k, part)
        if n is None and traced and rows.least < total:
            raise ValueError("Tasks differ in size and k is traced: say how many images with n=.")
        n = most if n is None else n
        if n > most:
            raise ValueError(f"A task of this stream has {most} images: ask for fewer than n={n}.")
        if not 0 < batch <= n:
            raise ValueError(
                f"A mini-batch of {batch} cannot be cut from {n} images: change batch."
            )
        lottery = jnp.where(jnp.arange(total) < rows.counts[k], jr.uniform(key, (total,)), 2.0)
        steps = n // batch
        return jnp.argsort(lottery)[: steps * batch].reshape(steps, batch)

    def reseed(self, key: Key[Array, ""]) -> "Stream":
        """The same images with the tasks drawn anew from `key` (works under jit and vmap)."""
        parts = [(r.x, r.y, r.least) for r in (self.train, self.test)]
        return _stream(self.plan.draw(key), parts, self.labels.shape, self.normal, self.own_heads)


def permuted(
    images: Images,
    tasks: int,
    key: Key[Array, ""] | None,
    *,
    normal: Normal,
    keep_first: bool = False,
) -> Stream:
    """Each task shuffles the pixels in its own way; labels stay. With `keep_first` task 0 is the
    set as it is. Without a key (None) nothing is shuffled until `reseed`.

    Source: Goodfellow et al. (2013) arXiv:1312.6211; Kirkpatrick et al. (2017) PNAS 114:3521.
    """
    pixels = images.train_x[0].size
    plan = Permuted(jnp.tile(jnp.arange(pixels), (_tasks(tasks), 1)), keep_first)
    return _of_images(images, plan if key is None else plan.draw(key), normal, False)


def split(
    images: Images,
    tasks: int,
    key: Key[Array, ""],
    *,
    normal: Normal,
    heads: str = "shared",
    shuffle: bool = False,
) -> Stream:
    """Each task has its own classes: 0 and 1, then 2 and 3, ...; `shuffle` draws their order.

    `heads="own"`: labels count from 0 within the task (the task is known); `"shared"`: labels stay.
    Source: Zenke, Poole, Ganguli (2017) arXiv:1703.04200.
    """
    classes = len(images.classes)
    if classes % _tasks(tasks):
        raise ValueError(
            f"{classes} classes cannot be split in {tasks} equal tasks: use a divisor."
        )
    if heads not in ("shared", "own"):
        raise ValueError(f"heads={heads!r} is unknown: use 'shared' or 'own'.")
    plan = Split(jnp.arange(classes).reshape(tasks, -1), shuffle).draw(key)
    return _of_images(images, plan, normal, heads == "own")


def rotated(
    images: Images,
    tasks: int,
    key: Key[Array, ""],
    *,
    normal: Normal,
    limit: float = 180.0,
    angles: tuple[float, ...] | None = None,
) -> Stream:
    """Each task turns the images by its own angle in degrees, drawn from [0, limit) or given.

    Source: Lopez-Paz, Ranzato (2017) arXiv:1706.08840 (angles from 0 to 180 degrees).
    """
    if angles is not None and len(angles) != tasks:
        raise ValueError(f"{len(angles)} angles for {tasks} tasks: give one angle for every task.")
    start = jnp.zeros(_tasks(tasks)) if angles is None else jnp.asarray(angles, float)
    plan = Rotated(start, images.shape, float(limit) if angles is None else None)
    return _of_images(images, plan.draw(key), normal, False)


def _tasks(tasks: int) -> int:
    if tasks < 1:
        raise ValueError(f"A stream of {tasks} tasks has nothing in it: use at least 1.")
    return tasks


def _of_images(images: Images, plan, normal: Normal, own_heads: bool) -> Stream:
    tasks = len(jax.tree.leaves(plan)[0])
    classes = len(images.classes)
    parts = []
    for x, y in ((images.train_x, images.train_y), (images.test_x, images.test_y)):
        least = len(y)
        if isinstance(plan, Split):
            least = int(np.sort(np.bincount(y, minlength=classes))[: classes // tasks].sum())
        parts.append((jnp.asarray(x.reshape(len(x), -1)), jnp.asarray(y, jnp.int32), least))
    return _stream(plan, parts, (tasks, classes), normal, own_heads)


def _stream(plan, parts, shape: tuple[int, int], normal: Normal, own_heads: bool) -> Stream:
    """Find out which rows belong to which task; all of it may be traced."""
    tasks, classes = shape
    labels = jnp.broadcast_to(jnp.arange(classes), shape)
    task_of = None
    if isinstance(plan, Split):
        per = plan.classes.shape[1]
        place = jnp.argsort(plan.classes.ravel())  # where each class stands in the plan
        task_of = place // per
        name = place % per if own_heads else jnp.arange(classes)
        labels = jnp.where(task_of[None] == jnp.arange(tasks)[:, None], name[None], -1)
    rows = [_rows(*part, task_of, tasks) for part in parts]
    return Stream(*rows, plan, labels, normal, own_heads)


def _rows(x, y, least: int, task_of, tasks: int) -> Rows:
    if task_of is None:
        every = jnp.zeros(tasks, int)
        return Rows(x, y, jnp.arange(len(y)), every, every + len(y), least)
    task = task_of[y]
    counts = jnp.bincount(task, length=tasks)
    starts = jnp.cumsum(counts) - counts
    return Rows(x, y, jnp.argsort(task, stable=True), starts, counts, least)


def _part(stream: Stream, part: str) -> Rows:
    if part not in ("train", "test"):
        raise ValueError(f"part={part!r} is unknown: use 'train' or 'test'.")
    return stream.train if part == "train" else stream.test


def average_accuracy(A: Float[Array | np.ndarray, "task task"]) -> float:
    """Mean accuracy over all tasks at the end: ACC = 1/T sum_j A[T-1, j].

    `A[i, j]` is the accuracy on task j after learning task i. Entries above the diagonal are never
    read by the scores here and may be NaN; a NaN elsewhere is a ValueError.
    Source: Lopez-Paz, Ranzato (2017) arXiv:1706.08840, eq. 2.

    >>> average_accuracy(np.array([[0.9, np.nan], [0.6, 0.8]]))
    0.7
    """
    return float(_matrix(A)[-1].mean())


def backward_transfer(A: Float[Array | np.ndarray, "task task"]) -> float:
    """What later tasks did to earlier ones: BWT = 1/(T-1) sum_{j<T-1} A[T-1, j] - A[j, j].

    Negative where there is forgetting. Source: Lopez-Paz, Ranzato (2017) arXiv:1706.08840, eq. 3.

    >>> round(backward_transfer(np.array([[0.9, np.nan], [0.6, 0.8]])), 6)
    -0.3
    """
    A = _matrix(A, 2)
    return float((A[-1] - np.diag(A))[:-1].mean())


def forgetting(A: Float[Array | np.ndarray, "task task"]) -> float:
    """Fall from the best: F = 1/(T-1) sum_{j<T-1} max_{j<=i<T-1} A[i, j] - A[T-1, j].

    Positive where there is forgetting. Source: Chaudhry et al. (2018) arXiv:1801.10112, eq. 3.
    Deviation: their maximum also runs over i < j, before the task was learnt; ours does not.

    >>> round(forgetting(np.array([[0.9, np.nan], [0.6, 0.8]])), 6)
    0.3
    """
    A = _matrix(A, 2)
    best = np.where(np.tri(len(A), dtype=bool), A, -np.inf)[:-1].max(0)
    return float((best - A[-1])[:-1].mean())


def _matrix(A, least: int = 1) -> np.ndarray:
    A = np.asarray(A, float)
    if A.ndim != 2 or A.shape[0] != A.shape[1] or len(A) < least:
        raise ValueError(
            f"An accuracy matrix of shape {A.shape} was given: this score needs (task, task) with "
            f"at least {least} task{'s' if least > 1 else ''}."
        )
    holes = np.argwhere(np.isnan(A) & np.tri(len(A), dtype=bool))
    if len(holes):
        i, j = holes[0]
        raise ValueError(
            f"A[{i}, {j}] is NaN: the accuracy on task {j} after task {i} is needed; test every "
            "learnt task after each task."
        )
    return A
