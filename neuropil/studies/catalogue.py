"""The catalogue: every paper, whether it runs here, and what its stored results say. No JAX."""

import json
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from neuropil.studies.refuse import Refused, nearest

PACKAGE = Path(__file__).parent.parent
FILE = PACKAGE / "catalogue.toml"


@dataclass(frozen=True)
class Paper:
    """A row of the catalogue. `module` holds its study, where it runs."""

    slug: str
    family: str
    kind: str
    lists: int
    title: str
    claim: str
    module: str | None = None

    @property
    def state(self) -> str:
        """*works* where it runs and a `small` result is stored, else *planned*."""
        return "works" if self.module and stored(self.slug, "small") else "planned"

    def verdicts(self, scale: str = "small") -> list[dict]:
        """The stored verdicts of its claims, as plain data."""
        return (stored(self.slug, scale) or {}).get("claims", [])

    def json(self) -> dict:
        """What `neuropil list --json` prints."""
        keys = ("id", "text", "verdict", "scope", "n", "mean", "low", "high", "power")
        verdicts = [{k: v.get(k) for k in keys} for v in self.verdicts()]
        plain = {k: getattr(self, k) for k in ("slug", "family", "kind", "lists", "title", "claim")}
        return {**plain, "runs": self.module is not None, "state": self.state, "verdicts": verdicts}


@cache
def papers() -> dict[str, Paper]:
    """Every paper by slug, in the order of the file."""
    with FILE.open("rb") as file:
        return {p["slug"]: Paper(**p) for p in tomllib.load(file)["paper"]}


def paper(slug: str) -> Paper:
    """One paper; Refused with the nearest slug where there is none."""
    found = papers()
    if slug not in found:
        raise Refused(f"no paper {slug!r}; {nearest(slug, found)} (neuropil list shows all)")
    return found[slug]


def families() -> list[str]:
    """The families and the groups they form ("build" over "build.memory"), in order."""
    found = {p.family for p in papers().values()}
    return sorted(found | {family.partition(".")[0] for family in found})


def select(family: str | None = None) -> Iterator[Paper]:
    """The papers of a family and its branches ("build" takes "build.memory" too); all for None."""
    names = families()
    if family is not None and not any(_within(f, family) for f in names):
        raise Refused(f"no family {family!r}; {nearest(family, names)}")
    return (p for p in papers().values() if family is None or _within(p.family, family))


def _within(family: str, wanted: str) -> bool:
    return family == wanted or family.startswith(wanted + ".")


def module_of(slug: str) -> str:
    """Where the study of a paper is; Refused where it is unknown or only planned."""
    found = paper(slug)
    if found.module is None:
        runs = ", ".join(p.slug for p in papers().values() if p.module)
        raise Refused(f"{slug} is planned, not written yet; these run: {runs}")
    return found.module


def results_folder() -> Path:
    """Stored results: `results/` of the checkout this code lies in, else those of the installed package."""
    checkout = PACKAGE.parent / "results"
    if (PACKAGE.parent / "pyproject.toml").exists():
        return checkout
    return PACKAGE / "results"


@cache
def stored(slug: str, scale: str) -> dict | None:
    """The stored result of a paper at a scale, or None."""
    path = results_folder() / slug / f"{scale}.json"
    if not path.is_file():
        return None
    return json.loads(path.read_text())
