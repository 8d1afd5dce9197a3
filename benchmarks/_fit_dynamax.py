"""The peer of fit.py: dynamax (`pip install dynamax==1.0.3`). Prints one line of JSON."""

import json
import sys

import _common as c
import _fit_task as t


def main() -> None:
    """20 iterations of EM of both models, and the likelihood at the start of the first."""
    c.pin()
    import dynamax
    import jax.numpy as jnp
    import jax.random as jr
    from dynamax.hidden_markov_model import LogisticRegressionHMM, PoissonHMM

    task, repeats, out = t.hidden(), int(sys.argv[1]), {}
    initial = jnp.ones(t.STATES) / t.STATES
    transition = jnp.asarray(task["transition"])
    poisson = PoissonHMM(t.STATES, t.UNITS)
    counts = jnp.asarray(task["counts"])
    begin = poisson.initialize(
        jr.PRNGKey(0), emission_rates=jnp.asarray(task["rate"]), transition_matrix=transition,
        initial_probs=initial,
    )  # fmt: skip
    out["likelihood"] = float(poisson.marginal_log_prob(begin[0], counts))
    em = lambda model, begin, y, **more: float(
        model.fit_em(*begin, y, num_iters=t.ITERATIONS, verbose=False, **more)[1][-1]
    )
    out["poisson"] = c.clock_both(lambda: em(poisson, begin, counts), repeats)
    glm = LogisticRegressionHMM(t.STATES, t.INPUTS)
    start = glm.initialize(
        jr.PRNGKey(0), emission_weights=jnp.asarray(task["weights"]),
        emission_biases=jnp.zeros(t.STATES), transition_matrix=transition, initial_probs=initial,
    )  # fmt: skip
    x, choices = jnp.asarray(task["x"]), jnp.asarray(task["choices"])
    out["glm"] = c.clock_both(lambda: em(glm, start, choices, inputs=x), repeats)
    print(json.dumps(out | {"name": f"dynamax {dynamax.__version__}"}))


if __name__ == "__main__":
    main()
