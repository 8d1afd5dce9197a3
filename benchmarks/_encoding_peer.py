"""The peers of encoding.py: himalaya (`pip install himalaya==0.4.11 torch`) and scikit-learn. One line of JSON.

_encoding_peer.py TASK LIBRARY REPEATS DRAWS
"""

import json
import sys

import _common as c
import _encoding_task as t
import numpy as np

MORE = dict(alphas=t.ALPHAS, progress_bar=False, n_targets_batch=5000, n_alphas_batch=5)


def main() -> None:
    """Fit, and what was chosen for the first targets."""
    c.pin()
    task, library, repeats, draws = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    x, y = t.data(task)
    name, _, backend = library.partition("-")
    out = {}
    if name == "himalaya":
        import himalaya
        from himalaya.backend import set_backend
        from himalaya.kernel_ridge import MultipleKernelRidgeCV
        from himalaya.ridge import RidgeCV

        bk = set_backend(backend)
        x, y = bk.asarray(x), bk.asarray(y)
        version = himalaya.__version__

        def fit():
            if task == "ridge":
                more = {k: MORE[k] for k in ("n_targets_batch", "n_alphas_batch")}
                model = RidgeCV(t.ALPHAS, cv=t.FOLDS, fit_intercept=True, solver_params=more)
                model.fit(x, y)
                out["alpha"] = np.asarray(model.best_alphas_)[: t.SHOWN].tolist()
                out["error"] = (-np.asarray(model.cv_scores_))[: t.SHOWN].tolist()
            else:
                half = t.FEATURES // 2
                kernels = bk.stack([a @ a.T for a in (x[:, :half], x[:, half:])])
                more = MORE | dict(n_iter=t.shares()[:draws], n_targets_batch_refit=2000)
                model = MultipleKernelRidgeCV(
                    "precomputed", solver="random_search", cv=t.FOLDS, solver_params=more
                )
                model.fit(kernels, y)
                out["error"] = (-np.asarray(model.cv_scores_)).min(0)[: t.SHOWN].tolist()
    else:
        import sklearn
        from sklearn.linear_model import RidgeCV

        version = sklearn.__version__

        def fit():
            model = RidgeCV(t.ALPHAS, alpha_per_target=True).fit(x, y)
            out["alpha"] = model.alpha_[: t.SHOWN].tolist()

    base = c.forget_peak()
    found = c.once(fit) if repeats == 0 else c.clock_both(fit, repeats)
    out["peak"] = c.peak() - base
    print(json.dumps(found | out | {"name": f"{library} {version}", "draws": draws}))


if __name__ == "__main__":
    main()
