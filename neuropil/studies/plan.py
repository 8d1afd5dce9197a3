"""What a run will do, settled before any work: every wrong request is refused here, in one line."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neuropil.studies import catalogue, claims
from neuropil.studies.environment import cores
from neuropil.studies.folder import Job, RunFolder, read_json
from neuropil.studies.refuse import Refused, nearest
from neuropil.studies.settings import resolve
from neuropil.studies.study import Study


@dataclass(frozen=True)
class Plan:
    """A run: which study, with which settings, where.

    `target` is a slug or `module:NAME`; `changed` are the settings changed by hand; `demo` names the
    embedded data set that stands in for a missing one (None: the real data).
    """

    target: str
    study: Study
    scale: str
    settings: dict
    changed: dict
    demo: str | None
    datasets: tuple[str, ...]
    workers: int
    folder: RunFolder
    resume: bool

    @property
    def seeds(self) -> tuple[int, ...]:
        return tuple(range(self.settings["seeds"]))

    @property
    def pairs(self) -> list[tuple[str, int]]:
        """Every (arm, seed), in the order of the table."""
        return [(arm, seed) for arm in self.study.arms for seed in self.seeds]

    def jobs(self, accelerator: bool = False) -> list[Job]:
        """Pieces of work: an arm with one seed, or with all of them where they are vmapped.

        A job that was begun keeps its grouping: values under `vmap` differ in the last bits.
        """
        jobs: list[Job] = []
        for name, arm in self.study.arms.items():
            together = arm.vmap or (accelerator and arm.jit)
            if self.folder.begun(name):
                together = self.folder.checkpoints(name, self.seeds).exists()
            if together and len(self.seeds) > 1:
                jobs.append((name, self.seeds))
            else:
                jobs += [(name, (seed,)) for seed in self.seeds]
        return jobs

    def config(self) -> dict:
        """What `config.json` holds."""
        return {
            "target": self.target,
            "slug": self.study.slug,
            "scale": self.scale,
            "settings": self.settings,
            "changed": self.changed,
            "usual_seeds": self.study.scales[self.scale]["seeds"],
            "seeds": list(self.seeds),
            "demonstration": self.demo,
            "datasets": list(self.datasets),
        }

    def again(self) -> str:
        """The command that goes on with this run."""
        return f"neuropil run {self.target} --resume --out {self.folder.path}"


def load(target: str) -> Study:
    """The study of a working paper (by slug), or of `module:NAME`, or of `file.py:NAME`.

    Raises Refused for an unknown slug (with the nearest), a planned one, a target that is no study.
    """
    place, colon, name = target.rpartition(":")
    if not colon:
        place, name = catalogue.module_of(target), "STUDY"
    try:
        module = (
            _from_file(Path(place)) if place.endswith(".py") else importlib.import_module(place)
        )
    except ModuleNotFoundError as error:
        if error.name and place.startswith(error.name):
            fix = (
                "write package.module:STUDY or file.py:STUDY" if colon else "its page is not there"
            )
            raise Refused(f"no module {place!r}; {fix}") from None
        raise
    study = getattr(module, name, None)
    if not isinstance(study, Study):
        raise Refused(f"{target}: {name} in {place} is no Study; write {name} = Study(...)")
    return study


def _from_file(path: Path) -> Any:
    if not path.is_file():
        raise Refused(f"no file {path}; write file.py:STUDY")
    name = f"neuropil_study_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise Refused(f"{path} cannot be loaded as Python")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def plan(
    target: str,
    scale: str | None = None,
    seeds: int | None = None,
    sets: Iterable[str] = (),
    out: Path | str | None = None,
    resume: bool = False,
    workers: int | None = None,
) -> Plan:
    """Settle a run, or refuse it. With `resume`, what is not given is read from the folder.

    Raises Refused; see `load`, `settings.resolve`, `RunFolder.prepare`.
    """
    if workers is not None and workers < 1:
        raise Refused(f"--workers {workers}: at least 1 is needed")
    if seeds is not None and seeds < 1:
        raise Refused(f"--seeds {seeds}: at least 1 is needed")
    sets = list(sets)
    study = load(target)
    if resume:
        return _resumed(study, target, scale, seeds, sets, out, workers)
    scale = scale or ("small" if "small" in study.scales else next(iter(study.scales)))
    settings, changed = resolve(study.scales, scale, sets, seeds)
    settings, demo, used = _data(study, scale, settings)
    _sound(study, settings)
    folder = RunFolder(out or default_folder(study.slug, scale))
    folder.prepare(resume=False)
    return Plan(
        target, study, scale, settings, changed, demo, used, workers or len(cores()), folder, False
    )


def _sound(study: Study, settings: dict) -> None:
    for claim in claims.of(study.slug):
        for arm in claim.contrast:
            if arm not in study.arms:
                hint = nearest(arm, study.arms)
                raise Refused(f"claims.toml, {study.slug}/{claim.id}: no arm {arm!r}; {hint}")
    try:
        if study.check is not None:
            study.check(settings)
        for arm in study.arms:
            study.chunks(arm, settings)
    except ValueError as error:
        raise Refused(str(error)) from None


def _data(study: Study, scale: str, settings: dict) -> tuple[dict, str | None, tuple[str, ...]]:
    """The settings with the data that is there, the demonstration's name, the data sets used."""
    usual, wanted = study.scales[scale].get("data"), settings.get("data")
    needed = tuple(wanted if name == usual else name for name in study.datasets)
    if wanted is not None and wanted == study.demo and study.demo not in study.datasets:
        return settings, (study.demo if study.datasets else None), ()
    if not needed:
        return settings, None, ()
    from neuropil.worlds import datasets

    if wanted in datasets.names() and wanted not in needed:  # a scale with data of its own
        needed = (wanted,)
    for name in needed:
        if name not in datasets.names():
            raise Refused(f"no data set {name!r}; {nearest(name, datasets.names())}")
    try:
        missing = [name for name in needed if not datasets.available(name)]
    except ValueError as error:  # NEUROPIL_DATA names no folder
        raise Refused(str(error)) from None
    if not missing:
        return settings, None, needed
    if study.demo is None:
        get = " and ".join(f"neuropil data get {name}" for name in missing)
        raise Refused(f"{study.slug} needs {', '.join(missing)}; run: {get}")
    return {**settings, "data": study.demo}, study.demo, ()


