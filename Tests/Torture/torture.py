"""Runs the campaigns against the built program and prints a table: python3 Tests/Torture/torture.py --help"""

import argparse
import os
import pathlib
import random
import sys
import tempfile

from faults import Faults, build_shim
from flips import Flips
from harness import Program, Snapshots, table, work
from kills import Kills
from memory import Memory
from models import Models
from order import Order
from settings import Settings


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--program", default=".build/release/spo")
    parser.add_argument("--minutes", type=float, default=8, help="for all campaigns together (8)")
    parser.add_argument("--full", action="store_true", help="every call of the file system, for hours")
    parser.add_argument("--only", action="append", default=[], help="a campaign (repeatable)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()

    with tempfile.TemporaryDirectory(prefix="torture-") as folder:
        program = Program(options.program, pathlib.Path(folder))
        snapshots = Snapshots(program)
        shim = build_shim(program.folder)

        def stream(name):
            return random.Random(f"{options.seed} {name}")

        campaigns = [
            Kills(program, snapshots, stream("kills")),
            Faults(program, snapshots, stream("faults"), shim, options.full),
            Order(program, snapshots, shim),
            Flips(program, snapshots, stream("flips")),
            Models(program, stream("models")),
            Memory(program, snapshots, stream("memory")),
            Settings(program, snapshots, stream("settings")),
        ]
        campaigns = [c for c in campaigns if not options.only or c.name in options.only]
        if not campaigns:
            parser.error(f"there is no campaign {', '.join(options.only)}")
        total = sum(campaign.share for campaign in campaigns)
        scores = []
        for campaign in campaigns:
            seconds = options.minutes * 60 * campaign.share / total
            print(f"{campaign.name}: {seconds:.0f} s at most", flush=True)
            scores.append(work(campaign, seconds, options.workers))
    print(table(scores))
    return 1 if any(score.failures for score in scores) else 0


if __name__ == "__main__":
    sys.exit(main())
