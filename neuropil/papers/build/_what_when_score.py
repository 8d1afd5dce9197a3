"""From a run of what-when-reservoir to the numbers of its table."""

import numpy as np

from neuropil.studies import Metric

CHANGES = ("timing", "chance")  # what changes at tick 0, and at tick 1
ON_TIME, CALIBRATED = 30.0, 0.15  # ms and probability: what counts as learned again
SMOOTH, LAST = 5, 20  # trials: of the mean that must stay within, and at the end of a half

METRICS = {
    "timing": Metric("timing error before the change", "ms", better="lower"),
    "timing-after": Metric("timing error at the end, latencies swapped", "ms", better="lower"),
    "correlation": Metric("correlation of height with probability, before the change"),
    "slope": Metric("slope of height against probability, before the change"),
    "calibration": Metric("|height - probability| before the change", better="lower"),
    "calibration-after": Metric(
        "|height - probability| at the end, probabilities changed", better="lower"
    ),
    "relearn-timing": Metric("trials until on time again", better="lower"),
    "relearn-chance": Metric("trials until calibrated again", better="lower"),
    "angle": Metric("angle between WHAT and WHEN weights", "deg"),
    "angle-loss": Metric("that of random weights, less ours", "deg", better="lower"),
}

CITE = """@article{yamada2025whatwhen,
  title = {Joint encoding of "what" and "when" predictions through error-modulated plasticity in reservoir
           spiking networks},
  author = {Yamada and Chao},
  journal = {arXiv preprint arXiv:2510.14382},
  year = {2025}
}"""

DIFFERS = (
    "A reconstruction from the abstract: the paper's equations, constants and timing could not be read, and no"
    " code is released. The cells and the least-squares baseline take the constants of the usual spiking FORCE"
    " network (Nicola and Clopath 2017).",
    "No readout is fed back into the reservoir, for any arm: all learn from the very same activity. FORCE is"
    " then recursive least squares; without forgetting its P only shrinks, which is what the claim is about.",
    "WHEN learns online with rate |e| g; WHAT after every trial, where attention is (what WHEN foretold, 0.1 or"
    " more in the window).",
    "Trials of 600 ms begin at rest with a little noise in every potential.",
)


def smooth(x: np.ndarray) -> np.ndarray:
    """Mean of the last few trials, at every trial."""
    padded = np.concatenate([np.full(SMOOTH - 1, x[0]), x])
    return np.convolve(padded, np.ones(SMOOTH) / SMOOTH, "valid")


def trials_until(error: np.ndarray, bound: float) -> int:
    """Trials after which the smoothed error stays within a bound; all of them where it never does.

    >>> trials_until(np.array([9.0, 9, 0, 0, 0, 0, 0, 0, 0, 0]), 1.0), trials_until(np.full(7, 2.0), 1.0)
    (6, 7)
    """
    above = np.flatnonzero(smooth(error) > bound)
    return int(above[-1]) + 1 if len(above) else 0


def errors(history: dict) -> tuple[np.ndarray, np.ndarray]:
    """Timing error (ms) and error of height, by (tick, trial), means over cues and outcomes."""
    time = np.abs(history["peak"] - history["times"]).mean((2, 3))
    return time, np.abs(history["height"] - history["chances"]).mean((2, 3))


def score(settings: dict, history: dict) -> dict:
    """Errors at the ends of both halves, calibration, trials to learn again, angles."""
    history = {name: np.asarray(value, float) for name, value in history.items()}
    n = history["peak"].shape[1] // 2
    before = slice(max(n - LAST, 0), n)
    time, height = errors(history)
    late = slice(-min(LAST, n), None)
    shown, true = (history[name][:, before].ravel() for name in ("height", "chances"))
    flat = shown.std() < 1e-9
    return {
        "timing": float(time[:, before].mean()),
        "timing-after": float(time[0, late].mean()),
        "correlation": 0.0 if flat else float(np.corrcoef(shown, true)[0, 1]),
        "slope": float(np.polyfit(true, shown, 1)[0]),
        "calibration": float(height[:, before].mean()),
        "calibration-after": float(height[1, late].mean()),
        "relearn-timing": float(trials_until(time[0, n:], ON_TIME)),
        "relearn-chance": float(trials_until(height[1, n:], CALIBRATED)),
        "angle": float(history["angle"][:, 0].mean()),
        "angle-loss": float(history["null"].mean() - history["angle"][:, 0].mean()),
    }
