"""Runs the program under judgement and keeps the table of results."""

import argparse
import contextlib
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


class Failure(Exception):
    """The program did something else than it was asked."""


class Judge:
    def __init__(self, options):
        self.program = str(Path(options.program).resolve())
        self.only = options.only
        self.rows = []
        self.folder = Path(options.keep or tempfile.mkdtemp(prefix="spo-judge-"))
        self.folder.mkdir(parents=True, exist_ok=True)
        self.temporary = not options.keep

    def path(self, *parts):
        path = self.folder.joinpath(*parts)
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def run(self, *arguments, expect=0, input_bytes=None):
        """Standard output of the program; a `Failure` if it ends with another code than expected."""
        command = [self.program, *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, input=input_bytes, timeout=1800)
        if done.returncode != expect:
            message = done.stderr.decode(errors="replace").strip()
            raise Failure(f"exit code {done.returncode} instead of {expect}: {message[-300:]}")
        return done.stdout

    def refuse(self, *arguments, mentions=()):
        """The program must fail with code 1 and one line that mentions all of these."""
        done = subprocess.run([self.program, *map(str, arguments)], capture_output=True, timeout=600)
        message = done.stderr.decode(errors="replace").strip()
        if done.returncode != 1:
            raise Failure(f"exit code {done.returncode} instead of 1: {message[-300:]}")
        missing = [word for word in mentions if word not in message]
        if missing:
            raise Failure(f"the message does not mention {missing}: {message[-300:]}")

    def wanted(self, name):
        return not self.only or any(name.startswith(prefix) for prefix in self.only)

    @contextlib.contextmanager
    def case(self, name):
        """One row of the table: the body adds (measured, limit) pairs to the list it is given."""
        measured = []
        start = time.monotonic()
        failure = None
        try:
            yield measured
        except (Failure, subprocess.TimeoutExpired) as error:
            failure = str(error)
        except Exception as error:  # a fault of the judge must not hide the other rows
            failure = f"{type(error).__name__}: {error} {traceback.format_exc(limit=-1)}"
        self.add(name, measured, failure, time.monotonic() - start)

    def add(self, name, measured, failure, seconds):
        worst = max(measured, key=lambda pair: pair[0] / pair[1], default=None)
        passed = failure is None and (worst is None or worst[0] <= worst[1])
        self.rows.append((name, passed))
        figures = f"{worst[0]:9.2e} <= {worst[1]:.0e}" if worst else " " * 18
        verdict = "ok" if passed else "FAILED"
        print(f"{name:52} {figures:20} {seconds:6.1f} s  {verdict}", flush=True)
        if failure:
            print(f"    {failure}", flush=True)

    def close(self):
        failed = [name for name, passed in self.rows if not passed]
        print(f"{len(self.rows) - len(failed)} of {len(self.rows)} cases passed")
        if self.temporary and not failed:
            shutil.rmtree(self.folder)
        elif failed:
            print(f"inputs and outputs are in {self.folder}")
        return 1 if failed or not self.rows else 0


def options(description, **extra):
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--program", default=ROOT / ".build/release/spo")
    parser.add_argument("--only", action="append", metavar="PREFIX",
                        help="judge only the cases whose name begins so; may be repeated")
    parser.add_argument("--keep", metavar="DIR", help="where to leave all inputs and outputs")
    for name, settings in extra.items():
        parser.add_argument(f"--{name}", **settings)
    return parser.parse_args()


def main(description, checks, **extra):
    """Runs every check (a function of the judge and the options) and ends with an exit code."""
    chosen = options(description, **extra)
    judge = Judge(chosen)
    for check in checks:
        check(judge, chosen)
    sys.exit(judge.close())
