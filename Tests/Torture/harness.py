"""What all campaigns share: running the program, comparing workspaces, counting trials."""

import dataclasses
import hashlib
import json
import os
import pathlib
import re
import shutil
import signal
import sqlite3
import subprocess
import tempfile
import threading
import time

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
PIPELINE = "Tests/Fixtures/commands/small.json5"
STAGES = ["ingest", "encode", "shard", "preference", "spo", "export", "report"]

# Seconds that were measured, and the date, differ from run to run.
MEASURED = re.compile(
    r'"seconds": ?(\{[^}]*\}|[-0-9.e+]+)|"seconds_per_sampling_step": [-0-9.e+]+'
    r'|<td class="number"( data-label="seconds")?>[0-9]+\.[0-9]</td>|[0-9.]+ (ms|s)\b'
    r'|[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2} UTC')


@dataclasses.dataclass
class Result:
    """How a run of the program ended."""

    code: int  # negative: a signal
    output: str
    errors: str
    timed_out: bool = False

    @property
    def last_line(self) -> str:
        lines = self.errors.strip().splitlines()
        return lines[-1][-300:] if lines else "(nothing on standard error)"

    def unsound(self) -> str | None:
        """What is wrong with the end itself: a hang, a signal, or a failure that is not stated."""
        if self.timed_out:
            return "does not end"
        if self.code < 0 or self.code in (132, 133, 134, 136, 138, 139):
            return f"signal ({self.code}): {self.last_line}"
        if self.code != 0:
            stated = [l for l in self.errors.splitlines() if l.startswith(("error:", "spo"))]
            if not stated and self.code not in (130, 143):
                return f"exit code {self.code} without a line that says why: {self.last_line}"
        return None


class Program:
    def __init__(self, path: str, folder: pathlib.Path):
        self.path = str(pathlib.Path(path).resolve())
        self.folder = folder

    def run(self, *words, limit=120, environment=None, address_space=None, kill_after=None,
            interrupt_after=None) -> Result:
        """Runs the program from the repository's root.

        address_space: kilobytes it may use; kill_after, interrupt_after: seconds until SIGKILL, SIGINT.
        """
        command = [self.path, *map(str, words)]
        if address_space is not None:
            command = ["/bin/sh", "-c", f'ulimit -v {address_space} && exec "$0" "$@"', *command]
        process = subprocess.Popen(
            command, cwd=REPOSITORY, env=os.environ | (environment or {}), text=True,
            errors="replace", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE)
        pauses = [(limit, signal.SIGKILL, True)]
        if kill_after is not None:
            pauses = [(kill_after, signal.SIGKILL, False)]
        if interrupt_after is not None:
            pauses = [(interrupt_after, signal.SIGINT, False), (60, signal.SIGKILL, True)]
        for seconds, number, is_hang in pauses:
            try:
                output, errors = process.communicate(timeout=seconds)
                return Result(process.returncode, output, errors)
            except subprocess.TimeoutExpired:
                process.send_signal(number)
        output, errors = process.communicate()
        return Result(process.returncode, output, errors, timed_out=is_hang)

    def pipeline(self, workspace, *more, pipeline=PIPELINE, **options) -> Result:
        """`spo run` of the small pipeline, or of another."""
        return self.run("run", pipeline, "--workspace", workspace, "--quiet", *more, **options)


class Snapshots:
    """The workspace of an unbroken run as it stood after each stage."""

    def __init__(self, program: Program, pipeline=PIPELINE, stages=STAGES):
        self.program, self.stages = program, stages
        self.folder = program.folder / pathlib.Path(pipeline).stem
        self.seconds: dict[str, float] = {}
        # Named like those of the trials: a report says the workspace's name.
        workspace = self.folder / "unbroken" / "workspace"
        for stage in stages:
            start = time.monotonic()
            result = program.pipeline(workspace, "--through", stage, pipeline=pipeline)
            if result.code != 0:
                raise SystemExit(f"stage {stage} fails without any fault: {result.errors}")
            self.seconds[stage] = time.monotonic() - start
            shutil.copytree(workspace, self.after(stage), symlinks=True)
        self.states = {stage: fingerprint(self.after(stage)) for stage in stages}

    def after(self, stage: str) -> pathlib.Path:
        return self.folder / f"after-{stage}"

    @property
    def finished(self) -> pathlib.Path:
        return self.after(self.stages[-1])

    def start(self, folder: pathlib.Path, stage: str) -> pathlib.Path:
        """A workspace in `folder` in which everything before `stage` is done."""
        workspace = folder / "workspace"
        index = self.stages.index(stage)
        if index > 0:
            copy(self.after(self.stages[index - 1]), workspace)
        return workspace

    def differences(self, workspace: pathlib.Path, stage: str) -> list[str]:
        """What differs from the unbroken run after `stage`; leftovers count."""
        return differences(self.states[stage], fingerprint(workspace))


