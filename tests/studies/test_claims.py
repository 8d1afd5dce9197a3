"""Verdicts against numbers computed by hand."""

import math

import numpy as np
import pytest
from scipy import stats

from neuropil.stats.intervals import (
    paired_t_interval,
    smallest_detectable,
    t_critical,
    t_interval,
    t_power,
)
from neuropil.studies import claims
from neuropil.studies.claims import Claim, judge, seal


def claim(**changes):
    plain = {
        "slug": "s",
        "id": "c",
        "text": "a beats b",
        "metric": "m",
        "contrast": {"a": 1.0, "b": -2.0},
        "direction": ">",
        "scope": "here",
        "smallest_effect": 0.5,
    }
    return Claim(**{**plain, **changes})


A, B = [3.0, 4.0, 5.0], [1.0, 1.5, 1.0]  # a - 2 b = 1, 1, 3: mean 5/3, sd sqrt(4/3)


def test_interval_by_hand():
    verdict = judge(claim(), {"a": A, "b": B}, scale="small")
    half = 4.302652729911275 * math.sqrt(4 / 3) / math.sqrt(3)
    assert verdict.values == [1.0, 1.0, 3.0]
    assert verdict.mean == pytest.approx(5 / 3)
    assert verdict.low == pytest.approx(5 / 3 - half)
    assert verdict.high == pytest.approx(5 / 3 + half)
    assert verdict.verdict == "undecided"
    assert "power" in verdict.why


def test_holds_and_fails():
    values = {"a": [3.0, 3.1, 2.9, 3.0], "b": [1.0, 1.0, 1.0, 1.0]}
    assert judge(claim(), values, scale="small").verdict == "holds"
    assert judge(claim(margin=2.0), values, scale="small").verdict == "fails"
    assert judge(claim(direction="<"), values, scale="small").verdict == "fails"
    assert judge(claim(direction="<", margin=2.0), values, scale="small").verdict == "holds"
    assert judge(claim(margin=1.0), values, scale="small").verdict == "undecided"


def test_direction_mirrors():
    up = judge(claim(), {"a": A, "b": B}, scale="small")
    down = judge(
        claim(direction="<", contrast={"a": -1.0, "b": 2.0}), {"a": A, "b": B}, scale="small"
    )
    assert (down.low, down.high) == pytest.approx((-up.high, -up.low))
    assert down.power == pytest.approx(up.power)


def test_laws_ask_every_seed():
    law = claim(rule="every-seed", contrast={"a": 1.0}, direction="<", margin=1e-6)
    assert judge(law, {"a": [1e-9, 0.0]}, scale="small").verdict == "holds"
    failed = judge(law, {"a": [1e-9, 1e-5, 1e-6]}, scale="small")
    assert failed.verdict == "fails"
    assert "2 of 3" in failed.why


def test_untested_says_why():
    values = {"a": A, "b": B}
    demo = judge(claim(), values, scale="small", demo="digits")
    assert demo.verdict == "untested"
    assert "digits" in demo.why
    assert demo.mean == pytest.approx(5 / 3)
    assert judge(claim(), values, scale="smoke").verdict == "untested"
    missing = judge(claim(), {"a": A}, scale="small")
    assert missing.verdict == "untested"
    assert "arm b" in missing.why
    nan = judge(claim(), {"a": [1.0, math.nan, 1.0], "b": B}, scale="small")
    assert nan.verdict == "untested"
    assert "seed number 1" in nan.why


def test_one_seed_is_undecided():
    assert judge(claim(), {"a": [9.0], "b": [1.0]}, scale="small").verdict == "undecided"


def test_changed_settings_enter_the_scope():
    verdict = judge(claim(), {"a": A, "b": B}, scale="small", changed={"lr": 0.5})
    assert verdict.scope == "here; changed: lr = 0.5"


def test_power_against_simulation():
    n, sd, effect = 5, 1.3, 1.5
    draws = np.random.default_rng(0).normal(effect, sd, (100_000, n))
    spread = draws.std(axis=1, ddof=1) / n**0.5
    found = (draws.mean(axis=1) - t_critical(n) * spread > 0).mean()
    assert t_power(effect, sd, n) == pytest.approx(found, abs=0.005)
    assert t_power(0.0, sd, n) == pytest.approx(0.025, abs=1e-9)
    assert t_power(smallest_detectable(sd, n), sd, n) == pytest.approx(0.8, abs=1e-6)


def test_interval_against_scipy():
    x, y = np.random.default_rng(1).normal(size=(2, 7))
    found = paired_t_interval(x, y)
    theirs = stats.ttest_rel(x, y).confidence_interval()
    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high))
    assert t_interval([2.0]).high == math.inf


@pytest.mark.parametrize("bad", [[], [1.0, math.nan], np.zeros((2, 2))])
def test_interval_refuses(bad):
    with pytest.raises(ValueError, match="t_interval"):
        t_interval(bad)


def test_pairs_must_match():
    with pytest.raises(ValueError, match="pair"):
        paired_t_interval([1.0, 2.0], [1.0])


GOOD = """
[[claim]]
slug = "s"
id = "c"
text = "t"
metric = "m"
contrast = { a = 1, b = -1 }
direction = ">"
scope = "here"
"""


def test_read_and_seal():
    (one,) = claims.parse(GOOD)
    assert one.contrast == {"a": 1.0, "b": -1.0}
    assert seal([one]) != seal(claims.parse(GOOD.replace("here", "there")))
    assert seal([one]) == seal(claims.parse(GOOD))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (GOOD + GOOD, "twice"),
        (GOOD.replace("metric", "metrik"), "metrik"),
        (GOOD.replace('text = "t"', ""), "text"),
        (GOOD.replace('">"', '">="'), "direction"),
        (GOOD + "margin = [", "margin|Invalid"),
        (GOOD.replace("{ a = 1, b = -1 }", "{}"), "contrast"),
    ],
)
def test_broken_claims_are_named(text, says):
    with pytest.raises(ValueError, match=says):
        claims.parse(text)


def test_the_repositorys_claims_are_sound():
    from neuropil.studies import catalogue

    for one in claims.read():
        assert one.slug in catalogue.papers()
        assert one.scope
