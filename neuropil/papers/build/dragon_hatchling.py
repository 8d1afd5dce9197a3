r"""The dragon hatchling (BDH): a language model of positive neurons with Hebbian synapses.

Kosowski, Uznański, Chorowski, Stamirowska, Bartoszkiewicz (2025), arXiv:2509.26507, and its released code.

Many neurons with positive, sparse activity n read a fast synaptic state S and write it by Hebb's rule:
$a_t = S_{t-1}^\top R_t n_t$, $S_t = S_{t-1} + (R_t n_t) x_t^\top$. What is read gates the neurons themselves,
and the gated activity is the message to the next layer; all layers share one set of weights. Over a whole
text this is linear attention, so it trains like a transformer.

Claim: a GPT's loss at equal parameters and tokens; sparse activity; synapses of the state that stand for
a concept. Where we differ (size, characters, concept) stands in "differs".
"""

from neuropil.papers.build._dragon_score import CITE, DIFFERS, METRICS, score
from neuropil.papers.build._dragon_train import TEXTS, Reads, load
from neuropil.studies import Arm, Study


def build(hatchling: bool, *, gated: bool = True, remembers: bool = True, trained: bool = True):
    """An arm."""

    def make(settings: dict, texts) -> Reads:
        updates = settings["updates"] if trained else 0
        flags = dict(gated=gated, remembers=remembers) if hatchling else {}
        return Reads(settings, texts, hatchling, updates, **flags)

    return make


def check(settings: dict) -> None:
    """ValueError for settings that make no sense together."""
    heads = settings["heads"]
    if settings["neurons"] % (2 * heads):
        raise ValueError(
            f"neurons = {settings['neurons']}: {heads} heads need pairs of neurons each"
        )
    if settings["gpt_width"] % settings["gpt_heads"]:
        raise ValueError(
            f"{settings['gpt_heads']} heads do not divide gpt_width = {settings['gpt_width']}"
        )
    if settings["judge"] not in ("test", "valid"):
        raise ValueError(f"judge = {settings['judge']!r}; write 'test', or 'valid' to choose rates")
    for name in ("updates", "batch", "length", "layers"):
        if settings[name] < 1:
            raise ValueError(f"{name} = {settings[name]}; it must be at least 1")


def figures(results) -> dict:
    """Figures by name; matplotlib is imported only here."""
    from neuropil.papers.build import _dragon_figures

    return _dragon_figures.figures(results)


def _control(role: str, about: str, **flags) -> Arm:
    return Arm(build(True, **flags), role, about, ticks=lambda settings: 1)


_SMALL = dict(
    seeds=5, symbols=97, width=32, neurons=512, heads=4, layers=2, gpt_width=42, gpt_heads=3, gpt_layers=2,
    length=64, updates=300, batch=16, tested=256, rate=1e-2, gpt_rate=1e-2, judge="test",
)  # fmt: skip

STUDY = Study(
    slug="dragon-hatchling",
    arms={
        "bdh": Arm(build(True), "system", "neurons that read and write Hebbian synapses"),
        "gpt": Arm(build(False), "baseline", "a GPT of equal parameters, its own learning rate"),
        "ungated": _control("control", "without the gate by the neurons' own activity", gated=False),
        "present": _control("control", "without memory: a token reads itself", remembers=False),
        "untrained": _control("control", "the hatchling before learning", trained=False),
    },
    scales={
        "smoke": _SMALL | dict(seeds=1, width=8, neurons=32, layers=1, gpt_width=9, gpt_layers=1, length=16,
                               updates=2, batch=4, tested=8),
        "small": _SMALL,
        "paper": _SMALL | dict(width=256, neurons=32_768, layers=6, gpt_width=540, gpt_layers=7, length=512,
                               updates=3000, batch=32, rate=1e-3, gpt_rate=1e-3),
    },
    load=load,
    ticks=lambda settings: len(TEXTS),
    score=score,
    metrics=METRICS,
    figures=figures,
    datasets=TEXTS,
    check=check,
    cite=CITE,
    mechanism=(
        "Positive neurons read a fast synaptic state and write it by the product of their activity and the"
        " present token (Hebb); what is read gates the neurons themselves. Token by token it is a brain with"
        " changing synapses, over a whole text linear attention; both forms are equal."
    ),
    claim="A GPT's loss at equal parameters and tokens; sparse activity; synapses that stand for concepts",
    differs=DIFFERS,
    cost="small: about 15 s for a network and text on one core",
)  # fmt: skip
