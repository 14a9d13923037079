"""`spo bench` beside the same work in PyTorch (bench_torch.py), in OpenVINO where it is installed
(bench_openvino.py) and of files (bench_files.py): one table of ours, theirs, ratio and goal.

Usage: python Tests/Reference/bench_peers.py [--program .build/release/spo] [--only PREFIX]... [--rounds 3]
                                         [--threads T] [--model DIR] [--preference DIR] [--json FILE]

Rows: `tiny ...` on data/tiny-sd, `operator ...` at the sizes of Stable Diffusion v1's U-Net, files and
start-up; with `--model`, a folder of Stable Diffusion v1.5, also `full ...`. Every figure comes from a
process of its own; in each round a large GEMM, ours and theirs take turns. Both read the same weights
and work on the same inputs, which ours writes in the first round, and outputs that differ by more than
1e-3 end the run. Times are medians over the rounds, memory the largest peak (theirs without loading).
Nothing else should be running.
"""

import argparse
import dataclasses
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LARGEST_ERROR = 1e-3


@dataclasses.dataclass
class Row:
    name: str  # its set, a space, and what `spo bench` calls it
    batch: int
    goal: float | None = None  # of ours / theirs
    of_gemm: float | None = None  # at least this share of the GEMM's rate
    memory: float | None = None  # of ours / theirs
    runs: int = 50  # at most, in each round
    seconds: float = 1  # after which only a second run begins
    peer: str = "PyTorch"

    @property
    def bench(self):
        return self.name.split()[1]


TINY = [
    Row("tiny unet", 8, 0.3), Row("tiny unet-lora", 8, 0.3), Row("tiny vae-decode", 8),
    Row("tiny vae-encode", 8), Row("tiny text-encoder", 4), Row("tiny preference", 4),
    Row("tiny spo-step", 4, 0.2, runs=1)]
OPERATORS = [
    Row("operator convolution", 2, 0.4), Row("operator linear", 2, 0.8),
    Row("operator attention", 2, 0.75), Row("operator group-norm", 2, 0.8),
    Row("operator layer-norm", 2, 0.8), Row("operator geglu", 2, 0.8)]
FULL = [
    Row("full unet", 2, 0.6, of_gemm=1 / 0.85, memory=0.7, runs=1),
    Row("full unet-lora", 2, 0.6, memory=0.7, runs=1), Row("full vae-decode", 1, 0.4, runs=1),
    Row("full vae-encode", 1, 0.4, runs=1), Row("full text-encoder", 4, 0.8, runs=3),
    Row("full preference", 4, 0.8, runs=1),
    Row("full unet beside OpenVINO", 2, 0.7, runs=1, peer="OpenVINO")]
# Winograd does not pay there, and none is asked for.
WITHOUT_GOAL = {("operator convolution", "1280>1280 at 8x8")}

COLUMNS = [
    ("", 44), ("batch", 6), ("ours ms", 10), ("theirs ms", 10), ("ratio", 7), ("goal", 7),
    ("runs", 5), ("threads", 8), ("GFLOP/s", 8), ("of GEMM", 8), ("MB", 7), ("theirs", 7),
    ("error", 9)]


class Table:
    """Prints rows as they come and keeps them."""

    def __init__(self):
        self.rows = []
        print("".join(f"{name:<{width}}" if not name else f"{name:>{width}}"
                      for name, width in COLUMNS), flush=True)

    def add(self, name, ours_s, theirs_s=None, goal=None, batch=None, runs=None, threads=None,
            gflop_s=None, of_gemm=None, megabytes=(None, None), error=None, missed=(), note=""):
        ratio = ours_s / theirs_s if theirs_s else None
        missed = list(missed)
        if ratio and isinstance(goal, float) and ratio > goal:
            missed.insert(0, f"by {ratio / goal - 1:.0%}")
        cells = [
            name, batch, milliseconds(ours_s), milliseconds(theirs_s),
            ratio and f"{ratio:.3f}", f"{goal:g}" if isinstance(goal, float) else goal, runs,
            threads, gflop_s and f"{gflop_s:.1f}", of_gemm and f"{of_gemm:.0%}",
            *(size and f"{size:.0f}" for size in megabytes), error and f"{error:.0e}"]
        print("".join(
            f"{'-' if cell is None else cell:{'<' if place == 0 else '>'}{width}}"
            for place, (cell, (_, width)) in enumerate(zip(cells, COLUMNS)))
            + (f"  missed {', '.join(missed)}" if missed else "") + (f"  {note}" if note else ""),
            flush=True)
        self.rows.append({
            "name": name, "batch": batch, "ours_s": ours_s, "theirs_s": theirs_s, "ratio": ratio,
            "goal": goal, "missed": missed, "runs": runs, "threads": threads, "gflop_s": gflop_s,
            "of_gemm": of_gemm, "ours_mb": megabytes[0], "theirs_mb": megabytes[1], "error": error,
            "note": note})


