"""Claims and verdicts: what was promised beforehand, and what the seeds say about it.

A claim is a contrast, a weighted sum over arms of one metric, computed seed by seed (paired). It
*holds* where the 95 % t interval over seeds lies wholly beyond the margin, *fails* where it lies
wholly on the other side, and is *undecided* otherwise, with the power it had. It is *untested* where
the run could not judge it. Nobody writes a verdict by hand.
"""

import hashlib
import json
import math
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

FILE = Path(__file__).parent.parent / "claims.toml"
VERDICTS = ("holds", "fails", "undecided", "untested")


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One claim of a paper, as `claims.toml` has it.

    `contrast`: weight by arm; `direction`: ">" or "<"; `margin`: in the metric's unit; `rule`:
    "interval" (the 95 % t interval over seeds) or "every-seed" (a law: each seed must satisfy it);
    `smallest_effect`: distance from the margin for which the power is computed; `scales`: those at
    which the claim can be judged. Raises ValueError for a claim that cannot be judged at all.
    """

    slug: str
    id: str
    text: str
    metric: str
    contrast: dict[str, float]
    direction: str
    scope: str
    margin: float = 0.0
    rule: str = "interval"
    smallest_effect: float = 0.0
    scales: tuple[str, ...] = ("small", "paper")

    def __post_init__(self):
        say = f"claim {self.slug}/{self.id}"
        if self.direction not in ("<", ">"):
            raise ValueError(f"{say}: direction {self.direction!r} is neither '>' nor '<'")
        if self.rule not in ("interval", "every-seed"):
            raise ValueError(f"{say}: rule {self.rule!r} is neither 'interval' nor 'every-seed'")
        if not any(self.contrast.values()):
            raise ValueError(
                f"{say}: contrast names no arm; write {{ system = 1.0, baseline = -1.0 }}"
            )
        if self.smallest_effect < 0:
            raise ValueError(
                f"{say}: smallest_effect is a distance from the margin, so not negative"
            )

    def values(self, by_arm: Mapping[str, Sequence[float]]) -> list[float]:
        """The contrast of each seed. KeyError names an arm that has no such metric."""
        for arm in self.contrast:
            if arm not in by_arm:
                raise KeyError(f"claim {self.slug}/{self.id}: no {self.metric} for arm {arm}")
        seeds = zip(*(by_arm[arm] for arm in self.contrast), strict=True)
        return [
            math.fsum(w * v for w, v in zip(self.contrast.values(), s, strict=True)) for s in seeds
        ]


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What the seeds say about a claim: the verdict, its scope, and the numbers behind it.

    `power` is the chance this many seeds had of showing `smallest_effect` beyond the margin, given
    the spread found; `detectable` the effect they would show with 80 % chance. Both None where the
    rule is "every-seed".
    """

    id: str
    text: str
    verdict: str
    scope: str
    metric: str
    contrast: dict[str, float]
    direction: str
    margin: float
    rule: str
    n: int
    why: str = ""
    values: list[float] = field(default_factory=list)
    mean: float | None = None
    low: float | None = None
    high: float | None = None
    smallest_effect: float | None = None
    power: float | None = None
    detectable: float | None = None

    def line(self) -> str:
        """Verdict, interval and scope in one line."""
        number = ""
        if self.mean is not None:
            number = f" {self.mean:.4g}"
            if self.low is not None and self.high is not None:
                number += f" [{self.low:.4g}, {self.high:.4g}]"
            number += f" {self.direction} {self.margin:g}?"
        return (
            f"{self.verdict}:{number} ({self.scope}; {self.n} seeds{self.why and '; ' + self.why})"
        )

    def json(self) -> dict:
        """As plain data."""
        return asdict(self)


def read(path: Path = FILE) -> tuple[Claim, ...]:
    """Every claim in the file. ValueError names a claim that is not well formed."""
    return parse(Path(path).read_text(), str(path))


