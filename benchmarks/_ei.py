"""The E/I network that every library gets: its constants, and what is asked of its spikes (NumPy only).

Conductance-based E/I network of Vogels and Abbott (2005) in the form of Brette et al. (2007), benchmark 1,
without a bias current: conductances in units of the leak (10 nS), started active.
"""

from __future__ import annotations

import argparse

import numpy as np

DT = 0.1  # ms
TAU, REST, THRESHOLD, RESET, REFRACTORY = 20.0, -60.0, -50.0, -60.0, 5.0
TAU_E, TAU_I, E_E, E_I = 5.0, 10.0, 0.0, -80.0
W_E, W_I = 0.6, 6.7
SYNAPSES = 80  # a cell, on average
BEGIN = {"v": (-65.0, 5.0), "exc": (4.0, 1.5), "inh": (20.0, 12.0)}  # mean, deviation
WARM, BIN = 200.0, 5.0  # ms left out of the statistics; width of a bin of the synchrony


def options(text: str, libraries: list[str]):
    """What a worker is told."""
    parser = argparse.ArgumentParser(description=text.splitlines()[0])
    parser.add_argument("--worker", choices=libraries)
    parser.add_argument("--cells", type=int, default=4000)
    parser.add_argument("--ms", type=float, default=1000.0)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=0, help="statistics of so many seeds instead")
    return parser.parse_args()


def excitatory(cells: int) -> int:
    """Four of five cells."""
    return int(0.8 * cells)


def statistics(cell: np.ndarray, ms: np.ndarray, cells: int, end: float) -> dict[str, float]:
    """Rate (Hz), mean coefficient of variation of the intervals, and synchrony of a spike list.

    Synchrony is chi^2 = Var_t(mean_i c_i) / mean_i Var_t(c_i) of the spike counts c_i in bins (Golomb 2007).
    """
    late = ms >= WARM
    cell, ms = cell[late], ms[late]
    if not len(ms):
        return {"rate": 0.0, "active": False}
    order = np.lexsort((ms, cell))
    cell, ms = cell[order], ms[order]
    same = cell[1:] == cell[:-1]
    interval, owner = np.diff(ms)[same], cell[1:][same]
    count = np.bincount(owner, minlength=cells)
    mean = np.bincount(owner, interval, cells) / np.maximum(count, 1)
    square = np.bincount(owner, interval**2, cells) / np.maximum(count, 1)
    enough = count >= 5
    cv = np.sqrt(np.maximum(square - mean**2, 0))[enough] / mean[enough]
    bins = int((end - WARM) / BIN)
    table = np.zeros((bins, cells))
    np.add.at(table, (np.minimum(((ms - WARM) / BIN).astype(int), bins - 1), cell), 1)
    chi2 = table.mean(1).var() / table.var(0).mean()
    return {
        "rate": len(ms) / cells / ((end - WARM) / 1000),
        "active": bool((ms > end - 50).any()),
        "cv": float(cv.mean()) if len(cv) else float("nan"),
        "synchrony": float(chi2),
    }
