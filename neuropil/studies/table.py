"""The tables of results in Markdown, generated from `results/`.

python -m neuropil.studies.table [--check] README.md results/README.md

rewrites what stands between `<!-- results -->` and `<!-- /results -->` (a row a paper: how many of its
claims hold) and between `<!-- claims -->` and `<!-- /claims -->` (a row a claim); with `--check` it only
says whether that is up to date (exit status 1 where not).
"""

import sys
from pathlib import Path

from neuropil.studies import catalogue
from neuropil.studies.folder import write
from neuropil.studies.refuse import Refused
from neuropil.studies.report import interval, show

SCALES = ("small", "paper")
VERDICTS = ("holds", "fails", "undecided", "untested")


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


def summary(slug: str, title: str, scale: str) -> list[str]:
    """The row of one stored result: what the paper claims of itself, and how its claims were judged."""
    found = catalogue.stored(slug, scale)
    if found is None:
        return []
    judged = [claim["verdict"] for claim in found["claims"]]
    counts = [f"{judged.count(v)} {v}" for v in VERDICTS if v in judged]
    seeds = max((claim["n"] for claim in found["claims"]), default=0)
    return [_row(slug, title, ", ".join(counts), seeds, scale)]


def table(kind: str = "results") -> str:
    """A whole table in Markdown: "results" with a row a paper, "claims" with a row a claim."""
    papers = [(paper, scale) for paper in catalogue.papers().values() for scale in SCALES]
    if kind == "results":
        head = ("paper", "what it claims", "its claims, judged here", "seeds", "scale")
        rows = [row for p, scale in papers for row in summary(p.slug, p.claim, scale)]
    else:
        head = ("paper", "claim", "verdict", "contrast, mean [95 % interval]", "seeds", "scope")
        rows = [row for p, scale in papers for row in results(p.slug, scale)]
    if not rows:
        return "No results are stored yet."
    return "\n".join([_row(*head), "|" + "---|" * len(head), *rows])


def put(text: str) -> str:
    """The page with the tables of now; Refused where it has a place for none."""
    placed = False
    for kind in ("results", "claims"):
        opened, closed = f"<!-- {kind} -->", f"<!-- /{kind} -->"
        before, begins, rest = text.partition(opened)
        _, ends, after = rest.partition(closed)
        if begins and ends:
            text, placed = f"{before}{opened}\n{table(kind)}\n{closed}{after}", True
    if not placed:
        raise Refused(
            "the file has no place for a table: write <!-- results --> and <!-- /results -->"
        )
    return text


def main(arguments: list[str]) -> int:
    """See the module; the exit status."""
    check = "--check" in arguments
    files = [Path(a) for a in arguments if a != "--check"]
    if not files:
        print("usage: python -m neuropil.studies.table [--check] README.md ...", file=sys.stderr)
        return 2
    return max(_update(file, check) for file in files)


def _update(file: Path, check: bool) -> int:
    """One page; the exit status."""
    try:
        old = file.read_text()
        new = put(old)
    except (OSError, Refused) as error:
        print(f"{file}: {error}", file=sys.stderr)
        return 2
    if check and new != old:
        print(f"{file}: its table is not that of results/; run python -m neuropil.studies.table")
        return 1
    if not check:
        write(file, new)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
