"""From NIR nodes to systems."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from neuropil.cells import LIF, LeakyIntegrator, SubtractReset, SuperSpike, Surrogate, ValueReset
from neuropil.core import Chain, System
from neuropil.core.compose import lift
from neuropil.nir.graph import Graph
from neuropil.nir.nodes import (
    Convolution,
    Flatten,
    Integrator,
    LateSubtract,
    Pool,
    Scale,
    Shift,
    Threshold,
    each,
    sides,
)
from neuropil.synapses import Delay
from neuropil.wiring import Dense, Wiring

Scheme = Literal["euler", "exact"]
Reset = Literal["value", "subtract", "late-subtract"]
RESETS = ("value", "subtract", "late-subtract")


def need() -> Any:
    """The package `nir`; an error that says how to get it."""
    try:
        import nir
    except ImportError as error:
        raise ImportError(
            "neuropil.nir needs the package nir: pip install neuropil[nir]"
        ) from error
    return nir


@dataclass(frozen=True)
class Meaning:
    """How continuous equations become ticks: see `neuropil.nir.read`."""

    dt: float
    scheme: Scheme
    reset: Reset | None
    surrogate: Surrogate

    def __post_init__(self):
        if not (math.isfinite(self.dt) and self.dt > 0):
            raise ValueError(f"nir: dt = {self.dt} ms, but it must be positive")
        if self.scheme not in ("euler", "exact"):
            raise ValueError(f"nir: scheme={self.scheme!r}; write 'euler' or 'exact'")
        if self.reset is not None and self.reset not in RESETS:
            raise ValueError(f"nir: reset={self.reset!r}; write one of {', '.join(RESETS)}")

    def tau(self, seconds: Any, name: str) -> np.ndarray:
        """Time constant (ms) with which our exact step does what the scheme does."""
        tau = 1000 * np.asarray(seconds, float)
        if self.scheme == "exact":
            return tau
        if (tau <= self.dt).any():
            raise ValueError(
                f"nir: {name} has a time constant of {tau.min():g} ms, which Euler steps of {self.dt:g} ms "
                "cannot follow; take the dt of the tool that wrote it, or scheme='exact'"
            )
        return -self.dt / np.log1p(-self.dt / tau)

    def part(self, node: Any, tau: Any = None) -> Any:
        """The reset of a spiking node."""
        kind = self.reset or _text(node.metadata.get("reset", "value"))
        if kind == "subtract":
            return SubtractReset()
        if kind == "value":
            return ValueReset(_same(node.v_reset))
        decay = 1.0 if tau is None else np.exp(-self.dt / tau)
        return LateSubtract(_same(decay))


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _same(value: Any) -> Any:
    """One number where all entries are equal: parameters of cells broadcast."""
    value = np.asarray(value, float)
    return float(value.flat[0]) if value.size and (value == value.flat[0]).all() else value


def _array(value: Any) -> jax.Array:
    return jnp.asarray(np.asarray(value), jnp.result_type(float))


def _size(node: Any, shape: tuple[int, ...] | None, name: str) -> tuple[int, ...]:
    """Shape of a population: that of its parameters, or of what arrives where they are single numbers."""
    own = np.shape(getattr(node, "v_threshold", node.r))
    if own and own != (1,):
        return own
    if shape is None:
        raise ValueError(f"nir: {name} has parameters without a shape and no input that has one")
    return shape


def _lif(node, mean: Meaning, name, shape, tau) -> LIF:
    tau = mean.tau(tau, name)
    return LIF(
        shape,
        tau=_same(tau),
        threshold=_same(node.v_threshold),
        v_rest=_same(node.v_leak),
        resistance=_same(node.r),
        reset=mean.part(node, tau),
        surrogate=mean.surrogate,
    )


def _leaky(node, mean, name, shape, tau) -> dict[str, Any]:
    cell = LeakyIntegrator(shape, tau=_same(mean.tau(tau, name)))
    parts = {"resistance": Scale(_array(node.r)), "membrane": cell}
    return parts | ({"leak": Shift(_array(node.v_leak))} if np.any(node.v_leak) else {})


def _cuba(node, mean, name, shape) -> dict[str, Any]:
    tau = _same(mean.tau(node.tau_syn, f"the synapse of {name}"))
    return {"weight": Scale(_array(node.w_in)), "synapse": LeakyIntegrator(shape, tau=tau)}


def part_of(node: Any, mean: Meaning, name: str, shape: tuple[int, ...] | None) -> Any:
    """The system (or callable) of one NIR node; `shape` is that of its input.

    Raises ValueError that names a node of a kind that is not known.
    """
    nir = need()
    kind = type(node).__name__
    if isinstance(node, nir.NIRGraph):
        return graph_of(node, mean, shape, f"{name}.")
    if isinstance(node, nir.Input | nir.Output):
        return _identity
    if isinstance(node, nir.Affine | nir.Linear):
        if np.ndim(node.weight) != 2:
            raise ValueError(
                f"nir: {name} ({kind}) has weights {np.shape(node.weight)}, not (post, pre)"
            )
        bias = getattr(node, "bias", None)
        return Dense(_array(node.weight), None if bias is None else _array(bias))
    if isinstance(node, nir.Scale):
        return Scale(_array(node.scale))
    if isinstance(node, nir.Conv1d | nir.Conv2d):
        axes = np.ndim(node.weight) - 2
        return Convolution(
            _array(node.weight),
            _array(node.bias),
            each(node.stride, axes),
            sides(node.padding, axes),
            each(node.dilation, axes),
            int(node.groups),
        )
    if isinstance(node, nir.SumPool2d | nir.AvgPool2d):
        size, stride, pad = (each(v, 2) for v in (node.kernel_size, node.stride, node.padding))
        return Pool(size, stride, tuple((n, n) for n in pad), isinstance(node, nir.AvgPool2d))
    if isinstance(node, nir.Flatten):
        return Flatten(int(node.start_dim), int(node.end_dim))
    if isinstance(node, nir.Threshold):
        return Threshold(_array(node.threshold), mean.surrogate)
    if isinstance(node, nir.Delay):
        delay = 1000 * np.asarray(node.delay, float)
        own = delay.shape or shape or (1,)
        if delay.ndim > 1 and (delay != delay.flat[0]).any():
            raise ValueError(
                f"nir: {name} (Delay) has one delay a unit over {delay.ndim} axes; one is supported"
            )
        delay = np.round(delay / mean.dt, 6) * mean.dt  # seconds to ms leaves rounding behind
        same = _same(delay)
        return Delay(same if isinstance(same, float) else tuple(delay.ravel()), own)
    if isinstance(node, nir.LIF):
        return _lif(node, mean, name, _size(node, shape, name), node.tau)
    if isinstance(node, nir.CubaLIF):
        size = _size(node, shape, name)
        return Chain(
            **_cuba(node, mean, name, size), cell=_lif(node, mean, name, size, node.tau_mem)
        )
    if isinstance(node, nir.LI):
        return Chain(**_leaky(node, mean, name, _size(node, shape, name), node.tau))
    if isinstance(node, nir.CubaLI):
        size = _size(node, shape, name)
        return Chain(
            **_cuba(node, mean, name, size), **_leaky(node, mean, name, size, node.tau_mem)
        )
    if isinstance(node, nir.I):
        return Integrator(jnp.broadcast_to(_array(node.r), _size(node, shape, name)))
    if isinstance(node, nir.IF):
        size = _size(node, shape, name)
        wide = lambda v: jnp.broadcast_to(_array(v), size)
        return Integrator(wide(node.r), wide(node.v_threshold), mean.part(node), mean.surrogate)
    raise ValueError(f"nir: {name} is a {kind}, which neuropil does not know")


def _identity(x):
    return x


def _after(part: Any, shape: tuple[int, ...] | None) -> tuple[int, ...] | None:
    """Shape of a part's output for an input of a shape."""
    system = lift(part)
    if isinstance(system, Wiring) and shape is not None:
        return jax.eval_shape(
            system.forward, jax.ShapeDtypeStruct(shape, jnp.result_type(float))
        ).shape
    if type(system).rest is not System.rest:
        try:
            return jax.eval_shape(system.rest).shape
        except TypeError:
            pass
    if shape is None:
        return None
    function = getattr(system, "function", None)
    if function is None:  # a chain whose last part is a plain function of its cell
        return shape
    return jax.eval_shape(function, jax.ShapeDtypeStruct(shape, jnp.result_type(float))).shape


