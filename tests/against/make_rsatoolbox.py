"""What rsatoolbox 0.3.2 says of the data made here. In an environment that has it,

    python tests/against/make_rsatoolbox.py tests/against/rsatoolbox.json

writes the numbers down, so that the comparison needs no second environment.
"""

import json
import sys
import warnings

import numpy as np

SIMILARITIES = {
    "pearson": "corr",
    "cosine": "cosine",
    "spearman": "spearman",
    "rho-a": "rho-a",
    "tau-a": "tau-a",
    "tau-b": "tau-b",
    "whitened-pearson": "corr_cov",
    "whitened-cosine": "cosine_cov",
}
COVARIANCES = {"diagonal": "shrinkage_diag", "identity": "shrinkage_eye", "none": "full"}


def data():
    """Random runs (run, stimulus, channel) with a signal, counts of their shape, residuals, models,
    subjects with ties, a noise covariance of stimuli, draws of stimuli and subjects."""
    rng = np.random.default_rng(0)
    signal = rng.normal(size=(9, 12))
    runs = 3 + signal + rng.normal(size=(4, 9, 12))
    counts = rng.poisson(np.exp(0.5 * signal) * 2, size=(4, 9, 12)).astype(float)
    residuals = rng.normal(size=(20, 12)) @ rng.normal(size=(12, 12))
    models = rng.integers(1, 9, (3, 36)).astype(float)
    subjects = np.round(models[0] + 3 * rng.normal(size=(5, 36)) + 9, 1)
    root = rng.normal(size=(9, 9))
    stimuli = [rng.integers(0, 9, 9).tolist() for _ in range(6)]
    people = [rng.integers(0, 5, 5).tolist() for _ in range(6)]
    return {
        "runs": runs, "counts": counts, "residuals": residuals, "models": models, "subjects": subjects,
        "noise": root @ root.T / 9 + np.eye(9), "stimuli": stimuli, "people": people,
    }  # fmt: skip


def answers() -> dict:
    """rsatoolbox's numbers."""
    import rsatoolbox as rsa
    from rsatoolbox.data import noise as noises
    from rsatoolbox.inference.noise_ceiling import boot_noise_ceiling
    from rsatoolbox.model import fitter
    from rsatoolbox.util.inference_util import _dual_bootstrap

    warnings.filterwarnings("ignore")
    d, out = data(), {}
    what = {"conds": np.tile(np.arange(9), 4), "runs": np.repeat(np.arange(4), 9)}

    def measured(x, order=(0, 1, 2, 3)):
        return rsa.data.Dataset(x[list(order)].reshape(36, 12), obs_descriptors=dict(what))

    def rdm(x, method, **options):
        return rsa.rdm.calc_rdm(x, method=method, descriptor="conds", **options).dissimilarities[0]

    for ours, theirs in COVARIANCES.items():
        out[f"covariance {ours}"] = noises.cov_from_residuals(d["residuals"], method=theirs)
    out["covariance of runs"] = noises.cov_from_unbalanced(measured(d["runs"]), "conds")
    precision = noises.prec_from_residuals(d["residuals"])
    out["precision"] = precision
    out["correlation"] = rdm(measured(d["runs"]), "correlation")
    out["sqeuclidean"] = rdm(measured(d["runs"]), "euclidean")
    out["mahalanobis"] = rdm(measured(d["runs"]), "mahalanobis", noise=precision)
    out["poisson"] = rdm(measured(d["counts"]), "poisson")
    out["crossnobis"] = rdm(measured(d["runs"]), "crossnobis", cv_descriptor="runs")
    out["crossnobis with precision"] = rdm(
        measured(d["runs"]), "crossnobis", cv_descriptor="runs", noise=precision
    )
    # its poisson_cv keeps the last fold only: each run has to be last in turn
    turns = [[r for r in range(4) if r != last] + [last] for last in range(4)]
    out["cross poisson"] = np.mean(
        [rdm(measured(d["counts"], turn), "poisson_cv", cv_descriptor="runs") for turn in turns], 0
    )
    models, subjects = rsa.rdm.RDMs(d["models"]), rsa.rdm.RDMs(d["subjects"])
    for ours, theirs in SIMILARITIES.items():
        out[ours] = rsa.rdm.compare(models, subjects, theirs)
        out[f"{ours} ceiling"] = boot_noise_ceiling(subjects, method=theirs)
        drawn, ceilings = [], []
        for stimuli, people in zip(d["stimuli"], d["people"], strict=True):
            sample = subjects.subsample("index", people).subsample_pattern("index", stimuli)
            model = models.subsample_pattern("index", stimuli)
            drawn.append(rsa.rdm.compare(model, sample, theirs).mean(1))
            ceilings.append(boot_noise_ceiling(sample, method=theirs))
        out[f"{ours} draws"], out[f"{ours} draws ceiling"] = drawn, ceilings
        if ours.startswith("whitened"):
            out[f"{ours} noise"] = rsa.rdm.compare(models, subjects, theirs, sigma_k=d["noise"])
    for ours in ("pearson", "cosine", "whitened-pearson", "whitened-cosine"):
        weighted = rsa.model.ModelWeighted("w", models)
        for kind, fit in (("any", fitter.fit_regress), ("positive", fitter.fit_regress_nn)):
            out[f"{ours} weights {kind}"] = fit(weighted, subjects, method=SIMILARITIES[ours])
    variances = np.array([3.0, 1.2, 0.9])
    out["dual"] = [
        _dual_bootstrap(variances, 8, 20),
        _dual_bootstrap(np.array([2.0, 1.5, 0.6]), 8, 20),
    ]
    return {name: np.asarray(x).tolist() for name, x in out.items()}


if __name__ == "__main__":
    with open(sys.argv[1], "w") as file:
        json.dump(answers(), file)
