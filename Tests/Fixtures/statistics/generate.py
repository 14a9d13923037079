"""Paired differences of scores, and what a bootstrap over prompts makes of them (numpy).

Writes bootstrap.json beside itself.
"""

import json
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
DRAWS = 20_000


def case(name, prompts, pictures, effect, spread, shared, seed, digits=4):
    """`shared` is the share of the variance that pictures of one prompt have in common."""
    source = np.random.default_rng(seed)
    common = source.normal(size=(prompts, 1)) * np.sqrt(shared)
    own = source.normal(size=(prompts, pictures)) * np.sqrt(1 - shared)
    differences = np.round(effect + spread * (common + own), digits)
    means = differences.mean(1)
    shares = ((differences > 0) + 0.5 * (differences == 0)).mean(1)
    rows = source.integers(0, prompts, (DRAWS, prompts))
    mean_draws, share_draws = means[rows].mean(1), shares[rows].mean(1)
    return {
        "name": name, "differences": differences.tolist(), "mean": means.mean(),
        "standard_error": mean_draws.std(),
        "mean_interval": np.quantile(mean_draws, [0.025, 0.975]).tolist(),
        "rate": shares.mean(), "rate_interval": np.quantile(share_draws, [0.025, 0.975]).tolist(),
    }


if __name__ == "__main__":
    cases = [
        case("one picture", 300, 1, 0.2, 1.0, 0.0, 1),
        case("four pictures", 160, 4, 0.3, 1.0, 0.5, 2),
        case("four pictures that differ", 200, 4, -0.1, 1.0, 0.0, 3),
        case("ties", 250, 2, 0.0, 0.6, 0.3, 4, digits=0),
    ]
    (HERE / "bootstrap.json").write_text(json.dumps(cases) + "\n")
