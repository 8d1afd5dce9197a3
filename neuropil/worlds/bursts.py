r"""Rhythms in bursts: oscillations that a Markov chain gates on and off, in groups of channels, with noise.

Channel j of the mode m that it belongs to carries $g_m(t) \sin(2 \pi f_m t + \phi_j(t))$ with
$\phi_j(t) = 2 \pi (\sin(2 \pi 0.005 t) / 2 + j / (4 (C - 1)))$: neighbours in a group are nearly in phase. The
gate $g_m$ is the first of three states of a chain that stays with probability 0.98 a sample. Then noise of
deviation 1 / snr, a band pass and z-scores. What is known: gates, frequencies, and in a task which gates an
event has raised.

Source: simulation of the official code of MEG-GPT (arXiv 2510.18080), OHBA-analysis/osl-foundation; there all
subjects share one draw of the gates, here each has its own. The task is ours.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy.signal import butter, sosfiltfilt

GROUPS = ((0, 1), (2, 3))
"""Channels of each mode."""


class Bursts(NamedTuple):
    """Recordings x (subject, time, channel), z-scored; gates (subject, mode, time), 0 or 1; hz (subject,
    mode)."""

    x: Float[np.ndarray, "subject time channel"]
    gates: Int[np.ndarray, "subject mode time"]
    hz: Float[np.ndarray, "subject mode"]


class BurstTrials(NamedTuple):
    """Windows after events: x (subject, trial, time, channel), class `y` and `run` (subject, trial), and the
    share of the window each gate was on, `gates` (subject, trial, mode)."""

    x: Float[np.ndarray, "subject trial time channel"]
    y: Int[np.ndarray, "subject trial"]
    run: Int[np.ndarray, "subject trial"]
    gates: Float[np.ndarray, "subject trial mode"]


def shifted(hz: tuple[float | int, ...], subjects: int, spread: float | int = 0.5) -> np.ndarray:
    """Frequencies (subject, mode): those of `hz`, shifted together by -spread..spread from first to last.

    >>> shifted((7.0, 17.0), 3).tolist()
    [[6.5, 16.5], [7.0, 17.0], [7.5, 17.5]]
    """
    shift = np.linspace(-spread, spread, subjects) if subjects > 1 else np.zeros(1)
    return np.asarray(hz, float)[None, :] + shift[:, None]


def markov_gates(
    rng: np.random.Generator, shape: tuple[int, ...], stay: float | int = 0.98, states: int = 3
) -> Int[np.ndarray, "*many time"]:
    """1 where a chain over the last axis is in the first of `states`, each left with 1 - stay for any other.

    >>> gates = markov_gates(np.random.default_rng(0), (200_000,))
    >>> round(float(gates.mean()), 1), round(float(1 / (np.diff(gates) > 0).sum() * gates.sum()), -1)
    (0.3, 50.0)

    Raises ValueError for a probability outside 0..1 or fewer than two states.
    """
    if not 0 <= stay <= 1 or states < 2:
        raise ValueError(f"markov_gates: stay = {stay} (0..1), states = {states} (2 or more)")
    jump = (rng.random(shape) >= stay) * rng.integers(1, states, shape)
    jump[..., 0] = rng.integers(0, states, shape[:-1])
    return (np.cumsum(jump, axis=-1) % states == 0).astype(int)


def play(
    rng: np.random.Generator,
    gates: Int[np.ndarray, "subject mode time"],
    hz: Float[np.ndarray, "subject mode"],
    *,
    rate: float | int = 100.0,
    groups: tuple[tuple[int, ...], ...] = GROUPS,
    snr: float | int = 4.0,
    band: tuple[float | int, float | int] | None = (5.0, 40.0),
) -> Float[np.ndarray, "subject time channel"]:
    """What is recorded of these gates; `band` in Hz (Butterworth of order 5, both ways), None: unfiltered.

    Raises ValueError where groups and modes differ in number."""
    if len(groups) != gates.shape[1]:
        raise ValueError(f"play: {len(groups)} groups for {gates.shape[1]} modes; one each")
    channels = 1 + max(max(g) for g in groups)
    t = np.arange(gates.shape[2]) / rate
    wander = 0.5 * np.sin(2 * np.pi * 0.005 * t)
    phase = 2 * np.pi * (wander[:, None] + np.linspace(0, 0.25, channels))
    x = rng.normal(0, 1 / snr, (len(hz), len(t), channels))
    for m, group in enumerate(groups):
        wave = np.sin(2 * np.pi * hz[:, m, None, None] * t[:, None] + phase[:, list(group)])
        x[:, :, list(group)] += gates[:, m, :, None] * wave
    if band is not None:
        x = sosfiltfilt(butter(5, band, "bandpass", fs=rate, output="sos"), x, axis=1)
    return (x - x.mean(1, keepdims=True)) / x.std(1, keepdims=True)


def bursts(
    hz: Float[np.ndarray, "subject mode"],
    seconds: float | int = 300.0,
    *,
    rate: float | int = 100.0,
    seed: int = 0,
    **more,
) -> Bursts:
    """Resting recordings of subjects with rhythms of `hz`; `more`: groups, snr, band of `play`.

    >>> draw = bursts(shifted((7.0, 17.0), 2), 10.0)
    >>> draw.x.shape, draw.gates.shape
    ((2, 1000, 4), (2, 2, 1000))
    """
    rng = np.random.default_rng([seed, 0])
    gates = markov_gates(rng, (*hz.shape, round(seconds * rate)))
    return Bursts(play(rng, gates, hz, rate=rate, **more), gates, hz)


def burst_task(
    hz: Float[np.ndarray, "subject mode"],
    trials: int = 60,
    *,
    runs: int = 2,
    rate: float | int = 100.0,
    seconds: float | int = 0.8,
    reliability: float | int = 0.8,
    seed: int = 0,
    **more,
) -> BurstTrials:
    """Events of 2^modes classes: bit m of the class says whether mode m is raised, that is, its gate held open
    for `seconds` after the event with probability `reliability`; else the chain goes on as it would.

    An event comes every 1.6 to 2.4 s; its phase is random, so classes differ in power and not in mean.

    >>> task = burst_task(shifted((7.0, 17.0), 2), trials=8)
    >>> task.x.shape, sorted(set(task.y.ravel().tolist()))
    ((2, 16, 80, 4), [0, 1, 2, 3])
    """
    rng = np.random.default_rng([seed, 1])
    subjects, modes = hz.shape
    n, classes = round(seconds * rate), 2**modes
    parts = []
    for run in range(runs):
        gap = rng.integers(round(1.6 * rate), round(2.4 * rate) + 1, (subjects, trials))
        onset = np.cumsum(gap, axis=1)
        gates = markov_gates(rng, (subjects, modes, int(onset.max()) + 2 * n))
        y = rng.permuted(np.tile(np.arange(trials) % classes, (subjects, 1)), axis=1)
        raised = (y[..., None] >> np.arange(modes)) & (
            rng.random((subjects, trials, modes)) < reliability
        )
        place = onset[..., None] + np.arange(n)
        who = np.arange(subjects)[:, None, None]
        for m in range(modes):
            gates[who, m, place] |= raised[..., m, None]
        x = play(rng, gates, hz, rate=rate, **more)
        on = np.stack([gates[who, m, place].mean(-1) for m in range(modes)], -1)
        parts.append(BurstTrials(x[who, place], y, np.full_like(y, run), on))
    return BurstTrials(*(np.concatenate(field, axis=1) for field in zip(*parts, strict=True)))
