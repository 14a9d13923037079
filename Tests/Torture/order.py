"""The order of durable writing: bytes are synced before a rename, folders after it."""

import os

from harness import REPOSITORY, STAGES, Campaign


class Order(Campaign):
    """A SIGKILL does not show it, since the kernel keeps what a process wrote; a power cut would."""

    name = "order"
    share = 0.3

    def __init__(self, program, snapshots, shim):
        self.program, self.snapshots, self.shim = program, snapshots, shim

    def trials(self):
        for stage in STAGES:
            yield stage, lambda folder, s=stage: self.trial(folder, s)

    def trial(self, folder, stage):
        log = folder / "log"
        workspace = self.snapshots.start(folder, stage)
        result = self.program.pipeline(
            workspace, "--through", stage,
            environment={"LD_PRELOAD": str(self.shim), "FAULT_LOG": str(log)})
        if result.code != 0:
            return result.unsound() or result.last_line
        problems = check(log.read_text(errors="replace").splitlines(), str(workspace))
        return "; ".join(problems[:3]) or None


def check(lines, workspace):
    """Goes through the calls as they succeeded."""
    unsynced, entries, problems = set(), {}, []

    def absolute(path):
        return os.path.normpath(os.path.join(REPOSITORY, path))

    def inside(path):
        return path.startswith(workspace) and "/state/" not in path

    for line in lines:
        operation, path, other = line.split("\t")
        path = absolute(path)
        if operation in ("write", "truncate"):
            unsynced.add(path)
        elif operation == "fsync":
            unsynced.discard(path)
            entries.pop(path, None)
        elif operation == "rename":
            target = absolute(other)
            below = [p for p in unsynced if p == path or p.startswith(path + "/")]
            if inside(target) and below:
                problems.append(f"renamed to {other} before its bytes were synced")
            unsynced.difference_update(below)
            # What is renamed to a temporary name is on its way to be removed.
            if inside(target) and ".tmp." not in os.path.basename(target):
                entries.setdefault(os.path.dirname(target), []).append(other)
    for folder, names in entries.items():
        problems.append(f"folder {folder} was never synced after the rename to {names[-1]}")
    return problems
