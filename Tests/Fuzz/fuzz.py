"""Runs the fuzzer on every target and prints a table: python3 Tests/Fuzz/fuzz.py --help

Inputs that end in a finding are kept in --findings, with the command that repeats it. `--grow` adds what reached new
code to the committed corpus, as small as it can be.
"""

import argparse
import concurrent.futures
import dataclasses
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
CORPUS = ROOT / "Tests/Fuzz/Corpus"
# Bytes of the largest input; what is larger is slow to read and finds little more.
LENGTHS = {"parquet": 16_384, "catalog": 20_480, "torch": 8_192}
TEXT = {"json", "settings", "override", "records", "tokenizer", "shard-index"}


@dataclasses.dataclass
class Score:
    target: str
    runs: int
    seconds: float
    findings: list[str]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--program", default=".build-fuzz/release/Fuzz")
    parser.add_argument("--runs", type=int, default=200_000, help="executions a target (200000)")
    parser.add_argument("--seconds", type=int, default=0, help="at most, a target (no limit)")
    parser.add_argument("--only", action="append", default=[], help="a target (repeatable)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--findings", default=".build-fuzz/findings")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--grow", action="store_true", help="add what was found to the corpus")
    options = parser.parse_args()

    options.program = str(pathlib.Path(options.program).resolve())
    known = subprocess.run([options.program, "--list"], cwd=ROOT, capture_output=True, text=True,
                           check=True).stdout.split()
    if unknown := set(options.only) - set(known):
        parser.error(f"there is no target {', '.join(sorted(unknown))}; known are {', '.join(known)}")
    targets = options.only or known
    print(f"{'target':<20}{'executions':>12}{'seconds':>9}{'findings':>10}", flush=True)
    with concurrent.futures.ThreadPoolExecutor(options.workers) as pool:
        scores = list(pool.map(lambda target: fuzz(target, options), targets))
    print(row("together", sum(s.runs for s in scores), sum(s.seconds for s in scores),
              sum(len(s.findings) for s in scores)))
    for score in scores:
        for path in score.findings:
            print(f"finding: {options.program} {score.target} {path}")
    return 1 if any(score.findings for score in scores) else 0


def row(name: str, runs: int, seconds: float, findings: int) -> str:
    return f"{name:<20}{runs:>12}{seconds:>9.0f}{findings:>10}"


def fuzz(target: str, options) -> Score:
    """Fuzzes a target, and prints its row of the table."""
    findings = pathlib.Path(options.findings).resolve() / target
    shutil.rmtree(findings, ignore_errors=True)
    findings.mkdir(parents=True)
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        found = pathlib.Path(folder) / "found"
        found.mkdir()
        command = [
            options.program, target, str(found), str(CORPUS / target), f"-runs={options.runs}",
            f"-seed={options.seed}", "-timeout=60", "-rss_limit_mb=3000", "-malloc_limit_mb=1500",
            f"-max_len={LENGTHS.get(target, 4_096)}", f"-artifact_prefix={findings}/",
            "-print_final_stats=1",
        ]
        if options.seconds:
            command.append(f"-max_total_time={options.seconds}")
        if target in TEXT or target.endswith("-config"):
            words = pathlib.Path(folder) / "words"
            words.write_text(dictionary(target))
            command.append(f"-dict={words}")
        result = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True,
                                text=True, errors="replace")
        if options.grow and result.returncode == 0:
            grow(target, found, options)
    runs = re.search(r"stat::number_of_executed_units: (\d+)", result.stderr)
    artifacts = sorted(str(path) for path in findings.iterdir() if is_finding(path, options))
    if result.returncode != 0 and (artifacts or not any(findings.iterdir())):
        (findings.parent / f"{target}.log").write_text(result.stderr)
        artifacts = artifacts or [str(findings.parent / f"{target}.log")]
    score = Score(target, int(runs.group(1)) if runs else 0, time.monotonic() - start, artifacts)
    print(row(target, score.runs, score.seconds, len(artifacts)), flush=True)
    return score


def is_finding(path: pathlib.Path, options) -> bool:
    """Whether what was slow takes ten seconds of the processor, too, and not only while it is busy."""
    if not path.name.startswith(("timeout-", "slow-unit-")):
        return True
    command = ["/bin/sh", "-c", 'ulimit -t 10 && exec "$0" "$@"', options.program, path.parent.name]
    try:
        result = subprocess.run([*command, str(path)], cwd=ROOT, env=environment(),
                                capture_output=True, timeout=300)
    except subprocess.TimeoutExpired:
        return True
    return result.returncode != 0


def environment():
    # The leak check takes what Swift's runtime keeps for leaks.
    return os.environ | {"ASAN_OPTIONS": "detect_leaks=0"}


def dictionary(target: str) -> str:
    """The words of the seeds: keys and names that chance would not spell."""
    words = set()
    for path in (CORPUS / target).iterdir():
        words |= set(re.findall(rb"[A-Za-z_][A-Za-z0-9_]{2,30}", path.read_bytes()))
    return "".join(f'"{word.decode()}"\n' for word in sorted(words)[:400])


def grow(target: str, found: pathlib.Path, options):
    """Adds the smallest of the found inputs that reach code which the corpus does not."""
    merged = found.parent / "merged"
    shutil.copytree(CORPUS / target, merged)
    subprocess.run([options.program, target, "-merge=1", str(merged), str(found)], cwd=ROOT,
                   env=environment(), capture_output=True, check=True)
    room = 30_000
    for path in sorted(merged.iterdir(), key=lambda p: p.stat().st_size):
        if not (CORPUS / target / path.name).exists() and path.stat().st_size <= room:
            room -= path.stat().st_size
            shutil.copy(path, CORPUS / target / path.name)


if __name__ == "__main__":
    sys.exit(main())
