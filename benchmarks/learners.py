"""All learners on one task, and the page that compares them.

    python benchmarks/learners.py run [NAME ...]     # measures (all, or these), stores benchmarks/learners.json
    python benchmarks/learners.py time [layered|recurrent]   # the steps of the stored rows once more, in one go
    python benchmarks/learners.py page [--check] docs/learners.md

The task: scikit-learn's digits (8 x 8). A layered network sees the image at once, a recurrent one row by row.
Every learner has the same network, the same Adam, the same rates to choose from (on validation images, with a
seed of its own), the same epochs; then five seeds are trained and tested. A learner that
`neuropil.learn.registry` knows is measured on the first network here that it accepts. `readouts` among the
names are the learners of a reservoir's readout (`_readouts.py`), on a task of their own.
"""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # also where a test runs this file

import _readouts
import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax

from neuropil.cells import LeakyIntegrator, SimpleRNN
from neuropil.core import Chain, advance, fold, start
from neuropil.learn import (
    LEARNERS,
    Backpropagation,
    Credit,
    OverTime,
    Supervised,
    Trainer,
    correct,
    cross_entropy,
    learnable,
    learner,
    minibatches,
    refusal,
    unit_rms,
)
from neuropil.wiring import Dense
from neuropil.worlds import datasets

STORE = Path(__file__).parent / "learners.json"
RATES = (0.0003, 0.001, 0.003, 0.01, 0.03)  # as many as seeds: one program for both
SEEDS, BATCH, VALID = 5, 32, 286
PILOT = 1000  # the seed with which the rate is chosen; none of the five
# its direction is the gradient, at a hundred times the cost: the rate that is best for the one is for the other
SAME_RATE = {"real-time-recurrent-learning": "backpropagation"}


@dataclass(frozen=True)
class Setting:
    """A network on the task: `net(key)`, `inputs(images)` (n, 64) -> x, `targets(labels)` -> y, a loss."""

    name: str
    net: Callable
    inputs: Callable
    targets: Callable
    loss: Supervised | OverTime
    epochs: int


def _mlp(key):
    a, b, c = jr.split(key, 3)
    layer = lambda m, n, k: Dense.init_uniform(m, n, k, bias=True)
    relu = jax.nn.relu
    return Chain(
        layer(74, 64, a), relu, unit_rms, layer(64, 32, b), relu, unit_rms, layer(32, 10, c)
    )


def _labelled(images):
    """Ten places for a label (forward-forward writes it there; 1/10 each is no label), then the pixels."""
    return jnp.concatenate([jnp.full((len(images), 10), 0.1), images], 1)


def _recurrent(key):
    """Cells that hear each other a tick later, and a leaky readout: a memory in each unit, and one in all."""
    a, b = jr.split(key)
    cells, leak = SimpleRNN.init_uniform(8, 32, a), LeakyIntegrator(32, 4.0, drive="jump")
    return Chain(cells=cells, leak=leak, out=Dense.init_uniform(32, 10, b, bias=True))


def _last(labels):
    """The label at every tick, and that only the last one is asked for."""
    asked = jnp.broadcast_to(jnp.arange(8) == 7, (len(labels), 8)).astype(jnp.float32)
    return {"label": jnp.broadcast_to(labels[:, None], (len(labels), 8)), "asked": asked}


def _told(outputs, y):
    return correct(outputs[-1], y["label"][-1])


SETTINGS: tuple[Setting, ...] = (
    Setting(
        "layered, 74-64-32-10",
        _mlp,
        _labelled,
        lambda labels: labels,
        Supervised(cross_entropy, measure=correct),
        epochs=20,
    ),
    Setting(
        "recurrent, 8-32-10, a row a tick",
        _recurrent,
        lambda images: images.reshape(-1, 8, 8),
        _last,
        OverTime(lambda output, y: y["asked"] * cross_entropy(output, y["label"]), measure=_told),
        epochs=10,
    ),
)


@dataclass
class Row:
    """What was measured of one learner; `angle_*`: degrees to the gradient, a value a seed."""

    learner: str
    network: str
    rate: float
    accuracy: list[float]
    angle_start: list[float]
    angle_end: list[float]
    working_bytes: int
    own_numbers: int
    step_ms: float
    locality: str
    needs: str


def data(setting: Setting) -> dict[str, dict]:
    """Training, validation and test part of the digits, as the network sees them."""
    digits = datasets.load("digits")
    mean, deviation = digits.train_x.mean() / 255, digits.train_x.std() / 255
    order = np.random.default_rng(0).permutation(len(digits.train_y))
    parts = {
        "train": (digits.train_x[order[VALID:]], digits.train_y[order[VALID:]]),
        "valid": (digits.train_x[order[:VALID]], digits.train_y[order[:VALID]]),
        "test": (digits.test_x, digits.test_y),
    }
    flat = lambda x: jnp.asarray((x.reshape(len(x), -1) / 255 - mean) / deviation, jnp.float32)
    labels = lambda y: jnp.asarray(y.astype(np.int32))
    return {
        name: {"x": setting.inputs(flat(x)), "y": setting.targets(labels(y))}
        for name, (x, y) in parts.items()
    }