def graph_of(graph: Any, mean: Meaning, shape: tuple[int, ...] | None, prefix: str = "") -> Graph:
    """A `Graph` of a NIRGraph; nodes that no edge leaves to need no output of their own."""
    from neuropil.nir.graph import order_of

    nir = need()
    names = {n: n.replace(".", "_") for n in graph.nodes}
    if len(set(names.values())) < len(names):
        raise ValueError(f"nir: node names differ only in dots and underscores: {sorted(names)}")
    edges = [(names[a], names[b]) for a, b in dict.fromkeys(map(tuple, graph.edges))]
    kinds = {names[n]: node for n, node in graph.nodes.items()}
    inputs = [n for n, k in kinds.items() if isinstance(k, nir.Input)]
    outputs = [n for n, k in kinds.items() if isinstance(k, nir.Output)]
    if not inputs or not outputs:
        raise ValueError(
            f"nir: {prefix or 'the graph '}has no Input or no Output; add them before writing it"
        )
    order, _ = order_of(list(kinds), edges, inputs)
    parts, shapes = {}, {}
    for name in order:
        before = [shapes[a] for a, b in edges if b == name and shapes.get(a) is not None]
        into = before[0] if before else None
        node = kinds[name]
        if isinstance(node, nir.Input):
            known = next(iter(node.input_type.values()))
            into = tuple(int(n) for n in known) if known is not None else shape
        parts[name] = part_of(node, mean, prefix + name, into)
        shapes[name] = _after(parts[name], into)
    zero = {n: jnp.zeros(s) for n, s in shapes.items() if s is not None}
    resting = {n: z for n, z in zero.items() if not isinstance(parts[n], Dense)}
    return Graph({n: parts[n] for n in kinds}, edges, inputs, outputs, resting)


SURROGATE = SuperSpike()
