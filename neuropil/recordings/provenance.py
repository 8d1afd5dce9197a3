"""What was done to a recording, and which part of a split it is: the memory that makes a leak refusable."""

import json
from typing import NamedTuple

LEARN = ("train",)


class Step(NamedTuple):
    """One thing done: its name, its settings (JSON), and the part it learned from ("" if it learned
    nothing, "all" if from a recording that no split had touched)."""

    name: str
    settings: str = "{}"
    learned: str = ""

    def __str__(self) -> str:
        given = ", ".join(f"{k}={v}" for k, v in json.loads(self.settings).items())
        return f"{self.name}({given})" + (f" learned from {self.learned}" if self.learned else "")


class Split(NamedTuple):
    """Which part ("train", "valid", "test") of which split (`of`, a digest of the assignment)."""

    part: str
    of: str

    def __str__(self) -> str:
        return f"{self.part} of split {self.of}"


def step(name: str, learned: str = "", **settings) -> Step:
    """A `Step` with its settings as JSON; arrays and the like as their text."""
    return Step(name, json.dumps(settings, default=str, sort_keys=True), learned)


def may_fit(recording, what: str = "a model") -> str:
    """Refuse to learn from anything but training data; the name of the part that is learned from.

    ValueError where the recording is a validation or test part. A recording that was never split is
    "all".

    >>> import numpy as np
    >>> from neuropil.recordings import Recording, may_fit
    >>> may_fit(Recording.from_array(np.ones((2, 5, 1)), rate=1.0, unit="uV"))
    'all'
    """
    split = recording.split
    if split is None:
        return "all"
    if split.part not in LEARN:
        raise ValueError(
            f"This is a leak: {what} would be fitted on the {split}. Fit on the part 'train' and only "
            "apply or score here."
        )
    return str(split)


def may_apply(learned: str, recording, what: str) -> None:
    """Refuse to apply what was learned from unsplit data, or within another split, to a split part.

    ValueError: the recording belongs to a split, and `learned` is not the training part of it.
    """
    split = recording.split
    if split is None:
        if learned not in ("", "all"):
            return  # wider than what it learned from: nothing to be scored on was promised
        return
    if learned != str(Split("train", split.of)):
        raise ValueError(
            f"This is a leak: {what} learned from {learned} and would be applied to the {split}, which "
            "it may have seen. Fit it on the part 'train' of the same split."
        )
