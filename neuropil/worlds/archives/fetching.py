"""Where an archive's files are, and how they come: asked for by name, with licence and size said first."""

from pathlib import Path
from typing import Any

from neuropil.cache import cache_folder

from ..datasets import data_folder
from .cards import info


def folder(name: str) -> Path:
    """Where the files of an archive lie: under NEUROPIL_DATA/archives if they are there, else in the cache."""
    card = info(name)
    root = data_folder()
    if root is not None and (root / "archives" / card.name).is_dir():
        return root / "archives" / card.name
    return cache_folder() / "archives" / card.name


def local(name: str, pattern: str = "**/*") -> list[Path]:
    """The files of an archive that are here. FileNotFoundError says how they come."""
    found = sorted(p for p in folder(name).glob(pattern) if p.is_file())
    if not found:
        card = info(name)
        how = (
            f"fetch({name!r}, agree=True)"
            if card.library == "dandi"
            else f"{card.homepage}: {card.note}"
        )
        raise FileNotFoundError(f"{card.title} is not on this machine. It comes by {how}")
    return found


def fetch(
    name: str, pattern: str = "*.nwb", *, agree: bool = False, client: Any = None
) -> list[Path]:
    """Download the files of a DANDI set that match `pattern` into the cache; those that are there stay.

    Without `agree=True` nothing is downloaded: PermissionError says licence, number of files and size, as the
    archive gives them today. `client`: a `DandiAPIClient` (one is made). A file is written beside its place and
    renamed when it is whole; its size is checked.
    ValueError: no file matches, a set that no library fetches, a download of another size. ImportError: without
    dandi (`pip install neuropil[archives]`). ConnectionError: the archive does not answer.
    """
    card = info(name)
    if card.library != "dandi":
        raise ValueError(
            f"{card.title} is fetched {'through ' + card.library if card.library else 'by hand'}: see "
            f"{card.homepage}. {card.note}"
        )
    if client is None:
        try:
            from dandi.dandiapi import DandiAPIClient
        except ImportError as err:
            raise ImportError("DANDI sets need dandi: pip install neuropil[archives]") from err
        client = DandiAPIClient()
    try:
        dandiset = client.get_dandiset(card.where)
        assets = list(dandiset.get_assets_by_glob(pattern))
        licence = ", ".join(_licences(dandiset)) or card.licence
    except Exception as err:  # requests, HTTP and dandi errors alike
        raise ConnectionError(
            f"DANDI does not answer ({' '.join(str(err).split())[:150]}): get the files from "
            f"{card.homepage} and put "
            f"them under NEUROPIL_DATA/archives/{name}/."
        ) from err
    if not assets:
        raise ValueError(f"DANDI set {card.where} has no file that matches {pattern!r}.")
    size = sum(a.size for a in assets)
    if not agree:
        raise PermissionError(
            f"{card.title}: {len(assets)} files, {size / 1e9:.2f} GB, licence {licence}. To fetch them: "
            f"fetch({name!r}, {pattern!r}, agree=True). Cite {card.citation}."
        )
    target = folder(name)
    paths = []
    for asset in assets:
        path = target / asset.path
        if not (path.is_file() and path.stat().st_size == asset.size):
            path.parent.mkdir(parents=True, exist_ok=True)
            part = path.with_name(path.name + ".part")
            asset.download(part)
            got = part.stat().st_size
            if got != asset.size:
                part.unlink()
                raise ValueError(
                    f"{asset.path} came with {got} bytes instead of {asset.size}: try again."
                )
            part.replace(path)
        paths.append(path)
    return paths


def _licences(dandiset: Any) -> list[str]:
    raw = dandiset.get_raw_metadata()
    return [str(x).removeprefix("spdx:") for x in raw.get("license", [])]
