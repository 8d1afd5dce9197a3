r"""What a run costs: synaptic operations, spikes, sparsity, parameters, memory, and an estimate of energy.

`account(system, xs, dt, key)` runs a system and counts what passes through its wiring and its cells, by the
definitions of NeuroBench:

- *dense* operations: every synapse at every tick, whether anything is there or not;
- *effective* operations: only where both the activity and the weight are not 0. At a tick whose activity is
  binary (0, 1, -1) they are accumulates (ACs), else multiply-accumulates (MACs). A bias is no synapse;
- *activation sparsity*: share of the cells' outputs, over all ticks, that are 0;
- *connection sparsity*: share of the possible synapses that are 0 or absent;
- *footprint*: bytes of all arrays of the system and of its state; *parameters*: its numbers that can learn.

Source: Yik et al. (2025), The NeuroBench framework for benchmarking neuromorphic computing algorithms and
systems, Nat. Commun. 16, 1545; its definitions as the documentation of the harness states them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from neuropil.core import Managed, System, put, run, start, walk
from neuropil.wiring import LowRank, Signed, Wiring


@dataclass(frozen=True)
class Table:
    """Energy of an operation, in picojoules. None: the hardware has no such operation.

    - `mac`, `ac`: a multiply-accumulate, an accumulate; `update`: of one cell, one tick; `spike`: sending one.
    """

    name: str
    mac: float | None
    ac: float
    update: float = 0.0
    spike: float = 0.0
    source: str = ""


FLOAT_45NM = Table(
    "45 nm, 32-bit floating point",
    mac=4.6,  # 3.7 to multiply, 0.9 to add
    ac=0.9,
    source="Horowitz (2014), Computing's energy problem, ISSCC, 10; arithmetic alone, no memory access",
)
INTEGER_45NM = Table(
    "45 nm, 8-bit weights and 32-bit sums",
    mac=0.3,  # 0.2 to multiply 8 bits, 0.1 to add 32
    ac=0.1,
    source="Horowitz (2014), Computing's energy problem, ISSCC, 10; arithmetic alone, no memory access",
)
LOIHI = Table(
    "Loihi",
    mac=None,
    ac=23.6,
    update=81.0,  # of an active cell; an inactive one takes 52
    spike=1.7,  # within a tile
    source="Davies et al. (2018), IEEE Micro 38(1), 82, Table 2: simulated before silicon, the least of each",
)


@dataclass(frozen=True)
class Row:
    """Counts of one part: a wiring (operations) or a population of cells (outputs)."""

    path: str
    kind: str
    dense: int = 0
    macs: int = 0
    acs: int = 0
    outputs: int = 0
    active: int = 0
    spikes: int = 0
    synapses: int = 0
    possible: int = 0


@dataclass(frozen=True)
class Account:
    """What a run came to; operations, spikes and energy are those of one run (mean over samples).

    `rows` by part; `left_out`: paths of parts with parameters that are neither wiring nor cells: their
    operations are not in the count.
    """

    rows: tuple[Row, ...]
    parameters: int
    footprint: int
    ticks: int
    samples: int = 1
    left_out: tuple[str, ...] = ()

    def _mean(self, name: str) -> float:
        return sum(getattr(r, name) for r in self.rows) / self.samples

    @property
    def dense(self) -> float:
        """Synaptic operations, were nothing skipped."""
        return self._mean("dense")

    @property
    def macs(self) -> float:
        """Effective multiply-accumulates."""
        return self._mean("macs")

    @property
    def acs(self) -> float:
        """Effective accumulates."""
        return self._mean("acs")

    @property
    def spikes(self) -> float:
        """Spikes of all cells whose output is binary."""
        return self._mean("spikes")

    @property
    def updates(self) -> float:
        """Cells times ticks."""
        return self._mean("outputs")

    @property
    def activation_sparsity(self) -> float:
        """Share of the cells' outputs that are 0; NaN without cells."""
        n = self._mean("outputs")
        return 1 - self._mean("active") / n if n else float("nan")

    @property
    def connection_sparsity(self) -> float:
        """Share of the possible synapses that are 0 or absent; NaN without wiring."""
        n = sum(r.possible for r in self.rows)
        return 1 - sum(r.synapses for r in self.rows) / n if n else float("nan")

    def energy(self, table: Table = FLOAT_45NM) -> float:
        """Estimate in picojoules: counts times the table. What moves data and what waits is not in it.

        Raises ValueError for multiply-accumulates on hardware without them.
        """
        if table.mac is None and self.macs:
            raise ValueError(
                f"energy: {self.macs:g} multiply-accumulates, which {table.name} has not; encode graded "
                "activity as spikes, or give another table"
            )
        operations = self.macs * (table.mac or 0.0) + self.acs * table.ac
        return operations + self.updates * table.update + self.spikes * table.spike

    def __str__(self) -> str:
        lines = [f"{'part':<28}{'dense':>14}{'MACs':>14}{'ACs':>14}{'spikes':>12}{'sparsity':>10}"]
        for r in self.rows:
            n, total = (r.active, r.outputs) if r.outputs else (r.synapses, r.possible)
            counts = (f"{v / self.samples:,.0f}" for v in (r.dense, r.macs, r.acs, r.spikes))
            dense, macs, acs, spikes = counts
            lines.append(
                f"{r.path:<28}{dense:>14}{macs:>14}{acs:>14}{spikes:>12}{1 - n / total:>10.3f}"
            )
        lines.append(
            f"{'all':<28}{self.dense:>14,.0f}{self.macs:>14,.0f}{self.acs:>14,.0f}{self.spikes:>12,.0f}"
        )
        lines.append(
            f"{self.parameters:,} parameters, {self.footprint:,} bytes, {self.ticks} ticks"
        )
        if self.left_out:
            lines.append(f"not counted: {', '.join(self.left_out)}")
        return "\n".join(lines)


