"""What is known of each data set: title, licence, citation, files and their SHA-256 sums.

Read from `datasets.toml` beside this file, without importing JAX, numpy or the network.
"""

import difflib
import functools
import tomllib
from dataclasses import dataclass
from importlib.resources import files


class UnknownDataset(KeyError):
    """A name that is in no registry; prints as one plain sentence."""

    def __str__(self) -> str:
        return str(self.args[0])


@dataclass(frozen=True)
class Version:
    """One accepted form of a file: sum ("": none is published, any file passes), size in bytes (0:
    not known), public address (or None), what it is."""

    sha256: str
    bytes: int
    path: str
    url: str | None
    note: str


@dataclass(frozen=True)
class File:
    """A file of a data set with its accepted versions, the original first."""

    name: str
    versions: tuple[Version, ...]


@dataclass(frozen=True)
class Info:
    """The card of a data set; `bytes` is what a download of the originals brings."""

    name: str
    title: str
    kind: str
    licence: str
    citation: str
    homepage: str
    note: str
    files: tuple[File, ...]

    @property
    def bytes(self) -> int:
        return sum(f.versions[0].bytes for f in self.files)


def _file(entry: dict) -> File:
    versions = tuple(
        Version(v["sha256"], v["bytes"], v.get("path", entry["path"]), v.get("url"), v["note"])
        for v in entry["version"]
    )
    return File(entry["name"], versions)


@functools.cache
def _table() -> dict[str, Info]:
    raw = tomllib.loads(files(__package__).joinpath("datasets.toml").read_text("utf-8"))
    return {
        name: Info(
            name=name,
            title=card["title"],
            kind=card["kind"],
            licence=card["licence"],
            citation=card["citation"],
            homepage=card["homepage"],
            note=card.get("note", ""),
            files=tuple(_file(f) for f in card.get("file", ())),
        )
        for name, card in raw.items()
    }


def names() -> list[str]:
    """Names of all registered data sets, in the order of the table.

    >>> "mnist" in names()
    True
    """
    return list(_table())


def info(name: str) -> Info:
    """The card of a data set: title, licence, citation, files with sums. KeyError on unknown names.

    >>> info("fashion-mnist").licence
    'MIT (Zalando SE)'
    """
    table = _table()
    if name not in table:
        near = difflib.get_close_matches(name, table, n=1, cutoff=0.4)
        hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(table)}."
        raise UnknownDataset(f"There is no data set {name!r}: {hint}")
    return table[name]
