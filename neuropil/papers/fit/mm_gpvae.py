r"""Multi-modal Gaussian process variational autoencoder: latents of spikes, of images, and of both.

Gondur, Sikandar, Schaffer, Aoi, Keeley (2024), ICLR, arXiv:2310.03111; code: RabiaGondur/MM-GPVAE.

Every latent is a Gaussian process over the bins of a trial, held as amplitudes of slow waves; spikes are
Poisson with log rates linear in the neural and the shared latent, images come from a network that sees the
shared and the image latent:
$$z_k = B^\top c_k,\; c_k \sim N(0, \Lambda), \quad y \sim \mathrm{Poisson}(e^{W (z_n, z_s) + b}), \quad
  x \sim N(\mathrm{net}(z_s, z_i), v).$$
Encoders of both modalities say mean and deviation of c; of the shared latent the mean of what both say counts.

Claim: shared and independent latents are recovered from spikes with a digit that turns (shared) and grows
(image alone), and images and rates of held-out trials with them. How we differ: `STUDY.differs`.
"""

from neuropil.papers.fit._mm_gpvae import build, load
from neuropil.papers.fit._mm_gpvae_score import CITE, DIFFERS, GAPS, METRICS, figures, score
from neuropil.studies import Arm, Study


def arm(role: str, about: str, *how: str | bool) -> Arm:
    """An arm of `how` it learns (see `Learning`)."""
    return Arm(build(*how), role, about, jit=False, gaps=GAPS)


def check(settings: dict) -> None:
    """ValueError for settings that make no sense together."""
    if not 0 < settings["batch"] <= settings["train"] or settings["test"] < 2:
        raise ValueError("batch must fit in the training trials, and test is at least 2 trials")
    if settings["bins"] < 12 or settings["neurons"] < 2 or settings["epochs"] < 1:
        raise ValueError("bins is at least 12, neurons at least 2, epochs at least 1")
    if not 0 < settings["zoom_sd"] or settings["pool"] < 1 or not settings["widths"]:
        raise ValueError("zoom_sd is positive, pool at least 1, widths has a layer or more")


_SMALL = dict(
    seeds=5, data="mnist", train=100, test=40, bins=60, neurons=100, zoom_sd=0.3, pool=2, widths=(128, 64),
    length=15.0, epochs=100, batch=20, rate=1e-3, loading_rate=5e-3,
)  # fmt: skip

STUDY = Study(
    slug="mm-gpvae",
    arms={
        "mm-gpvae": arm("system", "both modalities, latents in the Fourier domain", "fourier"),
        "time": arm("baseline", "the same networks, latents in time, whole kernel", "time"),
        "iid": arm("baseline", "the same networks, prior without time (a plain VAE)", "iid"),
        "spikes": arm("variant", "spikes alone (as GPFA)", "fourier", "spikes"),
        "images": arm("variant", "images alone (a GP-VAE)", "fourier", "images"),
        "shuffled": arm("control", "images of another trial", "fourier", "both", True),
        "map": arm("ceiling", "of spikes: true loadings and prior, posterior mode", "map"),
    },
    scales={
        "smoke": _SMALL | dict(seeds=1, data="digits", train=12, test=6, bins=20, neurons=20, pool=1,
                               widths=(16,), epochs=2, batch=6),
        "small": _SMALL,
        "paper": _SMALL | dict(train=240, test=60, pool=1, widths=(784, 512, 256, 256), epochs=700,
                               rate=1.6e-4, loading_rate=8.8e-3),
    },
    load=load,
    ticks=lambda settings: 1,
    score=score,
    metrics=METRICS,
    figures=figures,
    datasets=("mnist",),
    demo="digits",
    check=check,
    cite=CITE,
    mechanism=(
        "Every latent is a Gaussian process held as independent amplitudes of a Fourier basis, so its"
        " divergence from the prior costs one number a wave; latents are partitioned into those of spikes, of"
        " images, and of both, and the encoders of both modalities are averaged for the shared ones."
    ),
    claim="Fourier-domain GP latents, shared and independent, recovered from spikes and images",
    differs=DIFFERS,
    cost="small: about 80 s for each seed of all arms on one core, by a pilot of one arm",
)  # fmt: skip
