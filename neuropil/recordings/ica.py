"""Independent components by MNE, learned from training data alone."""

from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np

from .mnelib import SCALES, mne, to_epochs, to_raw
from .provenance import may_apply, may_fit, step
from .recording import Recording


@final
@dataclass(frozen=True, eq=False)
class ICA:
    """Components learned by `mne.preprocessing.ICA` (kept in `model`); what is applied is a linear map.

    Filter above 1 Hz first: slow drifts cost components (MNE warns). Bad channels take no part.
    """

    model: Any
    learned: str

    @classmethod
    def fit(
        cls,
        recording: Recording,
        components: int | float | None = None,
        *,
        method: str = "fastica",
        seed: int = 0,
    ) -> "ICA":
        """ValueError: a test part (a leak)."""
        learned = may_fit(recording, "an ICA")
        model = mne().preprocessing.ICA(
            components, method=method, random_state=seed, max_iter="auto", verbose="error"
        )
        return cls(model.fit(_instance(recording), verbose="error"), learned)

    @property
    def n(self) -> int:
        """Number of components."""
        return int(self.model.n_components_)

    def maps(self) -> np.ndarray:
        """(channel, component): how strongly each component reaches each channel, SI units."""
        return self.model.get_components()

    def sources(self, recording: Recording) -> Recording:
        """The components' time courses (trial, time, component). ValueError: a part of another split."""
        may_apply(self.learned, recording, "the ICA")
        got = self.model.get_sources(_instance(recording)).get_data()
        got = got[None] if got.ndim == 2 else got
        made = Recording.from_array(
            got.transpose(0, 2, 1),
            rate=recording.rate,
            unit="1",
            labels=[f"ICA{i:03d}" for i in range(self.n)],
            time=recording.data["time"].values,
            trials={c: v.values for c, v in recording.data.coords.items() if v.dims == ("trial",)},
            events=recording.events,
        )
        return replace(
            made,
            split=recording.split,
            history=(*recording.history, step("ica_sources", self.learned)),
        )

    def like(self, recording: Recording, channel: str) -> np.ndarray:
        """Correlation of each component with a channel (an EOG, or Fp1 for blinks)."""
        sources = self.sources(recording).to_numpy().reshape(-1, self.n)
        other = recording.select(units=[channel]).to_numpy().ravel()
        return np.array([np.corrcoef(s, other)[0, 1] for s in sources.T])

    def __call__(self, recording: Recording, exclude: list[int]) -> Recording:
        """Without the components `exclude`. ValueError: a part of another split, or no such component."""
        may_apply(self.learned, recording, "the ICA")
        if not all(0 <= i < self.n for i in exclude):
            raise ValueError(
                f"exclude={exclude} names a component that is not there: there are {self.n}."
            )
        got = self.model.apply(
            _instance(recording), exclude=list(exclude), verbose="error"
        ).get_data()
        got = got[None] if got.ndim == 2 else got
        values = got.transpose(0, 2, 1) / SCALES.get(recording.unit, 1.0)
        done = step("ica", self.learned, exclude=list(exclude))
        data = recording.data.copy(data=values)
        return replace(recording, data=data, history=(*recording.history, done))


def _instance(recording: Recording):
    return to_raw(recording) if recording.shape[0] == 1 else to_epochs(recording)
