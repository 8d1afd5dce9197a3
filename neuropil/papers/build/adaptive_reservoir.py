r"""Reservoirs whose inhibition adapts locally, until every unit fires at its target rate.

Srinivasan, Plenz, Girvan (2025), Nature Communications, arXiv:2504.12480; no released code was found.

A rate reservoir obeys Dale's law, $V_{t+1} = (A^E - A^I)\, r_t + W_{in} u_t$, $r = \sigma(c (V - \theta))$.
Before its readout is trained, each unit's inhibitory synapses follow that unit's own rate,
$A^I_{ij} \leftarrow \max(0, A^I_{ij} + \eta (r_i - \rho_i))$, so that excitation and inhibition balance unit by
unit.

Claim: more memory and better prediction than reservoirs whose inhibition is tuned by one global factor, with
less need to tune.
"""

import jax.numpy as jnp

from neuropil.papers.build import _adaptive_reservoir as arms
from neuropil.papers.build._adaptive_score import CITE, DIFFERS, METRICS, score
from neuropil.papers.build._adaptive_tasks import load, sizes
from neuropil.studies import Arm, Study


def _common(settings, data):
    scales = jnp.asarray(settings["scales"], float)
    return {"series": data, "scales": scales, "units": settings["units"], "size": sizes(settings)}


def balanced(*does: str, alone: bool = False):
    """A balanced reservoir that does these things (the flags of `Does`); `alone`: only the factor is tuned."""

    def make(settings: dict, data) -> arms.Balanced:
        others = settings["thresholds"], settings["gains"]
        others = ((arms.THRESHOLD,), (arms.GAIN,)) if alone else others
        grid = arms.Grid.of(settings["factors"], *others)
        does_ = arms.Does.of(*does)
        return arms.Balanced(
            does=does_, grid=grid, degree=settings["degree"], **_common(settings, data)
        )

    return make


def echo(settings: dict, data) -> arms.Echo:
    """The tanh echo state net, tuned at every scale."""
    radii, leaks = (jnp.asarray(settings[name], float) for name in ("radii", "leaks"))
    return arms.Echo(radii=radii, leaks=leaks, degree=settings["degree"], **_common(settings, data))


def line(settings: dict, data) -> arms.Line:
    """Past inputs."""
    return arms.Line(**_common(settings, data))


def check(settings: dict) -> None:
    """ValueError for settings that make no sense together."""
    for name in ("units", "degree", "washout", "train", "valid", "test", "delays"):
        if settings[name] < 1:
            raise ValueError(f"{name} = {settings[name]}; it must be at least 1")
    if settings["degree"] > settings["units"]:
        raise ValueError(f"degree {settings['degree']} is more than {settings['units']} units")
    if settings["washout"] < max(settings["delays"], 10):
        raise ValueError("washout must be at least as long as the longest delay, and 10 for NARMA")
    for name in ("scales", "factors", "gains", "radii", "leaks"):
        if not settings[name] or min(settings[name]) <= 0:
            raise ValueError(f"{name} = {settings[name]}; give positive numbers")


def figures(results) -> dict:
    """Figures by name; matplotlib is imported only here."""
    from neuropil.papers.build import _adaptive_figures

    return _adaptive_figures.figures(results)


_SMALL = dict(
    seeds=5, units=200, degree=50, adapt=2000, settle=1000, washout=200, train=2000, valid=700, test=1700,
    delays=60, scales=(0.6, 0.2, 2.0),
    factors=(0.6, 0.75, 0.9, 1.0, 1.1, 1.3, 1.6, 2.0),
    thresholds=(-0.08, 0.0, 0.08), gains=(5.0, 10.0, 20.0), radii=(0.5, 0.7, 0.8, 0.9, 0.95, 1.0, 1.1, 1.3),
    leaks=(1.0, 0.5, 0.2),
)  # fmt: skip

STUDY = Study(
    slug="adaptive-reservoir",
    arms={
        "adapted": Arm(balanced("adapt"), "system", "inhibition adapts to a common rate of 0.5"),
        "adapted-varied": Arm(balanced("adapt", "varied"), "variant", "target rates from Beta(2, 2)"),
        "designed": Arm(balanced("design"), "variant", "rows of inhibition scaled once, no simulation"),
        "global": Arm(balanced("tune"), "baseline", "one factor on all inhibition, threshold and gain, tuned at"
                      " every scale"),
        "global-once": Arm(balanced("tune", "once"), "baseline", "tuned at scale 0.6 and kept"),
        "global-factor": Arm(balanced("tune", alone=True), "baseline", "the factor alone, at every scale"),
        "untuned": Arm(balanced(), "baseline", "balanced on average, nothing tuned"),
        "elsewhere": Arm(balanced("adapt", "elsewhere"), "control", "the changes of adaptation given to other"
                         " units"),
        "echo-state": Arm(echo, "baseline", "tanh units, radius and leak tuned at every scale", gaps=("away",)),
        "delay-line": Arm(line, "ceiling", "past inputs: all the memory there is", gaps=("away", "chosen")),
    },
    scales={
        "smoke": _SMALL | dict(seeds=1, units=20, degree=10, adapt=100, settle=50, washout=20, train=100,
                               valid=50, test=60, delays=8, scales=(0.6, 2.0), factors=(0.8, 1.0),
                               thresholds=(0.0,), gains=(10.0,), radii=(0.9,), leaks=(1.0,)),
        "small": _SMALL,
        "paper": _SMALL | dict(seeds=10, units=500, train=5000, valid=2000, test=5000, delays=200, washout=500,
                               scales=(0.6, 0.06, 0.2, 0.35, 1.1, 2.0, 6.0)),
    },
    load=load,
    ticks=lambda settings: len(settings["scales"]),
    score=score,
    metrics=METRICS,
    figures=figures,
    check=check,
    x64=True,
    cite=CITE,
    mechanism=(
        "A rate reservoir of excitatory and inhibitory units. Before the readout is trained, the inhibitory"
        " synapses of every unit grow while it fires above its target rate and shrink below it, so that each"
        " unit balances its own input; then the weights are frozen and a ridge readout is fitted."
    ),
    claim="Local adaptation of inhibition gives more memory and better prediction than global tuning",
    differs=DIFFERS,
    cost="small: about 5 s for each adapted arm and seed, 30 s for the global search, on one core",
)  # fmt: skip
