"""Worker of train_lif.py for spyx and BrainPy; runs in an environment of their own, without neuropil."""

from __future__ import annotations

import json
from importlib.metadata import version

import _common as c
import _task as t

LIBRARIES = ["spyx", "brainpy"]


def cross_entropy(logits, y):
    """Of class scores (batch, class)."""
    import jax
    import jax.numpy as jnp

    return -jnp.mean(jax.nn.log_softmax(logits)[jnp.arange(len(y)), y])


def spyx_step(given):
    """Layers of flax nnx run over the whole time axis by its own `run`, trained by its own step."""
    import jax.numpy as jnp
    import optax
    import spyx
    import spyx.nn as snn
    from flax import nnx

    seeds = nnx.Rngs(0)
    act = spyx.axn.arctan(1)
    lif = lambda: snn.LIF((t.HIDDEN,), t.BETA, activation=act, rngs=seeds)
    net = snn.Sequential(
        nnx.Linear(t.INPUTS, t.HIDDEN, rngs=seeds),
        lif(),
        nnx.Linear(t.HIDDEN, t.HIDDEN, rngs=seeds),
        lif(),
        nnx.Linear(t.HIDDEN, t.OUTPUTS, rngs=seeds),
    )
    linear = [layer for layer in net.layers if isinstance(layer, nnx.Linear)]
    for layer, w in zip(linear, given.weights, strict=True):
        layer.kernel[...] = jnp.array(w.T)
    x, y = jnp.asarray(given.x), jnp.asarray(given.y)
    adam = nnx.Optimizer(net, optax.adam(t.RATE), wrt=nnx.Param)
    loss = lambda m, x: cross_entropy(snn.run(m, x)[0].mean(0), y)
    step = spyx.optimize.make_train_step(loss)
    return lambda: float(step(net, adam, x))


def brainpy_step(given):
    """Its state-based LIF over `for_loop`; its input is scaled by 1 - b, which the weights make up for."""
    import brainpy
    import brainstate
    import braintools
    import brainunit as u
    import jax.numpy as jnp
    import numpy as np

    brainstate.environ.set(dt=1.0 * u.ms)
    tau = -1 / np.log(t.BETA)
    gain = 1 / (1 - t.BETA)

    class Net(brainstate.nn.Module):
        def __init__(self):
            super().__init__()
            spike = braintools.surrogate.Arctan(alpha=2.0)
            how = {"tau": tau * u.ms, "V_th": 1 * u.mV, "V_reset": 0 * u.mV, "V_rest": 0 * u.mV}
            lif = lambda: brainpy.state.LIF(t.HIDDEN, spk_fun=spike, spk_reset="soft", **how)
            wire = lambda w, g: brainstate.nn.Linear(
                w.shape[1], w.shape[0], w_init=jnp.array(w.T * g), b_init=jnp.zeros(w.shape[0])
            )
            w1, w2, w3 = given.weights
            self.f1, self.f2, self.f3 = wire(w1, gain), wire(w2, gain), wire(w3, 1.0)
            self.l1, self.l2 = lif(), lif()

        def update(self, x):
            return self.f3(self.l2(self.f2(self.l1(self.f1(x) * u.mA)) * u.mA))

    net = Net()
    batch = given.x.shape[1]
    brainstate.nn.init_all_states(net, batch_size=batch)
    weights = net.states(brainstate.ParamState)
    adam = braintools.optim.Adam(lr=t.RATE)
    adam.register_trainable_weights(weights)
    x, y = jnp.asarray(given.x), jnp.asarray(given.y)

    def loss():
        return cross_entropy(brainstate.transform.for_loop(net.update, x).mean(0), y)

    @brainstate.transform.jit
    def step():
        brainstate.nn.init_all_states(net, batch_size=batch)
        gradient, value = brainstate.transform.grad(loss, weights, return_value=True)()
        adam.update(gradient)
        return value

    return lambda: float(step())


def main() -> None:
    """Measure one library, print one line of JSON."""
    options = t.options(__doc__, LIBRARIES)
    c.pin()
    import jax

    given = t.task(options.steps, options.batch)
    step = {"spyx": spyx_step, "brainpy": brainpy_step}[options.worker](given)
    losses = []
    found = c.clock_both(lambda: losses.append(step()), options.repeats)
    name = f"{options.worker} {version(options.worker)}, jax {jax.__version__}"
    print(json.dumps({"library": name, **found, "losses": losses, "peak_gb": c.peak()}))


if __name__ == "__main__":
    main()
