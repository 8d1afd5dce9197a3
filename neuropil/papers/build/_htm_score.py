"""From a run of htm-sequence-memory to the numbers of its table."""

import numpy as np
from scipy.special import ndtr
from sklearn.metrics import roc_auc_score

from neuropil.studies import Metric

LAST = 4  # chunks at the end of a phase that count as its end
TEXT = ("given", "first", "odd")
LESIONS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)  # shares of dead cells in the tests

METRICS = {
    "before": Metric(
        "last elements foretold, before the change",
        paper={"htm": 1.0, "lstm": 0.917},
        where="stored results; LSTM retrained on the last 3000",
    ),
    "after": Metric(
        "last elements foretold, at the end",
        paper={"htm": 1.0, "lstm": 0.877},
        where="stored results; LSTM retrained on the last 3000",
    ),
    "learn": Metric("elements until learnt", better="lower", paper={"htm": 7010, "lstm": 2906}),
    "relearn": Metric("elements until learnt again", better="lower", paper={"htm": 2935, "lstm": 4059}),
    "dead-30": Metric(
        "with 30 % of the cells dead", paper={"htm": 1.0, "lstm": 0.313}, where="stored results"
    ),
    "dead-50": Metric(
        "with 50 % of the cells dead", paper={"htm": 0.522, "lstm": 0.269}, where="stored results"
    ),
    "noise": Metric("with one of elements 1 to 3 at random"),
    "predicted": Metric("columns predicted, in codes", better="lower"),
    "letters": Metric("letters of a text foretold, second half, odd ones apart"),
    "odd": Metric("odd letters told by the anomaly likelihood, area under the curve"),
    "odd-raw": Metric("odd letters told by the raw anomaly score, area under the curve"),
}  # fmt: skip

CITE = """@article{cui2016continuous,
  title = {Continuous online sequence learning with an unsupervised neural network model},
  author = {Cui, Yuwei and Ahmad, Subutai and Hawkins, Jeff},
  journal = {Neural Computation},
  volume = {28}, number = {11}, pages = {2474--2504},
  year = {2016}
}"""

DIFFERS = (
    "At scale small a smaller net (256 columns of 8 cells, codes of 16), and 1,000 symbols between sequences"
    " instead of 5,000. A first small run had 50 and the same claims (0.85 before the change, 0.69 at the end;"
    " there it held that the memory learns again sooner than the LSTM, here this is undecided). Its likely"
    " cause, not tested apart: so few symbols are soon predicted themselves, so the context goes on across"
    " them.",
    "6,000 elements before the change, where the paper's net takes 7,010 to learn: the memory is judged"
    " while it still learns (with 10,000 the paper has 1.0).",
    "Segments share one pool, in which the one that matched nothing for longest makes room; the paper has 128 a"
    " cell, which its runs do not fill.",
    "The LSTM takes a step of Adam at every element on stretches drawn from the last 3,000, instead of being"
    " trained anew every 1,000; the echo state network stands in for the paper's other baselines (ELM, TDNN).",
    "Cell death and noise are tested at the end with learning off, after the change; endings are scored on"
    " last elements alone, with one prediction.",
    "The real series are letters of tiny Shakespeare, one by one, read once by learners that begin anew, in"
    " place of the taxi series, which comes under a licence that ours does not fit. The LSTM and the echo state"
    " network keep the sizes and rates that they have for the sequences.",
    "Numenta's anomaly likelihood is taken of mean anomalies of 10 letters against those of the last 1,000;"
    " what an LSTM or a reservoir leaves of its foresight stands for their raw anomaly score.",
    "Not done: several predictions at once, and long sequences.",
)


def until(accuracy: np.ndarray, chunk: int) -> float:
    """Elements until the accuracy has reached 95 % of that at the end; all of them for accuracy 0.

    >>> until(np.array([0.0, 0.5, 1.0, 1.0, 1.0, 1.0]), 100)
    300.0
    """
    end = accuracy[-LAST:].mean()
    reached = np.flatnonzero(accuracy >= 0.95 * end)
    return float(chunk * (reached[0] + 1)) if end > 0 else float(chunk * len(accuracy))


def likelihood(raw: np.ndarray, few: int = 10, many: int = 1000) -> np.ndarray:
    """Numenta's anomaly likelihood: how far the mean of the last `few` raw scores lies above what such means
    were in the last `many` steps, as a share of a normal distribution.

    Source: Lavin, Ahmad (2015), arXiv:1510.03336; Ahmad and others (2017), Neurocomputing 262, 134.
    """
    sums = lambda a, n: np.convolve(a, np.ones(n))[: len(a)] / np.minimum(np.arange(len(a)) + 1, n)
    short = sums(np.asarray(raw, float), few)
    mean = sums(short, many)
    spread = np.sqrt(np.maximum(sums(short**2, many) - mean**2, 1e-6))
    return ndtr((short - mean) / spread)


def score(settings: dict, history: dict) -> dict:
    """Accuracy at the ends of both phases, times to learn, what death and noise leave."""
    accuracy = np.asarray(history["accuracy"], float)[: settings["learning"] + len(LESIONS) + 1]
    change, learning = settings["change"], settings["learning"]
    first, second = accuracy[:change], accuracy[change:learning]
    test = dict(zip((*LESIONS, "noise"), accuracy[learning:], strict=True))
    return {
        "before": float(first[-LAST:].mean()),
        "after": float(second[-LAST:].mean()),
        "learn": until(first, settings["chunk"]),
        "relearn": until(second, settings["chunk"]),
        "dead-30": float(test[0.3]),
        "dead-50": float(test[0.5]),
        "noise": float(test["noise"]),
        "predicted": float(np.mean(history["predicted"][learning - LAST : learning])),
        **of_text({k: np.asarray(history[k], float)[len(test) + learning :] for k in TEXT}),
    }


def of_text(seen: dict) -> dict:
    """Letters foretold, and how well anomalies tell the odd ones, in the second half of a text."""
    half = seen["odd"].size // 2
    odd = seen["odd"].ravel()[half:] > 0
    raw = 1 - seen["given"].ravel()
    if odd.all():
        raise ValueError("all letters are odd; give fewer than a chunk has")
    return {
        "letters": float(seen["first"].ravel()[half:][~odd].mean()),
        "odd": float(roc_auc_score(odd, likelihood(raw)[half:])),
        "odd-raw": float(roc_auc_score(odd, raw[half:])),
    }
