"""Checks the parquet reader: files written by pyarrow against `spo inspect FILE --json --digest`.

Usage: python Tests/Reference/parquet.py [--program .build/release/spo] [--seed 0] [--mutations 200]
                                     [--only PREFIX] [--keep DIR]

Every column's values are digested here from the table that was written, and by the program from
the file. Damaged files must be errors.
"""

import hashlib
import itertools
import json
import random
import string
import struct
import subprocess
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import harness
from harness import Failure

# ---------------------------------------------------------------------------------------------
# Digests of what was written


def leaves(array):
    """The leaf arrays of a column, in parquet's order, with the nulls of their parents."""
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
        if isinstance(array, pa.ChunkedArray):
            array = pa.concat_arrays(array.chunks)
    kind = array.type
    if pa.types.is_struct(kind):
        for child in array.flatten():
            yield from leaves(child)
    elif pa.types.is_map(kind):
        yield from leaves(array.keys)
        yield from leaves(array.items)
    elif pa.types.is_list(kind) or pa.types.is_large_list(kind):
        yield from leaves(array.flatten())
    elif pa.types.is_dictionary(kind):
        yield from leaves(array.dictionary_decode())
    else:
        yield array


def physical_bytes(array, column):
    """The non-null values as parquet's physical type `column.physical_type` holds them."""
    values = array.drop_null()
    kind, physical = values.type, column.physical_type
    if physical == "BYTE_ARRAY":
        for value in values.cast(pa.large_binary()):
            yield sized(value.as_py())
    elif physical == "FIXED_LEN_BYTE_ARRAY":
        for value in values:
            yield sized(fixed_bytes(value, kind, column.length))
    elif physical == "BOOLEAN":
        yield values.to_numpy(zero_copy_only=False).astype(np.uint8).tobytes()
    elif pa.types.is_decimal(kind):
        width = 4 if physical == "INT32" else 8
        for value in values:
            yield unscaled(value, kind).to_bytes(width, "little", signed=True)
    else:
        if pa.types.is_temporal(kind):
            values = values.view(pa.int32() if kind.bit_width == 32 else pa.int64())
        numbers = values.to_numpy(zero_copy_only=False)
        wanted = {"INT32": "<i4", "INT64": "<i8", "FLOAT": "<f4", "DOUBLE": "<f8"}[physical]
        yield numbers.astype(wanted).tobytes()


def sized(value):
    return struct.pack("<I", len(value)) + value


def unscaled(value, kind):
    return int(value.as_py().scaleb(kind.scale))


def fixed_bytes(value, kind, length):
    if pa.types.is_decimal(kind):
        return unscaled(value, kind).to_bytes(length, "big", signed=True)
    if pa.types.is_float16(kind):
        return np.float16(value.as_py()).tobytes()
    return value.as_py()


def expected_columns(table, path):
    schema = pq.ParquetFile(path).schema
    arrays = list(itertools.chain.from_iterable(leaves(column) for column in table.columns))
    for index, array in enumerate(arrays):
        column = schema.column(index)
        entry = {
            "name": column.path, "physical_type": column.physical_type,
            "nonnull": len(array) - array.null_count,
        }
        if column.physical_type != "INT96":
            digest = hashlib.sha256()
            for part in physical_bytes(array, column):
                digest.update(part)
            entry["values_sha256"] = digest.hexdigest()
        yield entry


def check(judge, name, table, **settings):
    if not judge.wanted(name):
        return
    path = judge.path(f"{name.replace('/', '-')}.parquet")
    pq.write_table(table, path, **settings)
    with judge.case(name):
        found = json.loads(judge.run("inspect", path, "--json", "--digest"))
        file = pq.ParquetFile(path)
        compare("rows", found["rows"], table.num_rows)
        compare("row_groups", found["row_groups"], file.num_row_groups)
        expected = list(expected_columns(table, path))
        compare("names", [column["name"] for column in found["columns"]],
                [column["name"] for column in expected])
        for column, wanted in zip(found["columns"], expected):
            compare(f"{wanted['name']} physical_type", column["physical_type"],
                    wanted["physical_type"])
            if "values_sha256" in wanted:
                if "unsupported" in column:
                    raise Failure(f"{wanted['name']}: {column['unsupported']}")
                compare(f"{wanted['name']} nonnull", column["nonnull"], wanted["nonnull"])
                compare(f"{wanted['name']} values", column["values_sha256"],
                        wanted["values_sha256"])


