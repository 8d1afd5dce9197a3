"""Settings of a scale, and what `--set key=value` does to them."""

import math
from collections.abc import Iterable
from typing import Any

from neuropil.studies.refuse import Refused, nearest

_BOOLS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def parse(key: str, text: str, default: Any) -> Any:
    """A value from the command line, of the same type as the default it replaces.

    >>> parse("lr", "1e-2", 0.1), parse("tasks", "2e3", 10), parse("rows", "5,3", (1, 2))
    (0.01, 2000, (5, 3))

    Raises Refused where the text is no such value.
    """
    text = text.strip()
    try:
        if isinstance(default, bool):
            return _BOOLS[text.lower()]
        if isinstance(default, int):
            return _whole(text)
        if isinstance(default, float):
            return _finite(text)
        if isinstance(default, tuple | list):
            inner = default[0] if default else 0.0
            pieces = [p for p in text.strip("()[]").split(",") if p.strip()]
            return tuple(parse(key, piece, inner) for piece in pieces)
        return text
    except (ValueError, KeyError) as error:
        if isinstance(error, Refused):
            raise
        raise Refused(f"--set {key}={text}: {text!r} is not {_kind(default)}") from None


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        value = float(text)
        if not value.is_integer():
            raise ValueError(text) from None
        return int(value)


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


def _kind(default: Any) -> str:
    if isinstance(default, bool):
        return "true or false"
    if isinstance(default, int):
        return f"a whole number (default {default})"
    if isinstance(default, float):
        return f"a finite number (default {default})"
    return f"a list such as {','.join(map(str, default))}"


def resolve(
    scales: dict, scale: str, sets: Iterable[str] = (), seeds: int | None = None
) -> tuple[dict, dict]:
    """The settings of a scale after `--set` and `--seeds`, and those changed by `--set` alone.

    Raises Refused for an unknown scale or key (with the nearest) and for a value of the wrong type.
    """
    if scale not in scales:
        raise Refused(f"no scale {scale!r}; {nearest(scale, scales)}")
    settings = dict(scales[scale])
    changed = {}
    for item in sets:
        key, equals, text = item.partition("=")
        key = key.strip()
        if not equals:
            raise Refused(f"--set {item}: write key=value")
        if key not in settings:
            raise Refused(f"--set {item}: no setting {key!r}; {nearest(key, settings)}")
        value = parse(key, text, scales[scale][key])
        if key == "seeds":
            seeds = value if seeds is None else seeds
            continue
        settings[key] = value
        if value != scales[scale][key]:
            changed[key] = value
        else:
            changed.pop(key, None)
    if seeds is not None:
        settings["seeds"] = seeds
    if settings["seeds"] < 1:
        raise Refused(f"seeds = {settings['seeds']}: at least 1 is needed")
    return settings, changed