def parse(text: str, where: str = "claims.toml") -> tuple[Claim, ...]:
    """Claims in TOML text; see `read`."""
    try:
        entries = tomllib.loads(text).get("claim", [])
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{where}: {error}") from None
    known = {f.name for f in fields(Claim)}
    claims: dict[tuple[str, str], Claim] = {}
    for number, entry in enumerate(entries, 1):
        say = f"{where}: claim {number} ({entry.get('slug', '?')}/{entry.get('id', '?')})"
        if extra := set(entry) - known:
            raise ValueError(f"{say}: unknown {', '.join(sorted(extra))}")
        entry = {**entry, "scales": tuple(entry.get("scales", Claim.scales))}
        for key in ("margin", "smallest_effect"):
            entry[key] = float(entry.get(key, 0.0))
        entry["contrast"] = {k: float(v) for k, v in entry.get("contrast", {}).items()}
        try:
            claim = Claim(**entry)
        except TypeError as error:
            raise ValueError(f"{say}: {str(error).partition(') ')[2] or error}") from None
        if (claim.slug, claim.id) in claims:
            raise ValueError(f"{say}: stands there twice")
        claims[claim.slug, claim.id] = claim
    return tuple(claims.values())


def of(slug: str, claims: Iterable[Claim] | None = None) -> tuple[Claim, ...]:
    """The claims of one paper, in the order written."""
    return tuple(c for c in (read() if claims is None else claims) if c.slug == slug)


def seal(claims: Iterable[Claim]) -> str:
    """SHA-256 of the claims: tells whether they are still what they were when a run began."""
    text = json.dumps([asdict(c) for c in claims], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def judge(
    claim: Claim,
    by_arm: Mapping[str, Sequence[float]],
    *,
    scale: str,
    demo: str | None = None,
    changed: Mapping[str, Any] | None = None,
) -> Verdict:
    """The verdict on a claim, computed from one metric's values: arm -> one number a seed.

    - `demo`: the embedded data set that stood in for the real one; the claim is then untested.
    - `changed`: settings changed by hand; they become part of the scope.
    """
    scope = claim.scope
    if changed:
        scope += "; changed: " + ", ".join(f"{k} = {v}" for k, v in changed.items())
    fixed = {
        k: getattr(claim, k)
        for k in ("id", "text", "metric", "contrast", "direction", "margin", "rule")
    }
    fixed["scope"] = scope
    try:
        values = claim.values(by_arm)
    except KeyError as error:
        return Verdict(verdict="untested", n=0, why=str(error.args[0]), **fixed)
    numbers: dict[str, Any] = {"n": len(values), "values": values}
    if not all(map(math.isfinite, values)):
        bad = next(i for i, v in enumerate(values) if not math.isfinite(v))
        why = f"{claim.metric} was not measured for seed number {bad}"
        return Verdict(verdict="untested", why=why, **numbers, **fixed)
    verdict, why = _decide(claim, values, numbers)
    if demo is not None:
        verdict, why = "untested", f"demonstration on {demo}, not the data the claim is about"
    elif scale not in claim.scales:
        verdict, why = "untested", f"judged at {' or '.join(claim.scales)}, this was {scale}"
    return Verdict(verdict=verdict, why=why, **numbers, **fixed)


def _decide(claim: Claim, values: list[float], numbers: dict) -> tuple[str, str]:
    from neuropil.stats.intervals import smallest_detectable, t_interval, t_power

    sign = 1.0 if claim.direction == ">" else -1.0
    beyond = [sign * (v - claim.margin) for v in values]
    interval = t_interval(beyond)
    numbers["mean"] = sign * interval.mean + claim.margin
    if interval.n > 1:
        ends = (sign * interval.low + claim.margin, sign * interval.high + claim.margin)
        numbers["low"], numbers["high"] = min(ends), max(ends)
    if claim.rule == "every-seed":
        bad = sum(b <= 0 for b in beyond)
        return ("fails", f"not satisfied by {bad} of {len(values)} seeds") if bad else ("holds", "")
    if interval.n < 2:
        return "undecided", "one seed has no interval"
    numbers["smallest_effect"] = claim.smallest_effect
    numbers["power"] = t_power(claim.smallest_effect, interval.sd, interval.n)
    numbers["detectable"] = smallest_detectable(interval.sd, interval.n)
    if interval.low > 0:
        return "holds", ""
    if interval.high < 0:
        return "fails", ""
    power = f"power {numbers['power']:.2f} for an effect of {claim.smallest_effect:g}"
    return "undecided", f"{power}; {numbers['detectable']:.3g} would be seen in 4 of 5 runs"
