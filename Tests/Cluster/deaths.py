"""Ranks that die in the middle of stage spo: python3 Tests/Cluster/deaths.py [PROGRAM]

On two ranks, with each MPI launcher that is installed, one rank is killed in its second batch:

- sampling, while it draws candidates;
- gather, between the length and the contents of the pairs that rank 1 gives to rank 0;
- update, while it computes gradients, and before rank 0 gives away the weights;
- checkpoint, before each rename of rank 0, and after the last.

All processes end within ten seconds, the launcher says so by its exit code, and the same command with three ranks goes
on to the LoRA and the log of one process. The places are found in a trace of a run that nobody disturbs (death.c).
"""

import argparse
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
LAUNCHERS = {"openmpi": (["mpirun.openmpi", "--oversubscribe"], "libmpi.so.40"),
             "mpich": (["mpirun.mpich"], "libmpich.so.12")}
# Several micro-batches of each update, so that both ranks have some.
OPTIONS = ["--through", "spo", "--set", "spo.micro_batch=1"]
COMPARED = ["spo/pytorch_lora_weights.safetensors", "spo/metrics.jsonl"]


def fail(text):
    sys.exit(f"FAILED: {text}")


def compile_library(source, target, *libraries):
    subprocess.run(["clang", "-O2", "-shared", "-fPIC", "-o", target, ROOT / "Tests" / source, *libraries], check=True)


