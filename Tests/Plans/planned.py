"""Compares the memory that the program plans with what it takes, and fails where they differ by more than a tenth.

    python3 Tests/Plans/planned.py --folder /tmp/plans

Each stage of both quickstarts, as `spo doctor` plans it before the run and as the run records it (20 minutes on two
cores), and each benchmark of the bundled models, as `spo bench NAME --plan` has it. `--only benchmarks` leaves the
quickstarts out.
"""

import argparse
import json
import pathlib
import subprocess
import sys

LIMIT = 0.1
QUICKSTARTS = ["quickstart", "quickstart-dpo"]
BENCHMARKS = [
    "unet", "unet-lora", "vae-decode", "vae-encode", "text-encoder", "preference", "latent-preference", "spo-step",
    "spo-train", "convolution", "linear", "attention", "group-norm", "layer-norm", "geglu",
]


class Plans:
    def __init__(self, program: str):
        self.program = program
        self.misses = 0

    def json(self, *arguments: str) -> dict:
        output = subprocess.run([self.program, *arguments, "--json"], check=True, stdout=subprocess.PIPE).stdout
        return json.loads(output)

    def compare(self, name: str, planned: float, measured: float) -> None:
        ratio = planned / measured
        is_miss = abs(ratio - 1) > LIMIT
        self.misses += is_miss
        print(f"{name:28}{planned:10.1f}{measured:10.1f}{ratio:8.2f}{'  <<<' if is_miss else ''}", flush=True)

    def benchmarks(self) -> None:
        for name in BENCHMARKS:
            planned = self.json("bench", name, "--plan")["planned_memory_mb"]
            self.compare(f"bench {name}", planned, self.json("bench", name, "--repeat", "3")["peak_rss_mb"])

    def quickstart(self, name: str, folder: pathlib.Path) -> None:
        pipeline = [f"pipelines/{name}.json5", "--workspace", str(folder / name)]
        planned = self.json("doctor", *pipeline)["pipeline"]["stages"]
        subprocess.run([self.program, "run", *pipeline, "--quiet"], check=True, stdout=subprocess.DEVNULL)
        measured = {stage["stage"]: stage["peak_memory"] for stage in self.json("status", *pipeline)["stages"]}
        for stage in planned:
            self.compare(f"{name}: {stage['stage']}", stage["peak_memory"] / 1e6, measured[stage["stage"]] / 1e6)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--program", default=".build/release/spo")
    parser.add_argument("--folder", type=pathlib.Path, required=True, help="for the workspaces; must not exist")
    parser.add_argument("--only", choices=["benchmarks", "quickstarts"])
    options = parser.parse_args()
    options.folder.mkdir(parents=True)
    plans = Plans(options.program)
    print(f"{'MB':28}{'planned':>10}{'measured':>10}{'ratio':>8}")
    if options.only != "quickstarts":
        plans.benchmarks()
    if options.only != "benchmarks":
        for name in QUICKSTARTS:
            plans.quickstart(name, options.folder)
    if plans.misses:
        print(f"{plans.misses} differ by more than {LIMIT:.0%}")
    return 1 if plans.misses else 0


if __name__ == "__main__":
    sys.exit(main())
