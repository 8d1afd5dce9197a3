"""Worker of memory.py on torch: the transformer of the same size, with torch's fused attention."""

from __future__ import annotations

import argparse
import json

import _common as c
from memory import BLOCKS, HEADS, SYMBOLS, WIDTH


def main() -> None:
    """Measure all lengths, print one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lengths", type=int, nargs="+", required=True)
    parser.add_argument("--repeats", type=int, required=True)
    options = parser.parse_args()
    c.pin()
    import torch
    from torch import nn

    torch.set_num_threads(c.THREADS)
    torch.manual_seed(0)

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.before, self.between = nn.RMSNorm(WIDTH), nn.RMSNorm(WIDTH)
            self.into = nn.Linear(WIDTH, 3 * WIDTH, bias=False)
            self.out = nn.Linear(WIDTH, WIDTH, bias=False)
            self.mlp = nn.Sequential(
                nn.Linear(WIDTH, 4 * WIDTH), nn.GELU(), nn.Linear(4 * WIDTH, WIDTH)
            )

        def forward(self, x):
            parts = self.into(self.before(x)).unflatten(-1, (3, HEADS, -1)).permute(2, 0, 3, 1, 4)
            y = nn.functional.scaled_dot_product_attention(*parts, is_causal=True)
            x = x + self.out(y.transpose(1, 2).flatten(2))
            return x + self.mlp(self.between(x))

    net = nn.Sequential(
        nn.Embedding(SYMBOLS, WIDTH),
        *(Block() for _ in range(BLOCKS)),
        nn.RMSNorm(WIDTH),
        nn.Linear(WIDTH, SYMBOLS, bias=False),
    )
    adam = torch.optim.Adam(net.parameters(), lr=1e-3)
    rows = []
    for length in options.lengths:
        tokens, losses = torch.randint(0, SYMBOLS, (1, length + 1)), []

        def once(tokens=tokens, losses=losses):
            adam.zero_grad(set_to_none=True)
            loss = nn.functional.cross_entropy(net(tokens[:, :-1])[0], tokens[0, 1:])
            loss.backward()
            adam.step()
            losses.append(loss.item())

        c.forget_peak()
        found = c.clock_both(once, options.repeats)
        rows.append({"length": length, **found, "peak_gb": c.peak(), "losses": losses})
    size = sum(p.numel() for p in net.parameters())
    print(json.dumps({"rows": rows, "parameters": size, "version": f"torch {torch.__version__}"}))


if __name__ == "__main__":
    main()
