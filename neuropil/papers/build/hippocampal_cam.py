r"""A spiking content-addressable memory after the hippocampal area CA3.

Casanueva-Morato, Ayuso-Martinez, Dominguez-Morales, Jimenez-Fernandez, Jimenez-Moreno (2024), Neural Networks
178, 106474, arXiv:2310.05868; code: dancasmor's CA3 memory for SpiNNaker.

Cue cells and content cells are joined by two plastic projections, cue to content and content to cue, whose pair
STDP takes a weight to its bound, or to 0, within one burst of three spikes; static inhibition keeps one cue at
a time, and keeps a recall by cue from going on as a recall by content.

Claim: it learns pairs in one shot, recalls them from the cue or from any fragment of the content, also where
contents overlap, and forgets a content when its cue is learned anew.
"""

from __future__ import annotations

from neuropil.papers.build._hippocampal_cam import (
    Dictionary,
    Projection,
    Session,
    Willshaw,
    rows,
    spiking,
)
from neuropil.papers.build._hippocampal_cam_score import CITE, DIFFERS, METRICS, score
from neuropil.studies import Arm, Study


def _arm(make, role: str, about: str) -> Arm:
    def build(settings: dict, data: None) -> Session:
        return Session(make(settings), rows(settings), settings["cues"], settings["contents"])

    return Arm(build, role, about)


def check(settings: dict) -> None:
    """ValueError for settings that make no sense together."""
    cues, contents = settings["cues"], settings["contents"]
    if cues < 2 or cues % 2 or 2 * cues > contents:
        raise ValueError(
            f"{cues} cues, {contents} contents: an even number of cues, two contents each"
        )
    if settings["draws"] < 1 or settings["after_recall"] < 1 or settings["after_learning"] < 3:
        raise ValueError("draws and after_recall are at least 1, after_learning at least 3 (ms)")
    if any(not 0 <= a <= contents for a in (*settings["active"], settings["stress_active"])):
        raise ValueError(f"active cells of a content must be 0 to {contents}")
    if settings["active"][0] != 0 or len(settings["active"]) < 2:
        raise ValueError("active begins with 0 (disjoint contents), then overlapping ones")
    if any(not 1 <= m <= cues for m in settings["stored"]) or min(settings["gaps"]) < 3:
        raise ValueError(f"stored: 1 to {cues} cues; gaps: at least 3 ms, the length of a burst")
    if settings["stress_active"] not in settings["active"]:
        raise ValueError("stress_active must be one of active")
    if any(not 0 <= q <= 1 for q in settings["lost"]):
        raise ValueError("lost: shares of spikes, 0 to 1")


def figures(results) -> dict:
    """Figures by name; matplotlib is imported only here."""
    from neuropil.papers.build import _hippocampal_cam_figures

    return _hippocampal_cam_figures.figures(results)


_SMALL = dict(
    seeds=10, draws=2, cues=16, contents=32, after_learning=10, after_recall=10, active=(0, 3, 10, 16),
    stress_active=10, stored=(2, 4, 8, 12), gaps=(4, 5, 6, 7, 8, 9), lost=(0.001, 0.01, 0.02, 0.05, 0.1, 0.2),
    spread=(0.02, 0.05, 0.1, 0.2, 0.3),
)  # fmt: skip

STUDY = Study(
    slug="hippocampal-cam",
    arms={
        "cam": _arm(spiking(), "system", "the spiking memory"),
        "willshaw": _arm(lambda s: Willshaw(), "baseline", "binary Hebbian matrix, both ways"),
        "hopfield": _arm(lambda s: Projection(), "baseline", "Hopfield net, pseudo-inverse weights"),
        "no-depression": _arm(spiking(down=0.0), "variant", "the spiking memory with A- = 0"),
        "gated": _arm(spiking(recalling=0.0), "variant", "weights change only while it learns"),
        "no-gate": _arm(spiking(gate=0.0), "variant", "cues do not hold back what goes on to recall cues"),
        "unlearned": _arm(spiking(up=0.0), "control", "the spiking memory with A+ = 0"),
        "dictionary": _arm(lambda s: Dictionary(), "ceiling", "exact pairs"),
    },
    scales={
        "smoke": _SMALL | dict(seeds=1, draws=1, cues=4, contents=8, active=(0, 2, 4), stress_active=2,
                               stored=(2,), gaps=(4,), lost=(0.1,), spread=(0.1,)),
        "small": _SMALL,
        "paper": _SMALL | dict(draws=10),
    },
    load=lambda settings: None,
    ticks=lambda settings: settings["draws"],
    score=score,
    metrics=METRICS,
    figures=figures,
    check=check,
    cite=CITE,
    mechanism=(
        "Two plastic projections, cue to content and content to cue, are taken to their bound or to 0 by pair"
        " STDP within a burst of three spikes; when a cue is learned anew its old content fires between two cue"
        " spikes, and is depressed to 0. Inhibition keeps recall by cue and by content apart."
    ),
    claim="Learns in one shot, recalls from cue or any fragment, forgets by learning anew",
    differs=DIFFERS,
    cost="small: a few seconds for each arm and seed on one core",
)  # fmt: skip
