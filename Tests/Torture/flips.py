"""One bit of a file of a finished workspace is inverted, its time kept: found before use, and by `spo verify`."""

import os
import pathlib

from harness import PIPELINE, Campaign, copy, differences, fingerprint

# Which stage reads a file; it is forced to.
READERS = {
    "catalog.sqlite": "shard",
    "cache.sqlite": "shard",
    "encodings.json": "shard",
    "shards/": "preference",
    "preference/model/": "spo",
    "spo/pytorch_lora_weights.safetensors": "export",
    "preference/metrics.jsonl": "report",
    "preference/evaluation.json": "report",
    "spo/metrics.jsonl": "report",
    "state/": "report",
    "export/": None,
    "report/": None,
}


class Flips(Campaign):
    name = "flips"
    share = 1.5

    def __init__(self, program, snapshots, random):
        self.program, self.snapshots, self.random = program, snapshots, random

    def trials(self):
        finished = self.snapshots.finished
        files = [
            (str(path.relative_to(finished)), reader)
            for path in sorted(finished.rglob("*")) if path.is_file() and path.stat().st_size > 0
            for prefix, reader in READERS.items()
            if str(path.relative_to(finished)).startswith(prefix)
            and not path.name.endswith(("-wal", "-shm"))
        ]
        while True:
            for file, reader in files:
                place, bit = self.random.random(), self.random.randrange(8)
                yield (f"{file} at {place:.3f}, bit {bit}",
                       lambda folder, a=(file, reader, place, bit): self.trial(folder, *a))

    def trial(self, folder, file, reader, place, bit):
        workspace = copy(self.snapshots.finished, folder / "workspace")
        flip(workspace / file, place, bit)
        if not file.startswith("state/"):
            result = self.program.run("verify", PIPELINE, "--workspace", workspace)
            if result.unsound():
                return f"verify: {result.unsound()}"
            if result.code == 0 and self.has_changed(workspace, file):
                return "verify does not find it"
        if reader is None:
            return None
        result = self.program.pipeline(workspace, "--force", reader, "--through", reader)
        if result.unsound():
            return result.unsound()
        if result.code == 0:
            differing = [
                name for name in differences(self.snapshots.states["report"], fingerprint(workspace))
                if name != file
            ]
            if differing:
                return f"was used by {reader}: {', '.join(differing[:4])} differ"
        return None

    def has_changed(self, workspace, file):
        """Whether the bit meant anything: SQLite's pages have bytes that nothing reads."""
        return file in differences(self.snapshots.states["report"], fingerprint(workspace))


def flip(path: pathlib.Path, place: float, bit: int):
    status = path.stat()
    content = bytearray(path.read_bytes())
    content[int(place * len(content))] ^= 1 << bit
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
