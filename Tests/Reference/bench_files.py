"""Reading files beside what a user would otherwise run: one table of ours, theirs and ratio.

Usage: python Tests/Reference/bench_files.py [--program .build/release/spo] [--folder DIR] [--rounds 5]
                                         [--only ROW]... [--growth]

Rows: ingest (pyarrow, sqlite3, hashlib), jpeg (libjpeg-turbo through Pillow, one thread), shards
(numpy with safetensors; a webdataset tar), start-up. The inputs are made in DIR if they are not
there (1 GB). Ours and theirs alternate; the figures are medians over the rounds.

`--growth` measures time per item instead: catalogs of 1,000 to 1,000,000 rows, 10 to 10,000 shards
(2 GB more, ten minutes).
"""

import argparse
import hashlib
import io
import json
import os
import shutil
import sqlite3
import statistics
import struct
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]


def bench(spo, name, *arguments):
    """The median of one measured run of `spo bench`, after one that warms up."""
    command = [str(spo), "bench", name, *map(str, arguments), "--repeat", "1", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    if done.returncode:
        sys.exit(f"{' '.join(command)}: exit code {done.returncode}\n{done.stderr}")
    return json.loads(done.stdout)["median_s"]


def timed(work):
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def alternate(ours, theirs, rounds):
    """Medians of both sides, which take turns; each gives its seconds."""
    pairs = [(ours(), theirs()) for _ in range(rounds)]
    return tuple(statistics.median(pair[side] for pair in pairs) for side in (0, 1))


def made(folder, name, make):
    """The path of an input, made under another name and renamed when it is whole."""
    path = Path(folder) / name
    if not path.exists():
        partial = Path(folder) / f"{name}.partial"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        make(partial)
        partial.rename(path)
    return path


# ---------------------------------------------------------------------------------------------
# Pictures

SIZES = [(512, 512), (768, 768), (1024, 1024), (512, 768), (768, 512), (640, 960)]
ENCODINGS = [
    dict(quality=quality, subsampling=subsampling, progressive=progressive)
    for quality in (75, 90, 95) for subsampling in ("4:2:0", "4:2:2", "4:4:4")
    for progressive in (False, True)]


def photo(noise, width, height):
    """A picture with the spectrum of photographs (amplitude ~ 1 / frequency) and a few edges."""
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])
    frequency[0, 0] = 1
    planes = []
    for strength in (1.0, 0.5, 0.5):
        spectrum = noise.normal(size=(2, *frequency.shape))
        plane = np.fft.irfft2((spectrum[0] + 1j * spectrum[1]) / frequency ** 1.2, (height, width))
        planes.append(plane / plane.std() * 45 * strength)
    luma, first, second = planes
    y, x = np.mgrid[0:height, 0:width]
    for _ in range(6):
        a, b, c, step = noise.normal(size=4)
        luma = luma + 25 * step * (a * (x - width / 2) + b * (y - height / 2) > 80 * c)
    channels = np.stack([luma + first, luma - first / 2 - second / 2, luma + second], axis=-1)
    return np.clip(channels + 128, 0, 255).astype(np.uint8)


def write_pictures(folder):
    from PIL import Image
    noise = np.random.default_rng(1)
    for index, encoding in enumerate(ENCODINGS * 2):
        image = Image.fromarray(photo(noise, *SIZES[index % len(SIZES)]))
        kind = "progressive" if encoding["progressive"] else "baseline"
        sampling = encoding["subsampling"].replace(":", "")
        name = f"{index:02}-{kind}-{sampling}-q{encoding['quality']}.jpg"
        image.save(folder / name, **encoding)


def jpeg_rows(spo, folder, rounds):
    from PIL import Image
    pictures = sorted(made(folder, "pictures", write_pictures).glob("*.jpg"))

    def theirs(paths):
        files = [path.read_bytes() for path in paths]

        def decode():
            for content in files:
                Image.open(io.BytesIO(content)).convert("RGB").load()

        decode()
        return lambda: timed(decode)

    rows = []
    for kind in ("", "baseline-420", "baseline-422", "baseline-444",
                 "progressive-420", "progressive-422", "progressive-444"):
        chosen = [path for path in pictures if kind in path.name]
        seconds = alternate(
            lambda: bench(spo, "jpeg", *chosen, "--threads", 1), theirs(chosen), rounds)
        size = sum(path.stat().st_size for path in chosen)
        rows.append(row(f"jpeg {kind}".strip(), seconds, 1.0,
                        f"{len(chosen)} pictures, {size >> 20} MB, one thread, Pillow"))
    return rows