def accuracy(setting: Setting, model, part: dict):
    """Share of a part's images that are told right."""
    return setting.loss(model, part, jr.key(0))[1]["accuracy"]


def angle(setting: Setting, trainer: Trainer, carry, batch: dict):
    """Degrees between what the learner gives and the gradient."""
    model, credit = trainer.model(carry), trainer.credit(carry)
    learned, fixed = eqx.partition(model, learnable(model))
    key = jr.key(7)
    given = credit.gradient(setting.loss, learned, fixed, batch, key)[2]
    exact = Backpropagation().gradient(setting.loss, learned, fixed, batch, key)[2]
    pairs = list(zip(jax.tree.leaves(given), jax.tree.leaves(exact), strict=True))
    dot = lambda a, b: jnp.sum(a * b)
    both = sum(dot(a, b) for a, b in pairs)
    norms = sum(dot(a, a) for a, _ in pairs) * sum(dot(b, b) for _, b in pairs)
    return jnp.degrees(jnp.arccos(jnp.clip(both / jnp.sqrt(norms), -1, 1)))


def make(setting: Setting, name: str, part: dict, key, rate) -> Trainer:
    """The trainer of a seed; the network depends on the seed alone."""
    net = setting.net(fold(key, "net"))
    credit = learner(name, net, jax.tree.map(lambda a: a[0], part["x"]), fold(key, "learner"))
    return Trainer(net, setting.loss, optax.adam(rate), credit=credit)


def measure(setting: Setting, name: str, parts: dict, rate: float | None = None) -> Row:
    """Choose the rate (unless it is given), train and test the seeds, and time a step."""
    train = parts["train"]
    n = len(train["x"])

    @jax.jit
    @jax.vmap
    def fit(key, rate):
        trainer = make(setting, name, train, key, rate)
        carry = start(trainer, 1.0, fold(key, "run"))
        probe = jax.tree.map(lambda a: a[:256], train)
        before = angle(setting, trainer, carry, probe)

        def epoch(carry, key):
            step = lambda c, i: (advance(trainer, c, jax.tree.map(lambda a: a[i], train))[0], None)
            return jax.lax.scan(step, carry, minibatches(key, n, BATCH))[0], None

        carry, _ = jax.lax.scan(epoch, carry, jr.split(fold(key, "order"), setting.epochs))
        model = trainer.model(carry)
        reached = {p: accuracy(setting, model, parts[p]) for p in ("valid", "test")}
        return {**reached, "start": before, "end": angle(setting, trainer, carry, probe)}

    keys = lambda seeds: jax.vmap(jr.key)(jnp.asarray(seeds))
    if rate is None:
        tried = fit(keys([PILOT] * len(RATES)), jnp.asarray(RATES))
        rate = RATES[int(jnp.argmax(tried["valid"]))]
    done = fit(keys(range(SEEDS)), jnp.full(SEEDS, rate))
    numbers = lambda name: [round(float(v), 4) for v in done[name]]

    credit, working, took = step_of(setting, name, train, rate)
    own = jax.tree.leaves(eqx.filter(credit, eqx.is_inexact_array))
    return Row(
        name, setting.name, rate, numbers("test"), numbers("start"), numbers("end"), working,
        int(sum(a.size for a in own)), took, credit.locality, credit.needs,
    )  # fmt: skip


def step_of(setting: Setting, name: str, train: dict, rate: float) -> tuple[Credit, int, float]:
    """(the learner, bytes that XLA sets aside for a step, milliseconds of a step) of the first seed."""
    trainer = make(setting, name, train, jr.key(0), rate)
    carry = start(trainer, 1.0, jr.key(0))
    batch = jax.tree.map(lambda a: a[:BATCH], train)
    step = jax.jit(lambda carry, batch: advance(trainer, carry, batch))
    working = step.lower(carry, batch).compile().memory_analysis().temp_size_in_bytes
    return trainer.credit(carry), int(working), _readouts.timed(step, carry, batch)


def suited(name: str) -> list[Setting]:
    """The first network that a learner accepts; of the reference all of them."""
    found = []
    for setting in SETTINGS:
        x = jax.tree.map(lambda a: a[0], setting.inputs(jnp.zeros((1, 64))))
        if not refusal(name, setting.net(jr.key(0)), x, setting.loss, jr.key(0)):
            found.append(setting)
    return found if name == "backpropagation" else found[:1]


def kept() -> dict:
    """What is stored."""
    return json.loads(STORE.read_text()) if STORE.exists() else {"rows": []}


