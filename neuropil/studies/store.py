"""Stored results: a finished run's summary, kept in the repository under `results/SLUG/SCALE.json`."""

from pathlib import Path

from neuropil.studies import catalogue
from neuropil.studies.environment import promised
from neuropil.studies.folder import RunFolder, read_json, write_json
from neuropil.studies.refuse import Refused


def result(folder: Path | str) -> dict:
    """What is stored of a finished run: summary, study, environment, in one piece of plain data."""
    place = RunFolder(folder)
    if not place.path.is_dir():
        raise Refused(f"no folder {folder}")
    if not place.finished:
        raise Refused(
            f"{folder} is not finished; go on with: neuropil run SLUG --resume --out {folder}"
        )
    summary = read_json(place / "summary.json")
    return {
        **{k: v for k, v in summary.items() if k != "figures"},
        "study": read_json(place / "study.json"),
        "environment": read_json(place / "environment.json"),
    }


def store(folder: Path | str) -> Path:
    """Copy a finished run's result to `results/`; the path.

    Raises Refused for a run that is unfinished, a demonstration, of changed settings or of fewer
    seeds than its scale has, and where its claims were not committed before it began or were
    changed since.
    """
    found = result(folder)
    config = read_json(Path(folder) / "config.json")
    slug, scale = found["slug"], found["scale"]
    if slug not in catalogue.papers() or config["target"] != slug:
        raise Refused(
            f"{config['target']} is not in the catalogue, so its result has no place there"
        )
    if found["demonstration"]:
        raise Refused(f"{folder} is a demonstration on {found['demonstration']}, not the claim")
    if found["changed"]:
        changed = ", ".join(f"{k} = {v}" for k, v in found["changed"].items())
        raise Refused(f"{folder} ran with changed settings ({changed}); run it without --set")
    if len(found["seeds"]) < config["usual_seeds"]:
        few = f"{len(found['seeds'])} seeds, scale {scale} has {config['usual_seeds']}"
        raise Refused(f"{folder} ran with {few}; run it without --seeds")
    if promised(slug)["seal"] != found["promised"]["seal"]:
        raise Refused(f"the claims of {slug} were changed after {folder} began; run it again")
    if found["promised"]["committed"] is False and found["claims"]:
        raise Refused(
            f"the claims of {slug} were not committed when {folder} began; commit, run again"
        )
    target = catalogue.results_folder() / slug / f"{scale}.json"
    try:
        write_json(target, found)
    except OSError as error:
        raise Refused(f"cannot write {target}: {error.strerror}") from None
    catalogue.stored.cache_clear()
    return target