def compare(what, found, expected):
    if found != expected:
        raise Failure(f"{what}: {str(found)[:100]} instead of {str(expected)[:100]}")


# ---------------------------------------------------------------------------------------------
# Tables


class Tables:
    def __init__(self, seed):
        self.random = random.Random(seed)

    def text(self, most=30):
        letters = string.ascii_letters + " ,.äßé中🙂"
        return "".join(self.random.choice(letters) for _ in range(self.random.randrange(most)))

    def some(self, values, nulls):
        return [None if self.random.random() < nulls else value for value in values]

    def pick_a_pic(self, rows, nulls=0.0, image_size=2000):
        """The columns of Pick-a-Pic; images and captions recur as they do there."""
        images = [self.random.randbytes(self.random.randrange(1, image_size)) for _ in range(20)]
        captions = [self.text() for _ in range(12)]
        choice = self.random.choice
        return pa.table({
            "are_different": pa.array(self.some([choice([True, False]) for _ in range(rows)], nulls)),
            "caption": pa.array(self.some([choice(captions) for _ in range(rows)], nulls), pa.string()),
            "created_at": pa.array(
                self.some([self.random.randrange(1 << 50) for _ in range(rows)], nulls),
                pa.timestamp("us")),
            "has_label": pa.array([True] * rows),
            "image_0_uid": pa.array([self.text() for _ in range(rows)], pa.string()),
            "jpg_0": pa.array(self.some([choice(images) for _ in range(rows)], nulls), pa.binary()),
            "jpg_1": pa.array(self.some([choice(images) for _ in range(rows)], nulls), pa.binary()),
            "label_0": pa.array(self.some([choice([0.0, 0.5, 1.0]) for _ in range(rows)], nulls),
                                pa.float64()),
            "num_example_per_prompt": pa.array(
                self.some([self.random.randrange(9) for _ in range(rows)], nulls), pa.int64()),
            "ranking_id": pa.array(list(range(rows)), pa.int64()),
            "__index_level_0__": pa.array(list(range(rows)), pa.int64()),
        })

    def image_feature(self, rows):
        """`Image` columns: a struct whose members, or which itself, may be null."""
        images = self.some(
            [{"bytes": self.random.randbytes(200), "path": self.text()} for _ in range(rows)], 0.2)
        for image in images:
            if image is not None:
                image[self.random.choice(["bytes", "path", "nothing"])] = None
                image.pop("nothing", None)
        kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
        swapped = pa.struct([("path", pa.string()), ("bytes", pa.binary())])
        return pa.table({
            "image": pa.array(images, kind), "swapped": pa.array(images, swapped),
            "caption": pa.array([self.text() for _ in range(rows)]),
        })

    def numbers(self, rows, nulls=0.1):
        def integers(bits, signed):
            low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
            edge = [low, high, 0, 1]
            drawn = [self.random.choice(edge + [self.random.randint(low, high)])
                     for _ in range(rows)]
            return self.some(drawn, nulls)

        columns = {}
        for bits in (8, 16, 32, 64):
            columns[f"int{bits}"] = pa.array(integers(bits, True), f"int{bits}")
            columns[f"uint{bits}"] = pa.array(integers(bits, False), f"uint{bits}")
        reals = [self.random.choice([float("inf"), -0.0, 1e300, self.random.gauss(0, 1)])
                 for _ in range(rows)]
        columns["float"] = pa.array(self.some([np.float32(min(x, 1e30)) for x in reals], nulls),
                                    pa.float32())
        columns["double"] = pa.array(self.some(reals, nulls), pa.float64())
        columns["half"] = pa.array(
            self.some([np.float16(self.random.gauss(0, 1)) for _ in range(rows)], nulls),
            pa.float16())
        columns["rising"] = pa.array(
            list(itertools.accumulate(self.random.randrange(50) for _ in range(rows))), pa.int64())
        columns["date"] = pa.array(self.some([self.random.randrange(20000) for _ in range(rows)],
                                             nulls), pa.int32()).cast(pa.date32())
        columns["moment"] = pa.array(integers(40, True), pa.timestamp("ns", "UTC"))
        return pa.table(columns)

    def bytes_of_all_kinds(self, rows):
        prefix = [f"data/train-{i // 7:05d}/{self.text(6)}" for i in range(rows)]
        cents = [Decimal(self.random.randrange(-10**8, 10**8)).scaleb(-2) for _ in range(rows)]
        return pa.table({
            "sorted": pa.array(sorted(prefix)),
            "shared_prefix": pa.array(self.some(prefix, 0.2)),
            "fixed": pa.array(self.some([self.random.randbytes(16) for _ in range(rows)], 0.2),
                              pa.binary(16)),
            "decimal": pa.array(self.some(cents, 0.2), pa.decimal128(12, 2)),
            "wide_decimal": pa.array(cents, pa.decimal128(30, 5)),
            "category": pa.array([self.random.choice("abc") for _ in range(rows)]).dictionary_encode(),
            "empty": pa.array([""] * rows),
            "nothing": pa.array([None] * rows, pa.string()),
            "large": pa.array([self.text() for _ in range(rows)], pa.large_string()),
        })

    def nested(self, rows):
        def items():
            return [self.random.choice([None, self.text()]) for _ in range(self.random.randrange(4))]

        return pa.table({
            "tags": pa.array(self.some([items() for _ in range(rows)], 0.2), pa.list_(pa.string())),
            "scores": pa.array(
                [[[1.5] * self.random.randrange(3)] * self.random.randrange(3) for _ in range(rows)],
                pa.list_(pa.list_(pa.float64()))),
            "objects": pa.array(
                [[{"n": i, "s": self.random.choice([None, {"t": self.text()}])}
                  for i in range(self.random.randrange(3))] for _ in range(rows)],
                pa.list_(pa.struct([("n", pa.int32()), ("s", pa.struct([("t", pa.string())]))]))),
            "mapping": pa.array(
                self.some([[(self.text() + "k", self.random.choice([None, 1]))] for _ in range(rows)],
                          0.2), pa.map_(pa.string(), pa.int64())),
            "after": pa.array(list(range(rows)), pa.int32()),
        })

    def bits(self, rows):
        runs = [bool(i // 100 % 2) for i in range(rows)]
        return pa.table({
            "runs": pa.array(runs), "random": pa.array([self.random.random() < 0.5 for _ in runs]),
            "nullable": pa.array(self.some(runs, 0.5)),
            "levels_in_runs": pa.array([i if i // 70 % 2 else None for i in range(rows)], pa.int32()),
        })


# ---------------------------------------------------------------------------------------------
# Checks


def check_grid(judge, options):
    """Codecs x page versions x dictionaries x row group sizes, on the columns that matter."""
    tables = Tables(options.seed)
    grid = itertools.product(
        ("none", "snappy", "gzip"), ("1.0", "2.0"), (True, False), (1, 7, 100, 1000), (0.0, 0.3))
    for codec, page, dictionary, group, nulls in grid:
        rows = {1: 12, 7: 40, 100: 350, 1000: 1100}[group]
        name = (f"pick-a-pic {codec} v{page[0]} {'dictionary' if dictionary else 'plain'} "
                f"groups of {group}{' nulls' if nulls else ''}")
        check(judge, name, tables.pick_a_pic(rows, nulls), compression=codec,
              data_page_version=page, use_dictionary=dictionary, row_group_size=group)


def check_pages(judge, options):
    tables = Tables(options.seed)
    small = dict(data_page_size=300, write_batch_size=16)
    table = tables.pick_a_pic(500, 0.1)
    check(judge, "small pages", table, **small)
    check(judge, "small pages v2", table, data_page_version="2.0", **small)
    check(judge, "dictionary given up inside a chunk", table, dictionary_pagesize_limit=1500, **small)
    check(judge, "dictionary given up v2", table, dictionary_pagesize_limit=1500,
          data_page_version="2.0", compression="gzip", **small)
    check(judge, "dictionary for some columns", table, use_dictionary=["caption", "jpg_1"])
    check(judge, "page checksums", table, write_page_checksum=True, **small)
    check(judge, "page index", table, write_page_index=True, **small)
    check(judge, "no statistics, no arrow schema", table, write_statistics=False,
          store_schema=False)
    check(judge, "content-defined chunks", table, use_content_defined_chunking=True)
    check(judge, "format 1.0", table, version="1.0")
    check(judge, "format 2.4", tables.numbers(300).drop(["moment"]), version="2.4")
    check(judge, "codec by column", table, compression={
        "caption": "gzip", "jpg_0": "none", "jpg_1": "snappy", "label_0": "gzip"})
    check(judge, "large images", tables.pick_a_pic(40, image_size=400_000), compression="none",
          use_dictionary=False)
    check(judge, "no rows", tables.pick_a_pic(0))
    check(judge, "one row", tables.pick_a_pic(1))
    check(judge, "all null", pa.table({
        "a": pa.array([None] * 50, pa.string()), "b": pa.array([None] * 50, pa.float64()),
        "c": pa.array([None] * 50, pa.bool_()), "d": pa.nulls(50, pa.binary(3))}))
    check(judge, "required columns", table_required(tables))
    for codec in ("zstd", "brotli", "lz4"):
        check(judge, f"another codec {codec}", tables.pick_a_pic(50), compression=codec)


def table_required(tables):
    table = tables.pick_a_pic(200)
    fields = [field.with_nullable(False) for field in table.schema]
    return table.cast(pa.schema(fields))


def check_types(judge, options):
    tables = Tables(options.seed)
    makers = {
        "numbers": tables.numbers, "bytes": tables.bytes_of_all_kinds, "bits": tables.bits,
        "nested": tables.nested, "image feature": tables.image_feature,
    }
    for (name, make), page, codec in itertools.product(
            makers.items(), ("1.0", "2.0"), ("none", "snappy", "gzip")):
        check(judge, f"types {name} v{page[0]} {codec}", make(700), data_page_version=page,
              compression=codec, row_group_size=300, data_page_size=2000)
    check(judge, "types decimals as integers", tables.bytes_of_all_kinds(300),
          store_decimal_as_integer=True)
    check(judge, "types INT96", tables.numbers(100), use_deprecated_int96_timestamps=True)


def check_encodings(judge, options):
    tables = Tables(options.seed)
    numbers, texts, bits = tables.numbers(1000), tables.bytes_of_all_kinds(1000), tables.bits(3000)
    integers = [name for name in numbers.column_names
                if numbers.schema.field(name).type not in (pa.float16(), pa.float32(), pa.float64())]
    plain = dict(use_dictionary=False, data_page_size=3000)
    for page in ("1.0", "2.0"):
        both = plain | dict(data_page_version=page)
        check(judge, f"encoding delta integers v{page[0]}", numbers, **both,
              column_encoding={name: "DELTA_BINARY_PACKED" for name in integers})
        check(judge, f"encoding delta lengths v{page[0]}", texts, **both, column_encoding={
            name: "DELTA_LENGTH_BYTE_ARRAY" for name in ("sorted", "shared_prefix", "large", "empty")})
        check(judge, f"encoding delta bytes v{page[0]}", texts, **both, column_encoding={
            name: "DELTA_BYTE_ARRAY"
            for name in ("sorted", "shared_prefix", "fixed", "large", "empty", "nothing")})
        check(judge, f"encoding byte streams v{page[0]}", numbers, **both, column_encoding={
            name: "BYTE_STREAM_SPLIT" for name in ("float", "double", "half", "int32", "int64")})
        check(judge, f"encoding runs of bits v{page[0]}", bits, **both,
              column_encoding={name: "RLE" for name in ("runs", "random", "nullable")})
    for rows in (1, 2, 31, 32, 33, 128, 129, 257):
        check(judge, f"encoding delta integers, {rows} values", tables.numbers(rows, nulls=0),
              use_dictionary=False,
              column_encoding={name: "DELTA_BINARY_PACKED" for name in integers})


def check_damage(judge, options):
    """Cut and changed files end with exit code 0 or 1 in bounded time, never by a signal."""
    source = random.Random(options.seed)
    tables = Tables(options.seed)
    path = judge.path("damage.parquet")
    pq.write_table(tables.pick_a_pic(60, 0.1), path, data_page_size=2000, write_page_checksum=True)
    whole = path.read_bytes()
    damaged = judge.path("damaged.parquet")
    if judge.wanted("damage refused"):
        cases = {
            "empty": b"", "magic only": b"PAR1", "no footer": whole[:-8], "cut": whole[:len(whole) // 2],
            "cut by one": whole[:-1], "no first magic": b"XXXX" + whole[4:], "text": b"caption,jpg\n",
            "encrypted footer": whole[:-4] + b"PARE",
            "footer too long": whole[:-8] + struct.pack("<I", 1 << 30) + b"PAR1",
            "footer of no length": whole[:-8] + struct.pack("<I", 0) + b"PAR1",
            "page changed under its checksum": whole[:300] + bytes([whole[300] ^ 1]) + whole[301:],
        }
        for title, content in cases.items():
            with judge.case(f"damage refused: {title}"):
                damaged.write_bytes(content)
                judge.refuse("inspect", damaged, "--json", "--digest", mentions=["damaged.parquet"])
    if judge.wanted("damage survived"):
        pq.write_table(tables.nested(80), judge.path("nested.parquet"), compression="snappy")
        pq.write_table(tables.bytes_of_all_kinds(80), judge.path("bytes.parquet"), compression="gzip",
                       data_page_version="2.0")
        files = [path, judge.path("nested.parquet"), judge.path("bytes.parquet")]
        with judge.case(f"damage survived: {options.mutations} changed files"):
            for index in range(options.mutations):
                content = bytearray(source.choice(files).read_bytes())
                mutate(content, source)
                damaged.write_bytes(content)
                done = subprocess.run(
                    [judge.program, "inspect", damaged, "--json", "--digest"],
                    capture_output=True, timeout=20)
                if done.returncode not in (0, 1):
                    kept = judge.path(f"crash-{index}.parquet")
                    kept.write_bytes(content)
                    raise Failure(f"exit code {done.returncode} for {kept}")


def mutate(content, source):
    """Changes a few bytes, in half of the cases in the footer, or cuts or repeats a stretch."""
    footer = max(len(content) - 8 - struct.unpack("<I", content[-8:-4])[0], 0)
    for _ in range(source.choice([1, 1, 2, 5])):
        start = source.choice([0, footer])
        place = source.randrange(start, len(content))
        kind = source.random()
        if kind < 0.7:
            content[place] = source.choice([0, 1, 127, 128, 255, source.randrange(256)])
        elif kind < 0.85:
            del content[place:place + source.randrange(1, 20)]
        else:
            content[place:place] = content[place:place + source.randrange(1, 20)]
        if len(content) < 12:
            return


if __name__ == "__main__":
    print(f"pyarrow {pa.__version__}")
    harness.main(
        __doc__.splitlines()[0],
        [check_grid, check_pages, check_types, check_encodings, check_damage],
        seed=dict(default="0"), mutations=dict(type=int, default=200))