# ---------------------------------------------------------------------------------------------
# Ingest

CAPTIONS = ("portrait of a", "oil painting, a", "photo of the", "cinematic shot of one",
            "isometric", "watercolour sketch of a quiet")


def random_uid(noise):
    text = noise.bytes(16).hex()
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


def comparisons(noise, count, first, picture=None):
    """`count` rows of the published schema: four a prompt, three images a pair of rows."""
    rows = {}
    images = []
    for row in range(count):
        if row % 2 == 0:
            images = [random_uid(noise) for _ in range(3)]
        pair = images[row % 2:row % 2 + 2]
        label = int(noise.integers(3)) / 2
        group = (first + row) // 4
        values = {
            "are_different": True, "best_image_uid": pair[0],
            "caption": f"{CAPTIONS[group % 6]} subject {group * 2_654_435_761 % (1 << 32):x}, "
                       "highly detailed, trending on artstation",
            "created_at": 1_680_000_000_000_000_000 + first + row, "has_label": True,
            "image_0_uid": pair[0], "image_0_url": f"https://example.org/{pair[0]}.png",
            "image_1_uid": pair[1], "image_1_url": f"https://example.org/{pair[1]}.png",
            "label_0": label, "label_1": 1 - label, "model_0": "stable-diffusion-xl",
            "model_1": "dreamlike-photoreal-2.0", "num_example_per_prompt": 4,
            "ranking_id": first + row, "user_id": int(noise.integers(5000)),
        }
        if picture:
            values["jpg_0"], values["jpg_1"] = picture(pair[0]), picture(pair[1])
        for name, value in values.items():
            rows.setdefault(name, []).append(value)
    return rows


def write_comparisons(pictures):
    """1,000 rows in row groups of 100: each image one of the pictures with a comment of its own."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    contents = [path.read_bytes() for path in pictures]

    def picture(uid):
        content = contents[int(uid[:8], 16) % len(contents)]
        comment = uid.encode()
        return (content[:2] + b"\xff\xfe" + struct.pack(">H", len(comment) + 2) + comment
                + content[2:])

    def write(folder):
        noise = np.random.default_rng(2)
        for part in range(2):
            path = folder / f"train-{part:05}-of-00002.parquet"
            table = pa.table(comparisons(noise, 500, 500 * part, picture))
            pq.write_table(table, path, row_group_size=100)

    return write


TABLES = """
CREATE TABLE source (id INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE, row_count INTEGER NOT NULL);
CREATE TABLE prompt (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE, sha256 TEXT NOT NULL);
CREATE TABLE image (
  id INTEGER PRIMARY KEY, uid TEXT NOT NULL UNIQUE, sha256 TEXT, byte_count INTEGER, width INTEGER,
  height INTEGER, source_id INTEGER, row_group INTEGER, row INTEGER, column_name TEXT);
CREATE TABLE pair (
  id INTEGER PRIMARY KEY, prompt_id INTEGER NOT NULL REFERENCES prompt (id),
  image_0_id INTEGER NOT NULL REFERENCES image (id),
  image_1_id INTEGER NOT NULL REFERENCES image (id), label_0 REAL NOT NULL, label_1 REAL NOT NULL,
  weight REAL NOT NULL, split TEXT NOT NULL, source_id INTEGER NOT NULL REFERENCES source (id),
  row_group INTEGER NOT NULL, row INTEGER NOT NULL, best_image_uid TEXT, ranking_id INTEGER,
  user_id INTEGER, model_0 TEXT, model_1 TEXT, created_at TEXT, image_0_url TEXT, image_1_url TEXT,
  UNIQUE (source_id, row));
