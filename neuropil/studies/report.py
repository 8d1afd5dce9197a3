"""A run as one HTML page: everything in the file, nothing fetched, no scripts, everything escaped."""

from __future__ import annotations

import base64
import html
from pathlib import Path
from typing import Any

from neuropil.studies.folder import number, read_json, whole_lines, write
from neuropil.studies.progress import clock
from neuropil.studies.refuse import Refused

STYLE = Path(__file__).parent / "report.css"


def esc(value: Any) -> str:
    """Any value as text that HTML cannot take for markup."""
    return html.escape(str(value), quote=True)


def show(value: Any, digits: int = 4) -> str:
    """A number for people; a dash for None and NaN.

    >>> show(0.123456), show(None), show("NaN"), show(12)
    ('0.1235', '–', '–', '12')
    """
    value = number(value)
    if value is None or value != value:
        return "–"
    return f"{value:.{digits}g}" if isinstance(value, float) else str(value)


def interval(cell: dict | None) -> str:
    """Mean with its interval.

    >>> interval({"mean": 0.5, "low": 0.4, "high": 0.6})
    '0.5 [0.4, 0.6]'
    """
    if not cell:
        return "–"
    text = show(cell["mean"])
    if number(cell.get("low")) is not None and number(cell.get("high")) is not None:
        text += f" [{show(cell['low'], 3)}, {show(cell['high'], 3)}]"
    return text


def table(head: list[str], rows: list[list[str]], numeric: int = 1) -> str:
    """A table of escaped cells that scrolls by itself where it is too wide."""
    top = "".join(f"<th>{esc(cell)}</th>" for cell in head)
    body = "".join(
        "<tr>"
        + "".join(
            f"<td{' class=n' if i >= numeric else ''}>{esc(cell)}</td>"
            for i, cell in enumerate(row)
        )
        + "</tr>"
        for row in rows
    )
    return f"<div class=scroll><table><tr>{top}</tr>{body}</table></div>"


def facts(pairs: dict) -> str:
    """Names and values as a list."""
    items = "".join(f"<dt>{esc(k)}</dt><dd>{esc(v)}</dd>" for k, v in pairs.items())
    return f"<dl>{items}</dl>"


def results_rows(summary: dict, study: dict) -> list[tuple[str, list[list[str]]]]:
    """For each metric its title and its rows: arm, role, mean and interval, difference, the paper's."""
    found = []
    for name, metric in study["metrics"].items():
        rows = []
        for arm, about in study["arms"].items():
            cell = summary["arms"].get(arm, {}).get(name)
            if cell is None and arm not in metric["paper"]:
                continue
            difference = interval(cell.get("difference")) if cell else "–"
            paper = show(metric["paper"].get(arm))
            rows.append([arm, about["role"], interval(cell), difference, paper])
        unit = f" ({metric['unit']})" if metric["unit"] else ""
        where = f"; the paper's numbers: {metric['where']}" if metric["where"] else ""
        found.append((f"{metric['label']}{unit}, {metric['better']} is better{where}", rows))
    return found


def filled(head: list[str], rows: list[list[str]]) -> tuple[list[str], list[list[str]]]:
    """Without the last columns in which nothing stands.

    >>> filled(["arm", "mean", "paper"], [["a", "1", "–"]])
    (['arm', 'mean'], [['a', '1']])
    """
    keep = [i for i in range(len(head)) if i < 2 or any(row[i] != "–" for row in rows)]
    return [head[i] for i in keep], [[row[i] for i in keep] for row in rows]


HEAD = ["arm", "role", "mean [95 % interval]", "difference to system", "paper"]


def _term(weight: float, arm: str) -> str:
    size = "" if abs(weight) == 1 else f"{abs(weight):g} × "
    return f"{'−' if weight < 0 else '+'} {size}{arm}"


def _seeds(summary: dict, study: dict) -> str:
    """Every value behind the means, folded away."""
    head = ["metric", "arm", *(f"seed {seed}" for seed in summary["seeds"])]
    rows = [
        [metric, arm, *(show(v) for v in summary["arms"][arm][metric]["values"])]
        for metric in study["metrics"]
        for arm in study["arms"]
        if metric in summary["arms"][arm]
    ]
    return f"<details><summary>Each seed</summary>{table(head, rows, 2)}</details>"


def _verdicts(summary: dict) -> str:
    if not summary["claims"]:
        return "<p>No claims were written down for this study.</p>"
    cards = []
    for claim in summary["claims"]:
        weights = " ".join(_term(w, arm) for arm, w in claim["contrast"].items()).removeprefix("+ ")
        rule = "in each seed" if claim["rule"] == "every-seed" else "95 % t interval over seeds"
        pairs = {
            "scope": claim["scope"],
            "contrast": f"{claim['metric']}: {weights} {claim['direction']} {claim['margin']:g}, {rule}",
            "found": f"{interval(claim)} from {claim['n']} seeds"
            if claim["mean"] is not None
            else "–",
        }
        if claim["power"] is not None:
            pairs["power"] = (
                f"{show(claim['power'], 2)} to see an effect of {show(claim['smallest_effect'])};"
                f" one of {show(claim['detectable'], 3)} is seen in 4 of 5 runs"
            )
        if claim["why"] and claim["verdict"] != "undecided":
            pairs["why"] = claim["why"]
        verdict = claim["verdict"]
        cards.append(
            f"<article class='claim {esc(verdict)}'><h3><b>{esc(verdict)}</b> {esc(claim['text'])}</h3>"
            f"{facts(pairs)}</article>"
        )
    count = len(summary["claims"])
    note = f"<p class=small>{count} claims, each judged at 95 %, without correction.</p>"
    return "".join(cards) + (note if count > 1 else "")