def default_folder(slug: str, scale: str) -> Path:
    """`runs/SLUG-SCALE-DATE`, with the time of day so that two runs do not meet."""
    base = Path("runs") / f"{slug}-{scale}-{time.strftime('%Y%m%d-%H%M%S')}"
    path, count = base, 2
    while path.exists():
        path, count = base.with_name(f"{base.name}-{count}"), count + 1
    return path


def _latest(slug: str, scale: str | None) -> Path:
    found = [
        path.parent
        for path in Path("runs").glob(f"{slug}-{scale or '*'}-*/config.json")
        if read_json(path).get("slug") == slug
    ]
    if not found:
        raise Refused(f"--resume: no run of {slug} under runs/; name its folder with --out DIR")
    return max(found, key=lambda path: (not RunFolder(path).finished, path.stat().st_mtime))


def _resumed(study, target, scale, seeds, sets, out, workers) -> Plan:
    folder = RunFolder(out or _latest(study.slug, scale))
    folder.prepare(resume=True)
    old = read_json(folder / "config.json")
    if old["slug"] != study.slug:
        raise Refused(f"--resume: {folder.path} holds a run of {old['slug']}, not of {study.slug}")
    if scale is not None and scale != old["scale"]:
        raise Refused(f"--resume: {folder.path} is at scale {old['scale']}, not {scale}")
    if old["scale"] not in study.scales:
        raise Refused(
            f"--resume: {study.slug} has no scale {old['scale']} any more; start a new run"
        )
    stored = {k: tuple(v) if isinstance(v, list) else v for k, v in old["settings"].items()}
    given = [f"{k}={_text(v)}" for k, v in old["changed"].items()] if not sets else sets
    settings, changed = resolve(study.scales, old["scale"], given, seeds or stored.get("seeds"))
    if old["demonstration"]:
        settings["data"] = old["demonstration"]
    settings = {k: tuple(v) if isinstance(v, list) else v for k, v in settings.items()}
    for key in sorted(set(stored) | set(settings)):
        if stored.get(key) != settings.get(key):
            raise Refused(
                f"--resume: {key} is {stored.get(key)!r} in {folder.path} and {settings.get(key)!r}"
                " now; a run goes on with the settings it began with (or name another --out)"
            )
    workers = workers or old.get("workers") or len(cores())
    used = tuple(old["datasets"])
    return Plan(
        target,
        study,
        old["scale"],
        stored,
        changed,
        old["demonstration"],
        used,
        workers,
        folder,
        True,
    )


def _text(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
