r"""The expressive leaky memory (ELM) neuron: one cell, a vector of leaky memories, two layers of synapses.

Spieler, Rahaman, Martius, Schölkopf, Levina (2024), ICLR, arXiv:2306.16922; code: AaronSpieler/elmneuron.

Synapses sum on branches; a small network reads branches b and decayed memory and proposes what each
memory unit, with a time constant of its own from 1 ms to the horizon, adds to itself:
$$m \leftarrow e^{-dt/\tau} m + (1 - e^{-\lambda dt/\tau})\, f(\text{MLP}([b; e^{-dt/\tau} m]))$$

Claims: it imitates a detailed neuron (here: 33 compartments, NMDA spikes, sodium and potassium channels)
better than a fitted LIF and no worse than an LSTM of as many trained numbers; and it solves a
long-horizon task (the sum of two MNIST digits seen as spikes) better than an LSTM with chrono initialisation.
How we differ: `STUDY.differs`.
"""

import jax.numpy as jnp
import jax.random as jr

from neuropil.learn import Trainer
from neuropil.papers.build import _elm_neuron_digits as digits
from neuropil.papers.build import _elm_neuron_teacher as teacher
from neuropil.papers.build import _elm_neuron_train as train
from neuropil.papers.build._elm_neuron_models import Spec
from neuropil.papers.build._elm_neuron_report import CITE, DIFFERS, METRICS, figures, score
from neuropil.studies import Arm, Study

GAPS = ("auc", "r2", "rmse", "shown", "accuracy")


def load(settings: dict) -> dict:
    """The detailed neuron's simulations (training, test), and the digits; the same for every arm and seed."""
    own = tuple(settings[k] for k in ("rates", "quiet", "ampa", "nmda", "gaba", "substeps"))
    ms = settings["ms"]
    return {
        "train": teacher.simulate(settings["simulations"], ms, 0, own),
        "test": teacher.simulate(settings["test_simulations"], ms, 1, own),
        "digits": digits.load_digits(settings["data"], settings["images"]),
    }


def imitation(spec: Spec, settings: dict, data: dict, rate: float) -> train.Imitation:
    """A model that learns the detailed neuron's spikes and voltage from its inputs."""
    time_first = lambda a: jnp.swapaxes(jnp.asarray(a), 0, 1)

    def three(d):
        x = time_first(d["x"] * teacher.signs()).astype(jnp.int8)
        return x, time_first(d["spike"]), train.target(time_first(d["soma"]))

    steps, chunks = settings["fit_steps"], settings["chunks"]
    learner = Trainer(spec(jr.key(0)), train.imitation_loss, train.optimiser(rate, steps))
    how = settings["fit_batch"], steps // chunks, *three(data["train"]), three(data["test"])
    return train.Imitation(spec, learner, *how, settings["window"], settings["burn"])


