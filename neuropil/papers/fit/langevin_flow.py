r"""LangevinFlow: a sequential autoencoder of spikes whose latents move by the underdamped Langevin equation.

Song, Keller, Yue, Perona, Welling (2025), CCN, arXiv:2507.11531; code: KingJamesSong/LangevinFlow_CCN.

A GRU reads the counts; position z and velocity v of the latents start from its first state and then move by
$$z' = z + \epsilon v, \quad v' = (1 - \gamma)(v - \epsilon \nabla U(z)) + \sqrt{2 \gamma}\, n,$$
U a learned potential of locally coupled oscillators; a transformer layer reads [z, v, h] of the whole trial.

Claim: it recovers the rates of a Lorenz population better than a sequential VAE with a GRU as generator, than
GPFA and than smoothed counts, by R2 and by bits per spike. Two ablations ask whether the Langevin part does
it. How we differ: `STUDY.differs`.
"""

from neuropil.papers.fit._langevin_flow import Modelling, load
from neuropil.papers.fit._langevin_flow_score import CITE, DIFFERS, GAPS, METRICS, figures, score
from neuropil.studies import Arm, Study


def arm(name: str, role: str, about: str) -> Arm:
    """A model of the population and of the recording."""
    return Arm(lambda s, segments: Modelling(name, s, segments), role, about, jit=False, gaps=GAPS)


def check(settings: dict) -> None:
    """ValueError for settings that make no sense together."""
    train = settings["conditions"] * (settings["repeats"] - settings["tested"])
    if not 1 <= settings["tested"] < settings["repeats"]:
        raise ValueError("tested repeats: at least 1, and fewer than repeats")
    if settings["batch"] > train:
        raise ValueError(f"batch = {settings['batch']}, but there are {train} training trials")
    if not 1 <= settings["held"] < settings["units"] - 3:
        raise ValueError("held units: at least 1, and GPFA must be left 3 to read")


_SMALL = dict(
    seeds=5, data="hippocampus-linear-track", conditions=40, repeats=10, tested=2, bins=50, units=30, held=8,
    mean=0.4, settle=1000, hidden=32, feedforward=128, generator=48, factors=8, batch=32, rate=3e-3, keep=0.7,
    kl=0.1, updates=600, real_updates=200, longer=3, samples=20, iterations=30,
)  # fmt: skip

STUDY = Study(
    slug="langevin-flow",
    arms={
        "langevin": arm("langevin", "system", "GRU, Langevin latents in a potential, transformer decoder"),
        "no-potential": arm("no-potential", "variant", "the same without the force of the potential"),
        "no-latents": arm("no-latents", "variant", "the decoder sees the GRU alone, z and v are zero"),
        "sequential-vae": arm("sequential-vae", "baseline", "GRU readers, GRU generator, as LFADS"),
        "gpfa": arm("gpfa", "baseline", "three Gaussian-process factors and a Poisson readout"),
        "smoothed": arm("smoothed", "baseline", "counts smoothed by the best width and a Poisson readout"),
        "mean": arm("mean", "control", "every unit's mean rate"),
        "true-rates": arm("true-rates", "ceiling", "the rates that made the counts"),
    },
    scales={
        "smoke": _SMALL | dict(seeds=1, data="simulated", conditions=4, repeats=4, bins=12, units=8, held=2,
                               settle=20, hidden=4, feedforward=4, generator=4, factors=2, batch=4, updates=3,
                               real_updates=0, samples=2, iterations=2),
        "small": _SMALL,
        "paper": _SMALL | dict(hidden=280, feedforward=512, generator=200, factors=40, batch=64,
                               updates=10_000, real_updates=5000, samples=50, iterations=200),
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
        "A GRU reads the counts; latents with position and velocity start from its first state and move with"
        " friction and noise in a learned potential of coupled oscillators; a transformer layer over the trial"
        " turns [z, v, h] into log rates. Trained by Poisson loss, divergence and coordinated dropout."
    ),
    claim="Recovers rates of a Lorenz population better than a sequential VAE, GPFA and smoothed counts",
    differs=DIFFERS,
    cost="small: 14 minutes on two cores that others used too, 5 to 6 by CPU time",
)  # fmt: skip
