"""From a run of titans to the numbers of its table."""

from __future__ import annotations

import numpy as np

from neuropil.studies import Metric

GAPS = ("bits", "found", "found-hard")  # NaN where it is not the task

_PAPER = dict(paper={"context": 0.974}, where="Table 2, S-NIAH-N at 16K, trained at 4K")

METRICS = {
    "found-far": Metric("needles found, longest haystack (chance 0.0625)", **_PAPER),
    "found-far-hard": Metric("the same, filler of keys and values"),
    "found-near": Metric("needles found at the length of training"),
    "bits-wikitext": Metric(
        "WikiText-2 (learnt from its validation part)", "bits a character", better="lower"
    ),
}

CITE = """@article{behrouz2024titans,
  title = {Titans: Learning to Memorize at Test Time},
  author = {Behrouz, Ali and Zhong, Peilin and Mirrokni, Vahab},
  journal = {arXiv:2501.00663},
  year = {2024}
}"""

DIFFERS = (
    "No official code was released. Not in the main text and so ours: chunk 16, segment and window 32, the"
    " memory's width (two layers, the second begins at 0), sigmoid gates, SiLU where branches multiply.",
    "Momentum goes to 0.5 and the step to (1 - 0.5) / chunk, up to which a chunk cannot overshoot"
    " (`memory.largest_step`); with steps to 1 it diverged. A token's gradient counts for at most 5, as a deep"
    " memory can still diverge.",
    "In memory as context what the memory says is normalised, attention has a way round, the gate is a sigmoid,"
    " and places within the segment turn queries and keys, so that a token finds what the memory says to it.",
    "The short convolution (3 tokens) stands before every mixer, baselines included, and not on q, k and v;"
    " there are no positions from segment to segment or in any baseline, without which attention holds on best"
    " beyond its length.",
    "Persistent tokens: keys and values that attention always sees; the memory alone has none. In memory as a"
    " layer the memory has no way round but the block's.",
    "About 22,000 parameters and sequences of 64 tokens, against 170 to 760 million and 4,096; needles of one"
    " token in random filler, not RULER. The test goes to 16 times the length of training (the paper: 4).",
    "The published table has no transformer; the linear recurrent network here is the gated delta rule.",
    "In the stored small run memory as context has not learnt the task (35 % of the needles at the trained"
    " length itself, after 1,000 updates): its verdicts speak of training at this size, not of the memory,"
    " which alone finds all at that length.",
    "WikiText-2 has no training part here: characters, learnt from its validation part, in pieces of 64; it"
    " does not compare with published perplexities.",
)


def score(settings: dict, history: dict) -> dict:
    """Needles found near and far, and bits a character."""
    order = np.argsort(settings["lengths"])
    found = np.asarray(history["found"], float)[0][order]
    out = {
        "found-far": float(found[-1]),
        "found-far-hard": float(np.asarray(history["found-hard"], float)[0][order[-1]]),
        "found-near": float(found[0]),
    }
    bits = np.asarray(history["bits"], float)
    return out | ({"bits-wikitext": float(bits[1])} if len(bits) > 1 else {})
