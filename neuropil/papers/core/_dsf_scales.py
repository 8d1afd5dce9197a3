"""Settings of the dynamical-systems-framework study at its three scales."""

EXACT = {"draws": 20, "span": 64, "channels": 8, "features": 4, "tokens": 24, "orders": 8}
HARD = {"length": 32, "pairs": 8, "vocabulary": 128}
EASY = {"easy_length": 16, "easy_pairs": 3, "easy_vocabulary": 32}
NET = {"width": 32, "layers": 1, "hidden": 0}
TRAIN = {"train": 20_000, "test": 500, "batch": 32, "steps": 800, "chunk": 100, "decay": 0.1}
# rate: 0 for each arm's own; draw: 0 for the claims, another number to choose learning rates on
SMALL = EXACT | HARD | EASY | NET | TRAIN | {"rate": 0.0, "draw": 0, "seeds": 5}

SCALES = {
    "smoke": SMALL
    | {"draws": 2, "span": 8, "channels": 4, "features": 2, "tokens": 8, "orders": 3}
    | {"length": 8, "pairs": 2, "vocabulary": 16}
    | {"easy_length": 8, "easy_pairs": 2, "easy_vocabulary": 16}
    | {"width": 8, "train": 64, "test": 16, "batch": 8, "steps": 2, "chunk": 1, "seeds": 1},
    "small": SMALL,
    "paper": SMALL
    | {"length": 256, "pairs": 16, "vocabulary": 8192}
    | {"easy_length": 64, "easy_pairs": 4, "easy_vocabulary": 8192}
    | {"width": 128, "layers": 2, "train": 100_000, "test": 3_000}
    | {"batch": 128, "steps": 50_000, "chunk": 500},
}


def check(s: dict) -> None:
    """Refuse settings that cannot go together."""
    if s["steps"] % s["chunk"]:
        raise ValueError(f"steps = {s['steps']} is no multiple of chunk = {s['chunk']}")
