"""Writes torch.json: what torch's generators draw.

Made with torch 2.13.0 (CPU, Linux x86-64). Normal numbers are stored with nine digits, which name a float exactly.
"""

import json
import pathlib

import torch


def digits(values):
    return [float(f"{value:.9g}") for value in values.tolist()]


def normal_calls(seed, sizes):
    """Consecutive calls of randn on one generator; long tensors keep both ends."""
    generator = torch.Generator("cpu").manual_seed(seed)
    calls = []
    for size in sizes:
        values = torch.randn(size, generator=generator)
        kept = values if size <= 64 else torch.cat([values[:32], values[-32:]])
        calls.append({"count": size, "values": digits(kept)})
    return {"seed": seed, "calls": calls}


def integers(seed, bound, count):
    generator = torch.Generator("cpu").manual_seed(seed)
    values = torch.randint(0, bound, (count,), generator=generator)
    return {"seed": seed, "bound": bound, "values": values.tolist()}


def permutation(seed, count):
    generator = torch.Generator("cpu").manual_seed(seed)
    return {"seed": seed, "values": torch.randperm(count, generator=generator).tolist()}


fixture = {
    "torch": torch.__version__,
    "normal": [
        normal_calls(42, [4]),
        normal_calls(42, [16]),
        normal_calls(0, [15, 16, 3, 17, 4, 64, 1, 1000, 2, 33]),
        normal_calls(2**63 + 5, [3, 5, 1000]),
        normal_calls(2**32 - 1, [1024, 7]),
    ],
    "integers": [integers(3, 4, 8), integers(11, 1000, 40), integers(12, 2**28 - 1, 10)],
    "permutations": [permutation(3, 8), permutation(7, 1), permutation(9, 700)],
}
path = pathlib.Path(__file__).parent / "torch.json"
path.write_text(json.dumps(fixture, separators=(",", ":")) + "\n")