def _figures(folder: Path, summary: dict) -> str:
    shown = []
    for name in summary.get("figures", []):
        path = folder / "figures" / f"{name}.png"
        film = path.with_suffix(".gif")
        path = film if film.is_file() else path
        if not path.is_file():
            raise Refused(f"{path} is missing; run the study again with --resume to draw it")
        data = base64.b64encode(path.read_bytes()).decode()
        label = esc(name.replace("_", " ").replace("-", " "))
        shown.append(
            f"<figure><img src='data:image/{path.suffix[1:]};base64,{data}' alt='{label}'>"
            f"<figcaption>{label}</figcaption></figure>"
        )
    return "".join(shown)


def _banner(summary: dict) -> str:
    said = []
    if summary["demonstration"]:
        said.append(
            f"A demonstration on {summary['demonstration']}, embedded data. The claims are about other"
            " data and stay untested."
        )
    if summary["changed"]:
        said.append("Settings changed by hand: " + _pairs(summary["changed"]) + ".")
    if summary.get("claims_changed_since"):
        said.append("The claims were changed after this run began.")
    return "".join(f"<p class=note>{esc(text)}</p>" for text in said)


def _pairs(settings: dict) -> str:
    return ", ".join(f"{k} = {v}" for k, v in settings.items())


def page(folder: Path) -> str:
    """The HTML of a finished run; Refused where it is not finished."""
    if not (folder / "summary.json").exists() and (folder / "config.json").exists():
        raise Refused(
            f"{folder} is not finished; go on with: neuropil run SLUG --resume --out {folder}"
        )
    summary, study = read_json(folder / "summary.json"), read_json(folder / "study.json")
    config, here = read_json(folder / "config.json"), read_json(folder / "environment.json")
    title = f"{summary['slug']}, {summary['scale']}"
    tables = "".join(
        f"<h3>{esc(caption)}</h3>{table(*filled(HEAD, rows), 2)}"
        for caption, rows in results_rows(summary, study)
    )
    tables += _seeds(summary, study)
    arms = facts({f"{n} ({a['role']})": a["about"] or "–" for n, a in study["arms"].items()})
    commit = (summary["code"]["commit"] or "unknown")[:12]
    dirty = " with changes not committed" if summary["code"]["dirty"] else ""
    machine = {
        "commit": commit + dirty,
        "claims written in": (summary["promised"]["commit"] or "unknown")[:12],
        "computing time": clock(
            sum(row["seconds"] for row in whole_lines(folder / "timing.jsonl"))
        ),
        "processor": f"{here['cpu']}, {here['cores']} cores",
        "device": here.get("device", "cpu"),
        "system": here["platform"],
        "Python": here["python"],
        **here["versions"],
        **{
            f"data {name}: {file}": f"sha256 {digest}"
            for name, files in here["datasets"].items()
            for file, digest in files.items()
        },
    }
    settings = {k: v for k, v in config["settings"].items() if k != "seeds"}
    differs = "".join(f"<li>{esc(line)}</li>" for line in study["differs"])
    sections = [
        ("Verdicts", _verdicts(summary)),
        ("Results", tables),
        ("Figures", _figures(folder, summary)),
        ("Mechanism", f"<p>{esc(study['mechanism'])}</p>" if study["mechanism"] else ""),
        ("Claim", f"<p>{esc(study['claim'])}</p>" if study["claim"] else ""),
        ("Arms", arms),
        ("Where this differs from the paper", f"<ul>{differs}</ul>" if differs else ""),
        ("Settings", facts({"scale": config["scale"], "seeds": len(config["seeds"]), **settings})),
        ("Environment", facts(machine)),
        ("Citation", f"<pre>{esc(study['cite'].strip())}</pre>" if study["cite"] else ""),
    ]
    body = "".join(f"<section><h2>{esc(h)}</h2>{text}</section>" for h, text in sections if text)
    return (
        "<!doctype html><html lang=en><head><meta charset=utf-8>"
        "<meta name=viewport content='width=device-width, initial-scale=1'>"
        "<meta name=color-scheme content='light dark'>"
        f"<title>{esc(title)}</title><style>{STYLE.read_text()}</style></head><body><main>"
        f"<header><h1>{esc(study['title'] or summary['slug'])}</h1>"
        f"<p>{esc(summary['slug'])}, scale {esc(summary['scale'])},"
        f" {len(summary['seeds'])} seeds, {len(study['arms'])} arms</p>{_banner(summary)}</header>"
        f"{body}<footer>neuropil {esc(here['versions'].get('neuropil', ''))}</footer></main></body></html>"
    )


def write_report(folder: Path | str) -> Path:
    """Write `report.html` into the folder of a finished run; its path."""
    folder = Path(folder)
    if not folder.is_dir():
        raise Refused(f"no folder {folder}")
    target = folder / "report.html"
    text = page(folder)
    try:
        write(target, text)
    except OSError as error:
        raise Refused(f"cannot write {target}: {error.strerror}") from None
    return target