def run(names: list[str]) -> None:
    """Measure and store; learners that are not named keep their rows."""
    stored = kept()
    rows = {(row["network"], row["learner"]): row for row in stored["rows"]}
    for name in names or [*LEARNERS, "readouts"]:
        if name == "readouts":
            stored["readouts"] = _readouts.measure()
            save(stored)
            continue
        settings = suited(name)
        if not settings:
            print(f"{name}: no network here that it accepts", file=sys.stderr)
        for setting in settings:
            like = rows.get((setting.name, SAME_RATE.get(name)))
            row = measure(setting, name, data(setting), like and like["rate"])
            rows[setting.name, name] = asdict(row)
            print(name, row.rate, np.mean(row.accuracy), row.step_ms, flush=True)
        pairs = [(s.name, n) for s in SETTINGS for n in LEARNERS]
        stored["rows"] = [rows[pair] for pair in pairs if pair in rows]
        save(stored)


def retime(kind: str = "") -> None:
    """The step of every stored row (of a kind), in one go, so that they can be compared with each other."""
    stored, settings = kept(), {s.name: s for s in SETTINGS}
    parts = {name: data(s)["train"] for name, s in settings.items()}
    for row in [row for row in stored["rows"] if row["network"].startswith(kind)]:
        name = row["network"]
        credit, _, took = step_of(settings[name], row["learner"], parts[name], row["rate"])
        print(row["learner"], row["step_ms"], "->", took, flush=True)
        row |= {"step_ms": took, "locality": credit.locality, "needs": credit.needs}
    if not kind:
        _readouts.retime(stored.get("readouts", []))
    save(stored)


def save(stored: dict) -> None:
    """Write the store, with what it was measured on."""
    epochs = {s.name: s.epochs for s in SETTINGS}
    task = dict(data="digits", epochs=epochs, batch=BATCH, seeds=SEEDS, rates=RATES)
    machine = f"{os.cpu_count()} cores, {platform.machine()}, JAX {jax.__version__} on CPU"
    STORE.write_text(json.dumps(stored | {"task": task, "machine": machine}, indent=1) + "\n")


def table(stored: dict) -> str:
    """The table in Markdown: a row a learner, those of one network together."""
    if not stored["rows"]:
        return "Nothing is stored yet."
    head = (
        "learner", "network", "test accuracy (%)", "angle to the gradient, start / end (degrees)",
        "working memory (KiB)", "own numbers", "ms a step", "rate", "what a synapse must know",
    )  # fmt: skip
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for row in stored["rows"]:
        right = 100 * np.asarray(row["accuracy"])
        spread = f"{right.mean():.1f} ± {right.std(ddof=1):.1f}"
        degrees = f"{np.mean(row['angle_start']):.0f} / {np.mean(row['angle_end']):.0f}"
        cells = (
            row["learner"], row["network"], spread, degrees, f"{row['working_bytes'] / 1024:.0f}",
            f"{row['own_numbers']:,}", f"{row['step_ms']:.2f}", f"{row['rate']:g}", row["locality"],
        )  # fmt: skip
        lines.append("| " + " | ".join(cells) + " |")
    task = stored["task"]
    epochs = " and ".join(f"{n} ({name.split(',')[0]})" for name, n in task["epochs"].items())
    note = (
        f"Means over {task['seeds']} seeds ± their standard deviation; {epochs} epochs of batches of "
        f"{task['batch']}, Adam at the rate of {', '.join(f'{r:g}' for r in task['rates'])} that was best on "
        f"validation images (of real-time recurrent learning, which has the same gradient, that of "
        f"backpropagation). Times: {_readouts.TIMED}. {stored['machine']}."
    )
    return "\n".join([*lines, "", note])


def page(file: Path, check: bool) -> int:
    """Put the tables between their marks; with `check` only say whether they are up to date."""
    old = new = file.read_text()
    stored = kept()
    tables = {"learners": table(stored), "readouts": _readouts.table(stored.get("readouts", []))}
    for name, text in tables.items():
        before, begins, rest = new.partition(f"<!-- {name} -->")
        _, ends, after = rest.partition(f"<!-- /{name} -->")
        if not (begins and ends):
            print(f"{file}: write <!-- {name} --> and <!-- /{name} -->", file=sys.stderr)
            return 2
        new = f"{before}{begins}\n{text}\n{ends}{after}"
    if check and new != old:
        print(f"{file}: not that of {STORE.name}; run python benchmarks/learners.py page {file}")
        return 1
    if not check:
        file.write_text(new)
    return 0


def main(arguments: list[str]) -> int:
    """See the module."""
    if arguments[:1] == ["run"]:
        run(arguments[1:])
        return 0
    if arguments[:1] == ["time"]:
        retime(*arguments[1:2])
        return 0
    files = [Path(a) for a in arguments[1:] if a != "--check"]
    if arguments[:1] != ["page"] or not files:
        print(__doc__, file=sys.stderr)
        return 2
    return max(page(file, "--check" in arguments) for file in files)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
