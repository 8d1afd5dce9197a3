"""Layers of networks as recordings, (stimulus, 1, unit): what every tool of `compare` takes, brain or model.

Networks with time are systems (`network_layers`; `record` keeps their time course); maps without time are
Equinox modules or callables made of them (`module_layers`); torch modules, timm's and transformers' among them,
have an adapter (`neuropil.recordings.torchlib.torch_layers`).

**What becomes of a layer's array**, in this order, and the same for all of them:

1. `pool`: "flatten" (all axes after the stimulus are units), "mean" or "max" over places, "first" (the first
   token). Places are all axes but the channels: the first axis after the stimulus where there are two or more
   axes of places, as in (channel, y, x), the last where there is one, as in (token, channel). `channel` says
   otherwise.
2. `project`: where more units than this are left, as many sparse random projections of them (Li et al. 2006),
the
   same for the same `seed` and number of units. Distances between stimuli stay within a few percent (Johnson
   and Lindenstrauss: about 8 ln(n) / eps^2 projections for n stimuli within 1 +- eps); single units lose their
   identity.

What was done is in the recording's history, and a digest of the parameters in `about["weights"]`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from .provenance import step
from .recording import Recording

POOLS = ("flatten", "mean", "max", "first")


def pooled(
    values: np.ndarray,
    pool: str = "flatten",
    *,
    channel: int | None = None,
    weights: np.ndarray | None = None,
) -> np.ndarray:
    """A layer's array (stimulus, ...) as (stimulus, unit), by the rules above. `weights` (stimulus, token): the
    tokens that count in a mean or maximum (a text's padding does not).

    >>> maps = np.arange(24.0).reshape(1, 2, 3, 4)            # 2 channels of 3 x 4 places
    >>> pooled(maps, "mean").tolist(), pooled(maps).shape
    ([[5.5, 17.5]], (1, 24))

    Raises ValueError for an unknown rule, and "first" where there is no axis of tokens.
    """
    x = np.asarray(values)
    if pool not in POOLS:
        raise ValueError(f"pool={pool!r} is unknown: use one of {', '.join(POOLS)}")
    if x.ndim < 2:
        raise ValueError(f"A layer has shape {x.shape}: its values must have an axis of units.")
    if x.ndim == 2 or pool == "flatten":
        return x.reshape(len(x), -1)
    if channel is None:
        channel = 1 if x.ndim > 3 else -1
    x = np.moveaxis(x, channel, -1).reshape(len(x), -1, x.shape[channel])
    if pool == "first":
        if np.ndim(values) != 3:
            raise ValueError(
                f"pool='first' takes the first token, but the layer has shape {np.shape(values)}: "
                "use 'mean' or 'max'"
            )
        return x[:, 0]
    keep = None
    if weights is not None and np.shape(weights) == x.shape[:2]:
        keep = np.asarray(weights)[:, :, None] > 0
    if pool == "max":
        return (x if keep is None else np.where(keep, x, -np.inf)).max(1)
    return x.mean(1) if keep is None else np.where(keep, x, 0).sum(1) / keep.sum(1)


class Shaper:
    """Pools and projects batches of one layer, in the same way for every batch."""

    def __init__(self, pool: str, channel: int | None, project: int | None, seed: int):
        if project is not None and project < 1:
            raise ValueError(f"project={project} leaves nothing: give 1 or more, or None")
        self.pool, self.channel, self.project, self.seed = pool, channel, project, seed
        self.units: int | None = None
        self._matrix = None

    def __call__(self, values: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
        x = pooled(values, self.pool, channel=self.channel, weights=weights)
        if not np.issubdtype(x.dtype, np.floating):
            x = x.astype(np.float32)
        self.units = x.shape[1]
        if self.project is None or x.shape[1] <= self.project:
            return x
        if self._matrix is None:
            from sklearn.random_projection import SparseRandomProjection

            wanted = SparseRandomProjection(self.project, random_state=self.seed)
            self._matrix = wanted.fit(x[:1]).components_.T.astype(x.dtype)
        return np.asarray(x @ self._matrix)

    def recording(
        self,
        parts: Sequence[np.ndarray],
        layer: str,
        source: str,
        weights: str,
        trials: Mapping[str, Any] | None,
        about: Mapping[str, str] | None,
    ) -> Recording:
        """The batches of a layer, one below the other, as a recording."""
        values = np.concatenate(parts)
        rec = Recording.from_array(
            values[:, None],
            rate=1.0,
            unit="a.u.",
            trials=trials,
            about={"source": f"{source}, layer {layer}", "weights": weights, "layer": layer}
            | dict(about or {}),
        )
        done = [step("pool", rule=self.pool)]
        if self.units != values.shape[1]:
            done.append(step("project", units=self.units, to=self.project, seed=self.seed))
        return replace(rec, history=(*rec.history, *done))


def digest(arrays: Sequence[Any]) -> str:
    """Sixteen hexadecimal digits that change with any parameter."""
    total = hashlib.sha256()
    for array in arrays:
        array = np.ascontiguousarray(array)
        total.update(f"{array.shape}{array.dtype}".encode())
        total.update(array.tobytes())
    return total.hexdigest()[:16]


class _Seen:
    """What taps saw in one trace; hashed by identity, so that it may be a static field."""

    def __init__(self):
        self.values: dict[str, Any] = {}


def module_layers(
    module: Any,
    stimuli: Any,
    layers: str | Sequence[str],
    *,
    call: Callable[[Any, Any], Any] | None = None,
    pool: str = "flatten",
    channel: int | None = None,
    project: int | None = None,
    seed: int = 0,
    batch: int = 64,
    trials: Mapping[str, Any] | None = None,
    about: Mapping[str, str] | None = None,
) -> dict[str, Recording]:
    """Activity of named layers of a map without time: {layer: Recording (stimulus, 1, unit)}.

    **Arguments**: `module`, an Equinox module; `stimuli` (stimulus, ...), each given alone to `call(module, x)`
    (default `module(x)`; the module is put into inference mode); `layers`, paths of its parts, such as
    "layers.0" or "blocks.3.attention" ("output": what the whole gives); `batch`, stimuli at a time; the other
    arguments as the module's text says. A part that is called several times shows its last value.

    >>> import equinox as eqx, jax
    >>> net = eqx.nn.MLP(4, 2, 8, 1, key=jax.random.key(0))
    >>> seen = module_layers(net, np.ones((5, 4)), ["layers.0", "output"])
    >>> {name: rec.shape for name, rec in seen.items()}
    {'layers.0': (5, 1, 8), 'output': (5, 1, 2)}

    Raises KeyError for a part that is not there or is not called, ValueError for one that is called within a
    `vmap` or `scan` of the module (name the part around it).
    """
    import equinox as eqx
    import jax
    import jax.numpy as jnp

    from neuropil.core import path as paths

    names = [layers] if isinstance(layers, str) else list(layers)
    parts = [name for name in names if name != "output"]
    quiet = eqx.nn.inference_mode(module)
    for name in parts:
        paths.get(quiet, name)

    @eqx.filter_jit
    def forward(model, xs):
        def one(x):
            seen, tapped = _Seen(), model
            for name in parts:
                tapped = paths.put(tapped, name, _tap()(paths.get(model, name), name, seen))
            out = tapped(x) if call is None else call(tapped, x)
            return {**seen.values, "output": out}

        return jax.vmap(one)(xs)

    xs = np.asarray(stimuli)
    if len(xs) == 0:
        raise ValueError("There is no stimulus: give (stimulus, ...).")
    shapers = {name: Shaper(pool, channel, project, seed) for name in names}
    kept: dict[str, list[np.ndarray]] = {name: [] for name in names}
    size = min(batch, len(xs))
    for low in range(0, len(xs), size):
        rows = np.arange(low, low + size) % len(xs)  # the last batch is filled up: one compilation
        try:
            seen = forward(quiet, jnp.asarray(xs[rows]))
        except jax.errors.UnexpectedTracerError as err:
            raise ValueError(
                f"One of {', '.join(parts)} is called within a vmap or scan of the module, where its value "
                "cannot be taken out: name the part around it."
            ) from err
        for name in names:
            if name not in seen:
                raise KeyError(f"{name!r} is a part of the module, but was not called")
            kept[name].append(shapers[name](np.asarray(seen[name])[: len(xs) - low]))
    weights = digest(jax.tree.leaves(eqx.filter(module, eqx.is_array)))
    source = f"module {type(module).__name__}"
    return {n: shapers[n].recording(kept[n], n, source, weights, trials, about) for n in names}


def _tap():
    import equinox as eqx

    class Tap(eqx.Module):
        """A part that also says what it gave."""

        inner: Any
        name: str = eqx.field(static=True)
        seen: _Seen = eqx.field(static=True)

        def __call__(self, *args, **kwargs):
            return self.told(self.inner(*args, **kwargs))

        def forward(self, *args, **kwargs):
            return self.told(self.inner.forward(*args, **kwargs))

        def told(self, y):
            self.seen.values[self.name] = y
            return y

        def __getattr__(self, name):
            return getattr(self.inner, name)

    return Tap


def network_layers(
    network: Any,
    stimuli: Any,
    layers: str | Sequence[str] | Mapping[str, str],
    *,
    dt: float | int,
    key: Any,
    window: tuple[float | int, float | int] | None = None,
    pool: str = "flatten",
    channel: int | None = None,
    project: int | None = None,
    seed: int = 0,
    **more: Any,
) -> dict[str, Recording]:
    """Mean activity of parts of a system over the ticks of a stimulus: {layer: Recording (stimulus, 1, unit)}.

    `stimuli` (stimulus, time, ...), `dt`, `key` and `more` (state, batch, trials) as in `record`; `layers` are
    its paths ("output.E", "nodes.E.v"), or {name: path}; `window` (begin, end) in seconds, of which the mean is
    taken (None: all). For the time course itself use `record`.

    >>> import jax, jax.numpy as jnp
    >>> from neuropil.cells import LIF
    >>> network_layers(LIF(3), jnp.ones((4, 50, 3)), "output", dt=1.0, key=jax.random.key(0))["output"].shape
    (4, 1, 3)

    Raises as `record` does, and ValueError for a window that holds no tick.
    """
    from .model import record

    chosen = {layers: layers} if isinstance(layers, str) else layers
    chosen = chosen if isinstance(chosen, Mapping) else {name: name for name in chosen}
    out = {}
    for name, path in chosen.items():
        rec = record(network, stimuli, dt=dt, key=key, path=path, **more)
        part = rec if window is None else rec.select(time=window)
        shaper = Shaper(pool, channel, project, seed)
        mean = shaper(part.to_numpy().astype(float).mean(1))
        source = f"model {type(network).__name__}"
        trials = {c: rec.data[c].values for c in rec.data.coords if rec.data[c].dims == ("trial",)}
        trials.pop("trial", None)
        shown = shaper.recording([mean], name, source, _weights(network), trials, None)
        taken = step("mean", over="time", window=None if window is None else list(window))
        out[name] = replace(shown, history=(*rec.history, taken, *shown.history))
    return out


def _weights(network) -> str:
    import equinox as eqx
    import jax

    leaves = jax.tree.leaves(eqx.filter(network, eqx.is_inexact_array))
    return digest(leaves)
