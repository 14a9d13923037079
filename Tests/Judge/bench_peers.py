"""`spo bench` beside the same work in PyTorch (bench_torch.py): one table of ours, theirs and ratio.

Usage: python Tests/Judge/bench_peers.py [--program .build/release/spo] [--only NAME]... [--rounds 3]
                                         [--repeat 5] [--threads T] [--model DIR] [--batch B]

Both read the weights of the same folder and alternate, a process each, `--rounds` times; the figures
are medians over all rounds, the ratio ours / theirs. The preference row has random weights of one
shape on both sides. Nothing else should be running.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# Name, batch, and the most runs a round: an iteration is long enough to be measured once.
ROWS = [
    ("unet", 8, 100), ("unet-lora", 8, 100), ("vae-decode", 8, 100), ("vae-encode", 8, 100),
    ("text-encoder", 4, 100), ("preference", 4, 100), ("spo-step", 4, 1)]


def measure(command):
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}: exit code {done.returncode}\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", default=ROOT / ".build/release/spo")
    parser.add_argument("--only", action="append", choices=[name for name, _, _ in ROWS])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--model", default="data/tiny-sd")
    parser.add_argument("--batch", type=int)
    options = parser.parse_args()
    print(f"{'name':14}{'batch':>6}{'ours ms':>11}{'theirs ms':>11}{'ratio':>8}{'runs':>6}"
          f"{'threads':>9}{'GFLOP/s':>9}{'ours MB':>9}{'theirs MB':>11}")
    for name, usual, most in ROWS:
        if options.only and name not in options.only:
            continue
        batch = options.batch or usual
        repeat = min(options.repeat, most)
        tail = ["--batch", str(batch), "--repeat", str(repeat),
                "--threads", str(options.threads), "--json"]
        model = ["--model", options.model]
        peer = [sys.executable, "Tests/Judge/bench_torch.py", name]
        sides = ([options.program, "bench", name, *model, *tail], [*peer, *model, *tail])
        rounds = [[measure(side) for side in sides] for _ in range(options.rounds)]
        ours, theirs = (
            statistics.median(pair[side]["median_s"] for pair in rounds) for side in (0, 1))
        flop = rounds[0][0].get("flop")
        rate = f"{flop / ours / 1e9:.1f}" if flop else "-"
        peaks = [max(pair[side]["peak_rss_mb"] for pair in rounds) for side in (0, 1)]
        print(f"{name:14}{batch:6}{ours * 1e3:11.2f}{theirs * 1e3:11.2f}{ours / theirs:8.2f}"
              f"{options.rounds * repeat:6}{options.threads:9}{rate:>9}"
              f"{peaks[0]:9.0f}{peaks[1]:11.0f}", flush=True)


if __name__ == "__main__":
    main()
