r"""Understanding the differences in Foundation Models (dynamical systems framework).

Sieber, Amo Alonso, Didier, Zeilinger, Orvieto (2024), NeurIPS, arXiv 2405.15731.

Mechanism: attention, state-space models and gated RNNs are one diagonal linear recurrence,
$h_i = L_i h_{i-1} + B_i u_i$, $y_i = C_i h_i + D_i u_i$, and equally one causal operator
$\Phi_{ij} = C_i L_i \cdots L_{j+1} B_j$; they differ in how L, B, C come from the input
(`_dsf_forms.py`). Softmax needs infinitely many features, or its whole cache, as the state.

Claim: the forms are exact; linear attention nears softmax as its state grows; normalised attention
and SSD lie between the two; an SSD's reversed sigmoid improves the qLSTM.
"""

from neuropil.papers.core._dsf_exact import NAMES, Equivalence, Truncation
from neuropil.papers.core._dsf_figures import figures
from neuropil.papers.core._dsf_recall import ARMS, Training, load
from neuropil.papers.core._dsf_scales import SCALES, check
from neuropil.studies import Arm, Metric, Study


def equivalence(wrong):
    """Builder of the arm that compares native code with the common form."""
    return lambda s, data: Equivalence(wrong, s["draws"], s["span"], s["channels"], s["features"])


def truncation(s, data):
    """Softmax attention by truncated features."""
    return Truncation(s["draws"], s["tokens"], s["features"], s["orders"])


def training(arm):
    """Builder of a recall arm."""
    return lambda s, data: Training(arm, s, data)


def score(settings, history):
    """Errors of the equivalences, of the truncation at order 6, and the final recall accuracy."""
    found = {name: float(h[-1]) for name, h in history.items() if name.startswith("error-")}
    if found:
        found["error-largest"], found["error-least"] = max(found.values()), min(found.values())
    order = min(6, settings["orders"] - 1)
    found |= {k: float(h[-1][order]) for k, h in history.items() if k.startswith("taylor-")}
    if "test" in history:
        found["recall"] = float(history["test"][-1])
    return found


ROLES = {"softmax": "ceiling", "qlstm": "baseline", "no-mixer": "control"}
EXACT = {
    "dsf": (equivalence(False), "system", "every family as one recurrence"),
    "wrong": (equivalence(True), "control", "the same, one ingredient wrong"),
    "taylor": (truncation, "variant", "softmax by truncated features"),
}

STUDY = Study(
    slug="dynamical-systems-framework",
    arms={name: Arm(*arm, jit=False, ticks=lambda s: 1) for name, arm in EXACT.items()}
    | {
        arm: Arm(training(arm), ROLES.get(arm, "variant"), f"{task} recall, {kind} mixer, n = {n}")
        for arm, (task, kind, n, _) in ARMS.items()
    },
    scales=SCALES,
    load=load,
    ticks=lambda s: s["steps"] // s["chunk"],
    score=score,
    check=check,
    metrics={
        f"error-{name}": Metric(f"largest difference, {name}", better="lower") for name in NAMES
    }
    | {
        "error-least": Metric("mildest difference of all families", better="lower"),
        "taylor-3": Metric("relative error at order 6, logits up to 3", better="lower"),
        "taylor-12": Metric("relative error at order 6, logits up to 12", better="lower"),
        "recall": Metric("recall accuracy"),
    },
    figures=figures,
    cite="""@inproceedings{sieber2024dsf,
  title = {Understanding the differences in Foundation Models: Attention, State Space Models, and
           Recurrent Neural Networks},
  author = {Sieber, Jerome and Amo Alonso, Carmen and Didier, Alexandre and Zeilinger, Melanie N.
            and Orvieto, Antonio},
  booktitle = {Advances in Neural Information Processing Systems},
  year = {2024}, note = {arXiv 2405.15731}
}""",
    mechanism="attention, SSMs and gated RNNs are one diagonal linear recurrence with input-made L, B, C",
    claim="the forms are exact; linear attention's recall rises with its state towards softmax's;"
    " normalised attention and SSD lie between; the reversed sigmoid improves the qLSTM",
    differs=(
        "one layer of width 32 on short sequences (small); the paper has two of 64 to 512, vocabulary 8192",
        "every arm sees each token beside the one before, has learned positions and no MLP; in the"
        " paper only the qLSTM had a convolution, SSMs no positions, and some arms an MLP",
        "softmax masks with minus infinity (the code: -10000); no dropout",
        "SSD's decay is exactly scalar (the code adds a bias a channel); `ssd` starts at Delta = 0.69 as"
        " the code's runs did after re-initialisation, `ssd-slow` at Delta in 0.001 to 0.1 as Mamba's",
        "weights start with deviation 1 / sqrt(inputs) instead of 0.02; cosine per step, not per epoch",
        "the learning rate of an arm is chosen once, on validation data of another draw (draw=1)",
    ),
    cost="about 5 minutes on 2 cores (small)",
)
