r"""One-hot HMM-GLM: interactions that switch with the state of the brain, around one connectome.

Li, Kim, Rodgers, Choi, Wu (2024), ICLR, arXiv:2310.15263; code: JerrySoybean/onehot-hmmglm.

In each hidden state s a Poisson GLM couples the neurons, $f_{tn} = \sigma(b_n + \sum_m W_{s,nm} y_{tm})$ with y
their weighted past. The states' weights share a prior, either $W_s \sim N(M, \tau^2)$ or
$$W_{s} = (A_s^{\rm exc} - A_s^{\rm inh}) R_s, \quad A_s \sim \mathrm{GumbelSoftmax}(P, \tau), \quad R_s > 0,$$
in which the classes (inhibitory, none, excitatory) come from one P for all states, the connectome.

Claim: both priors find the interactions better, and foretell held-out spikes better, than an HMM-GLM without
a prior. How we differ: `STUDY.differs`.
"""

from neuropil.papers.fit._onehot_arms import WORLDS, Switching, load
from neuropil.papers.fit._onehot_score import CITE, DIFFERS, GAPS, METRICS, figures, score
from neuropil.studies import Arm, Study


def arm(name: str, role: str, about: str) -> Arm:
    """An arm of all worlds."""
    return Arm(lambda s, counts: Switching(name, s, counts), role, about, jit=False, gaps=GAPS)


def check(settings: dict) -> None:
    """ValueError for settings that make no sense together."""
    if settings["states"] < 2 or settings["units"] < 2 or settings["time"] < 20:
        raise ValueError("states and units are at least 2, time at least 20 bins")
    if not 1 <= settings["worlds"] <= len(WORLDS) + 1:
        raise ValueError(f"worlds is 1 to {len(WORLDS) + 1}, the last of them the recording")
    if min(settings[n] for n in ("few", "many", "test", "rounds", "steps", "restarts")) < 1:
        raise ValueError("few, many, test, rounds, steps and restarts are at least 1")


_SMALL = dict(
    seeds=5, data="hippocampus-linear-track", worlds=5, states=3, units=12, time=500, few=4, many=12, test=12,
    rounds=25, steps=20, rate=0.02, restarts=2, strength=1.0,
)  # fmt: skip

STUDY = Study(
    slug="onehot-hmm-glm",
    arms={
        "onehot": arm("onehot", "system", "classes of all states from one P, a strength in each"),
        "gaussian": arm("gaussian", "variant", "weights Gaussian about their mean over states"),
        "free": arm("free", "baseline", "HMM-GLM without a prior"),
        "ridge": arm("ridge", "baseline", "weights Gaussian about 0, its width chosen on sequences of its own"),
        "own": arm("own", "control", "one-hot, but a P for each state: nothing is shared"),
        "single": arm("single", "control", "one state"),
        "truth": arm("truth", "ceiling", "the true parameters"),
    },
    scales={
        "smoke": _SMALL | dict(seeds=1, data="simulated", worlds=1, states=2, units=4, time=60, few=2, many=2,
                               test=2, rounds=3, steps=5, restarts=1),
        "small": _SMALL,
        "paper": _SMALL | dict(states=5, units=20, time=2000, few=10, many=30, test=20, rounds=40, steps=50),
    },
    load=load,
    ticks=lambda settings: settings["worlds"],
    score=score,
    metrics=METRICS,
    figures=figures,
    datasets=("hippocampus-linear-track",),
    demo="simulated",
    check=check,
    cite=CITE,
    mechanism=(
        "An HMM whose states are GLMs of all neurons' interactions; the weights of all states are drawn around"
        " one matrix, or take their sign (or absence) from one matrix of class probabilities."
    ),
    claim="Finds true interactions and foretells held-out spikes better than an HMM-GLM without prior",
    differs=DIFFERS,
    cost="small: about 25 s for each seed of an arm on one core, estimated",
)  # fmt: skip