class Bed:
    def __init__(self, program, folder):
        self.program = program
        self.folder = folder
        compile_library("Torture/shim.c", folder / "shim.so", "-ldl")
        self.environment = os.environ | {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
        self.expect_success("data", self.words("data", "--through", "preference"))
        self.fresh("alone")
        self.expect_success("one process", self.words("alone", *OPTIONS))
        self.wanted = self.results("alone")

    def words(self, name, *options):
        return [self.program, "run", "Tests/Fixtures/commands/small.json5", "--workspace", str(self.folder / name),
                *options]

    def fresh(self, name):
        """A workspace in which all is done but stage spo."""
        shutil.rmtree(self.folder / name, ignore_errors=True)
        shutil.copytree(self.folder / "data", self.folder / name)

    def results(self, name):
        return [(self.folder / name / path).read_bytes() for path in COMPARED]

    def start(self, words, environment=None):
        return subprocess.Popen(words, cwd=ROOT, env=self.environment | (environment or {}), text=True,
                                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                stderr=(self.folder / "errors").open("w"))

    def errors(self):
        return (self.folder / "errors").read_text()

    def expect_success(self, what, words):
        if (code := self.start(words).wait()) != 0:
            fail(f"{what}: exit code {code}: {self.errors()}")

    def processes(self, name):
        """Those of the ranks that work in a workspace."""
        found = []
        for folder in pathlib.Path("/proc").iterdir():
            try:
                words = (folder / "cmdline").read_bytes().split(b"\0")
                if words[0] == self.program.encode() and str(self.folder / name).encode() in words:
                    found.append(int(folder.name))
            except OSError:
                pass
        return found


class Launcher:
    def __init__(self, bed, name):
        self.bed = bed
        self.name = name
        self.command, library = LAUNCHERS[name]
        self.library = bed.folder / f"death-{name}.so"
        compile_library("Cluster/death.c", self.library, f"-l:{library}")

    def words(self, count, name, preload=()):
        return [*self.command, "-n", str(count), *(["env", *preload] if preload else []),
                *self.bed.words(name, *OPTIONS)]

    def trace(self):
        """The messages of each rank, each (kind, bytes, milliseconds of work before), and the renames of rank 0."""
        messages, calls = self.bed.folder / "messages", self.bed.folder / "calls"
        for log in [messages, calls]:
            log.unlink(missing_ok=True)
        self.bed.fresh("some")
        preload = [f"LD_PRELOAD={self.bed.folder / 'shim.so'}", f"FAULT_LOG={calls}",
                   f"SPO_MPI_LIBRARY={self.library}", f"DEATH_LOG={messages}"]
        self.bed.expect_success(f"{self.name}, nobody dies", self.words(2, "some", preload))
        if self.bed.results("some") != self.bed.wanted:
            fail(f"{self.name}, nobody dies: other bytes")
        ranks = ([], [])
        for line in messages.read_text().splitlines():
            rank, _, kind, count, milliseconds = line.split()
            ranks[int(rank)].append((kind, int(count), int(milliseconds)))
        lines = [line.split("\t") for line in calls.read_text().splitlines()]
        return ranks, [target for kind, _, target in lines if kind == "rename"]

    def places(self):
        """Each (what it is, variables of death.c or of shim.c)."""
        ranks, renames = self.trace()
        large = 1000  # numbers and digests are shorter
        gradient = [count for kind, count, _ in ranks[1] if kind == "send" and count > large][-1]
        weights = [count for kind, count, _ in ranks[1] if kind == "receive" and count > large][-1]
        for rank, messages in enumerate(ranks):
            def numbers(kind, is_wanted):
                return [n for n, (k, count, _) in enumerate(messages, 1) if k == kind and is_wanted(count)]
            giving = ["receive", "send"][rank]
            gather = numbers(giving, lambda count: count > large and count != gradient)[1]
            update = next(n for n in numbers(giving, lambda count: count == gradient) if n > gather)
            last = next(n for n in numbers(["send", "receive"][rank], lambda count: count == weights) if n > gather)
            # In front of contents goes their length, in front of that the work.
            for what, number in [("sampling", gather), ("update", update)]:
                delay = max(1, messages[number - 2][2] // 4)
                yield f"{what}, rank {rank}", self.death(rank, number - 2, delay)
            yield f"gather, rank {rank}", self.death(rank, gather, 0)
            yield f"update, rank {rank}, before the weights", self.death(rank, last, 0)
        writing = [number for number, target in enumerate(renames, 1) if "/.building/checkpoints/step-000002" in target]
        for number, action in [*((number, "KILL") for number in writing), (writing[-1], "KILLAFTER")]:
            yield (f"checkpoint, {'before' if action == 'KILL' else 'after'} rename {number - writing[0] + 1} of "
                   f"{len(writing)}",
                   [f"LD_PRELOAD={self.bed.folder / 'shim.so'}", f"FAULT=rename:{number}:{action}"])

    def death(self, rank, number, delay):
        return [f"SPO_MPI_LIBRARY={self.library}", f"DEATH={rank}:{number}:{delay}"]

    def die(self, what, variables):
        """Returns the seconds from the first death to the last."""
        self.bed.fresh("some")
        process = self.bed.start(self.words(2, "some", variables))
        pids = []
        while process.poll() is None and len(pids) < 2:
            pids = self.bed.processes("some")
            time.sleep(0.005)
        while process.poll() is None and len(self.bed.processes("some")) == 2:
            time.sleep(0.01)
        start = time.monotonic()
        while process.poll() is None or self.bed.processes("some"):
            if time.monotonic() - start > 10:
                fail(f"{what}: processes are left after ten seconds")
            time.sleep(0.01)
        seconds = time.monotonic() - start
        if process.returncode == 0:
            fail(f"{what}: nobody has died")
        if (self.bed.folder / "some" / COMPARED[0]).exists():
            fail(f"{what}: came too late")
        self.bed.expect_success(f"{what}: going on", self.words(3, "some"))
        if "spo: resuming" not in self.bed.errors():
            fail(f"{what}: began anew")
        if self.bed.results("some") != self.bed.wanted:
            fail(f"{what}: other bytes")
        return seconds, process.returncode


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", nargs="?", default=str(ROOT / ".build/release/spo"))
    options = parser.parse_args()
    installed = [name for name, (command, _) in LAUNCHERS.items() if shutil.which(command[0])]
    if not installed:
        fail("no MPI launcher is installed (openmpi-bin, mpich)")
    with tempfile.TemporaryDirectory() as folder:
        bed = Bed(str(pathlib.Path(options.program).resolve()), pathlib.Path(folder))
        for name in installed:
            launcher = Launcher(bed, name)
            for what, variables in launcher.places():
                seconds, code = launcher.die(f"{name}, {what}", variables)
                print(f"ok: {name}, {what}: exit code {code}, all gone in {seconds:.1f} s", flush=True)


if __name__ == "__main__":
    main()
