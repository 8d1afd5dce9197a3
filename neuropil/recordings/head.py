"""From currents in the brain to EEG and MEG: sensors, a spherical head, and the lead field between them.

The physics is MNE's (four-shell sphere for EEG, Sarvas for MEG); sensors and sources share a frame in metres.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from jaxtyping import Float, Shaped

from neuropil.cache import cache_folder

from .mnelib import MEASURES, mne

RADIUS = 0.09
"""Radius of the head in metres."""

UNITS = {"eeg": ("uV", 1e6), "mag": ("fT", 1e15), "grad": ("fT/cm", 1e13)}
"""Kind of sensor -> its customary unit and how many of it the SI unit is."""

NOISE = {"eeg": 0.05, "mag": 3.0, "grad": 3.0}
"""Kind of sensor -> noise of a good amplifier per root Hz, in `UNITS`."""


def eeg_sensors(
    names: Sequence[str] | None = None,
    montage: str = "spherical_1005",
    *,
    radius: float | int = RADIUS,
    rate: float | int = 256.0,
) -> Any:
    """MNE `Info` of EEG electrodes `names` (all of the montage) on a sphere of `radius` m around 0.

    `montage`: one of MNE's (`spherical_1005`, `biosemi64`, `GSN-HydroCel-128`, ...): its centre is moved to
    0 and every electrode along its ray to the sphere. ValueError: an electrode the montage does not have.
    """
    lib = mne()
    places = lib.channels.make_standard_montage(montage).get_positions()["ch_pos"]
    chosen = list(places) if names is None else list(names)
    missing = [n for n in chosen if n not in places]
    if missing:
        raise ValueError(
            f"The montage {montage} has no electrode {missing[0]!r}: it has {', '.join(list(places)[:8])}, ..."
        )
    centre = sphere_of(np.array(list(places.values())))[0]
    ray = np.array([places[n] for n in chosen]) - centre
    ray *= radius / np.linalg.norm(ray, axis=1, keepdims=True)
    info = lib.create_info(chosen, float(rate), "eeg", verbose="error")
    dig = lib.channels.make_dig_montage(dict(zip(chosen, ray, strict=True)), coord_frame="head")
    return info.set_montage(dig, verbose="error")


def meg_sensors(
    system: str = "neuromag",
    *,
    rate: float | int = 256.0,
    shift: Sequence[float | int] = (0.0, 0.0, 0.0),
) -> Any:
    """MNE `Info` of an MEG helmet: "neuromag" (306), "ctf151" or "ctf275"; the head's centre (0) lies at
    the centre of the sphere closest to the sensors, or is moved from it by `shift` m: how a subject sits.
    """
    lib = mne()
    info = lib.channels.read_meg_canonical_info(system, verbose="error")
    info = lib.pick_info(info, lib.pick_types(info, meg=True, ref_meg=False))
    moved = np.eye(4)
    centre = sphere_of(np.array([ch["loc"][:3] for ch in info["chs"]]))[0]
    moved[:3, 3] = -centre - np.asarray(shift, float)
    info["dev_head_t"] = lib.transforms.Transform("meg", "head", moved)
    with info._unlock():  # MNE guards the rate of an Info that was read
        info["sfreq"] = float(rate)
        info["lowpass"] = float(rate) / 2
    return info


def sphere_of(points: Float[np.ndarray, "point 3"]) -> tuple[np.ndarray, float]:
    """Centre and radius of the sphere closest to `points` (least squares: 2 p.c + r^2 - |c|^2 = |p|^2)."""
    left = np.column_stack([2 * points, np.ones(len(points))])
    got = np.linalg.lstsq(left, (points**2).sum(1), rcond=None)[0]
    return got[:3], float(np.sqrt(got[3] + got[:3] @ got[:3]))


def cortex(
    n: int, *, radius: float | int = RADIUS, depth: float | int = 0.8
) -> Float[np.ndarray, "n 3"]:
    """`n` sources spread evenly (a golden spiral) on the sphere of `depth` of the head's radius, above a
    plane 30 % of the radius below its centre."""
    z = 1 - 1.3 * (np.arange(n) + 0.5) / n
    turn = np.pi * (1 + 5**0.5) * np.arange(n)
    flat = np.sqrt(1 - z**2)
    return radius * depth * np.column_stack([flat * np.cos(turn), flat * np.sin(turn), z])


@final
@dataclass(frozen=True, eq=False, repr=False)
class LeadField:
    """`gain` (sensor, source): SI units of each sensor (V, T, T/m) per A m of the source's dipole moment;
    `labels`, `kinds` ("eeg", "mag", "grad"), `positions` and `normals` of the sensors (NaN for electrodes)
    and `sources`, `moments` (unit vectors) of the dipoles, in metres around the centre of the head.

    >>> field = lead_field(eeg_sensors(["C3", "Cz", "C4"]), cortex(20), save=False)  # moments point outwards
    >>> field.gain.shape, field.kinds.tolist()
    ((3, 20), ['eeg', 'eeg', 'eeg'])
    """

    gain: Float[np.ndarray, "sensor source"]
    labels: Shaped[np.ndarray, " sensor"]
    kinds: Shaped[np.ndarray, " sensor"]
    positions: Float[np.ndarray, "sensor 3"]
    normals: Float[np.ndarray, "sensor 3"]
    sources: Float[np.ndarray, "source 3"]
    moments: Float[np.ndarray, "source 3"]

    @property
    def measures(self) -> np.ndarray:
        """SI unit of each sensor."""
        return np.array([MEASURES[k] for k in self.kinds.tolist()], str)

    def project(self, currents: Float[np.ndarray, "... source"]) -> Float[np.ndarray, "... sensor"]:
        """Sensor values of dipole moments (A m): currents @ gain.T."""
        return currents @ self.gain.T

    def referenced(self) -> "LeadField":
        """The same with the electrodes against their average."""
        gain = self.gain.copy()
        eeg = self.kinds == "eeg"
        gain[eeg] -= gain[eeg].mean(0)
        return LeadField(gain, **{k: v for k, v in vars(self).items() if k != "gain"})

    def __repr__(self) -> str:
        kinds, counts = np.unique(self.kinds, return_counts=True)
        said = ", ".join(f"{n} {k}" for k, n in zip(kinds, counts, strict=True))
        return f"LeadField({said}; {len(self.sources)} sources)"


def lead_field(
    sensors: Any,
    sources: Float[np.ndarray, "..."],
    moments: Float[np.ndarray, "..."] | None = None,
    *,
    radius: float | int = RADIUS,
    shells: Sequence[float | int] = (0.9, 0.92, 0.97, 1.0),
    sigmas: Sequence[float | int] = (0.33, 1.0, 0.004, 0.33),
    save: bool = True,
) -> LeadField:
    """The lead field of current dipoles, by MNE's spherical head: at `sources` (source, 3), in m around the
    head's centre, with unit `moments` (source, 3; outwards where None).

    `sensors`: an `Info`, or several (EEG and MEG together). EEG: concentric `shells` (parts of `radius`: brain,
    fluid, skull, scalp) of conductivity `sigmas` S/m, by Berg and Scherg's fit. MEG: Sarvas' formula, exact
    for every concentric conductor, over MNE's coil definitions. A field that was computed before comes from
    the cache (`save`). ValueError: a source outside the brain; unlike numbers of sources and moments.

    Sources: Sarvas (1987) Phys. Med. Biol. 32:11; Berg and Scherg (1994) Electroenceph. clin. Neurophysiol.
    90:58; Gramfort et al. (2014) NeuroImage 86:446.
    """
    sources = np.asarray(sources, float)
    if sources.ndim != 2 or sources.shape[1] != 3:
        raise ValueError(f"The sources have shape {sources.shape}: give (source, 3) in metres.")
    distance = np.linalg.norm(sources, axis=1)
    if not distance.max() < shells[0] * radius:
        raise ValueError(
            f"A source lies {distance.max():g} m from the centre, outside the brain of "
            f"{shells[0] * radius:g} m: give metres, and move it inwards."
        )
    if moments is None:
        moments = sources / np.maximum(distance, 1e-12)[:, None]
    moments = np.asarray(moments, float)
    if moments.shape != sources.shape:
        raise ValueError(f"There are {len(sources)} sources and moments of shape {moments.shape}.")
    parts = [
        _of(info, sources, radius, tuple(shells), tuple(sigmas), save)
        for info in (sensors if isinstance(sensors, list | tuple) else [sensors])
    ]
    free = np.concatenate([p[0] for p in parts])
    rest = [np.concatenate([p[i] for p in parts]) for i in range(1, 5)]
    return LeadField(np.einsum("csx,sx->cs", free, moments), *rest, sources, moments)


def _of(info, sources, radius, shells, sigmas, save):
    lib = mne()
    kinds = np.array(info.get_channel_types(), str)
    head = np.eye(4) if info["dev_head_t"] is None else info["dev_head_t"]["trans"]
    loc = np.array([ch["loc"] for ch in info["chs"]])
    meg = kinds != "eeg"
    where, normal = loc[:, :3].copy(), np.full((len(loc), 3), np.nan)
    where[meg] = where[meg] @ head[:3, :3].T + head[:3, 3]
    normal[meg] = loc[meg, 9:12] @ head[:3, :3].T
    mark = hashlib.sha256(f"lead field 1 {lib.__version__} {radius} {shells} {sigmas}".encode())
    coils = np.array([ch["coil_type"] for ch in info["chs"]], np.int64)
    for a in (loc[:, :12], coils, head, sources):
        mark.update(np.ascontiguousarray(a))
    path = cache_folder() / "leadfield" / f"{mark.hexdigest()[:24]}.npy"
    if save and path.is_file():
        free = np.load(path, allow_pickle=False)
    else:
        free = _solve(lib, info, sources, radius, shells, sigmas)
        if save:
            path.parent.mkdir(parents=True, exist_ok=True)
            part = path.with_name(f".{path.name}.{id(free)}.part")
            with part.open("wb") as f:
                np.save(f, free)
            part.replace(path)
    return free, np.array(info["ch_names"], str), kinds, where, normal


def _solve(lib, info, sources, radius, shells, sigmas) -> np.ndarray:
    """(sensor, source, 3), in V or T per A m."""
    kinds = info.get_channel_types()
    with lib.utils.use_log_level("error"):
        sphere = lib.make_sphere_model(
            (0.0, 0.0, 0.0), radius, relative_radii=shells, sigmas=sigmas, verbose="error"
        )
        up = np.tile([0.0, 0.0, 1.0], (len(sources), 1))
        space = lib.setup_volume_source_space(
            pos={"rr": sources, "nn": up},
            sphere=sphere,
            sphere_units="m",
            mindist=0.0,
            verbose="error",
        )
        forward = lib.make_forward_solution(
            info, None, space, sphere, meg=any(k != "eeg" for k in kinds), eeg="eeg" in kinds,
            mindist=0.0, verbose="error",
        )  # fmt: skip
    gain = forward["sol"]["data"].reshape(-1, forward["nsource"], 3)
    if gain.shape[1] != len(sources):
        raise ValueError(
            f"MNE left out {len(sources) - gain.shape[1]} of the {len(sources)} sources: move them inwards."
        )
    order = [forward["sol"]["row_names"].index(n) for n in info["ch_names"]]
    return gain[order]
