r"""MEG-GPT: recordings as sentences. A token for every sample and channel, a transformer that tells the next.

Huang et al. (2025), arXiv:2510.18080; code OHBA-analysis/osl-foundation (the paper's), OHBA-analysis/MEG-GPT.

A GRU chooses a code for each sample, $a_t = \tau\,\text{softmax}(l_t) + (1 - \tau)\,\text{onehot}(\arg\max
l_t)$ with $\tau \to 0$, and codes' kernels add up to the signal. A GPT with
$e_{tc} = E_{s_{tc}} + P_t + Q_c + U_k$ attends, within each channel, to patches of the past and last samples,
and is sampled to generate.

Claim: what it generates has the spectra and bursts of a recording, which a linear model of high order matches
in spectrum only; and its features help decoding. How we differ, why covariance stands apart: `STUDY.differs`.

Found at small: rhythms come in bursts (variation of envelopes 0.20 from the recording's, linear models 0.49),
but in seeds 0 and 3 of five a rhythm once begun goes on for seconds, and lifetimes are no nearer than a linear
model's: undecided. Channels are uncorrelated, as foreseen; channel attention recovers 0.41 of 0.67. Learned and
mu-law tokens give spectra alike, and on measured fields mu-law loses less. Features beat raw windows and
untrained weights, not band power.
"""

from neuropil.papers.fit._meg_gpt import Modelling
from neuropil.papers.fit._meg_gpt_score import CITE, DIFFERS, GAPS, METRICS, figures, score
from neuropil.studies import Arm, Study


def arm(how: str, role: str, about: str) -> Arm:
    """One way to generate, to decode, or both."""
    return Arm(lambda settings, data: Modelling(how, settings), role, about, jit=False, gaps=GAPS)


def check(settings: dict) -> None:
    """ValueError for settings that make no sense together."""
    s = settings
    if s["length"] % s["patch"] or s["queries"] % s["patch"]:
        raise ValueError("patch must divide length and queries: keys are whole patches")
    if not s["scored"] <= min(s["raw"], s["queries"]) <= s["length"]:
        raise ValueError("scored: at most raw and queries, and those at most length")
    if s["width"] % s["heads"]:
        raise ValueError("heads must divide width")
    if s["token_window"] <= 20:
        raise ValueError("token_window: more than 20 samples, windows overlap by 10 at either end")
    if s["runs"] < 2 or s["task_subjects"] < 2:
        raise ValueError("runs and task_subjects: 2 or more, one is left out to test")
    if s["seconds"] * s["rate"] < 2 * s["length"] or s["made"] < 6:
        raise ValueError("seconds: two windows or more; made: 6 s or more")


_SMALL = dict(
    seeds=5, data="simulated", subjects=8, seconds=300.0, rate=100.0, made=30.0, codes=32, units=32, taps=10,
    token_temperature=0.1, token_quantiles=True, token_subjects=8, token_window=100, token_windows=640,
    token_stages=10, token_batch=32, token_rate=1e-3, length=80, queries=40, patch=4, raw=16, scored=8,
    width=48, depth=2, heads=4, hidden=48, drop=0.0, windows=6400, epochs=1, batch=16, learning_rate=2e-3,
    top=0.99, ar=80, mvar=20, task_subjects=6, trials=60, runs=2, real=True,
)  # fmt: skip

STUDY = Study(
    slug="meg-gpt",
    arms={
        "meg-gpt": arm("gpt", "system", "learned tokens, attention within channels: the paper's model"),
        "channel-attention": arm("across", "variant", "the same, channels exchange at each time"),
        "mu-law": arm("mu-law", "variant", "mu-law tokens, the same model"),
        "ar": arm("ar", "baseline", "autoregression of order 80, each channel alone"),
        "mvar": arm("mvar", "baseline", "multivariate autoregression of order 20"),
        "raw-window": arm("raw", "baseline", "decoding from the window's samples"),
        "band-power": arm("power", "baseline", "decoding from log power in four bands"),
        "shuffled": arm("shuffled", "control", "a recording's tokens in random order"),
        "random-weights": arm("random", "control", "decoding from features of an untrained model"),
        "real": arm("real", "ceiling", "a second recording of the same subjects"),
        "true-gates": arm("gates", "ceiling", "decoding from the gates themselves"),
    },
    scales={
        "smoke": _SMALL | dict(seeds=1, subjects=2, seconds=20.0, made=6.0, codes=8, units=4, taps=4,
                               token_subjects=2, token_windows=32, token_stages=2, token_batch=16, length=32,
                               queries=16, raw=8, scored=4, width=8, depth=1, heads=2, hidden=8, windows=32,
                               ar=8, mvar=4, task_subjects=2, trials=16, real=False),
        "small": _SMALL,
        "paper": _SMALL | dict(data="cam-can", subjects=612, seconds=480.0, rate=250.0, made=60.0, codes=128,
                               units=128, token_temperature=1.0, token_quantiles=False, token_subjects=50,
                               token_window=200, token_windows=1_560_000, token_rate=1e-5, width=400, depth=4,
                               hidden=400, drop=0.2, windows=450_000, epochs=60, batch=8, learning_rate=1e-5,
                               task_subjects=19, runs=6),
    },
    load=lambda settings: {},
    ticks=lambda settings: 1,
    score=score,
    metrics=METRICS,
    figures=figures,
    check=check,
    cite=CITE,
    mechanism=(
        "A GRU chooses one of a few codes for every sample, kernels of the codes add up to the signal. A"
        " transformer with embeddings of token, time, channel and session attends to patches of the past"
        " and the last samples within each channel and is trained to tell the next token."
    ),
    claim="Generated recordings have the spectra and bursts of real ones; features help decoding",
    differs=DIFFERS,
    cost="small: 12 minutes on two busy cores, some 5 on quiet ones; the longest fit takes 25 s",
)  # fmt: skip
