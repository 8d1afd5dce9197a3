"""92 object images with RDMs of human and monkey IT, behaviour and models (Kriegeskorte 2008)."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, UInt8


@dataclass(frozen=True)
class RDM92:
    """Dissimilarities of 92 images; every matrix is symmetric with a zero diagonal.

    `human_it`: subject x session; `human_it_mean`, `monkey_it` (674 neurons): the published group
    matrices, 1 - r; `behaviour`: 16 subjects' judgements; `models`: by name; `categories[c]`: which
    images belong to the category.
    """

    images: UInt8[np.ndarray, "92 175 175 3"]
    image_category: tuple[str, ...]
    categories: dict[str, Bool[np.ndarray, " 92"]]
    human_it: Float[np.ndarray, "subject session 92 92"]
    subjects: tuple[str, ...]
    human_it_mean: Float[np.ndarray, "92 92"]
    monkey_it: Float[np.ndarray, "92 92"]
    behaviour: Float[np.ndarray, "judge 92 92"]
    models: dict[str, Float[np.ndarray, "92 92"]]
    about: dict[str, str]

    def __repr__(self) -> str:
        subjects, sessions = self.human_it.shape[:2]
        return (
            f"RDM92(92 images; human IT {subjects} x {sessions}, monkey IT, behaviour "
            f"{len(self.behaviour)}, models {', '.join(self.models)})"
        )


def load_rdm92(paths: dict[str, Path], about: dict[str, str]) -> RDM92:
    """From the four .mat files."""
    from scipy.io import loadmat
    from scipy.spatial.distance import squareform

    def variable(file: str, name: str) -> np.ndarray:
        try:
            return loadmat(paths[file])[name]
        except Exception as err:  # scipy raises a different kind for every way to be broken
            raise ValueError(
                f"{paths[file]} is not a MATLAB file with a variable {name!r} ({err})."
            ) from err

    paper = "Kriegeskorte_Neuron2008_supplementalData.mat"
    brain = variable("92_brainRDMs.mat", "RDMs")[0]
    groups = {str(g["name"][0]): g["RDM"].ravel() for g in variable(paper, "RDMs_mIT_hIT_fig1")[0]}
    stimuli = variable(paper, "stimuli_92objs")[0]
    flags = variable(paper, "categoryVectors").astype(bool)
    names = [str(np.ravel(c)[0]) for c in variable(paper, "categoryLabels").ravel()]
    return RDM92(
        images=np.stack([s["image"] for s in stimuli]),
        image_category=tuple(str(s["category"][0]) for s in stimuli),
        categories=dict(zip(names, flags.T, strict=True)),
        human_it=np.array([[s["RDM"] for s in row] for row in brain]).astype(np.float64),
        subjects=tuple(str(row[0]["name"][0]).split("|")[1].strip() for row in brain),
        human_it_mean=squareform(_group(groups, "hIT")),
        monkey_it=squareform(_group(groups, "mIT")),
        behaviour=np.array(
            [s["RDM"] for s in variable("92_behavRDMs.mat", "rdms_behav_92")[0]], float
        ),
        models={
            str(m["name"][0]): m["RDM"].astype(np.float64)
            for m in variable("92_modelRDMs.mat", "Models")[0]
        },
        about=about,
    )


def _group(groups: dict[str, np.ndarray], begin: str) -> np.ndarray:
    return next(v for k, v in groups.items() if k.startswith(begin)).astype(np.float64)
