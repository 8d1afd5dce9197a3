"""The results table of the README, generated from `results/`.

python -m neuropil.studies.table [--check] README.md

rewrites what stands between `<!-- results -->` and `<!-- /results -->`; with `--check` it only says
whether that is up to date (exit status 1 where not).
"""

import sys
from pathlib import Path

from neuropil.studies import catalogue
from neuropil.studies.folder import write
from neuropil.studies.refuse import Refused
from neuropil.studies.report import interval, show

OPEN, CLOSE = "<!-- results -->", "<!-- /results -->"


def _cell(text: object) -> str:
    return " ".join(str(text).split()).replace("|", "\\|").replace("<", "&lt;")


def _row(*cells: object) -> str:
    return "| " + " | ".join(_cell(cell) for cell in cells) + " |"


def results(slug: str, scale: str) -> list[str]:
    """The rows of one stored result: each claim, its verdict, what was found, its scope."""
    found = catalogue.stored(slug, scale)
    if found is None:
        return []
    rows = []
    for claim in found["claims"]:
        number = "–" if claim["mean"] is None else interval(claim)
        compared = f"{claim['metric']} {number}, {claim['direction']} {claim['margin']:g}"
        verdict = f"**{claim['verdict']}**"
        if claim["verdict"] == "undecided" and claim["power"] is not None:
            verdict += f" (power {show(claim['power'], 2)})"
        rows.append(_row(slug, claim["text"], verdict, compared, claim["n"], claim["scope"]))
    return rows


def table() -> str:
    """The whole table in Markdown."""
    rows = [
        row
        for paper in catalogue.papers().values()
        for scale in ("small", "paper")
        for row in results(paper.slug, scale)
    ]
    if not rows:
        return "No results are stored yet."
    head = _row("paper", "claim", "verdict", "contrast, mean [95 % interval]", "seeds", "scope")
    return "\n".join([head, "|---|---|---|---|---|---|", *rows])


def put(text: str) -> str:
    """The README with the table of now; Refused where the marks are missing."""
    before, opened, rest = text.partition(OPEN)
    _, closed, after = rest.partition(CLOSE)
    if not opened or not closed:
        raise Refused(f"the file has no place for the table: write {OPEN} and {CLOSE}")
    return f"{before}{OPEN}\n{table()}\n{CLOSE}{after}"


def main(arguments: list[str]) -> int:
    """See the module; the exit status."""
    check = "--check" in arguments
    files = [Path(a) for a in arguments if a != "--check"]
    if len(files) != 1:
        print("usage: python -m neuropil.studies.table [--check] README.md", file=sys.stderr)
        return 2
    try:
        old = files[0].read_text()
        new = put(old)
    except (OSError, Refused) as error:
        print(f"{files[0]}: {error}", file=sys.stderr)
        return 2
    if check and new != old:
        print(
            f"{files[0]}: its table is not that of results/; run python -m neuropil.studies.table"
        )
        return 1
    if not check:
        write(files[0], new)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
