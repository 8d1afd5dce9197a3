"""A peer of fit.py: NeMoS (`pip install nemos==0.2.8`), LBFGS on the same design. Prints one line of JSON."""

import json
import sys

import _common as c
import _fit_task as t


def main() -> None:
    """Fits of the coupled GLM; the design is made beforehand, which neuropil's time includes."""
    c.pin()
    import jax
    import jax.numpy as jnp
    import nemos
    import numpy as np

    from neuropil.fit.glm import raised_cosines  # NumPy only: the same basis for both

    repeats, path = int(sys.argv[1]), sys.argv[2]
    counts = t.coupled()
    design = jnp.asarray(t.history(counts, raised_cosines(t.FEATURES, t.LAGS)), jnp.float32)
    counts = jnp.asarray(counts, jnp.float32)

    def fit():
        # tolerance and number of iterations as they come; its loss is the mean over bins, ours the sum, so
        # the penalty is shared by the bins
        model = nemos.glm.PopulationGLM(
            observation_model="Poisson", inverse_link_function=jnp.exp, regularizer="Ridge",
            regularizer_strength=t.PENALTY / t.TIME, solver_name="LBFGS",
        )  # fmt: skip
        model.fit(design, counts)
        jax.block_until_ready(model.coef_)
        found.append(model)

    found = []
    out = c.clock_both(fit, repeats, settle=False)  # a fit takes half a minute
    model = found[-1]
    np.save(path, np.vstack([np.asarray(model.intercept_)[None], np.asarray(model.coef_)]))
    print(json.dumps(out | {"name": f"NeMoS {nemos.__version__}, LBFGS"}))


if __name__ == "__main__":
    main()
