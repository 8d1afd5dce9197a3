"""Spoken words as spikes of an artificial cochlea: Spiking Heidelberg Digits, Spiking Speech Commands."""

from dataclasses import dataclass
from pathlib import Path

from neuropil.recordings.events import SpikeTrials, open_trials


@dataclass(frozen=True, repr=False)
class SpikingSpeech:
    """Training, validation (None for SHD, which has none) and test trials of 700 channels.

    `words[label]` is what was said. SHD's test set has two speakers who are nowhere else; whoever
    needs a validation split takes it from the training set, by speaker (`train.speakers`).
    """

    train: SpikeTrials
    valid: SpikeTrials | None
    test: SpikeTrials
    words: tuple[str, ...]
    name: str
    about: dict[str, str]

    def __repr__(self) -> str:
        parts = [(n, getattr(self, n)) for n in ("train", "valid", "test")]
        counts = ", ".join(f"{len(p)} {n}" for n, p in parts if p is not None)
        return f"SpikingSpeech({self.name}: {counts} trials, {len(self.words)} words)"


def load_speech(name: str, paths: dict[str, Path], about: dict[str, str]) -> SpikingSpeech:
    """From the HDF5 files. ValueError where the parts do not belong together."""
    parts = {p: paths.get(f"{name}_{p}.h5") for p in ("train", "valid", "test")}
    trials = {p: None if path is None else open_trials(path) for p, path in parts.items()}
    train, test = trials["train"], trials["test"]
    if train is None or test is None:
        raise ValueError(f"{name} needs a training and a test file: run verify({name!r}).")
    words = train.words or tuple(map(str, range(int(train.labels.max()) + 1)))
    for part in filter(None, trials.values()):
        if part.labels.max() >= len(words) or (part.words and part.words != words):
            raise ValueError(
                f"{part.path.name} has other words than {train.path.name}: are they of one set?"
            )
    return SpikingSpeech(train, trials["valid"], test, words, name, about)