def _plain(wires: Wiring) -> Wiring:
    """The wiring itself: signed and low-rank ones as what they multiply by."""
    return wires.signed() if isinstance(wires, Signed) else wires


def _ones(wires: Wiring, value: Any) -> Wiring:
    """The same wiring with other weights and without bias."""
    wires = eqx.tree_at(lambda w: w.weight, wires, value)
    bias = getattr(wires, "bias", None)
    return wires if bias is None else eqx.tree_at(lambda w: w.bias, wires, jnp.zeros_like(bias))


def _number(y: Array) -> Array:
    return y.astype(jnp.int32).sum()


def operations(wires: Wiring, x: Array) -> tuple[Array, Array]:
    """(dense, effective) synaptic operations of one activity through a wiring, int32.

    >>> from neuropil.wiring import Dense
    >>> w = jnp.array([[1.3, 0, -3.2], [0, 1.2, -5.1], [-1.1, 2.7, 0]])
    >>> [int(n) for n in operations(Dense(w), jnp.array([0.0, 1.3, -1.0]))]
    [9, 4]
    """
    wires, there = _plain(wires), (x != 0).astype(jnp.result_type(float))
    if isinstance(wires, LowRank):
        r, pre, post = wires.left.shape[1], wires.right.shape[0], wires.left.shape[0]
        return jnp.int32(r * (pre + post)), r * _number(there) + r * post
    effective = _ones(wires, (wires.weight != 0).astype(there.dtype)).forward(there)
    possible = _possible(wires)
    if possible is not None:
        return jnp.int32(possible), _number(effective)
    return _number(
        _ones(wires, jnp.ones_like(wires.weight)).forward(jnp.ones_like(there))
    ), _number(effective)


def _possible(wires: Wiring) -> int | None:
    """Pairs of cells; None for shared weights (a convolution), where it depends on the input."""
    if hasattr(wires, "indptr"):  # sparse: what is absent counts as possible
        return wires.post * (wires.indptr.shape[0] - 1)
    return wires.weight.size if wires.weight.ndim == 2 else None


def _synapses(wires: Wiring) -> tuple[int, int]:
    """(weights that are not 0, weights that could be)."""
    wires = _plain(wires)
    if isinstance(wires, LowRank):
        return (wires.left.size + wires.right.size,) * 2
    possible = _possible(wires)
    there = int(jnp.count_nonzero(wires.weight))
    if hasattr(wires, "indptr") and not wires.weight.ndim:
        there = wires.target.size * bool(wires.weight != 0)
    return there, possible or wires.weight.size


_COUNTS = ("dense", "macs", "acs", "outputs", "active", "spikes")


class _Tap(System):
    """A part beside whose state the counts of the present tick are kept, under "account" (int32 numbers).

    The state stays a dictionary with the part's own names where it was one: receptors read their cell's.
    """

    part: System

    def init(self, dt, key):
        state = self.part.init(dt, key)
        own = state if isinstance(state, dict) else {"part": state}
        return own | {"account": dict.fromkeys(_COUNTS, jnp.int32(0))}

    def step(self, state, x, tick):
        own = {name: value for name, value in state.items() if name != "account"}
        bare = set(own) == {"part"}
        inner, y = self.part.step(own["part"] if bare else own, x, tick)
        now = dict.fromkeys(_COUNTS, jnp.int32(0)) | self._counts(x, y)
        return ({"part": inner} if bare else inner) | {"account": now}, y

    def _counts(self, x, y):
        if isinstance(self.part, Wiring):
            dense, effective = operations(self.part, x)
            binary = jnp.all((x == 0) | (jnp.abs(x) == 1)) & (not isinstance(self.part, LowRank))
            zero = jnp.int32(0)
            macs, acs = jnp.where(binary, zero, effective), jnp.where(binary, effective, zero)
            return {"dense": dense, "macs": macs, "acs": acs}
        active, binary = _number(y != 0), jnp.all((y == 0) | (y == 1))
        spikes = jnp.where(binary, active, jnp.int32(0))
        return {"outputs": jnp.int32(y.size), "active": active, "spikes": spikes}

    def rest(self):
        return self.part.rest()

    def on_edge(self):
        inner = self.part.on_edge()
        return None if inner is None else _Tap(inner)


