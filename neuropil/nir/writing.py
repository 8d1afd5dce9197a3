"""From systems to NIR nodes."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import jax.numpy as jnp
import numpy as np

from neuropil.cells import LIF, LeakyIntegrator, NoReset, SubtractReset, ValueReset
from neuropil.core import Chain, System
from neuropil.core.compose import Lift
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
)
from neuropil.nir.reading import Scheme, _after, need
from neuropil.synapses import Delay, Exponential
from neuropil.wiring import Conv, Dense, LowRank, Signed, Wiring

Shape = tuple[int, ...] | None


class Writer:
    """Nodes and edges of a NIR graph as they are found; `dt` (ms) and `scheme` as in `neuropil.nir.write`."""

    def __init__(self, dt: float, scheme: Scheme):
        if scheme not in ("euler", "exact"):
            raise ValueError(f"nir: scheme={scheme!r}; write 'euler' or 'exact'")
        if not dt > 0:
            raise ValueError(f"nir: dt = {dt} ms, but it must be positive")
        self.dt, self.scheme, self.nir = dt, scheme, need()

    def tau(self, tau: Any, shape: tuple[int, ...]) -> np.ndarray:
        """Seconds that make the reader's scheme do what our exact step does."""
        tau = np.broadcast_to(np.asarray(tau, float), shape)
        if self.scheme == "euler":
            tau = self.dt / -np.expm1(-self.dt / tau)
        return tau / 1000

    def full(self, value: Any, shape: tuple[int, ...]) -> np.ndarray:
        """A parameter, one number a cell."""
        return np.array(np.broadcast_to(np.asarray(value, float), shape))

    def cell(self, cell: LIF, name: str) -> tuple[dict, dict]:
        """(parameters of a NIR LIF, its metadata)."""
        extra = [
            n for n in ("refractory", "adaptation", "noise", "escape") if getattr(cell, n, None)
        ]
        extra += ["currents"] if getattr(cell, "currents", ()) else []
        if extra:
            raise ValueError(f"nir: {name} has {', '.join(extra)}, which NIR cannot say")
        kind, value = self.reset(cell.reset, name)
        r = cell.resistance
        if cell.drive == "jump":  # charge: (1 - b) R = 1
            r = 1 / -jnp.expm1(-self.dt / cell.tau)
        wide = lambda v: self.full(v, cell.shape)
        values = dict(
            r=wide(r),
            v_leak=wide(cell.v_rest),
            v_threshold=wide(cell.threshold),
            v_reset=wide(value),
        )
        return values, {"reset": kind}

    @staticmethod
    def reset(reset: Any, name: str) -> tuple[str, Any]:
        """Kind and value of a reset part."""
        for kind, known in (("subtract", SubtractReset), ("late-subtract", LateSubtract)):
            if type(reset) is known:
                return kind, 0.0
        if type(reset) is ValueReset:
            return "value", reset.value
        what = "NoReset" if isinstance(reset, NoReset) else type(reset).__name__
        raise ValueError(f"nir: {name} has the reset {what}, which NIR cannot say")

    def node(self, part: Any, name: str, shape: Shape) -> Any:
        """The NIR node of one part; `shape` is that of its input."""
        nir, part = self.nir, part.function if isinstance(part, Lift) else part
        array = lambda v: np.asarray(v)
        if isinstance(part, Graph):
            return self.graph(part, shape, f"{name}.")
        if isinstance(part, Signed):
            part = part.signed()
        if isinstance(part, LowRank):
            return nir.Linear(array(part.weight))
        if isinstance(part, Dense):
            w = array(part.weight)
            return nir.Linear(w) if part.bias is None else nir.Affine(w, array(part.bias))
        if isinstance(part, Conv | Convolution):
            return self.convolution(part, shape, name)
        if isinstance(part, Wiring) and hasattr(part, "dense"):
            return nir.Linear(array(part.dense()))
        if isinstance(part, LIF):
            values, metadata = self.cell(part, name)
            return nir.LIF(tau=self.tau(part.tau, part.shape), **values, metadata=metadata)
        if isinstance(part, LeakyIntegrator | Exponential):
            return self.leaky(part)
        if isinstance(part, Integrator):
            r = array(part.rate)
            if part.threshold is None:
                return nir.I(r)
            kind, value = self.reset(part.reset, name)
            wide = lambda v: self.full(v, r.shape)
            return nir.IF(r, wide(part.threshold), wide(value), metadata={"reset": kind})
        if isinstance(part, Delay):
            delay = np.asarray(part.delay) if len(part.delay) > 1 else part.delay[0]
            return nir.Delay(self.full(delay, part.shape) / 1000)
        if isinstance(part, Scale):
            return nir.Scale(array(part.scale))
        if isinstance(part, Threshold):
            return nir.Threshold(array(part.threshold))
        if isinstance(part, Flatten):
            return nir.Flatten(
                {"input": None if shape is None else np.array(shape)}, part.first, part.last
            )
        if isinstance(part, Pool):
            pad = np.array([a for a, _ in part.padding])
            make = nir.AvgPool2d if part.mean else nir.SumPool2d
            return make(np.array(part.size), np.array(part.stride), pad)
        raise ValueError(f"nir: {name} is a {type(part).__name__}, which NIR cannot say")

    def leaky(self, part: LeakyIntegrator | Exponential) -> Any:
        """A membrane or synapse without spikes: its gain makes a unit of input arrive as it does here."""
        jump = part.drive == "jump" if isinstance(part, LeakyIntegrator) else True
        r = 1 / -jnp.expm1(-self.dt / part.tau) if jump else 1.0
        if getattr(part, "unit_area", False):
            r = r / part.tau
        wide = lambda v: self.full(v, part.shape)
        return self.nir.LI(self.tau(part.tau, part.shape), wide(r), wide(0.0))

    def convolution(self, part: Conv | Convolution, shape: Shape, name: str) -> Any:
        """Conv1d or Conv2d."""
        weight = np.asarray(part.weight)
        axes = weight.ndim - 2
        if axes not in (1, 2):
            raise ValueError(
                f"nir: {name} is a convolution over {axes} axes; NIR knows one and two"
            )
        bias = (
            np.zeros(weight.shape[0], weight.dtype) if part.bias is None else np.asarray(part.bias)
        )
        own = isinstance(part, Convolution)
        stride = part.stride if own else (part.stride,) * axes
        dilation, groups = (part.dilation, part.groups) if own else ((1,) * axes, 1)
        padding = part.padding
        if not isinstance(padding, str):
            if any(a != b for a, b in padding):
                raise ValueError(
                    f"nir: {name} pads its two sides differently, which NIR cannot say"
                )
            padding = tuple(a for a, _ in padding)
        padding = padding.lower() if isinstance(padding, str) else padding
        if padding == "same" and max(stride) > 1:
            raise ValueError(
                f"nir: {name} has padding 'SAME' and a stride; give the padding in numbers"
            )
        space = None if shape is None else tuple(shape[1:])
        if axes == 1:
            one = lambda v: v if isinstance(v, str) else v[0]
            space = None if space is None else space[0]
            return self.nir.Conv1d(
                space, weight, one(stride), one(padding), one(dilation), groups, bias
            )
        return self.nir.Conv2d(space, weight, stride, padding, dilation, groups, bias)

    def links(self, part: Any, name: str) -> list[tuple[str, Any]]:
        """A chain as named parts one after the other; anything else as itself."""
        if not isinstance(part, Chain):
            return [(name, part)]
        items = [(n, part.parts[n]) for n in part.order]
        items = [pair for n, p in items for pair in self.links(p, f"{name}.{n}" if name else n)]
        return items

    def fused(self, items: list[tuple[str, Any]]) -> list[tuple[str, Any]]:
        """Scale, synapse and cell (or membrane) in a row are one NIR node; a shift belongs to its membrane."""
        bare = [p.function if isinstance(p, Lift) else p for _, p in items]
        kinds = [type(p) for p in bare]
        out, k = [], 0
        while k < len(items):
            for length, make in ((5, _cuba_li), (4, _cuba_li), (3, _cuba_lif), (3, _li), (2, _li)):
                found = make(self, bare[k : k + length], kinds[k : k + length], items[k][0])
                if found is not None and len(kinds[k : k + length]) == length:
                    out.append((items[k + length - 1][0], found))
                    k += length
                    break
            else:
                out.append(items[k])
                k += 1
        return out

    def graph(self, system: Graph, shape: Shape, prefix: str = "") -> Any:
        """A NIRGraph of a `Graph`."""
        nir, nodes, ends, edges = self.nir, {}, {}, []
        shapes: dict[str, Shape] = {}
        for name in system.order:
            part = system.nodes[name]
            before = [shapes.get(a) for a, b in system.edges if b == name and a in shapes]
            into = next(
                (s for s in before if s is not None), shape if name in system.inputs else None
            )
            if name in system.inputs and _identical(part):
                nodes[name], ends[name] = (
                    nir.Input({"input": np.array(_known(into, name))}),
                    (name, name),
                )
                shapes[name] = into
                continue
            if name in system.outputs and _identical(part):
                nodes[name] = nir.Output({"output": np.array(_known(into, name))})
                ends[name], shapes[name] = (name, name), into
                continue
            parts = self.fused(self.links(part, name))
            parts = [(name, parts[0][1])] if len(parts) == 1 else parts
            made = []
            for place, one in parts:
                if isinstance(one, System | Lift) or callable(one):
                    made.append((place, self.node(one, prefix + place, into)))
                    into = _after(one, into)
                else:
                    made.append((place, one))
            shapes[name] = into
            label = lambda n: n.replace(".", "_")
            nodes |= {label(n): m for n, m in made}
            ends[name] = (label(made[0][0]), label(made[-1][0]))
            edges += [(label(a), label(b)) for (a, _), (b, _) in pairwise(made)]
        edges += [(ends[a][1], ends[b][0]) for a, b in system.edges]
        return nir.NIRGraph(nodes, edges, type_check=False)


