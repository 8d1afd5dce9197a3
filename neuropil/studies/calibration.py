"""Every test and interval under a known truth: run, stored in `results/calibration/`, and a page of them.

    python -m neuropil.studies.calibration run [NAME ...]           # 1,000 experiments each, all or these
    python -m neuropil.studies.calibration page [--check] docs/calibration.md

A room adds its cases by a module `calibration` with a function `cases()` (see `neuropil.stats.calibration`).
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import sys
from pathlib import Path

from neuropil.studies import catalogue
from neuropil.studies.folder import write

ROOMS = ("stats", "compare")
OPENED, CLOSED = "<!-- calibration -->", "<!-- /calibration -->"


def cases() -> dict:
    """All cases, by name."""
    found = {}
    for room in ROOMS:
        name = f"neuropil.{room}.calibration"
        if importlib.util.find_spec(name):
            found |= importlib.import_module(name).cases()
    return found


def folder() -> Path:
    """Where the results are stored."""
    return catalogue.results_folder() / "calibration"


def run(names: list[str]) -> None:
    """Measure the cases and store them. ValueError for a name that is none."""
    from neuropil.stats.calibration import measure

    known = cases()
    strange = [name for name in names if name not in known]
    if strange:
        raise ValueError(f"there is no case {strange[0]!r}: choose among {', '.join(known)}")
    for name in names or known:
        result = measure(known[name])
        folder().mkdir(parents=True, exist_ok=True)
        write(folder() / f"{name}.json", json.dumps(result, indent=1) + "\n")
        print(
            f"{name}: {result['rate']:.3f} of {result['nominal']:g}, kept: {result['kept']}",
            flush=True,
        )


def stored() -> list[dict]:
    """The stored results, in the order of the cases (those of no case last)."""
    found = {path.stem: json.loads(path.read_text()) for path in sorted(folder().glob("*.json"))}
    order = [name for name in cases() if name in found]
    return [found[name] for name in [*order, *(n for n in found if n not in order)]]


def kept(result: dict) -> bool:
    """Does the promised rate lie in the interval of the measured one?"""
    low, high = result["interval"]
    return result.get("kept", low <= result["nominal"] <= high)


def table(sound: bool, kind: str) -> str:
    """The rows of one kind in Markdown."""
    rows = ["| case | question | promised | found [99 % interval] | |", "|---|---|---|---|---|"]
    for r in stored():
        if r.get("sound", True) == sound and r.get("kind", "rejects") == kind:
            low, high = r["interval"]
            at = ("at most " if kind == "rejects" else "at least ") if r.get("bound") else ""
            said = "kept" if kept(r) else "**not kept**"
            rows.append(
                f"| {r['name']} | {r['question']} | {at}{100 * r['nominal']:g} % | "
                f"{100 * r['rate']:.1f} % [{100 * low:.1f}, {100 * high:.1f}] | {said} |"
            )
    return "\n".join(rows)


def put(text: str) -> str:
    """The page with the tables of now. ValueError where it has no place for them."""
    before, begins, rest = text.partition(OPENED)
    _, ends, after = rest.partition(CLOSED)
    if not (begins and ends):
        raise ValueError(f"the page has no place for the tables: write {OPENED} and {CLOSED}")
    tables = "\n\n".join(
        (
            "## False findings under a true null",
            table(True, "rejects"),
            "## Coverage of intervals",
            table(True, "covers"),
            "## Shortcuts, and what they cost",
            table(False, "rejects"),
            table(False, "covers"),
        )
    )
    return f"{before}{OPENED}\n{tables}\n{CLOSED}{after}"


def main(words: list[str]) -> int:
    """What the command line asks for; the exit status."""
    match words:
        case ["run", *names]:
            run(names)
        case ["page", "--check", page]:
            text = Path(page).read_text()
            if put(text) != text:
                print(
                    f"{page} is not that of results/: python -m neuropil.studies.calibration page {page}"
                )
                return 1
        case ["page", page]:
            write(Path(page), put(Path(page).read_text()))
        case _:
            print(__doc__)
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
