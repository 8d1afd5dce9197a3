"""What the command line prints: the list, a paper's card, a run's table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from neuropil.studies import claims
from neuropil.studies.catalogue import Paper

COLOURS = {"holds": "green", "fails": "red", "undecided": "yellow", "untested": "bright_black"}


def verdicts(found: Iterable[dict]) -> str:
    """Verdicts of several claims, counted.

    >>> verdicts([{"verdict": "holds"}, {"verdict": "holds"}])
    '[green]2 holds[/]'
    """
    counts = Counter(v["verdict"] for v in found)
    return ", ".join(f"[{COLOURS[v]}]{counts[v]} {v}[/]" for v in COLOURS if counts[v])


def catalogue_table(console: Console, papers: Iterable[Paper]) -> None:
    """The catalogue, one line a paper."""
    table = Table(box=None, pad_edge=False)
    for name in ("slug", "family", "state", "verdicts"):
        table.add_column(name, no_wrap=True)
    table.add_column("title", overflow="ellipsis", no_wrap=True, ratio=1)
    works = count = 0
    for paper in papers:
        count += 1
        works += paper.state == "works"
        style = "" if paper.state == "works" else "dim"
        state = paper.state if paper.state == "planned" else "[green]works[/]"
        table.add_row(
            paper.slug,
            paper.family,
            state,
            verdicts(paper.verdicts()),
            escape(paper.title),
            style=style,
        )
    console.print(table)
    console.print(f"{count} papers, {works} work; neuropil show SLUG tells more", highlight=False)


def card(console: Console, paper: Paper, study: Any, stored: dict | None) -> None:
    """All there is to say of one paper."""
    console.print(f"[bold]{escape(paper.title)}[/]")
    console.print(f"{paper.slug}, {paper.family}, {paper.state}", highlight=False)

    def part(name: str, text: str) -> None:
        if text:
            console.print(f"\n[bold]{name}[/]\n{escape(text)}", highlight=False)

    if study is None:
        part("Claim", paper.claim)
        return
    part("Mechanism", study.mechanism)
    part("Claim", study.claim or paper.claim)
    promised = [f"{c.id}: {c.text} ({c.scope})" for c in claims.of(paper.slug)]
    part("Claims, written down beforehand", "\n".join(promised))
    part("Arms", "\n".join(f"{n} ({a.role}): {a.about}" for n, a in study.arms.items()))
    scales = [
        f"{n}: {', '.join(f'{k}={v}' for k, v in s.items())}" for n, s in study.scales.items()
    ]
    part("Scales", "\n".join(scales))
    part("Cost", study.cost)
    demo = f"; embedded demonstration: {study.demo}" if study.demo else ""
    part("Data", (", ".join(study.datasets) or "none to fetch") + demo)
    part("Where it differs", "\n".join(f"- {line}" for line in study.differs))
    if stored is not None:
        commit = (stored["code"]["commit"] or "unknown")[:12]
        part(
            "Stored result",
            f"scale {stored['scale']}, {len(stored['seeds'])} seeds, commit {commit}",
        )
        verdict_lines(console, stored)
    part("Citation", study.cite.strip())


def verdict_lines(console: Console, summary: dict) -> None:
    """The verdict of each claim with interval and scope."""
    from neuropil.studies.report import interval

    for claim in summary["claims"]:
        colour, number = COLOURS[claim["verdict"]], ""
        if claim["mean"] is not None:
            number = f": {interval(claim)}, wanted {claim['direction']} {claim['margin']:g}"
        console.print(
            f"[{colour} bold]{claim['verdict']}[/] {escape(claim['text'])}", highlight=False
        )
        why = f"; {claim['why']}" if claim["why"] else ""
        tail = f"  {claim['metric']}{number} ({claim['scope']}; {claim['n']} seeds{why})"
        console.print(escape(tail), highlight=False)


def results(console: Console, summary: dict, study: dict) -> None:
    """A run's table: arm, mean with interval, difference to the system, the paper's number."""
    from neuropil.studies.report import HEAD, filled, results_rows

    for caption, rows in results_rows(summary, study):
        console.print(f"[bold]{escape(caption)}[/]", highlight=False)
        table = Table(box=None)
        head, rows = filled(HEAD, rows)
        for i, name in enumerate(head):
            table.add_column(escape(name), no_wrap=True, justify="left" if i < 2 else "right")
        for row in rows:
            table.add_row(*(escape(cell) for cell in row))
        console.print(table)
        console.print()
    verdict_lines(console, summary)
    if summary["demonstration"]:
        console.print(
            f"[bold]This was a demonstration on {escape(summary['demonstration'])}, not the claim.[/]"
        )


def data_table(console: Console, rows: Iterable[tuple[str, str, int, str, str]]) -> None:
    """Data sets: name, where, size, licence, title."""
    from neuropil.studies.report import show

    table = Table(box=None, pad_edge=False)
    for name in ("name", "here", "size", "licence", "title"):
        table.add_column(name)
    for name, here, size, licence, title in rows:
        amount = f"{show(size / 1e6, 3)} MB" if size else "embedded"
        table.add_row(name, here, amount, escape(licence), escape(title))
    console.print(table)
