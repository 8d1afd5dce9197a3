r"""Hebbian learning based orthogonal projection (HLOP) for continual learning of spiking networks.

Xiao, Meng, Zhang, He, Lin (2024), ICLR, arXiv:2402.11984; code: pkuxmq/HLOP-SNN.

Beside every weight matrix a lateral circuit H learns, by Hebbian and anti-Hebbian plasticity, the
principal subspace of the presynaptic activity z, $dH = \langle H z (z - H^\top H z)^\top \rangle$, and is
frozen after each task. Later weight changes use only what old rows leave of the presynaptic trace,
$\Delta W = -\eta \langle \delta (z - H^\top H z)^\top \rangle$, so that old activity is answered as before.

Claim: on permuted MNIST a spiking network forgets less than a quarter of what it forgets when it is
trained on one task after the other without protection, and its accuracy is higher.
"""

import jax.numpy as jnp

from neuropil.papers.build._hlop import Arms, Continual
from neuropil.papers.build._hlop_net import RULES
from neuropil.papers.build._hlop_score import CITE, DIFFERS, GAPS, METRICS, score
from neuropil.studies import Arm, Study
from neuropil.worlds import datasets
from neuropil.worlds.streams import permuted, standard

OWN = ("rule", "hidden", "images", "batch", "rate", "test", "memory", "replay_batch", "replay_rate")


def rows(settings: dict, pixels: int) -> list[list[int]]:
    """New rows of the three circuits at each task; those over the image scale with its pixels."""
    grow, hidden = settings["grow"], settings["grow_hidden"]
    plan = [list(settings["first"])] + [[g, h, h] for g, h in zip(grow, hidden, strict=True)]
    scale = pixels / 784
    return [[max(1, round(a * scale)), b, c] for a, b, c in plan[: settings["tasks"]]]


def load(settings: dict):
    """The stream of permuted tasks (each seed draws its own permutations)."""
    images = datasets.load(settings["data"])
    return permuted(images, settings["tasks"], None, normal=standard(images))


def build(*does: str):
    """An arm that does these things (the flags of `Arms`)."""

    def make(settings: dict, stream) -> Continual:
        if settings["batch"] > stream.train.least:
            raise ValueError(
                f"batch = {settings['batch']}, but there are {stream.train.least} images"
            )
        plan = rows(settings, stream.pixels)
        room = tuple((max(c), sum(c)) for c in zip(*plan, strict=True))
        # the rule's speed goes with rate x activity, and activity with the number of cells
        wider = (784 / stream.pixels, *[800 / settings["hidden"]] * 2)
        hebb = tuple(r * w for r, w in zip(settings["hebb"], wider, strict=True))
        new = jnp.asarray(plan) if "protect" in does else jnp.zeros((len(plan), 3), int)
        own = {name: settings[name] for name in OWN}
        return Continual(stream, Arms.of(*does), new, room=room, hebb_rates=hebb, **own)

    return make


def check(settings: dict) -> None:
    """ValueError for settings that make no sense together."""
    tasks, grow, more = settings["tasks"], settings["grow"], settings["grow_hidden"]
    for name in ("images", "hidden", "batch", "test", "memory", "replay_batch"):
        if settings[name] < 1:
            raise ValueError(f"{name} = {settings[name]}; it must be at least 1")
    if settings["rule"] not in RULES:
        raise ValueError(f"rule = {settings['rule']!r}; write one of {', '.join(RULES)}")
    if tasks < 2 or not len(grow) == len(more) >= tasks - 1:
        raise ValueError(
            f"{tasks} tasks need 2 or more tasks and {tasks - 1} numbers in grow, grow_hidden"
        )
    if len(settings["first"]) != 3 or len(settings["hebb"]) != 3:
        raise ValueError("first and hebb need three numbers each, one for every weight matrix")
    if settings["replay_batch"] > settings["batch"]:
        raise ValueError("replay_batch is larger than batch; make it smaller")
    image, *cells = settings["first"]
    for used, room, name in (
        (image + sum(grow[: tasks - 1]), 784, "grow"),
        (max(cells) + sum(more[: tasks - 1]), settings["hidden"], "grow_hidden"),
    ):
        if used > room:
            raise ValueError(f"{used} rows do not fit {room} cells; use fewer in first or {name}")


def figures(results) -> dict:
    """Figures by name; matplotlib is imported only here."""
    from neuropil.papers.build import _hlop_figures

    return _hlop_figures.figures(results)


def _arm(*does: str, role: str, about: str) -> Arm:
    return Arm(build(*does), role, about, gaps=GAPS)


_SMALL = dict(
    seeds=5, data="mnist", rule="bptt", tasks=10, images=20_000, hidden=200, batch=64, rate=0.1,
    test=2000, memory=50, replay_batch=50, replay_rate=0.01, hebb=(0.001, 0.01, 0.01), first=(80, 50, 25),
    grow=(70, 70, 50, 50, 50, 30, 30, 30, 10), grow_hidden=(18, 18, 12, 12, 12, 8, 8, 8, 3),
)  # fmt: skip

STUDY = Study(
    slug="hlop",
    arms={
        "hlop": _arm("protect", "hebbian", role="system", about="rows learnt by Hebbian plasticity"),
        "sequential": _arm(role="baseline", about="one task after the other, no protection"),
        "replay": _arm("replay", role="baseline", about="50 old images a class and task, shown again"),
        "svd": _arm("protect", "exact", role="variant", about="as many rows, exact principal directions"),
        "random": _arm("protect", role="control", about="as many rows, random and orthonormal"),
        "joint": _arm("joint", role="ceiling", about="all tasks mixed, as many mini-batches"),
    },
    scales={
        "smoke": _SMALL | dict(seeds=1, data="digits", tasks=2, images=128, hidden=40, batch=16, test=64,
                               first=(80, 10, 5), memory=5, replay_batch=10, grow=(70,),
                               grow_hidden=(4,)),
        "small": _SMALL,
        "paper": _SMALL | dict(images=60_000, hidden=800, test=10_000, first=(80, 200, 100),
                               grow_hidden=(70, 70, 50, 50, 50, 30, 30, 30, 10)),
    },
    load=load,
    ticks=lambda settings: settings["tasks"],
    score=score,
    metrics=METRICS,
    figures=figures,
    datasets=("mnist",),
    demo="digits",
    check=check,
    cite=CITE,
    mechanism=(
        "Lateral circuits learn the principal subspace of the activity before each weight matrix by"
        " Hebbian and anti-Hebbian plasticity, dH = <H z (z - H'H z)'>, and are frozen after each task."
        " Later weight changes use z - H'H z in place of the trace z, so old activity keeps its answer."
    ),
    claim="Forgets less than a quarter of what sequential training forgets, at higher accuracy",
    differs=DIFFERS,
    cost="small: about 45 s for each seed of hlop, 15 to 25 s for the other arms, on one core",
)  # fmt: skip
