"""Kills runs of a pipeline and asks whether anything was lost.

    python Tests/Reference/kill.py --program .build/release/spo --kills 10 --folder /tmp/kill \
        -- run pipelines/quickstart.json5

One run is left alone. Another of the same command, in a workspace of its own, gets SIGKILL at random
moments, is started again each time, and must end with the same bytes. The moments are spread over the time
that the first run took.
"""

import argparse
import hashlib
import json
import pathlib
import random
import signal
import subprocess
import sys
import time

RESULTS = [
    "shards/*", "preference/model/*", "preference/evaluation.json", "preference/metrics.jsonl",
    "spo/pytorch_lora_weights.safetensors", "spo/metrics.jsonl", "export/**/*",
    "report/pictures/*", "report/candidates/*",
]


def content(path: pathlib.Path) -> bytes:
    if path.parent.name != "candidates":
        return path.read_bytes()
    # All but how long it took.
    return json.dumps({**json.loads(path.read_text()), "seconds": None}).encode()


def digests(workspace: pathlib.Path) -> dict[str, str]:
    files = {path for pattern in RESULTS for path in workspace.glob(pattern) if path.is_file()}
    return {
        str(path.relative_to(workspace)): hashlib.sha256(content(path)).hexdigest()
        for path in sorted(files)
    }


def run_alone(command: list[str]) -> float:
    start = time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - start


def run_killed(command: list[str], pauses: list[float]) -> int:
    """Returns how many kills found the process alive."""
    kills = 0
    for pause in pauses:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            process.wait(timeout=pause)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            kills += 1
        process.wait()
        print(f"killed after {pause:.1f} s" if process.returncode < 0 else "ended by itself",
              flush=True)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return kills


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--program", default=".build/release/spo")
    parser.add_argument("--folder", required=True, help="for the workspaces")
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--reference", help="the workspace of a run left alone, if there is one")
    parser.add_argument("--seconds", type=float, help="how long that run took")
    parser.add_argument("command", nargs="+")
    options = parser.parse_args()

    folder = pathlib.Path(options.folder)
    command = [options.program, *options.command]
    reference = pathlib.Path(options.reference or folder / "alone")
    seconds = options.seconds
    if options.reference is None:
        seconds = run_alone([*command, "--workspace", str(reference)])
    print(f"left alone: {seconds:.1f} s", flush=True)

    # Work since the last record is done again: later kills come after shorter pauses in sum.
    stream = random.Random(options.seed)
    moments = sorted(stream.uniform(0, seconds) for _ in range(options.kills))
    pauses = [b - a for a, b in zip([0.0, *moments], moments)]
    killed = folder / "killed"
    kills = run_killed([*command, "--workspace", str(killed)], [max(0.05, p) for p in pauses])

    expected, found = digests(reference), digests(killed)
    different = [name for name in sorted(expected | found) if expected.get(name) != found.get(name)]
    print(f"{kills} kills, {len(expected)} files, {len(different)} differ")
    for name in different:
        print(f"  {name}")
    return 1 if different or not expected else 0


if __name__ == "__main__":
    sys.exit(main())