def milliseconds(seconds):
    if seconds is None:
        return None
    return f"{seconds * 1e3:.2f}" if seconds < 10 else f"{seconds * 1e3:.0f}"


def measure(command):
    done = subprocess.run(
        list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}: exit code {done.returncode}\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def cases(result):
    """What both sides measured of each size; most benchmarks have one."""
    return result.get("cases", [result])


class Peers:
    def __init__(self, options, table, folder):
        self.options, self.table, self.folder = options, table, Path(folder)
        self.threads = ["--threads", options.threads]

    def gemm(self):
        """Floating-point operations a second of a large product of matrices."""
        result = measure(
            [self.options.program, "bench", "gemm", "--repeat", 2, *self.threads, "--json"])
        return result["flop"] / result["min_s"]

    def model(self, row):
        """Arguments for both sides."""
        kind = row.name.split()[0]
        if kind == "operator":
            return []
        arguments = ["--model", self.options.model if kind == "full" else "data/tiny-sd"]
        if row.bench not in ("preference", "spo-step"):
            return arguments
        return [*arguments, "--preference",
                self.options.preference if kind == "full" else self.tiny_preference()]

    def tiny_preference(self):
        """A random preference model that suits the embedded model."""
        folder = self.folder / "preference"
        if not folder.exists():
            code = ("import sys; sys.path.insert(0, 'Tests/Reference'); import bench_torch as b; "
                    "b.ref.save_preference(b.Models('tiny', None).preference(), sys.argv[1])")
            subprocess.run([sys.executable, "-c", code, folder], cwd=ROOT, check=True,
                           capture_output=True)
        return folder

    def compare(self, row):
        saved = self.folder / "saved.safetensors"
        often = ["--batch", row.batch, "--repeat", row.runs, "--seconds", row.seconds]
        model = self.model(row)
        ours = [self.options.program, "bench", row.bench, *model, *often, *self.threads, "--json"]
        theirs = [sys.executable, "Tests/Reference/bench_torch.py", row.bench, *model, *often]
        if row.peer == "OpenVINO":
            script, converted = "Tests/Reference/bench_openvino.py", self.folder / "openvino"
            converted.mkdir()
            convert = [sys.executable, script, "convert", *model, "--folder", converted]
            theirs = [sys.executable, script, "time", "--folder", converted, *often[2:]]
        rounds = []
        for number in range(self.options.rounds):
            gemm = self.gemm()
            # The first round's writing is not measured, but counts in its peak of memory.
            first = measure([*ours, "--save", saved] if number == 0 else ours)
            if number == 0 and row.peer == "OpenVINO":
                measure([*convert, "--inputs", saved])
            rounds.append((gemm, first, measure([*theirs, *self.threads, "--inputs", saved])))
        saved.unlink()
        for number in range(len(cases(rounds[0][1]))):
            self.report(row, rounds, number)

    def report(self, row, rounds, number):
        ours, theirs = (
            [cases(result[side])[number] for result in rounds] for side in (1, 2))
        size = ours[0].get("size", "")
        name = f"{row.name} {size}".strip()
        seconds, beside = (
            statistics.median(case["median_s"] for case in side) for side in (ours, theirs))
        error, from_torch = (
            max((case[kind] for case in theirs if kind in case), default=None)
            for kind in ("max_error", "torch_error"))
        for found in (error, from_torch):
            if found is not None and not found <= LARGEST_ERROR:
                sys.exit(f"{name}: outputs differ by {found:.1e} of the largest")
        flop = ours[0].get("flop")
        shares = [flop / case["median_s"] / result[0] for case, result in zip(ours, rounds) if flop]
        share = statistics.median(shares) if shares else None
        megabytes = (None, None)
        if row.name.split()[0] != "operator":
            quiet = rounds[1:] or rounds
            megabytes = tuple(
                max(result[side]["peak_rss_mb"] for result in quiet) for side in (1, 2))
        missed = []
        if row.of_gemm and share < row.of_gemm:
            missed.append(f"rate by {1 - share / row.of_gemm:.0%}")
        if row.memory and megabytes[0] / megabytes[1] > row.memory:
            missed.append(f"memory by {megabytes[0] / megabytes[1] / row.memory - 1:.0%}")
        self.table.add(
            name, seconds, beside, None if (row.name, size) in WITHOUT_GOAL else row.goal,
            batch=row.batch, runs=sum(case["runs"] for case in ours),
            threads=self.options.threads, gflop_s=flop and flop / seconds / 1e9, of_gemm=share,
            megabytes=megabytes, error=error, missed=missed,
            note="" if from_torch is None else f"{row.peer} beside PyTorch: {from_torch:.0e}")