def _identical(part: Any) -> bool:
    from neuropil.nir.reading import _identity

    return isinstance(part, Lift) and part.function is _identity


def _known(shape: Shape, name: str) -> tuple[int, ...]:
    if shape is None:
        raise ValueError(f"nir: the shape of {name} is not known; give write(..., shape=...)")
    return shape


def _cuba_lif(writer, parts, kinds, name):
    if kinds != [Scale, LeakyIntegrator, LIF] or parts[1].drive != "current":
        return None
    scale, synapse, cell = parts
    values, metadata = writer.cell(cell, name)
    taus = dict(
        tau_syn=writer.tau(synapse.tau, cell.shape), tau_mem=writer.tau(cell.tau, cell.shape)
    )
    w_in = writer.full(scale.scale, cell.shape)
    return writer.nir.CubaLIF(**taus, **values, w_in=w_in, metadata=metadata)


def _li(writer, parts, kinds, name):
    if kinds not in ([Scale, LeakyIntegrator, Shift], [Scale, LeakyIntegrator]):
        return None
    scale, cell, *leak = parts
    if cell.drive != "current":
        return None
    wide = lambda v: writer.full(v, cell.shape)
    tau = writer.tau(cell.tau, cell.shape)
    return writer.nir.LI(tau, wide(scale.scale), wide(leak[0].shift if leak else 0.0))


def _cuba_li(writer, parts, kinds, name):
    known = [Scale, LeakyIntegrator, Scale, LeakyIntegrator]
    if kinds not in (known, [*known, Shift]) or {parts[1].drive, parts[3].drive} != {"current"}:
        return None
    w_in, synapse, r, cell, *leak = parts
    wide = lambda v: writer.full(v, cell.shape)
    return writer.nir.CubaLI(
        tau_syn=writer.tau(synapse.tau, cell.shape),
        tau_mem=writer.tau(cell.tau, cell.shape),
        r=wide(r.scale),
        v_leak=wide(leak[0].shift if leak else 0.0),
        w_in=wide(w_in.scale),
    )
