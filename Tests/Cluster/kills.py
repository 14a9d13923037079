"""Parts that are killed at their work end with the bytes of one that nobody disturbed: python3 Tests/Cluster/kills.py

1. SIGKILL at random moments of a part that is under way: started by itself, something written, not complete.
2. Death in the middle of a write, by Tests/Torture/shim.c.
3. Two processes on one part at a time.

After each, the records of all tries are those of an undisturbed part; in the end the merge has its database and shards.
"""

import argparse
import hashlib
import json
import os
import pathlib
import random
import shutil
import signal
import sqlite3
import struct
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
HEAD = 4 + 8 + 8 + 32 + 32  # as in Sources/PipelineCore/Parts/PartFormat.swift


def records(path):
    """The whole records of a part's file, and whether it is complete: ({key: (kind, position, output)}, bool)."""
    content = path.read_bytes()
    found = {}
    if len(content) < 12:
        return found, False
    offset = 12 + struct.unpack_from("<I", content, 8)[0] + 32
    while offset + HEAD <= len(content):
        kind, position, count = struct.unpack_from("<4sQQ", content, offset)
        head, output = content[offset : offset + HEAD], content[offset + HEAD : offset + HEAD + count]
        if kind == b"list" or hashlib.sha256(head[:52] + output).digest() != head[52:]:
            break
        found[head[20:52]] = (kind, position, output)
        offset += HEAD + count
    return found, content.endswith(b"SPODONE1")


