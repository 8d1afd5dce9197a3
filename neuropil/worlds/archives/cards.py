"""What is known of each archive: title, licence, citation, and through which library it comes. No
network here.
"""

import difflib
from typing import NamedTuple


class Card(NamedTuple):
    """A data set that is too large, or not ours, to be kept at hand.

    `library`: what fetches it ("" : by hand, from `homepage`); `where`: its number or class there; `note`:
    which files, and where they must lie under NEUROPIL_DATA when put there by hand.
    """

    name: str
    title: str
    licence: str
    citation: str
    homepage: str
    library: str
    where: str
    note: str


_NLB = "Pei et al. (2021) Neural Latents Benchmark '21, arXiv:2109.04463"
_DANDI = "CC BY 4.0 as DANDI states for the set (asked again when it is fetched)"


def _nlb(name: str, number: str, title: str) -> Card:
    page = f"https://dandiarchive.org/dandiset/{number}"
    note = f"NWB files, one to train on and one to test, in archives/{name}/."
    return Card(
        name, f"Neural Latents Benchmark: {title}", _DANDI, _NLB, page, "dandi", number, note
    )


CARDS: dict[str, Card] = {
    c.name: c
    for c in (
        _nlb("mc_maze", "000128", "motor and premotor cortex, reaching in mazes"),
        _nlb("mc_rtt", "000129", "motor cortex, reaching to random targets"),
        _nlb("area2_bump", "000127", "area 2, reaching with bumps"),
        _nlb("dmfc_rsg", "000130", "dorsomedial frontal cortex, reproducing intervals"),
        _nlb("mc_maze_large", "000138", "reaching in mazes, 500 trials"),
        _nlb("mc_maze_medium", "000139", "reaching in mazes, 250 trials"),
        _nlb("mc_maze_small", "000140", "reaching in mazes, 100 trials"),
        Card(
            "allen-visual-coding-neuropixels",
            "Allen Brain Observatory, Visual Coding: Neuropixels in mouse visual areas",
            "Terms of Use of the Allen Institute: read them at its page",
            "Siegle et al. (2021) Nature 592:86",
            "https://dandiarchive.org/dandiset/000021",
            "dandi",
            "000021",
            "NWB files, read by neuropil.read.",
        ),
        Card(
            "allen-visual-coding-2p",
            "Allen Brain Observatory, Visual Coding: two-photon calcium in mouse visual areas",
            "Terms of Use of the Allen Institute: read them at its page",
            "de Vries et al. (2020) Nat. Neurosci. 23:138",
            "https://observatory.brain-map.org/visualcoding",
            "",
            "",
            "The files of NWB's first version that AllenSDK's BrainObservatoryCache fetches "
            "(AllenSDK needs an older "
            "numpy: fetch in an environment of its own), <experiment>.nwb in archives/allen-visual-coding-2p/.",
        ),
        Card(
            "algonauts2023",
            "Algonauts 2023: 7T fMRI of eight people who see natural scenes (of NSD)",
            "Terms of the Natural Scenes Dataset: agree to them at its page before you fetch it",
            "Allen et al. (2022) Nat. Neurosci. 25:116; Gifford et al. (2023) arXiv:2301.03198",
            "https://algonautsproject.com/2023/challenge.html",
            "",
            "",
            "subj01/ ... subj08/ (training_split, test_split, roi_masks) in archives/algonauts2023/.",
        ),
        Card(
            "things-fmri",
            "THINGS-data: fMRI of three people and 8,740 images, single-trial responses as tables",
            "CC0 as usually given for THINGS-data; its page on figshare decides",
            "Hebart et al. (2023) eLife 12:e82580",
            "https://doi.org/10.25452/figshare.plus.20492835",
            "",
            "",
            "betas_csv.zip (43 GB) unpacked to archives/things-fmri/betas_csv/.",
        ),
        Card(
            "things-meg",
            "THINGS-data: MEG of four people and 22,448 images, preprocessed epochs",
            "CC0 as usually given for THINGS-data; its page on figshare decides",
            "Hebart et al. (2023) eLife 12:e82580",
            "https://doi.org/10.25452/figshare.plus.c.6161151",
            "",
            "",
            "preprocessed_P1-epo.fif ... P4 (with their further parts) in archives/things-meg/; "
            "neuropil.read opens them.",
        ),
        Card(
            "moabb",
            "Mother of all BCI Benchmarks: some hundred EEG sets of motor imagery, P300 and SSVEP",
            "each set has its own; moabb_set(...) says which library class it is, whose page gives it",
            "Jayaram, Barachant (2018) J. Neural Eng. 15:066011",
            "https://moabb.neurotechx.com",
            "moabb",
            "",
            "name the class: moabb_recordings('BNCI2014_001', subjects=[1]).",
        ),
    )
}
"""Name -> card. SHD and SSC are in `neuropil.worlds.datasets`."""


def names() -> list[str]:
    """All archives, sorted."""
    return sorted(CARDS)


def info(name: str) -> Card:
    """The card of an archive. KeyError names the nearest ones."""
    if name not in CARDS:
        near = difflib.get_close_matches(name, CARDS, 3, 0.4) or names()[:4]
        raise KeyError(f"There is no archive {name!r}: did you mean {', '.join(near)}?")
    return CARDS[name]
