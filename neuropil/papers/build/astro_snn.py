r"""AstroSNN: spiking units that an astrocyte's memory helps to fire.

Shen, Zhao, Dong, Li, Li, Sun, Zeng (2023), arXiv:2312.07625; no code was found.

Beside each layer's leaky membranes u an astrocyte keeps a matrix H, written by the outer product of what it
hears from the pre- and postsynaptic side and read by a third projection; what it says adds to the membrane
before the spike: $H_t = \Lambda H_{t-1} + v_t k_t^\top$, $s_t = \Theta(u_t + H_t q_t - \vartheta)$.

Claim: better long-range memory and language modelling than the same spiking network without astrocytes, at
equal numbers of parameters. Only the abstract and one figure of the paper could be read: what is not in them
(decay, projections, scale, no reset) is our reading, said in "differs".
"""

from neuropil.papers.build._astro_snn import Kind, Learns
from neuropil.papers.build._astro_snn_data import TEXTS, Tasks, load
from neuropil.papers.build._astro_snn_score import CITE, DIFFERS, GAPS, METRICS, score
from neuropil.studies import Arm, Study

OWN = ("blocks", "heads", "batch", "tested", "rate")


def build(astrocyte: bool, *flags: str):
    """An arm; without an astrocyte it is wider, so that parameters are equal."""

    def make(settings: dict, tasks: Tasks) -> Learns:
        width = settings["width"] if astrocyte else settings["wider"]
        updates = (settings["updates"], settings["text_updates"])
        own = {name: settings[name] for name in OWN}
        return Learns(tasks, Kind.of(width, astrocyte, *flags), updates=updates, **own)

    return make


def check(settings: dict) -> None:
    """ValueError for settings that make no sense together."""
    if settings["width"] % settings["heads"]:
        raise ValueError(f"{settings['heads']} heads do not divide width = {settings['width']}")
    if not 1 <= settings["pairs"] <= 16:
        raise ValueError(f"pairs = {settings['pairs']}; there are 16 keys")
    if not settings["delays"] or min(settings["delays"]) < 1:
        raise ValueError(f"delays = {settings['delays']}; give one or more, of 1 tick or more")
    for name in ("updates", "text_updates", "batch", "tested", "blocks"):
        if settings[name] < 1:
            raise ValueError(f"{name} = {settings[name]}; it must be at least 1")


def figures(results) -> dict:
    """Figures by name; matplotlib is imported only here."""
    from neuropil.papers.build import _astro_snn_figures

    return _astro_snn_figures.figures(results)


def _arm(astrocyte: bool, *flags: str, role: str, about: str) -> Arm:
    return Arm(build(astrocyte, *flags), role, about, gaps=GAPS)


_SMALL = dict(
    seeds=5, symbols=97, delays=(20, 60), pairs=6, width=64, wider=77, blocks=2, heads=2, updates=300,
    text_updates=250, batch=32, tested=512, rate=3e-3,
)  # fmt: skip

STUDY = Study(
    slug="astro-snn",
    arms={
        "astrocyte": _arm(True, "remembers", role="system", about="the unit with its astrocyte"),
        "snn": _arm(False, role="baseline", about="the same without astrocytes, wider: equal parameters"),
        "spread": _arm(False, "spread", role="baseline", about="as snn, membranes of 2 to 60 ticks that learn"),
        "present": _arm(True, role="control", about="an astrocyte without memory: the present tick alone"),
        "graded": _arm(True, "remembers", "graded", role="ceiling", about="with astrocytes, without spikes"),
    },
    scales={
        "smoke": _SMALL | dict(seeds=1, delays=(2, 4), pairs=2, width=8, wider=10, blocks=1, updates=2,
                               text_updates=2, batch=4, tested=16),
        "small": _SMALL,
        "paper": _SMALL | dict(delays=(60, 500), width=512, wider=627, blocks=12, heads=8, updates=20_000,
                               text_updates=100_000, batch=64, rate=3e-4),
    },
    load=load,
    ticks=lambda settings: 1 + len(TEXTS),
    score=score,
    metrics=METRICS,
    figures=figures,
    datasets=TEXTS,
    check=check,
    cite=CITE,
    mechanism=(
        "Beside the leaky membranes of a layer an astrocyte keeps a matrix: written by outer products, fading,"
        " read by a projection of the input. What it says adds to the membrane before the spike. It remembers"
        " bindings of what came together long ago, which membranes, each a fading sum, do not."
    ),
    claim="Better long-range memory and language modelling than the same network without astrocytes",
    differs=DIFFERS,
    cost="small: about 40 s for each arm and seed on one core",
)  # fmt: skip