CREATE INDEX pair_by_prompt ON pair (prompt_id, split);
CREATE INDEX pair_by_image_0 ON pair (image_0_id);
CREATE INDEX pair_by_image_1 ON pair (image_1_id);
"""


def ingest_in_python(files, path, decodes=False):
    """The same tables by pyarrow, hashlib and sqlite3: a transaction a row group, as ours."""
    import pyarrow.parquet as pq
    from PIL import Image
    Path(path).unlink(missing_ok=True)
    connection = sqlite3.connect(path, isolation_level=None)
    connection.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;" + TABLES)
    prompts, images = {}, {}
    for source, file in enumerate(files):
        reader = pq.ParquetFile(file)
        connection.execute("INSERT INTO source VALUES (?, ?, ?)",
                           (source, str(file), reader.metadata.num_rows))
        row = 0
        for group in range(reader.num_row_groups):
            for batch in reader.iter_batches(batch_size=100, row_groups=[group]):
                new_prompts, new_images, pairs = [], [], []
                for values in batch.to_pylist():
                    text = values["caption"]
                    if text not in prompts:
                        prompts[text] = len(prompts) + 1
                        digest = hashlib.sha256(text.encode()).hexdigest()
                        new_prompts.append((prompts[text], text, digest))
                    for column, uid in (("jpg_0", "image_0_uid"), ("jpg_1", "image_1_uid")):
                        content = values[column]
                        digest = hashlib.sha256(content).hexdigest()
                        if values[uid] in images:
                            assert images[values[uid]][1] == digest
                            continue
                        picture = Image.open(io.BytesIO(content))
                        width, height = picture.size
                        if decodes:
                            picture.load()
                        images[values[uid]] = (len(images) + 1, digest)
                        new_images.append((
                            len(images), values[uid], digest, len(content), width, height, source,
                            group, row, column))
                    pairs.append((
                        prompts[text], images[values["image_0_uid"]][0],
                        images[values["image_1_uid"]][0], values["label_0"], values["label_1"],
                        1 / values["num_example_per_prompt"], "train", source, group, row,
                        values["best_image_uid"], values["ranking_id"], values["user_id"],
                        values["model_0"], values["model_1"], str(values["created_at"]),
                        values["image_0_url"], values["image_1_url"]))
                    row += 1
                connection.execute("BEGIN IMMEDIATE")
                connection.executemany("INSERT INTO prompt VALUES (?, ?, ?)", new_prompts)
                connection.executemany(
                    f"INSERT INTO image VALUES ({', '.join('?' * 10)})", new_images)
                connection.executemany(
                    f"INSERT INTO pair VALUES (NULL, {', '.join('?' * 18)})", pairs)
                connection.execute("COMMIT")
    connection.close()


def ingest_rows(spo, folder, rounds):
    pictures = sorted(made(folder, "pictures", write_pictures).glob("*.jpg"))
    files = sorted(made(folder, "comparisons", write_comparisons(pictures)).glob("*.parquet"))
    catalog, workspace = Path(folder) / "theirs.sqlite", Path(folder) / "ingest-workspace"
    pipeline = Path(folder) / "ingest.json5"
    pipeline.write_text(json.dumps({
        "workspace": str(workspace),
        "stages": {"ingest": {"source": [str(file) for file in files]}}}))

    def theirs(decodes=False):
        return timed(lambda: ingest_in_python(files, catalog, decodes))

    def ours_decoding():
        shutil.rmtree(workspace, ignore_errors=True)
        return timed(lambda: subprocess.run(
            [str(spo), "run", str(pipeline), "--quiet"], check=True))

    theirs()
    size = sum(file.stat().st_size for file in files)
    note = f"1,000 rows, {size >> 20} MB, every image hashed"
    seconds = alternate(lambda: bench(spo, "parquet", *files), theirs, rounds)
    rows = [row("ingest", seconds, 0.7, f"{note}; pyarrow + sqlite3 + hashlib")]
    # What stage `ingest` does unless told otherwise; the other side finds damaged images as well.
    seconds = alternate(ours_decoding, lambda: theirs(decodes=True), max(1, rounds // 5))
    rows.append(row("ingest, images read", seconds, 0.7, f"{note} and read through; + Pillow"))
    return rows


# ---------------------------------------------------------------------------------------------
# Shards

def write_shards(shard_count, prompts, latent, tokens, width):
    """A folder of shards as stage `shard` writes it: four images and three pairs a prompt."""
    from safetensors.numpy import save_file

    def write(folder):
        noise = np.random.default_rng(3)
        entries = []
        latents = noise.standard_normal((4 * prompts, *latent)).astype(np.float16)
        embeddings = noise.standard_normal((prompts, tokens, width)).astype(np.float16)
        pair_prompt = np.repeat(np.arange(prompts, dtype=np.int64), 3)
        pair_image = 4 * pair_prompt + np.tile(np.arange(3, dtype=np.int64), prompts)
        for shard in range(shard_count):
            name = f"train-{shard:05}-of-{shard_count:05}.safetensors"
            text = np.frombuffer(b"a prompt" * prompts, np.uint8)
            latents[0, 0, 0, 0] = shard % 1000
            tensors = {
                "latents": latents, "prompt_embeddings": embeddings,
                "empty_embedding": embeddings[:1],
                "input_ids": np.zeros((prompts, tokens), np.int64),
                "prompt_text_offsets": np.arange(0, 8 * prompts + 1, 8, dtype=np.int64),
                "prompt_text": text, "prompt_is_listed": np.zeros(prompts, np.uint8),
                "pair_prompt": pair_prompt, "pair_image_0": pair_image,
                "pair_image_1": pair_image + 1,
                "labels": np.tile(np.array([[1, 0]], np.float32), (3 * prompts, 1)),
                "examples_per_prompt": np.full(3 * prompts, 3, np.float32)}
            save_file(tensors, folder / name)
            content = (folder / name).read_bytes()
            entries.append({
                "file": name, "split": "train", "prompts": prompts, "images": 4 * prompts,
                "pairs": 3 * prompts, "bytes": len(content),
                "sha256": hashlib.sha256(content).hexdigest()})
        index = {
            "format": "spo-shards", "version": 1, "prompts": prompts * shard_count,
            "images": 4 * prompts * shard_count, "pairs": 3 * prompts * shard_count,
            "latents": {"shape": list(latent), "scaling_factor": 0.18215,
                        "has_log_variance": False},
            "text": {"tokens": tokens, "width": width}, "fingerprints": {}, "settings": {},
            "shards": entries}
        (folder / "index.json").write_text(json.dumps(index))

    return write


class SafetensorsShards:
    """Pairs by number, through open files of the safetensors library."""

    def __init__(self, folder):
        from safetensors import safe_open
        index = json.loads((Path(folder) / "index.json").read_text())
        self.places, self.slices = [], []
        for entry in index["shards"]:
            file = safe_open(Path(folder) / entry["file"], framework="numpy")
            columns = [file.get_tensor(name) for name in
                       ("pair_prompt", "pair_image_0", "pair_image_1")]
            self.places += [(len(self.slices), *pair) for pair in np.stack(columns, 1).tolist()]
            self.slices.append(
                (file.get_slice("latents"), file.get_slice("prompt_embeddings")))

    def __len__(self):
        return len(self.places)

    def __getitem__(self, number):
        shard, prompt, first, second = self.places[number]
        latents, embeddings = self.slices[shard]
        return tuple(values.astype(np.float32) for values in (
            latents[first], latents[second], embeddings[prompt]))


def write_tar(shards):
    """One sample a pair, three arrays each, as webdataset keeps them."""

    def write(folder):
        samples = SafetensorsShards(shards)
        with tarfile.open(folder / "train.tar", "w") as tar:
            for number in range(min(len(samples), 1000)):
                sample = samples[number]
                for name, values in zip(("latent_0", "latent_1", "embedding"), sample):
                    content = io.BytesIO()
                    np.save(content, values.astype(np.float16))
                    member = tarfile.TarInfo(f"{number:06}.{name}.npy")
                    member.size = content.tell()
                    content.seek(0)
                    tar.addfile(member, content)

    return write


def sample_of_tar(path, number):
    """A sample by its number: a tar has no index, so it is read from the beginning."""
    wanted = f"{number:06}."
    arrays = []
    with tarfile.open(path, "r") as tar:
        for member in tar:
            if member.name.startswith(wanted):
                content = io.BytesIO(tar.extractfile(member).read())
                arrays.append(np.load(content).astype(np.float32))
                if len(arrays) == 3:
                    return arrays
    raise KeyError(number)


def shard_rows(spo, folder, rounds):
    shards = made(folder, "shards", write_shards(10, 100, (4, 64, 64), 77, 768))
    tar = made(folder, "tar", write_tar(shards)) / "train.tar"
    samples = SafetensorsShards(shards)
    noise = np.random.default_rng(4)

    def epoch():
        for number in noise.permutation(len(samples)).tolist():
            samples[number]

    epoch()
    ours = lambda: bench(spo, "shard", shards)
    seconds = alternate(ours, lambda: timed(epoch), rounds)
    note = f"{len(samples)} pairs of 64 x 64 latents and 77 x 768 embeddings, to single precision"
    rows = [row("shards", seconds, 0.8, f"{note}; numpy + safetensors")]

    draws = 20

    def scans():
        for number in noise.integers(1000, size=draws).tolist():
            sample_of_tar(tar, number)

    seconds = alternate(
        lambda: ours() * 1000 / len(samples), lambda: timed(scans) * 1000 / draws, rounds)
    rows.append(row("shards, tar", seconds, 0.05,
                    f"1,000 pairs; webdataset's tar, read from its beginning ({draws} drawn)"))
    return rows


# ---------------------------------------------------------------------------------------------
# Start-up

def start_rows(spo, folder, rounds):
    def start():
        subprocess.run([str(spo), "--help"], capture_output=True, check=True)

    seconds = statistics.median(timed(start) for _ in range(4 * rounds))
    return [dict(name="spo --help", ours_s=seconds, theirs_s=None, goal="50 ms", note="")]


# ---------------------------------------------------------------------------------------------
# Growth

def growth(spo, folder):
    """Seconds an item, at several sizes."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    def write_rows(count):
        def write(target):
            noise = np.random.default_rng(5)
            writer = None
            step = 1000
            for first in range(0, count, step):
                table = pa.table(comparisons(noise, min(step, count - first), first))
                writer = writer or pq.ParquetWriter(
                    target / "train-00000-of-00001.parquet", table.schema)
                writer.write_table(table)
            writer.close()
        return write

    print(f"{'catalog rows':>14}{'us a row':>12}")
    for count in (1_000, 10_000, 100_000, 1_000_000):
        file = made(folder, f"rows-{count}", write_rows(count)) / "train-00000-of-00001.parquet"
        seconds = statistics.median(
            bench(spo, "parquet", file) for _ in range(3 if count < 1_000_000 else 1))
        print(f"{count:14,}{seconds / count * 1e6:12.2f}", flush=True)
    print(f"{'shards':>14}{'us a pair':>12}")
    prompts = 40_000  # the same data in few files and in many
    for count in (10, 100, 1_000, 10_000):
        write = write_shards(count, prompts // count, (4, 8, 8), 24, 64)
        shards = made(folder, f"shards-{count}", write)
        seconds = statistics.median(bench(spo, "shard", shards) for _ in range(3))
        print(f"{count:14,}{seconds / (3 * prompts) * 1e6:12.2f}", flush=True)


# ---------------------------------------------------------------------------------------------

def row(name, seconds, goal, note):
    return dict(name=name, ours_s=seconds[0], theirs_s=seconds[1], goal=goal, note=note)


PARTS = {"ingest": ingest_rows, "jpeg": jpeg_rows, "shards": shard_rows, "start": start_rows}


def rows(spo, folder, rounds=5, only=None):
    """The table: dictionaries of name, ours_s, theirs_s (None: an absolute goal), goal and note."""
    spo = Path(spo).resolve()
    Path(folder).mkdir(parents=True, exist_ok=True)
    return [found for name, part in PARTS.items() if not only or name in only
            for found in part(spo, folder, rounds)]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", default=ROOT / ".build/release/spo")
    parser.add_argument("--folder", help="where the inputs are kept (a temporary one)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", action="append", choices=list(PARTS))
    parser.add_argument("--growth", action="store_true")
    options = parser.parse_args()
    folder = options.folder or tempfile.mkdtemp(prefix="spo-bench-")
    if options.growth:
        growth(options.program, folder)
    else:
        print(f"{'name':24}{'ours ms':>11}{'theirs ms':>11}{'ratio':>8}{'goal':>8}  note")
        for found in rows(options.program, folder, options.rounds, options.only):
            theirs = found["theirs_s"]
            ratio = f"{found['ours_s'] / theirs:.3f}" if theirs else "-"
            beside = f"{theirs * 1e3:.2f}" if theirs else "-"
            print(f"{found['name']:24}{found['ours_s'] * 1e3:11.2f}{beside:>11}{ratio:>8}"
                  f"{found['goal']:>8}  {found['note']}", flush=True)
    if not options.folder:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