def _is_cell(part: System) -> bool:
    return type(part).__module__.startswith("neuropil.cells") and not part.children()


def _tapped(system: System) -> tuple[System, dict[str, tuple[str, System]], list[str]]:
    """(the system with taps, {path: (path of its state, part)}, parts with parameters that are not tapped)."""
    found: dict[str, tuple[str, System]] = {}
    left = []
    for path, where, part in walk(system):
        if any(path.startswith(f"{p}.") for p in found):
            continue
        if isinstance(part, Managed):
            raise ValueError(
                "account: a Managed system owns its weight; count the system it trains"
            )
        if isinstance(part, Wiring) or _is_cell(part):
            found[path] = (where, part)
        elif not part.children() and jax.tree.leaves(eqx.filter(part, eqx.is_inexact_array)):
            left.append(path)
    for path, (_, part) in found.items():
        system = _Tap(part) if not path else put(system, path, _Tap(part))
    return system, found, left


def _get(state: Any, where: str) -> Any:
    from neuropil.core import get

    return get(state, where) if where else state


def account(system: System, xs: Any, dt: float, key: Array, *, samples: bool = False) -> Account:
    """Runs a system and counts.

    **Arguments**

    - `system`: made of wiring and cells by the combinators (`Chain`, `Network`, `nir.Graph` ...).
    - `xs`: input, (time, ...), any tree as `run` takes it; with `samples=True` (sample, time, ...), and
      operations, spikes and energy are means over samples.
    - `dt` (ms), `key`: as for `start`.

    >>> from neuropil.cells import LIF
    >>> from neuropil.core import Chain
    >>> from neuropil.wiring import Dense
    >>> net = Chain(wire=Dense(jnp.array([[2.0, 0.0], [0.0, 2.0]])), cell=LIF(2, drive="jump"),
    ...             out=Dense(jnp.ones((3, 2))))
    >>> bill = account(net, jnp.array([[1.0, 1.0], [0.0, 1.0]]), 1.0, jax.random.key(0))
    >>> bill.dense, bill.acs, bill.macs, bill.spikes, bill.activation_sparsity
    (20.0, 12.0, 0.0, 3.0, 0.25)
    >>> round(bill.energy(FLOAT_45NM), 1), round(bill.connection_sparsity, 2), bill.parameters
    (10.8, 0.2, 14)

    Raises ValueError where nothing can be counted, and for a `Managed` system.
    """
    tapped, found, left = _tapped(system)
    if not found:
        raise ValueError("account: no wiring and no cells in this system; nothing to count")
    carry = start(tapped, dt, key)
    record = lambda state, y: {p: _get(state, where)["account"] for p, (where, _) in found.items()}
    many = xs if samples else jax.tree.map(lambda a: jnp.asarray(a)[None], xs)
    n = len(jax.tree.leaves(many)[0])
    totals: dict[str, dict[str, int]] = {p: {} for p in found}
    ticks = 0
    for k in range(n):
        _, counts = run(
            tapped, carry, jax.tree.map(lambda a, k=k: jnp.asarray(a)[k], many), record=record
        )
        for path, now in counts.items():
            for name, values in now.items():
                values = np.asarray(values, np.int64)
                ticks = len(values)
                totals[path][name] = totals[path].get(name, 0) + int(values.sum())
    rows = []
    for path, (_, part) in found.items():
        there, possible = _synapses(part) if isinstance(part, Wiring) else (0, 0)
        kind = type(part).__name__
        rows.append(Row(path, kind, **totals[path], synapses=there, possible=possible))
    arrays = [a for a in jax.tree.leaves((system, start(system, dt, key).state)) if eqx.is_array(a)]
    arrays = [a for a in arrays if not jnp.issubdtype(a.dtype, jax.dtypes.prng_key)]
    learned = jax.tree.leaves(eqx.filter(system, eqx.is_inexact_array))
    return Account(
        tuple(rows),
        sum(a.size for a in learned),
        sum(a.size * a.dtype.itemsize for a in arrays),
        ticks,
        n,
        tuple(left),
    )
