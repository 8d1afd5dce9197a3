"""Where the files are: folder NEUROPIL_DATA, then the user cache, then the public address.

Nothing is used unless its SHA-256 is one of the accepted sums; a set for which none is published
is never downloaded, and its reader checks what it holds.
"""

import functools
import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path

from neuropil.cache import cache_folder

from .registry import File, Version, info


@dataclass(frozen=True)
class Check:
    """Result of hashing one file: where it is, its sum, whether that is accepted, and a remark."""

    ok: bool
    path: Path | None
    sha256: str | None
    note: str


def data_folder() -> Path | None:
    """The folder named by NEUROPIL_DATA, or None; ValueError where it names no folder."""
    named = os.environ.get("NEUROPIL_DATA")
    if not named:
        return None
    folder = Path(named).expanduser()
    if not folder.is_dir():
        raise ValueError(
            f"NEUROPIL_DATA names {named}, which is not a folder: create it or unset the variable."
        )
    return folder


def available(name: str) -> bool:
    """Whether every file of `name` is on this machine (presence only: sums are checked on use)."""
    card = info(name)
    if not card.files:
        from importlib.util import find_spec

        return find_spec("sklearn") is not None
    return all(_find(f) is not None for f in card.files)


def fetch(name: str, progress: bool = True) -> dict[str, Path]:
    """Paths of the files of `name`, downloaded to the cache if they are nowhere, sums checked.

    Errors: KeyError (unknown name), ValueError (wrong checksum), ConnectionError (download
    failed; says where to put the file by hand), FileNotFoundError (a set whose publisher gives no
    checksum is put there by hand), OSError (cache cannot be written).
    """
    card = info(name)
    here = {file.name: _find(file) for file in card.files}
    for file in card.files:  # what is here is judged before anything is downloaded
        found = here[file.name]
        if found is not None and _accepted(file, got := sha256(found)) is None:
            raise ValueError(_refusal(card.name, file, found, got))
    for file in card.files:
        if here[file.name] is None and not any(v.url for v in file.versions):
            raise FileNotFoundError(
                f"{file.name} of {name} is not on this machine, and no checksum of it is published, so "
                f"it is not downloaded: get it from {card.homepage} and put it under NEUROPIL_DATA as "
                f"{file.versions[0].path}."
            )
    return {f.name: here[f.name] or _download(card.name, f, progress) for f in card.files}


def verify(name: str) -> dict[str, Check]:
    """Hash every local file of `name` again; downloads nothing."""
    out = {}
    for file in info(name).files:
        found = _find(file)
        if found is None:
            out[file.name] = Check(False, None, None, "not on this machine")
            continue
        got = _hash(found)
        version = _accepted(file, got)
        note = version.note if version else _refusal(name, file, found, got)
        out[file.name] = Check(version is not None, found, got, note)
    return out


def checksums(name: str) -> dict[str, str]:
    """`{file: sha256}` of the files that `load(name)` reads, for the record of a run; of embedded
    sets (digits) the version of scikit-learn that brings them."""
    if not info(name).files:
        from importlib.metadata import version

        return {"scikit-learn": version("scikit-learn")}
    return {file: sha256(path) for file, path in fetch(name, progress=False).items()}


def sha256(path: Path) -> str:
    """SHA-256 of a file, remembered for as long as its size and time stay the same."""
    stat = path.stat()
    return _hash_once(path, stat.st_size, stat.st_mtime_ns)


@functools.lru_cache(maxsize=256)
def _hash_once(path: Path, size: int, mtime: int) -> str:
    return _hash(path)


def _hash(path: Path) -> str:
    with path.open("rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def _roots() -> list[Path]:
    folder = data_folder()
    return ([folder] if folder else []) + [cache_folder()]


def _find(file: File) -> Path | None:
    """The first version that exists: NEUROPIL_DATA before the cache, the original before others."""
    for root in _roots():
        for version in file.versions:
            path = root / version.path
            if path.is_file():
                return path
    return None


def _accepted(file: File, sum_: str) -> Version | None:
    return next((v for v in file.versions if v.sha256 in (sum_, "")), None)  # "": none is published


def _refusal(name: str, file: File, path: Path, got: str) -> str:
    expected = " or ".join(dict.fromkeys(v.sha256 for v in file.versions))
    return (
        f"{file.name} of {name} has a wrong checksum at {path}: expected SHA-256 {expected}, "
        f"got {got}; delete the file to have it downloaded again."
    )


def _download(name: str, file: File, progress: bool) -> Path:
    import pooch
    import requests

    failures = []
    for version in (v for v in file.versions if v.url):
        target = cache_folder() / version.path
        log = pooch.get_logger()
        level = log.level
        log.setLevel("ERROR")  # the progress bar and our own errors say it better
        try:
            pooch.retrieve(
                version.url,
                known_hash=f"sha256:{version.sha256}",
                fname=target.name,
                path=target.parent,
                downloader=pooch.HTTPDownloader(progress, chunk_size=65536, timeout=30),
            )
            return target
        except requests.RequestException as err:
            failures.append(f"{version.url} ({type(err).__name__})")
        except ValueError as err:  # pooch: a wrong sum; it has deleted what it got
            got = re.search(r"but got (\w+)", str(err))
            raise ValueError(
                f"{file.name} of {name} came from {version.url} with a wrong checksum: expected "
                f"SHA-256 {version.sha256}, got {got[1] if got else err}; it was not kept."
            ) from err
        except OSError as err:
            raise OSError(
                f"The cache {cache_folder()} cannot be written ({err.strerror or err}): set "
                "NEUROPIL_CACHE to a folder that can."
            ) from err
        finally:
            log.setLevel(level)
    first = file.versions[0].path
    raise ConnectionError(
        f"{file.name} of {name} could not be downloaded from {' nor from '.join(failures)}: check "
        f"the network, or put the file by hand at {cache_folder() / first} (or under NEUROPIL_DATA "
        f"as {first})."
    )
