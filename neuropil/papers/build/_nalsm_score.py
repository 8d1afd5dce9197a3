"""From a run of nalsm to the numbers of its table."""

import numpy as np

from neuropil.studies import Metric

SETS = ("mnist", "fashion")
_WHERE = "abstract; 1,000 to 8,000 cells, all images, 250 ms with plasticity"

METRICS = {
    "accuracy-mnist": Metric("accuracy, MNIST", paper={"nalsm": 0.9761}, where=_WHERE),
    "accuracy-fashion": Metric("accuracy, Fashion-MNIST", paper={"nalsm": 0.8584}, where=_WHERE),
    "branching": Metric("branching factor (with plasticity where there is any)"),
    "distance": Metric("distance of the branching factor from 1", better="lower"),
    "branching-frozen": Metric("branching factor with frozen weights"),
    "rate": Metric("rate of the liquid", "Hz", better="lower"),
    "strength": Metric("mean |weight| of liquid synapses over its bound"),
    "depression": Metric("rate of depression A, mean while settling (potentiation: 0.15)"),
}

CITE = """@inproceedings{ivanov2021nalsm,
  title = {Increasing Liquid State Machine Performance with Edge-of-Chaos Dynamics Organized by
           Astrocyte-modulated Plasticity},
  author = {Ivanov, Vladimir A. and Michmizos, Konstantinos P.},
  booktitle = {Advances in Neural Information Processing Systems},
  year = {2021},
  note = {arXiv:2111.01760}
}"""

DIFFERS = (
    "small: 216 cells (6 x 6 x 6), 1,000 images to settle, 1,500 to learn from; the paper 1,000 and 8,000 cells"
    " and 50,000 images. The astrocyte's gain is 0.015 x 1,000 / cells, since its drive is a count of spikes.",
    "Spikes for the readout are counted with the settled weights held; the paper goes on with fading plasticity"
    " from the settled weights for each sample, which is how the branching factor is measured here too.",
    "The readout is ridge regression on standardised counts, its penalty chosen by validation; the paper's is a"
    " softmax layer trained by Adadelta with the best epoch by validation.",
    "As in the official code STDP traces are kept from one image to the next while the liquid settles; the arms"
    " that end in -fresh start them at 0, which is a different regime: without the astrocyte it saturates.",
    "At scale paper spikes are still counted with frozen weights.",
)


def score(settings: dict, history: dict) -> dict:
    """Accuracy by image set (the demonstration's digits stand for both); the rest is the mean over sets."""
    accuracy = np.resize(np.asarray(history["accuracy"], float), len(SETS))
    out = {f"accuracy-{name}": float(a) for name, a in zip(SETS, accuracy, strict=True)}
    if "branching" not in history:
        return out  # no liquid
    moving = np.asarray(history["branching"], float)
    still = np.asarray(history["branching_frozen"], float)
    shown = np.where(np.isnan(moving), still, moving)
    mean = lambda name: float(np.mean(history[name]))
    return out | {
        "branching": float(shown.mean()),
        "distance": float(np.abs(shown - 1).mean()),
        "branching-frozen": float(still.mean()),
        "rate": mean("rate"),
        "strength": mean("strength"),
        "depression": mean("astrocyte"),
    }