def add_files(table, options, folder):
    """What bench_files.py measures."""
    try:
        import bench_files
    except ImportError:
        return
    for row in bench_files.rows(str(options.program), str(folder)):
        goal = row["goal"]
        table.add(row["name"], row["ours_s"], row["theirs_s"],
                  float(goal) if isinstance(goal, (int, float)) else goal, note=row["note"])


def add_nothing_to_do(table, options):
    """A second `make spo`, if there was a first one."""
    done = subprocess.run(
        [options.program, "status", "pipelines/quickstart.json5", "--json"], cwd=ROOT, check=True,
        capture_output=True)
    if any(stage["state"] != "done" for stage in json.loads(done.stdout)["stages"]):
        print("make spo, nothing to do: run `make spo` before to have it measured")
        return
    seconds = []
    for _ in range(options.rounds):
        start = time.perf_counter()
        subprocess.run(["make", "spo"], cwd=ROOT, check=True, capture_output=True)
        seconds.append(time.perf_counter() - start)
    median = statistics.median(seconds)
    table.add("make spo, nothing to do", median, goal="2 s", runs=len(seconds),
              missed=[f"by {median / 2 - 1:.0%}"] if median > 2 else [])


def has_openvino():
    try:
        import openvino
    except ImportError:
        return False
    return True


def processor():
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()


def describe(program):
    """The processor, and how wide the registers are for which either side computes."""
    report = json.loads(subprocess.run([program, "doctor", "--json"], check=False,
                                       stdout=subprocess.PIPE, text=True).stdout)
    theirs = subprocess.run(
        [sys.executable, "-c",
         "import torch; print(torch.__version__, torch.backends.cpu.get_cpu_capability())"],
        check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
    built = report["machine"]["built_for"].split()
    lanes = next((n for name, n in [("avx512f", 16), ("avx", 8), ("neon", 4)] if name in built), 4)
    return {"processor": processor(), "ours": f"registers of {lanes} floats ({' '.join(built)})",
            "theirs": f"PyTorch {theirs}"}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", type=Path, default=ROOT / ".build/release/spo")
    parser.add_argument("--only", action="append", metavar="PREFIX",
                        help="only rows whose name begins so; may be repeated")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--model", metavar="DIR")
    parser.add_argument("--preference", metavar="DIR")
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()

    def wanted(name):
        return not options.only or any(name.startswith(prefix) for prefix in options.only)

    machine = describe(options.program)
    print("; ".join(f"{key}: {value}" for key, value in machine.items()), flush=True)
    table = Table()
    folder = Path(tempfile.mkdtemp(prefix="spo-bench-"))
    try:
        peers = Peers(options, table, folder)
        full = [row for row in FULL if options.model and (
            options.preference or row.bench != "preference")]
        for row in TINY + OPERATORS + full:
            if wanted(row.name):
                if row.peer == "OpenVINO" and not has_openvino():
                    print("OpenVINO: not installed", flush=True)
                else:
                    peers.compare(row)
        if wanted("files"):
            add_files(table, options, folder)
        if wanted("make spo"):
            add_nothing_to_do(table, options)
    finally:
        shutil.rmtree(folder)
    if options.json:
        Path(options.json).write_text(json.dumps({
            "date": time.strftime("%Y-%m-%d"), **machine,
            "threads": options.threads, "rows": table.rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
