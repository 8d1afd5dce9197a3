"""The end of a run: lines put together, scores, intervals, verdicts, figures."""

from __future__ import annotations

import math
from typing import Any

from neuropil.studies import catalogue, claims
from neuropil.studies.environment import code, promised
from neuropil.studies.folder import (
    number,
    plain,
    read_json,
    whole_lines,
    write,
    write_json,
    write_lines,
)
from neuropil.studies.plan import Plan
from neuropil.studies.refuse import Refused
from neuropil.studies.study import Results, Study


def describe(study: Study) -> dict:
    """What a report needs to know of a study, as plain data (`study.json`)."""
    return {
        "slug": study.slug,
        "title": catalogue.papers()[study.slug].title if study.slug in catalogue.papers() else "",
        "mechanism": study.mechanism,
        "claim": study.claim,
        "differs": list(study.differs),
        "cost": study.cost,
        "cite": study.cite,
        "system": study.system,
        "arms": {n: {"role": a.role, "about": a.about} for n, a in study.arms.items()},
        "metrics": {
            n: {k: getattr(m, k) for k in ("label", "unit", "better", "paper", "where")}
            for n, m in study.metrics.items()
        },
    }


def gather(plan: Plan) -> dict[str, dict[int, dict[str, Any]]]:
    """Put the jobs' lines together (`metrics.jsonl`, `timing.jsonl`); their history, stacked."""
    import numpy as np

    history: dict[str, dict[int, dict[str, Any]]] = {arm: {} for arm in plan.study.arms}
    rows, times = [], []
    for arm, seed in plan.pairs:
        place = plan.folder.job(arm, seed)
        lines = whole_lines(place / "metrics.jsonl")
        rows += lines
        times += whole_lines(place / "timing.jsonl")
        names = list(lines[0]["metrics"])
        stacked = {}
        for name in names:
            try:
                stacked[name] = np.asarray([number(line["metrics"][name]) for line in lines])
            except ValueError:
                raise Refused(
                    f"{plan.study.slug}: {name} of arm {arm} changes its shape between chunks", 1
                ) from None
        history[arm][seed] = stacked
    write_lines(plan.folder / "metrics.jsonl", rows)
    write_lines(plan.folder / "timing.jsonl", times)
    return history


def score(plan: Plan, history: dict) -> dict[str, dict[str, list[float]]]:
    """metric -> arm -> one number a seed; an arm without the metric is left out."""
    values: dict[str, dict[str, list[float]]] = {}
    for arm in plan.study.arms:
        per_seed = [plan.study.score(plan.settings, history[arm][seed]) for seed in plan.seeds]
        for name in dict.fromkeys(name for scores in per_seed for name in scores):
            numbers = [float(scores.get(name, math.nan)) for scores in per_seed]
            values.setdefault(name, {})[arm] = numbers
    lost = [name for name in plan.study.metrics if name not in values]
    if lost:
        raise Refused(f"{plan.study.slug}: score gives no {lost[0]!r}, which is in its metrics", 1)
    return values


def _interval(numbers: list[float]) -> dict:
    from neuropil.stats.intervals import t_interval

    finite = [v for v in numbers if math.isfinite(v)]
    if len(finite) < len(numbers) or not finite:
        return {"mean": None, "low": None, "high": None, "n": len(finite)}
    found = t_interval(finite)
    ends = (found.low, found.high) if found.n > 1 else (None, None)
    return {"mean": found.mean, "low": ends[0], "high": ends[1], "n": found.n}


def summarise(plan: Plan, values: dict) -> dict:
    """`summary.json`: each arm's metrics with interval, difference to the system, the verdicts."""
    system = plan.study.system
    arms: dict[str, dict] = {}
    for arm in plan.study.arms:
        metrics = {}
        for name, by_arm in values.items():
            if arm not in by_arm:
                continue
            metrics[name] = {**_interval(by_arm[arm]), "values": by_arm[arm]}
            if arm != system and system in by_arm:
                pairs = zip(by_arm[arm], by_arm[system], strict=True)
                metrics[name]["difference"] = _interval([a - b for a, b in pairs])
        arms[arm] = metrics
    kept = claims.of(plan.study.slug)
    verdicts = [
        claims.judge(
            claim,
            values.get(claim.metric, {}),
            scale=plan.scale,
            demo=plan.demo,
            changed=plan.changed,
        ).json()
        for claim in kept
    ]
    config = read_json(plan.folder / "config.json")
    return {
        **{k: config[k] for k in ("slug", "scale", "settings", "changed", "seeds")},
        "demonstration": plan.demo,
        "arms": arms,
        "claims": verdicts,
        "promised": config["promised"],
        "code": config["code"],
        "claims_changed_since": promised(plan.study.slug)["seal"] != config["promised"]["seal"],
        "code_at_end": code(),
    }


def figures(plan: Plan, results: Results) -> list[str]:
    """Draw and write the figures (png and svg; a film, given as bytes, is a gif); their names."""
    import io

    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = plan.study.slug
    drawn = plan.study.figures(results)
    for name, figure in drawn.items():
        if isinstance(figure, bytes):
            write(plan.folder / "figures" / f"{name}.gif", figure)
            continue
        for kind, options in (("png", {"dpi": 150}), ("svg", {"metadata": {"Date": None}})):
            buffer = io.BytesIO()
            figure.savefig(buffer, format=kind, bbox_inches="tight", **options)
            write(plan.folder / "figures" / f"{name}.{kind}", buffer.getvalue())
    if drawn:
        import matplotlib.pyplot

        matplotlib.pyplot.close("all")
    return list(drawn)


def finish(plan: Plan) -> dict:
    """Everything after the last chunk; the summary, also written to `summary.json`."""
    from neuropil.studies.report import write_report

    history = gather(plan)
    values = score(plan, history)
    summary = plain(summarise(plan, values))
    results = Results(plan.study, plan.settings, plan.seeds, history, values)
    summary["figures"] = figures(plan, results)
    write_json(plan.folder / "summary.json", summary)
    write_report(plan.folder.path)
    return summary
