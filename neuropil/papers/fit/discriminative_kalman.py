r"""The discriminative Kalman filter: decoding by a regression of the state on what is observed.

Burkhart, Brandman, Franco, Hochberg, Harrison (2020), Neural Comput. 32:969; thesis arXiv:1807.06173; code:
burkh4rt/Discriminative-Kalman-Filter.

Not the observation given the state is modelled, but the state given the observation, p(z | x) ~ N(f(x), V(x)),
by any regression. With linear dynamics and stationary covariance S the filter stays in closed form:
$$\Sigma_t = (V_t^{-1} + M_t^{-1} - S^{-1})^{-1}, \quad
  \mu_t = \Sigma_t (V_t^{-1} f_t + M_t^{-1} A \mu_{t-1}), \quad M_t = A \Sigma_{t-1} A^\top + Q.$$

Claim: with many observed channels that depend on the state in ways that are not linear it decodes better than
the Kalman filter, in real time (microseconds a bin are in benchmarks/RESULTS.md). How we differ:
`STUDY.differs`.
"""

from neuropil.papers.fit._discriminative_kalman import Decoding, load
from neuropil.papers.fit._discriminative_kalman_score import (
    CITE,
    DIFFERS,
    GAPS,
    METRICS,
    figures,
    score,
)
from neuropil.studies import Arm, Study


def arm(name: str, role: str, about: str) -> Arm:
    """An arm of all experiments."""
    return Arm(lambda s, walk: Decoding(name, s, walk), role, about, jit=False, gaps=GAPS)


def check(settings: dict) -> None:
    """ValueError for settings that make no sense together."""
    if min(settings["time"], settings["test"]) < 50 or settings["train"] < 100:
        raise ValueError("time and test are at least 50 bins, train at least 100")
    if settings["particles"] < 10 or settings["linear"] < 2:
        raise ValueError("particles is at least 10, linear at least 2 channels")
    if not settings["known"] or not settings["learned"]:
        raise ValueError("known and learned need a number of channels each")


_SMALL = dict(
    seeds=5, data="hippocampus-linear-track", time=2000, known=(3, 10, 32, 100, 316), particles=1000,
    train=3000, test=1000, learned=(10, 50, 200), linear=50,
)  # fmt: skip

STUDY = Study(
    slug="discriminative-kalman",
    arms={
        "dkf": arm("dkf", "system", "discriminative filter; f, V exact where known, else kernel regression"),
        "kalman": arm("kalman", "baseline", "Kalman filter, its linear observation fitted by least squares"),
        "robust": arm("robust", "variant", "without the stationary covariance, as if z had no prior"),
        "regression": arm("regression", "variant", "f(x) of every bin by itself, not filtered"),
        "particles": arm("particles", "ceiling", "particle filter of the true model, where it is known"),
        "zero": arm("zero", "control", "always the mean"),
    },
    scales={
        "smoke": _SMALL | dict(seeds=1, data="simulated", time=100, known=(32,), particles=100, train=154,
                               test=66, learned=(31,), linear=31),
        "small": _SMALL,
        "paper": _SMALL | dict(time=10_000, known=(3, 10, 32, 100, 316, 1000), particles=100_000, train=5000),
    },
    load=load,
    ticks=lambda settings: 1,
    score=score,
    metrics=METRICS,
    figures=figures,
    datasets=("hippocampus-linear-track",),
    demo="simulated",
    check=check,
    cite=CITE,
    mechanism=(
        "A regression says where the state is and how sure that is, given one observation; Bayes' rule turns it"
        " into a likelihood by dividing by the stationary distribution; filtering stays in closed form."
    ),
    claim="Beats the Kalman filter when observations are many and not linear in the state",
    differs=DIFFERS,
    cost="small: about 20 s for each seed of all arms on one core, estimated",
)  # fmt: skip
