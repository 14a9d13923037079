"""The n-th write, fsync, rename ... fails, is short, or is the moment of death; then the same command again."""

import os
import pathlib

from harness import STAGES, Campaign, differences, fingerprint
from kills import finish

# What may happen to which call; "+": to all later ones as well, as on a disk that stays full.
FAULTS = {
    "write": ["ENOSPC", "ENOSPC+", "EIO", "EDQUOT+", "SHORT", "TORN", "KILL"],
    "fsync": ["EIO", "EIO+", "KILL", "KILLAFTER"],
    "rename": ["EIO", "ENOSPC", "KILL", "KILLAFTER"],
    "open": ["EMFILE", "EMFILE+", "ENOSPC", "EIO"],
    "read": ["EIO", "SHORT", "EINTR"],
    "mkdir": ["ENOSPC", "EROFS", "KILLAFTER"],
    "unlink": ["EIO", "KILL", "KILLAFTER"],
    "truncate": ["EIO", "ENOSPC", "KILLAFTER"],
}
OUT_OF_SPACE = {"ENOSPC", "ENOSPC+", "EDQUOT+"}


class Faults(Campaign):
    name = "faults"
    share = 3.0

    def __init__(self, program, snapshots, random, shim, exhaustive):
        self.program, self.snapshots, self.random = program, snapshots, random
        self.shim, self.exhaustive = shim, exhaustive

    def trials(self):
        counts = {stage: self.count(stage) for stage in STAGES}
        places = [
            (stage, operation, action, number)
            for stage in STAGES
            for operation, actions in FAULTS.items()
            for action in actions
            for number in self.numbers(counts[stage].get(operation, 0))
        ]
        self.random.shuffle(places)
        for stage, operation, action, number in places:
            yield (f"{stage}, {operation} {number}, {action}",
                   lambda folder, p=(stage, operation, action, number): self.trial(folder, *p))

    def numbers(self, count):
        """All calls, or some at random, always the first and the last."""
        if self.exhaustive or count <= 8:
            return range(1, count + 1)
        return sorted({1, count} | {self.random.randint(1, count) for _ in range(6)})

    def environment(self, **fault):
        return {"LD_PRELOAD": str(self.shim)} | fault

    def count(self, stage):
        """How often the stage calls each operation."""
        folder = self.program.folder / f"count-{stage}"
        folder.mkdir()
        counts = {}
        log = folder / "log"
        workspace = self.snapshots.start(folder, stage)
        self.program.pipeline(workspace, "--through", stage,
                              environment=self.environment(FAULT_LOG=str(log)))
        for line in log.read_text(errors="replace").splitlines():
            operation = line.split("\t")[0]
            counts[operation] = counts.get(operation, 0) + 1
        return counts

    def trial(self, folder, stage, operation, action, number):
        workspace = self.snapshots.start(folder, stage)
        lasting = "+" if action.endswith("+") else ""
        fault = f"{operation}:{number}{lasting}:{action.rstrip('+')}"
        result = self.program.pipeline(workspace, "--through", stage,
                                       environment=self.environment(FAULT=fault))
        if result.code != -9 and result.unsound():
            return result.unsound()
        if result.code == 0:
            # The fault was dealt with: then everything is as it should be.
            differing = differences(self.snapshots.states[stage], fingerprint(workspace))
            if differing:
                return f"reported as done, but differs: {', '.join(differing[:4])}"
        elif action in OUT_OF_SPACE and result.code not in (5, -9) and operation == "write":
            return f"a full disk is exit code {result.code}, not 5: {result.last_line}"
        return finish(self.program, self.snapshots, workspace, stage)


def build_shim(folder: pathlib.Path) -> pathlib.Path:
    """Builds shim.c with the clang of the Swift toolchain."""
    source, library = pathlib.Path(__file__).parent / "shim.c", folder / "shim.so"
    if os.system(f"clang -O2 -shared -fPIC -o {library} {source} -ldl") != 0:
        raise SystemExit("shim.c cannot be built: clang is needed")
    return library
