r"""The continuous thought machine (CTM): private models of neurons, and synchronisation as representation.

Darlow, Regan, Risi, Seely, Jones (2025), arXiv:2505.05522; code: SakanaAI/continuous-thought-machines.

In internal ticks, apart from any sequence in the data, every neuron answers the last M of its inputs by a small
network of its own. What is asked of the data and what is said is read off how pairs of neurons moved together,
$s_{ij}(t) = \sum_{\tau \le t} e^{-r_{ij}(t-\tau)} z_i(\tau) z_j(\tau) / \sqrt{\sum_\tau e^{-r_{ij}(t-\tau)}}$,
and the loss is the mean of that at the best and at the most certain tick, so that a network may stop early.

Claim: running parity and mazes are solved better with more ticks and better than by an LSTM of equal size with
as many; thinking stops sooner where less is to be done. Where we differ stands in "differs".
"""

from neuropil.learn import Trainer
from neuropil.papers.build import _ctm_train as train
from neuropil.papers.build._ctm_score import CITE, DIFFERS, METRICS, score
from neuropil.studies import Arm, Study


def load(settings: dict) -> dict[str, train.Task]:
    """Both tasks."""
    return {"parity": train.parity(settings), "mazes": train.mazes(settings)}


def build(task: str, kind: str, few: int | None = None, **flags: bool):
    """An arm: a kind of network on a task, with the `few`-th of the smaller numbers of ticks, or with all."""

    def make(settings: dict, tasks) -> train.Thinks:
        s, data = settings, tasks[task]
        ticks = (
            s["fewer"][few] if few is not None else s["ticks" if task == "parity" else "maze_ticks"]
        )
        ticks = 1 if kind == "feedforward" else ticks
        spec = train.Spec.of(kind, data, s, ticks, task)
        updates = s["updates" if task == "parity" else "maze_updates"]
        sure = kind != "lstm"  # its last tick is what the source found usable
        loss = train.loss_of(ticks, data.options, data.ahead, sure)
        own = "rate" if task == "parity" else "maze_rate"
        rate = s[own if kind == "ctm" else "baseline_rate"]
        tx = train.optimiser(rate, updates, s["warm"])
        trainer = Trainer(spec.empty(**flags), loss, tx)
        return train.Thinks(data, spec, trainer, ticks, s["batch"], updates // s["chunks"], sure)

    return make


def check(settings: dict) -> None:
    """ValueError for settings that make no sense together."""
    s = settings
    for name in ("updates", "maze_updates"):
        if s[name] < 2 or s[name] % s["chunks"]:
            raise ValueError(f"{name} = {s[name]} is no multiple of chunks = {s['chunks']} above 1")
    for name in ("held", "held_mazes"):
        if s[name] < 1 or (s[name] > train.PART and s[name] % train.PART):
            raise ValueError(f"{name} = {s[name]}; above {train.PART} it must be a multiple of it")
    if s["judge"] not in ("test", "valid"):
        raise ValueError(f"judge = {s['judge']!r}; write 'test', or 'valid' to choose rates")
    if 2 * s["held"] >= 2 ** min(s["length"], 62):
        raise ValueError(f"held = {s['held']}: there are only 2^{s['length']} sequences")
    if s["chosen"] * (s["chosen"] + 1) // 2 < s["neurons"]:
        raise ValueError(
            f"chosen = {s['chosen']} makes fewer pairs than there are neurons, so that the arm without"
            " synchronisation would hear less"
        )
    if len(s["fewer"]) != 3:
        raise ValueError("fewer needs three numbers of ticks")


def figures(results) -> dict:
    """Figures by name; matplotlib is imported only here."""
    from neuropil.papers.build import _ctm_figures

    return _ctm_figures.figures(results)


_SMALL = dict(
    seeds=5, length=16, sequences=65_536, held=1024, ticks=16, fewer=(1, 4, 8), memory=8, neurons=64, width=32,
    heads=4, chosen=12, hidden=8, lstm=64, feedforward=143, side=4, moves=10, mazes=60_000, held_mazes=1024,
    maze_ticks=12, maze_lstm=64, maze_feedforward=47, updates=2400, maze_updates=2400, warm=200, batch=64,
    rate=3e-3, maze_rate=6e-3, baseline_rate=3e-3, chunks=3, judge="test",
)  # fmt: skip

STUDY = Study(
    slug="continuous-thought-machine",
    arms={
        "ctm": Arm(build("parity", "ctm"), "system", "parity, all ticks"),
        "half-ticks": Arm(build("parity", "ctm", 2), "variant", "parity, half of the ticks"),
        "quarter-ticks": Arm(build("parity", "ctm", 1), "variant", "parity, a quarter of the ticks"),
        "one-tick": Arm(build("parity", "ctm", 0), "control", "parity, one tick"),
        "lstm": Arm(build("parity", "lstm"), "baseline", "parity, LSTM of equal size, all ticks"),
        "feedforward": Arm(build("parity", "feedforward"), "baseline", "parity, two hidden layers, equal size"),
        "shared": Arm(build("parity", "ctm", private=False), "control", "all neurons use one model"),
        "unsynchronised": Arm(build("parity", "ctm", synchronised=False), "control",
                              "asks and says by its neurons, not by their synchronisation"),
        "maze-ctm": Arm(build("mazes", "ctm"), "variant", "mazes"),
        "maze-lstm": Arm(build("mazes", "lstm"), "baseline", "mazes, LSTM of equal size and ticks"),
        "maze-feedforward": Arm(build("mazes", "feedforward"), "baseline", "mazes, two hidden layers"),
    },
    scales={
        "smoke": _SMALL | dict(seeds=1, length=4, held=4, ticks=2, fewer=(2, 2, 2), memory=2, neurons=8,
                               width=4, heads=2, chosen=4, hidden=2, lstm=6, feedforward=8, side=2, moves=3,
                               mazes=32, held_mazes=8, maze_ticks=2, maze_lstm=6, maze_feedforward=8, updates=2,
                               maze_updates=2, warm=1, batch=4, chunks=1),
        "small": _SMALL,
        "paper": _SMALL | dict(seeds=3, length=64, sequences=10_000_000, held=4096, ticks=75, fewer=(1, 10, 25),
                               memory=25, neurons=1024, width=512, heads=8, chosen=45, hidden=16, lstm=802,
                               feedforward=2274, side=19, moves=50, mazes=45_000, held_mazes=5120,
                               maze_ticks=75, maze_lstm=805, maze_feedforward=46, updates=200_001,
                               maze_updates=1_000_002, warm=500, rate=1e-4, maze_rate=1e-4, baseline_rate=1e-4),
    },
    load=load,
    ticks=lambda settings: settings["chunks"],
    score=score,
    metrics=METRICS,
    figures=figures,
    check=check,
    cite=CITE,
    mechanism=(
        "Every neuron answers the history of its inputs by a small network of its own. How pairs of neurons"
        " moved together so far, with a learned decay, is what asks the data by attention and what answers,"
        " at every internal tick. Trained at the best and at the most certain tick of each sample."
    ),
    claim="More ticks solve parity better; parity and mazes better than an LSTM; what is harder takes longer",
    differs=DIFFERS,
    cost="small: 2 to 65 s for each arm and seed on one core, 15 minutes in all on two",
)  # fmt: skip