class Bed:
    def __init__(self, program, folder):
        self.program = program
        self.folder = folder
        self.library = folder / "shim.so"
        subprocess.run(["clang", "-O2", "-shared", "-fPIC", "-o", self.library, ROOT / "Tests/Torture/shim.c",
                        "-ldl"], check=True)

    def start(self, name, *words, environment=None):
        pipeline = self.folder / f"{name}.json5"
        pipeline.write_text(json.dumps({
            "workspace": str(self.folder / name), "threads": 1, "model": str(ROOT / "data/tiny-sd"),
            "stages": {"ingest": {"source": str(ROOT / "data/pickapic-sample/data/*.parquet")},
                       "encode": {"batch": 1}, "shard": {"shard_size_mb": 2}},
        }))
        return subprocess.Popen([self.program, "run", pipeline, "--quiet", *words], stderr=subprocess.PIPE,
                                env=os.environ | (environment or {}), text=True)

    def run(self, *words, **options):
        process = self.start(*words, **options)
        errors = process.communicate()[1]
        if process.returncode != 0:
            sys.exit(f"FAILED: {words}: exit code {process.returncode}: {errors}")

    def part(self, name, part, **options):
        return self.start(name, "--through", "encode", "--partition", part, **options)

    def files(self, name, part):
        index, count = part.split("/")
        return sorted((self.folder / name / "parts/encode").glob(f"{index}-of-{count}.*"))

    def size(self, name, part):
        return sum(path.stat().st_size for path in self.files(name, part))

    def digests(self, name):
        """Of all that later stages read."""
        folder = self.folder / name
        found = {}
        for database in ["catalog", "cache"]:
            with sqlite3.connect(f"file:{folder}/{database}.sqlite?immutable=1", uri=True) as connection:
                text = "\n".join(connection.iterdump())
            found[database] = hashlib.sha256(text.encode()).hexdigest()
        for path in sorted((folder / "shards").iterdir()):
            found[path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
        return found


def check(condition, text):
    if not condition:
        sys.exit(f"FAILED: {text}")


def compare(bed, name, part, expected, is_whole):
    """The records of all tries of a part against those of an undisturbed one."""
    union = {}
    for path in bed.files(name, part):
        for key, record in records(path)[0].items():
            check(union.setdefault(key, record) == record, f"{path}: differs from an earlier try")
    check(all(expected.get(key) == record for key, record in union.items()), f"part {part}: other records")
    check(not is_whole or union == expected, f"part {part}: {len(union)} of {len(expected)} records")
    return len(union)


def kill_at_random(bed, name, part, longest):
    """Kills one try while it is at work; returns whether it was."""
    before = bed.size(name, part)
    process = bed.part(name, part)
    while process.poll() is None and bed.size(name, part) == before:
        time.sleep(0.002)
    time.sleep(random.uniform(0, longest))
    process.kill()
    process.communicate()
    return process.returncode == -signal.SIGKILL and not any(records(p)[1] for p in bed.files(name, part))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", nargs="?", default=str(ROOT / ".build/release/spo"))
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--torn", type=int, default=10)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 16))
    options = parser.parse_args()
    random.seed(options.seed)
    print(f"seed {options.seed}")
    with tempfile.TemporaryDirectory() as folder:
        bed = Bed(str(pathlib.Path(options.program).resolve()), pathlib.Path(folder))
        bed.run("whole", "--through", "ingest")
        shutil.copytree(bed.folder / "whole", bed.folder / "killed")
        start = time.monotonic()
        for part in ["1/2", "2/2"]:
            check(bed.part("whole", part).wait() == 0, f"undisturbed part {part}")
        seconds = (time.monotonic() - start) / 2
        expected = {part: records(bed.files("whole", part)[0])[0] for part in ["1/2", "2/2"]}
        total = len(expected["1/2"])
        print(f"an undisturbed part: {total} items in {seconds:.1f} s")

        # All together take a part no farther than two thirds.
        longest = 2 * 0.67 * seconds / (options.kills + options.torn)
        done, moved = 0, 0
        for number in range(options.kills):
            check(kill_at_random(bed, "killed", "1/2", longest), f"try {number + 1} was not at work any more")
            now = compare(bed, "killed", "1/2", expected["1/2"], is_whole=False)
            check(now >= done, "records were lost")
            moved += now > done
            done = now
        print(f"killed {options.kills} times at work, {moved} times with new items done: {done} of {total} items")
        for number in range(options.torn):
            # The first write is the header.
            place = random.randrange(1, max(2, 2 * (total - done) // (3 * options.torn)))
            process = bed.part("killed", "1/2", environment={
                "LD_PRELOAD": str(bed.library), "FAULT": f"write:{place}:TORN"})
            process.communicate()
            check(process.returncode == -signal.SIGKILL, f"torn write {place}: exit code {process.returncode}")
            done = compare(bed, "killed", "1/2", expected["1/2"], is_whole=False)
        print(f"died {options.torn} times in the middle of a write: {done} of {total} items")
        check(bed.part("killed", "1/2").wait() == 0, "the last try")
        compare(bed, "killed", "1/2", expected["1/2"], is_whole=True)
        kept = {path: path.read_bytes() for path in bed.files("killed", "1/2")}
        check(bed.part("killed", "1/2").wait() == 0, "a part that is complete")
        check(kept == {path: path.read_bytes() for path in bed.files("killed", "1/2")}, "a complete part changed")
        print(f"the part is complete after {len(kept)} tries; its records are those of the undisturbed one")

        both = [bed.part("killed", "2/2") for _ in range(2)]
        for process in both:
            errors = process.communicate()[1]
            check(process.returncode == 0, f"one of two on a part: {process.returncode}: {errors}")
        found = [len(records(path)[0]) for path in bed.files("killed", "2/2")]
        compare(bed, "killed", "2/2", expected["2/2"], is_whole=True)
        print(f"two processes on one part: both succeed, with {found} of {len(expected['2/2'])} items")

        for name in ["whole", "killed"]:
            bed.run(name, "--through", "encode", "--merge")
            bed.run(name)
        check(bed.digests("whole") == bed.digests("killed"), "the merge is not that of undisturbed parts")
        bed.run("plain")
        check(bed.digests("plain") == bed.digests("killed"), "the merge is not what one run gives")
        print("catalog, cache and shards are those of one run")


if __name__ == "__main__":
    main()
