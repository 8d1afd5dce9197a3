r"""Titans: a long-term memory that learns at test time, beside attention as a short-term one.

Behrouz, Zhong, Mirrokni (2024), arXiv:2501.00663; no official code.

The weights of a small network are the memory: each token's surprise, the gradient of an associative loss, is
written with momentum and forgetting, $S_t = \eta_t S_{t-1} - \theta_t \nabla |M(k_t) - v_t|^2$,
$M_t = (1 - \alpha_t) M_{t-1} + S_t$. It stands as context before attention (MAC), as a gate beside it (MAG),
or as a layer before it (MAL).

Claim: needles are found in haystacks at whose length attention and linear recurrent networks fail, and language
is modelled better. What is not in the paper's main text, and the sizes, stand in "differs".
"""

from neuropil.papers.build._titans import Learns
from neuropil.papers.build._titans_data import KEYS, TASKS, TEXT, load
from neuropil.papers.build._titans_score import CITE, DIFFERS, GAPS, METRICS, score
from neuropil.studies import Arm, Study

OPEN = (1.0, 0.5, 1.0)  # step as a share of the largest stable one, largest momentum and forgetting


def build(kind: str, gates: tuple | None = None):
    """An arm: a mixer, and for a memory how far its gates open."""

    def make(settings: dict, tasks) -> Learns:
        return Learns(kind, settings, tasks, gates)

    return make


def check(settings: dict) -> None:
    """ValueError for settings that make no sense together."""
    if settings["width"] % settings["heads"]:
        raise ValueError(f"{settings['heads']} heads do not divide width = {settings['width']}")
    if not 1 <= settings["needles"] <= KEYS:
        raise ValueError(f"needles = {settings['needles']}; there are {KEYS} keys")
    if not settings["lengths"] or min(settings["lengths"]) < 5 * settings["needles"]:
        raise ValueError(
            f"lengths = {settings['lengths']}; {settings['needles']} needles and questions need"
            f" {5 * settings['needles']} tokens"
        )
    if settings["judge"] not in ("test", "valid"):
        raise ValueError(f"judge = {settings['judge']!r}; write 'test', or 'valid' to choose rates")
    for name in ("updates", "text_updates", "batch", "window", "chunk", "persistent"):
        if settings[name] < 1:
            raise ValueError(f"{name} = {settings[name]}; it must be at least 1")


def figures(results) -> dict:
    """Figures by name; matplotlib is imported only here."""
    from neuropil.papers.build import _titans_figures

    return _titans_figures.figures(results)


def _arm(kind: str, role: str, about: str, gates: tuple | None = OPEN) -> Arm:
    ticks = (lambda settings: 1) if role == "control" else None  # needles only
    return Arm(build(kind, gates), role, about, ticks=ticks, gaps=GAPS)


_SMALL = dict(
    seeds=5, symbols=97, length=64, lengths=(64, 256, 1024), needles=4, width=32, inner=64,
    heads=2, blocks=1, window=32, chunk=16, clip=5.0, persistent=4,
    hidden_context=32, hidden_gate=48, hidden_layer=48, hidden_memory=113,
    hidden_attention=160, hidden_delta=160, updates=1000, text_updates=200, batch=16,
    judged=8, rounds=4, rate=3e-3, judge="test",
)  # fmt: skip

STUDY = Study(
    slug="titans",
    arms={
        "context": _arm("context", "system", "memory as context of attention"),
        "gate": _arm("gate", "variant", "memory as a gate beside sliding attention"),
        "layer": _arm("layer", "variant", "memory as a layer before sliding attention"),
        "memory": _arm("memory", "variant", "the memory alone"),
        "attention": _arm("attention", "baseline", "full attention, equal parameters", None),
        "delta": _arm("delta", "baseline", "gated delta rule, a linear recurrent network", None),
        "frozen": _arm(
            "context", "control", "memory as context, nothing learned at test time", (0.0, 0.5, 0.0)
        ),
        "no-momentum": _arm("memory", "control", "the memory alone, momentum 0", (1.0, 0.0, 1.0)),
        "no-forgetting": _arm("memory", "control", "the memory alone, forgetting 0", (1.0, 0.5, 0.0)),
    },
    scales={
        "smoke": _SMALL | dict(seeds=1, length=24, lengths=(24,), width=8, inner=8, blocks=1, window=8,
                               chunk=4, updates=2, text_updates=2, batch=4, judged=4, rounds=1),
        "small": _SMALL,
        "paper": _SMALL | dict(length=4096, lengths=(2048, 4096, 8192, 16384), width=1024, inner=2048,
                               heads=16, blocks=24, window=512, chunk=64, persistent=16,
                               hidden_context=1024, hidden_gate=1536, hidden_layer=1536,
                               hidden_memory=3592, hidden_attention=5120, hidden_delta=5120,
                               updates=30_000, text_updates=30_000, batch=128, rate=4e-4),
    },
    load=load,
    ticks=lambda settings: len(TASKS),
    score=score,
    metrics=METRICS,
    figures=figures,
    datasets=TEXT,
    check=check,
    cite=CITE,
    mechanism=(
        "The weights of a small network are the memory. Each token's surprise, the gradient of how badly the"
        " memory tells its value from its key, is written with momentum, and the past is forgotten; whole"
        " chunks are learned at once. Attention reads it as context, is gated by it, or stands on it."
    ),
    claim="Needles are found at lengths where attention and linear recurrent networks fail",
    differs=DIFFERS,
    cost="small: 20 to 60 s for an arm and seed on one core",
)  # fmt: skip
