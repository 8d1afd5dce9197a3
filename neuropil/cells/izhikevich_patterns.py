"""The 20 firing patterns of Izhikevich (2004), with the inputs and time steps that show them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from neuropil.cells.izhikevich import Izhikevich

Number = float | int
Current = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class IzhikevichPattern:
    """A published firing pattern: the cell's a, b, c, d and start, the time step, and the input.

    `cell(shape)` builds it; `current(shape)` is its input at every tick of the published run.

    Source: Izhikevich (2004), IEEE Trans. Neural Netw. 15, 1063, figure 1 and the script that draws it.
    """

    letter: str
    abcd: tuple[Number, Number, Number, Number]
    v_start: Number
    dt: Number
    duration: Number
    input: Current
    more: dict[str, float] = field(default_factory=dict)

    def cell(self, shape: int | tuple[int, ...] = 1, **more: Any) -> Izhikevich:
        """Cells that fire in this pattern."""
        return Izhikevich(shape, *self.abcd, **({"v_start": self.v_start} | self.more | more))

    def current(self, shape: int | tuple[int, ...] = 1) -> np.ndarray:
        """The input of every tick, (time, *shape), from 0 to `duration` at steps of `dt`."""
        shape = (shape,) if isinstance(shape, int) else tuple(shape)
        drive = self.input(self.dt * np.arange(round(self.duration / self.dt) + 1))
        return np.broadcast_to(drive.reshape(-1, *(1 for _ in shape)), (len(drive), *shape))


def _step(at: Number, height: Number) -> Current:
    return lambda t: np.where(t > at, height, 0.0)


def _ramp(at: Number, slope: Number, base: Number = 0.0) -> Current:
    return lambda t: base + np.where(t > at, slope * (t - at), 0.0)


def _pulses(width: Number, *pairs: tuple[Number, Number], base: Number = 0.0) -> Current:
    """Pulses of a width at times with heights; both ends open, as in the script."""

    def current(t):
        out = np.full_like(t, base)
        for at, height in pairs:
            out = np.where((t > at) & (t < at + width), height, out)
        return out

    return current


def _accommodation(t: np.ndarray) -> np.ndarray:
    """A slow ramp, silence, and a steep ramp to half its height."""
    slow = np.where(t < 200, t / 25, 0.0)
    return np.where((t >= 300) & (t < 312.5), (t - 300) / 12.5 * 4, slow)


def _released(t: np.ndarray) -> np.ndarray:
    """Less excitation from 50 to 250 ms."""
    return np.where((t < 50) | (t > 250), 80.0, 75.0)


CLASS_1 = {"linear": 4.1, "constant": 108.0}

PATTERNS = {
    "tonic spiking": IzhikevichPattern("A", (0.02, 0.2, -65, 6), -70, 0.25, 100, _step(10, 14)),
    "phasic spiking": IzhikevichPattern("B", (0.02, 0.25, -65, 6), -64, 0.25, 200, _step(20, 0.5)),
    "tonic bursting": IzhikevichPattern("C", (0.02, 0.2, -50, 2), -70, 0.25, 220, _step(22, 15)),
    "phasic bursting": IzhikevichPattern(
        "D", (0.02, 0.25, -55, 0.05), -64, 0.2, 200, _step(20, 0.6)
    ),
    "mixed mode": IzhikevichPattern("E", (0.02, 0.2, -55, 4), -70, 0.25, 160, _step(16, 10)),
    "spike frequency adaptation": IzhikevichPattern(
        "F", (0.01, 0.2, -65, 8), -70, 0.25, 85, _step(8.5, 30)
    ),
    "class 1": IzhikevichPattern(
        "G", (0.02, -0.1, -55, 6), -60, 0.25, 300, _ramp(30, 0.075), CLASS_1
    ),
    "class 2": IzhikevichPattern("H", (0.2, 0.26, -65, 0), -64, 0.25, 300, _ramp(30, 0.015, -0.5)),
    "spike latency": IzhikevichPattern(
        "I", (0.02, 0.2, -65, 6), -70, 0.2, 100, _pulses(3, (10, 7.04))
    ),
    "subthreshold oscillations": IzhikevichPattern(
        "J", (0.05, 0.26, -60, 0), -62, 0.25, 200, _pulses(5, (20, 2.0))
    ),
    "resonator": IzhikevichPattern(
        "K",
        (0.1, 0.26, -60, -1),
        -62,
        0.25,
        400,
        _pulses(4, (40, 0.65), (60, 0.65), (280, 0.65), (320, 0.65)),
    ),
    "integrator": IzhikevichPattern(
        "L",
        (0.02, -0.1, -55, 6),
        -60,
        0.25,
        100,
        _pulses(2, (100 / 11, 9.0), (100 / 11 + 5, 9.0), (70, 9.0), (80, 9.0)),
        CLASS_1,
    ),
    "rebound spike": IzhikevichPattern(
        "M", (0.03, 0.25, -60, 4), -64, 0.2, 200, _pulses(5, (20, -15.0))
    ),
    "rebound burst": IzhikevichPattern(
        "N", (0.03, 0.25, -52, 0), -64, 0.2, 200, _pulses(5, (20, -15.0))
    ),
    "threshold variability": IzhikevichPattern(
        "O", (0.03, 0.25, -60, 4), -64, 0.25, 100, _pulses(5, (10, 1.0), (70, -6.0), (80, 1.0))
    ),
    "bistability": IzhikevichPattern(
        "P",
        (0.1, 0.26, -60, 0),
        -61,
        0.25,
        300,
        _pulses(5, (37.5, 1.24), (216, 1.24), base=0.24),
    ),
    "depolarizing after-potential": IzhikevichPattern(
        "Q", (1.0, 0.2, -60, -21), -70, 0.1, 50, _pulses(2, (9, 20.0))
    ),
    "accommodation": IzhikevichPattern(
        "R",
        (0.02, 1.0, -55, 4),
        -65,
        0.5,
        400,
        _accommodation,
        {"u_start": -16.0, "u_leak": 0.0, "v_u": -65.0},
    ),
    "inhibition-induced spiking": IzhikevichPattern(
        "S", (-0.02, -1.0, -60, 8), -63.8, 0.5, 350, _released
    ),
    "inhibition-induced bursting": IzhikevichPattern(
        "T", (-0.026, -1.0, -45, -2), -63.8, 0.5, 350, _released
    ),
}


def izhikevich_pattern(name: str) -> IzhikevichPattern:
    """One of the 20 patterns of Izhikevich (2004) by name.

    >>> import jax
    >>> from neuropil.core import run, start
    >>> burst = izhikevich_pattern("phasic bursting")
    >>> cell, current = burst.cell(1), jax.numpy.asarray(burst.current(1), "float32")
    >>> _, spikes = run(cell, start(cell, burst.dt, jax.random.key(0)), current)
    >>> int(spikes.sum()) > 2, float(spikes[500:].sum())
    (True, 0.0)

    Raises KeyError for a name that is not there; `izhikevich_patterns()` lists them.
    """
    if name not in PATTERNS:
        raise KeyError(f"no pattern {name!r}; choose one of {sorted(PATTERNS)}")
    return PATTERNS[name]


def izhikevich_patterns() -> list[str]:
    """The names of the 20 patterns, in the order of the paper's figure."""
    return list(PATTERNS)