def copy(source: pathlib.Path, target: pathlib.Path) -> pathlib.Path:
    """A copy that keeps times of change, on which status relies."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target, symlinks=True)
    return target


def fingerprint(workspace: pathlib.Path) -> dict[str, str]:
    """A digest by path of everything that must not depend on interruptions."""
    found = {}
    for path in sorted(p for p in workspace.rglob("*") if p.is_file()):
        name = str(path.relative_to(workspace))
        if name == "lock" or name.startswith("state/") or "tfevents" in name:
            continue
        if name.endswith(("-wal", "-shm")):
            continue
        if name.endswith(".sqlite"):
            found[name] = rows(path)
            continue
        content = path.read_bytes()
        if name.endswith((".json", ".jsonl", ".html")):
            content = MEASURED.sub("#", content.decode("utf-8", "replace")).encode()
        found[name] = hashlib.sha256(content).hexdigest()
    return found


def rows(path: pathlib.Path) -> str:
    """A digest of a database's rows, whatever their order on disk; or what is wrong with it."""
    digest = hashlib.sha256()
    try:
        connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        (state,) = connection.execute("PRAGMA integrity_check").fetchone()
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        for (table,) in sorted(tables.fetchall()):
            digest.update(table.encode())
            for row in sorted(map(repr, connection.execute(f'SELECT * FROM "{table}"'))):
                digest.update(row.encode())
        connection.close()
    except sqlite3.DatabaseError as error:
        return f"damaged: {error}"
    return f"{state} {digest.hexdigest()}"


def differences(expected: dict[str, str], found: dict[str, str]) -> list[str]:
    return sorted(k for k in expected.keys() | found.keys() if expected.get(k) != found.get(k))


class Campaign:
    """Trials of one kind. `trials` yields (label, function); a function returns what failed, or None."""

    name = ""
    share = 1.0  # of the time there is

    def trials(self):
        raise NotImplementedError

    def note(self) -> str:
        """What else the table should say, for instance how the trials ended."""
        return ""


@dataclasses.dataclass
class Score:
    name: str
    trials: int = 0
    seconds: float = 0
    note: str = ""
    failures: list[str] = dataclasses.field(default_factory=list)


def work(campaign: Campaign, seconds: float, workers: int) -> Score:
    """Runs trials, several at a time, until there are none or the time is over."""
    score, lock, start = Score(campaign.name), threading.Lock(), time.monotonic()
    source = iter(campaign.trials())

    def worker():
        while time.monotonic() - start < seconds:
            with lock:
                trial = next(source, None)
            if trial is None:
                return
            label, body = trial
            with tempfile.TemporaryDirectory(prefix="torture-") as folder:
                try:
                    failure = body(pathlib.Path(folder))
                except Exception as error:  # a driver's own fault counts: nothing was shown
                    failure = f"the driver failed: {error!r}"
            with lock:
                score.trials += 1
                if failure:
                    score.failures.append(f"{label}: {failure}")
                    print(f"  FAILED {campaign.name}: {label}: {failure}", flush=True)

    threads = [threading.Thread(target=worker) for _ in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    score.seconds = time.monotonic() - start
    score.note = campaign.note()
    return score


def table(scores: list[Score]) -> str:
    lines = [f"{'campaign':<14}{'trials':>8}{'failures':>10}{'seconds':>9}"]
    for score in scores:
        lines.append(
            f"{score.name:<14}{score.trials:>8}{len(score.failures):>10}{score.seconds:>9.0f}"
            f"  {score.note}".rstrip())
    lines.append(
        f"{'together':<14}{sum(s.trials for s in scores):>8}"
        f"{sum(len(s.failures) for s in scores):>10}{sum(s.seconds for s in scores):>9.0f}")
    return "\n".join(lines)


def read_json(path: pathlib.Path):
    return json.loads(path.read_text())