def adding(spec: Spec, settings: dict, data: dict, rate: float) -> train.Adding:
    """A model that learns to add two digits; tested on pairs of test items drawn once."""
    shown, steps, chunks = data["digits"], settings["add_steps"], settings["chunks"]
    learner = Trainer(spec(jr.key(0)), train.adding_loss, train.optimiser(rate, steps))
    how = settings["hold"], shown.most
    pairs = digits.add(jr.key(1), *digits.on_device(shown.test), settings["pairs"], *how)
    items = digits.on_device(shown.train)
    return train.Adding(spec, learner, settings["add_batch"], steps // chunks, *items, pairs, *how)


def specs(cell: str, settings: dict, data: dict, **more) -> dict[str, Spec]:
    """The models of the two tests for a kind of cell."""
    horizon = float(digits.shown_ticks(data["digits"], settings["hold"]))
    channels = data["digits"].train.x.shape[2]
    units = {test: settings.get(f"{test}_{cell}", 1) for test in ("fit", "add")}
    routed = {n: settings[n] for n in ("branches", "synapses") if cell == "elm"}
    fit = Spec(cell, teacher.CHANNELS, units["fit"], 2, 150.0, **routed, **more)
    return {"fit": fit, "add": Spec(cell, channels, units["add"], 19, horizon, **more)}


def arm(role: str, about: str, cell: str, tests: str = "fit add", **more) -> Arm:
    """An arm that takes one of the tests or both."""
    names = tuple(tests.split())

    def build(settings, data):
        models = specs(cell, settings, data, **more)
        rate = lambda test: settings[f"{test}_rate_{cell}"]
        make = {"fit": imitation, "add": adding}
        parts = {n: make[n](models[n], settings, data, rate(n)) for n in names}
        return train.Stages(parts, tuple((n, settings["chunks"]) for n in names))

    return Arm(build, role, about, ticks=lambda s: s["chunks"] * len(names), gaps=GAPS)


def check(settings: dict) -> None:
    """ValueError for settings that make no sense together."""
    for name in ("fit_steps", "add_steps"):
        if settings[name] % settings["chunks"]:
            raise ValueError(f"{name} = {settings[name]} is no multiple of chunks")
    if not 0 <= 2 * settings["burn"] < settings["window"] <= settings["ms"]:
        raise ValueError("needs 0 <= 2 burn < window <= ms")
    if settings["pairs"] > 250 and settings["pairs"] % 250:
        raise ValueError("pairs above 250 must be a multiple of 250")


_SMALL = dict(
    seeds=5, data="mnist", chunks=5,
    rates=(0.5, 0.5, 0.5, 30.0), quiet=(2.0, 60.0), ampa=0.2, nmda=1.1, gaba=7.0, substeps=5,
    simulations=200, test_simulations=40, ms=1000, window=250, burn=50, fit_batch=16, fit_steps=1000,
    fit_elm=40, fit_lstm=20, branches=16, synapses=10,
    fit_rate_elm=1e-2, fit_rate_lstm=1e-2, fit_rate_lif=1e-2,
    images=20_000, pairs=2000, hold=4, add_batch=32, add_steps=2000, add_elm=50, add_lstm=46,
    add_rate_elm=1e-2, add_rate_lstm=1e-2,
)  # fmt: skip

STUDY = Study(
    slug="elm-neuron",
    arms={
        "elm": arm("system", "memories from 1 ms to the horizon, two-layer integration", "elm"),
        "lstm": arm("baseline", "LSTM, chrono initialisation, as many trained numbers", "lstm"),
        "lif": arm("baseline", "LIF behind fitted filters (imitation only)", "lif", "fit"),
        "short": arm("control", "ELM of the same size, no memory longer than 10 ms", "elm", slowest=10.0),
        "linear": arm("variant", "ELM without the hidden nonlinearity (imitation only)", "elm", "fit",
                      linear=True),
    },
    scales={
        "smoke": _SMALL | dict(seeds=1, data="digits", chunks=1, simulations=4, test_simulations=3, ms=300,
                               window=60, burn=10, fit_batch=2, fit_steps=2, fit_elm=4, fit_lstm=3,
                               substeps=2, images=100, pairs=20, hold=1, add_batch=4, add_steps=2,
                               add_elm=4, add_lstm=3),
        "small": _SMALL,
        "paper": _SMALL | dict(chunks=50, simulations=4000, test_simulations=400, ms=6000, window=500,
                               burn=150, fit_steps=100_000, fit_rate_elm=5e-4, images=60_000,
                               pairs=10_000, hold=4, add_steps=50_000),
    },
    load=load,
    ticks=lambda settings: 2 * settings["chunks"],
    score=score,
    metrics=METRICS,
    figures=figures,
    datasets=("mnist",),
    demo="digits",
    check=check,
    cite=CITE,
    mechanism=(
        "Synapses sum on branches. A network of one hidden layer reads the branches and the decayed"
        " memory, and proposes what every memory unit adds to itself; the units leak with time constants"
        " spread from 1 ms to the task's horizon. A linear map reads the memory."
    ),
    claim="Imitates a detailed neuron, and adds over a long horizon better than an LSTM of equal size",
    differs=DIFFERS,
    cost="small: 5 to 50 s for each arm and seed on one core, 8 minutes in all on two",
)  # fmt: skip
