"""10,000 parts of 10 items are merged in a minute and 200 MB: python3 Tests/Cluster/many_parts.py [PROGRAM]

The parts' files are written here, as docs in Sources/PipelineCore/Parts/PartFormat.swift say, with noise for
embeddings; everything else is the program's own.
"""

import argparse
import hashlib
import json
import os
import pathlib
import random
import resource
import sqlite3
import struct
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]


def record(kind, position, key, output):
    head = kind + struct.pack("<QQ", position, len(output)) + key
    return head + hashlib.sha256(head + output).digest()


def text(content):
    return struct.pack("<q", len(content)) + content


def write_part(path, header, number, count, items, size, noise):
    header = {**header, "part": number, "parts": count}
    encoded = json.dumps(header, separators=(",", ":")).encode()
    start = b"SPOPART1" + struct.pack("<I", len(encoded)) + encoded
    pieces, index = [start, hashlib.sha256(start).digest()], []
    offset = sum(map(len, pieces))
    for position, digest in items:
        name = hashlib.sha256(f"prompts {digest}".encode()).hexdigest()
        value = noise[position % 1000 : position % 1000 + size]
        output = struct.pack("<q", 1) + text(digest.encode()) + text(value) + struct.pack("<q", 0)
        head = record(b"item", position, hashlib.sha256(name.encode()).digest(), output)
        index.append(struct.pack("<Q", offset) + head)
        pieces += [head, output]
        offset += len(head) + len(output)
    listed = b"".join(index)
    pieces += [record(b"list", 0, bytes(32), listed), listed, struct.pack("<Q", offset), b"SPODONE1"]
    path.write_bytes(b"".join(pieces))


def run(program, *arguments, memory=None):
    """Runs the program; returns the seconds and the most resident bytes."""
    start = time.monotonic()
    process = subprocess.Popen([program, *map(str, arguments)], stdout=subprocess.PIPE, text=True)
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    if os.waitstatus_to_exitcode(status) != 0:
        sys.exit(f"{arguments}: exit code {os.waitstatus_to_exitcode(status)}")
    return time.monotonic() - start, usage.ru_maxrss * 1024, output


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program", nargs="?", default=str(ROOT / ".build/release/spo"))
    parser.add_argument("--parts", type=int, default=10_000)
    options = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        count = 10 * options.parts - 1  # and the empty prompt
        (folder / "prompts.json").write_text(json.dumps([{"caption": f"prompt {i}"} for i in range(count)]))
        pipeline = folder / "pipeline.json5"
        pipeline.write_text(json.dumps({
            "workspace": str(folder / "run"), "threads": 1, "model": str(ROOT / "Tests/Fixtures/sample/model"),
            "stages": {"ingest": {"source": str(folder / "prompts.json")}, "encode": {"size": 16, "batch": 1}},
        }))
        run(options.program, "run", pipeline, "--through", "ingest", "--quiet")
        database = sqlite3.connect(f"file:{folder}/run/catalog.sqlite?immutable=1", uri=True)
        ids = [(0, hashlib.sha256(b"").hexdigest())] + database.execute("SELECT id, sha256 FROM prompt").fetchall()
        # The program's own part, for its header and for how long an embedding is.
        wanted = 10 * count
        run(options.program, "run", pipeline, "--through", "encode", "--partition", f"2/{wanted}", "--quiet")
        (own,) = (folder / "run/parts/encode").glob("*.part")
        content = own.read_bytes()
        length = struct.unpack_from("<I", content, 8)[0]
        header = json.loads(content[12 : 12 + length])
        start = 12 + length + 32
        size = struct.unpack_from("<Q", content, start + 12)[0] - 8 - (8 + 64) - 8 - 8
        own.unlink()
        noise = random.Random(1).randbytes(size + 1000)
        for number in range(1, options.parts + 1):
            items = [(1 + i, digest) for i, digest in ids[number - 1 :: options.parts]]
            write_part(folder / f"run/parts/encode/{number}-of-{options.parts}.part", header, number,
                       options.parts, items, size, noise)
        seconds, _, output = run(options.program, "status", pipeline, "--json")
        (stage,) = [s for s in json.loads(output)["stages"] if s["stage"] == "encode"]
        assert len(stage["parts"]["done"]) == options.parts, stage["parts"]["done"][:5]
        assert stage["parts"]["items_done"] == len(ids), stage["parts"]["items_done"]
        print(f"status of {options.parts} parts: {seconds:.1f} s")
        merge, memory, _ = run(options.program, "run", pipeline, "--through", "encode", "--merge", "--quiet")
        print(f"merge of {options.parts} parts, {len(ids)} items: {merge:.1f} s, {memory / 1e6:.0f} MB")
        cache = sqlite3.connect(f"file:{folder}/run/cache.sqlite?immutable=1", uri=True)
        assert cache.execute("SELECT count(*) FROM entry").fetchone()[0] == len(ids)
        if seconds > 10 or merge > 60 or memory > 200e6:
            sys.exit("too slow, or too much memory")


if __name__ == "__main__":
    main()
