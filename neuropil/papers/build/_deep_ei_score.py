"""From the epochs of a run of deep-ei-snn to the numbers of its table."""

import numpy as np

from neuropil.studies import Metric

_WHERE = (
    "CIFAR-10, ResNet-18, main table (from a third party's notes; not checked against the paper)"
)

METRICS = {
    "accuracy": Metric("test accuracy", paper={"ei": 0.9205, "bn": 0.9537}, where=_WHERE),
    "evenness": Metric("least / largest rate over layers at the start"),
    "rate": Metric("spikes a cell and step at the end", better="lower"),
    "least": Metric("least of the weights that may not be negative"),
}

CITE = """@inproceedings{liu2026deepeisnn,
  title = {Training Deep Normalization-Free Spiking Neural Networks with Lateral Inhibition},
  author = {Liu, Peiyu and Ding, Jianhao and Yu, Zhaofei},
  booktitle = {International Conference on Learning Representations},
  year = {2026},
  note = {arXiv:2509.23253}
}"""

DIFFERS = (
    "A perceptron of 7 hidden layers and an output layer (the official code has one, without published"
    " numbers) on Fashion-MNIST; the paper's tables are of convolutional nets on CIFAR, TinyImageNet and"
    " event data. small has 0.4 of its widths, 10,000 images and 8 epochs; the paper 300 epochs.",
    "Learning rates were chosen on validation images of seed 0, once for all; the paper's 0.001 to 0.002 are"
    " for 300 epochs. Accuracy is that after the last epoch; the paper's is the best epoch on the test set.",
    "Batch norm is tested with the statistics of training images, computed after each epoch, in place of a"
    " running average.",
    "Where a sample excites no inhibitory cell the current is the bias; the official code divides by infinity,"
    " which gives the same.",
    "fitted is not in the paper: a plain net that may look at the first batch too, as E-I Init does.",
)


def score(settings: dict, history: dict) -> dict:
    """Accuracy after the last epoch, how even the rates are at the start, and how many spikes there are."""
    first = np.asarray(history["rates_before"])[0]
    return {
        "accuracy": float(history["test"][-1]),
        "evenness": float(first.min() / first.max()) if first.max() > 0 else 0.0,
        "rate": float(np.mean(history["rates"][-1])),
        "least": float(np.min(history["least"])),
    }
