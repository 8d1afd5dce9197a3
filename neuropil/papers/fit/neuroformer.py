r"""Neuroformer: a generative transformer over spikes, pretrained without labels.

Antoniades, Yu, Canzano, Wang, Smith (2024), ICLR, arXiv:2311.00136; code: a-antoniades/Neuroformer.

Each spike is a token (unit, time). A causal transformer says what the next token is, from the
tokens of the current window and, by cross-attention, from past spikes, stimulus and behaviour:
$$L = \tfrac34 (\tfrac35 \mathrm{CE}_\text{unit} + \tfrac25 \mathrm{CE}_\text{time})
   + \tfrac14 \mathrm{InfoNCE},$$ the last term aligning the modalities.

Claims: on a simulated hub circuit it predicts held-out spikes better than a coupled GLM and than
independent rates; its attention finds the directed connections; and on a recording, pretraining on
spikes makes a few labels enough to decode behaviour. How we differ: `STUDY.differs`.
"""

from neuropil.papers.fit._neuroformer_circuit import Cooccurrence, CoupledGLM, Rates, Tokens, Truth
from neuropil.papers.fit._neuroformer_report import (
    CITE,
    DIFFERS,
    GAPS,
    METRICS,
    SHARES,
    figures,
    score,
)
from neuropil.papers.fit._neuroformer_track import Decoder, Transformer, load
from neuropil.papers.fit._neuroformer_train import Stages
from neuropil.studies import Arm, Study


def _ticks(part, settings: dict) -> int:
    return {Tokens: settings["epochs"]}.get(type(part), getattr(part, "ticks", 1))


def arm(role: str, about: str, circuit=None, track=None) -> Arm:
    """An arm of one or both experiments; `circuit(settings)` and `track(data, settings)` build it."""

    def parts(settings, data):
        made = {"circuit": circuit and circuit(settings), "track": track and track(data, settings)}
        return {name: part for name, part in made.items() if part is not None}

    def build(settings, data):
        made = parts(settings, data)
        return Stages(made, {name: _ticks(part, settings) for name, part in made.items()})

    count = lambda settings: sum(_ticks(p, settings) for p in parts(settings, None).values())
    return Arm(build, role, about, jit=False, ticks=count, gaps=GAPS)


def decoder(how: str):
    return lambda data, settings: Decoder(data, settings, how)


def check(settings: dict) -> None:
    """ValueError for settings that make no sense together."""
    if not set(settings["shares"]) <= set(SHARES):
        raise ValueError(f"shares {settings['shares']}: choose among {SHARES} (per cent of labels)")
    for width in ("width", "track_width"):
        if settings[width] % 4 or settings[width] % settings["heads"]:
            raise ValueError(f"{width} must be a multiple of 4 and of heads = {settings['heads']}")
    if settings["short"] and not 2 < settings["short"] < settings["length"]:
        raise ValueError("short lies between 3 and length, or is 0 (all windows padded to length)")


_SMALL = dict(
    seeds=5, data="hippocampus-linear-track", heads=2, state=1, history=2, scale=0.1, decay=0.1,
    train_bins=60_000, validation_bins=10_000, test_bins=20_000, past=10, bins=1, length=16, short=5,
    past_length=28, width=32, dropout=0.1, learning_rate=3e-3, batch=256, epochs=10, patience=4,
    align=0.25, lags=10, penalties=(1.0, 3.0, 10.0, 30.0, 100.0, 300.0),
    track_bin=0.05, fastest=0.1, track_bins=5, track_past=10, track_length=26, track_past_length=50,
    stride=2, shares=SHARES, track_width=32, track_dropout=0.1, track_rate=2e-3, track_batch=64,
    track_steps=40, pretraining=10, tune_passes=8,
)  # fmt: skip

STUDY = Study(
    slug="neuroformer",
    arms={
        "neuroformer": arm("system", "spikes, past and behaviour aligned; pretrained, then few labels",
                           Tokens, Transformer),
        "glm": arm("baseline", "coupled Bernoulli GLM, all units and lags; ridge on counts for position",
                   CoupledGLM, decoder("glm")),
        "glm-poisson": arm("baseline", "the same with Poisson counts",
                           lambda s: CoupledGLM(s, family="poisson")),
        "rates": arm("baseline", "independent constant rates; the median position",
                     Rates, decoder("chance")),
        "scratch": arm("baseline", "the same network on labels without pretraining",
                       None, lambda d, s: Transformer(d, s, scratch=True)),
        "bayes": arm("baseline", "place fields and Poisson counts", None, decoder("bayes")),
        "shuffled-past": arm("control", "each window with the past of another",
                             lambda s: Tokens(s, shuffled=True)),
        "co-occurrence": arm("control", "what attention that is the same everywhere would show",
                             Cooccurrence),
        "glm-conjunction": arm("variant", "GLM told of pairs of hubs: the truth's own class",
                               lambda s: CoupledGLM(s, conjunctions=True)),
        "truth": arm("ceiling", "the generator itself", Truth),
    },
    scales={
        "smoke": _SMALL | dict(seeds=1, train_bins=2000, validation_bins=500, test_bins=1000, short=0,
                               width=8, track_width=8, dropout=0.0, track_dropout=0.0, history=1,
                               batch=128, epochs=1, track_steps=3, penalties=(100.0,), past_length=16,
                               track_past_length=16, track_length=12, shares=(5, 100), stride=10,
                               pretraining=1, tune_passes=1),
        "small": _SMALL,
        "paper": _SMALL | dict(train_bins=600_000, validation_bins=50_000, test_bins=100_000, width=256,
                               track_width=256, heads=8, state=4, history=4, dropout=0.2, scale=0.02,
                               track_dropout=0.2, learning_rate=1e-4, track_rate=1e-4, epochs=50,
                               pretraining=50, tune_passes=20, track_steps=200),
    },
    load=load,
    ticks=lambda settings: 1,
    score=score,
    metrics=METRICS,
    figures=figures,
    datasets=("hippocampus-linear-track",),
    demo="simulated-track",
    check=check,
    cite=CITE,
    mechanism=(
        "Spikes are tokens (unit, time); a causal transformer predicts the next token from the current"
        " window and, by cross-attention, from past spikes, stimulus and behaviour. A contrastive loss"
        " aligns the modalities; labels are needed only for a linear head on the mean of its last layer."
    ),
    claim="Predicts spikes above a GLM, attention finds connections, few labels suffice once pretrained",
    differs=DIFFERS,
    cost="small: about 2 minutes for each seed of neuroformer on one core, 3 for all other arms together",
)  # fmt: skip
