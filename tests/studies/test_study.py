"""Descriptions that contradict themselves are refused; settings are parsed by their default's type."""

import dataclasses

import pytest

from neuropil.studies import Arm, Metric, Refused, Study
from neuropil.studies.pool import choose
from neuropil.studies.progress import Estimate, clock
from neuropil.studies.settings import parse, resolve


def arm(role="system", **options):
    return Arm(lambda settings, data: None, role, **options)


def study(**changes):
    plain = {
        "slug": "s",
        "arms": {"a": arm(), "b": arm("baseline")},
        "scales": {"smoke": {"seeds": 1, "data": "x"}, "small": {"seeds": 5, "data": "y"}},
        "load": lambda settings: None,
        "ticks": lambda settings: 3,
        "score": lambda settings, history: {"m": 0.0},
        "metrics": {"m": Metric("m")},
    }
    return Study(**{**plain, **changes})


def test_a_sound_study():
    made = study()
    assert made.system == "a"
    assert made.chunks("b", {}) == 3
    assert dataclasses.replace(made, slug="t").slug == "t"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"arms": {"a": arm("baseline")}}, "exactly one arm"),
        ({"arms": {"a": arm(), "b": arm()}}, "exactly one arm"),
        ({"arms": {"a/b": arm()}}, "a/b"),
        ({"scales": {"smoke": {"seeds": 1}, "small": {"seeds": 1, "x": 1}}}, "differs in keys"),
        ({"scales": {"smoke": {}}}, "seeds"),
        ({"scales": {}}, "no scales"),
        ({"scales": {"smoke": {"seeds": 1}}, "demo": "digits"}, "'data'"),
    ],
)
def test_contradictions(changes, says):
    with pytest.raises(ValueError, match=says):
        study(**changes)


def test_arms_and_metrics_are_checked():
    with pytest.raises(ValueError, match="role 'boss'"):
        arm("boss")
    with pytest.raises(ValueError, match="vmapped"):
        arm(jit=False, vmap=True)
    with pytest.raises(ValueError, match="higher or lower"):
        Metric("m", better="up")
    with pytest.raises(ValueError, match="0 ticks"):
        study(ticks=lambda settings: 0).chunks("a", {})


@pytest.mark.parametrize(
    ("text", "default", "value"),
    [
        ("yes", False, True),
        ("0", True, False),
        ("1e4", 3, 10_000),
        ("-2", 3, -2),
        ("3", 0.5, 3.0),
        ("(1, 2,3)", (5,), (1, 2, 3)),
        ("0.5,2", (1.0,), (0.5, 2.0)),
        (" text ", "a", "text"),
    ],
)
def test_parse(text, default, value):
    found = parse("k", text, default)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "default"), [("maybe", True), ("1.5", 1), ("inf", 1.0), ("1,x", (1,)), ("", 1)]
)
def test_parse_refuses(text, default):
    with pytest.raises(Refused, match="--set k="):
        parse("k", text, default)


def test_resolve():
    scales = {"small": {"seeds": 5, "lr": 0.1}}
    assert resolve(scales, "small", ["lr=0.2"], 3) == ({"seeds": 3, "lr": 0.2}, {"lr": 0.2})
    assert resolve(scales, "small", ["lr=0.1", "seeds=7"]) == ({"seeds": 7, "lr": 0.1}, {})
    assert scales["small"]["lr"] == 0.1


def test_workers_stay_on_an_arm_and_share_the_tail():
    left = [("a", (1,)), ("a", (2,)), ("b", (0,))]
    assert choose(left, "a", {"b"}) == ("a", (1,))
    assert choose(left, None, {"a"}) == ("b", (0,))
    assert choose(left[:2], "b", {"a"}) == ("a", (1,))


def test_time_left():
    estimate = Estimate({"a": 4, "b": 2}, workers=2)
    assert estimate.seconds() is None
    estimate.saw("a", 1, 9.0)  # compiled
    assert estimate.seconds() == pytest.approx((3 * 9 + 2 * 9) / 2)
    estimate.saw("a", 2, 1.0)
    assert estimate.seconds() == pytest.approx((2 * 1 + 2 * 1) / 2)
    assert clock(61) == "1 min 01 s"
