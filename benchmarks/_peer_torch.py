"""Worker of train_lif.py for the libraries on torch; runs in their own environment, without neuropil."""

from __future__ import annotations

import json
from importlib.metadata import version

import _common as c
import _task as t

LIBRARIES = ["snntorch", "spikingjelly"]


def snntorch_cells():
    """The documented time loop: one cell call a step."""
    import snntorch
    import torch
    from snntorch import surrogate

    g = surrogate.atan(alpha=2.0)
    one, two = (snntorch.Leaky(t.BETA, spike_grad=g, reset_delay=False) for _ in range(2))

    def spikes(first, second, x):
        m1, m2, out = one.init_leaky(), two.init_leaky(), []
        for now in x:
            s1, m1 = one(first(now), m1)
            s2, m2 = two(second(s1), m2)
            out.append(s2)
        return torch.stack(out)

    return spikes


def spikingjelly_cells():
    """Layer by layer over the whole time axis (step mode "m"), its fastest way on a CPU."""
    from spikingjelly.activation_based import functional, neuron, surrogate

    one, two = (
        neuron.LIFNode(
            tau=1 / (1 - t.BETA),
            decay_input=False,
            v_reset=None,
            surrogate_function=surrogate.ATan(),
            step_mode="m",
        )
        for _ in range(2)
    )

    def spikes(first, second, x):
        functional.reset_net(one)
        functional.reset_net(two)
        return two(second(one(first(x))))

    return spikes


def main() -> None:
    """Measure one library, print one line of JSON."""
    options = t.options(__doc__, LIBRARIES)
    c.pin()
    import torch

    torch.set_num_threads(c.THREADS)
    cells = {"snntorch": snntorch_cells, "spikingjelly": spikingjelly_cells}[options.worker]()
    given = t.task(options.steps, options.batch)
    x, y = torch.from_numpy(given.x), torch.from_numpy(given.y)
    layers = [torch.nn.Linear(w.shape[1], w.shape[0]) for w in given.weights]
    with torch.no_grad():
        for layer, w in zip(layers, given.weights, strict=True):
            layer.weight.copy_(torch.from_numpy(w))
            layer.bias.zero_()
    adam = torch.optim.Adam([p for layer in layers for p in layer.parameters()], lr=t.RATE)
    losses = []

    def step():
        adam.zero_grad(set_to_none=True)
        logits = layers[2](cells(layers[0], layers[1], x)).mean(0)
        loss = torch.nn.functional.cross_entropy(logits, y)
        loss.backward()
        adam.step()
        losses.append(loss.item())

    first, times = c.clock(step, options.repeats)
    print(
        json.dumps(
            {
                "library": f"{options.worker} {version(options.worker)}, torch {torch.__version__}",
                "first": first,
                "times": times,
                "losses": losses,
                "peak_gb": c.peak(),
            }
        )
    )


if __name__ == "__main__":
    main()
