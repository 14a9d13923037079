"""Writes the parquet files of this folder and what pyarrow reads from them.

    python generate.py          writes *.parquet, expected.json and MANIFEST
    python generate.py --check FILE...   checks with pyarrow files that ParquetWriter wrote

Made with pyarrow 26.0.1 and numpy 2 (see MANIFEST for the exact versions). expected.json maps
each file to its rows, row groups and columns; a column's `values_sha256` is taken over the values
that are not null, in order: BOOLEAN one byte; INT32, INT64, FLOAT, DOUBLE little-endian;
BYTE_ARRAY and FIXED_LEN_BYTE_ARRAY a 32-bit little-endian length and the bytes; INT96 left out.
"""
import datetime
import decimal
import hashlib
import json
import os
import struct
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

HERE = os.path.dirname(os.path.abspath(__file__))
EXPECTED = {}


def physical_bytes(value, kind):
    if kind == "BOOLEAN":
        return b"\1" if value else b"\0"
    if kind in ("INT32", "INT64", "FLOAT", "DOUBLE"):
        return struct.pack({"INT32": "<i", "INT64": "<q", "FLOAT": "<f", "DOUBLE": "<d"}[kind], value)
    if isinstance(value, str):
        value = value.encode()
    return struct.pack("<I", len(value)) + value


def physical(array):
    """The values of a flat array that are not null, as parquet stores them."""
    kind = array.type
    if pa.types.is_timestamp(kind) or pa.types.is_time64(kind):
        return array.cast(pa.int64()).drop_null().to_pylist()
    if pa.types.is_date32(kind) or pa.types.is_time32(kind):
        return array.cast(pa.int32()).drop_null().to_pylist()
    if pa.types.is_dictionary(kind):
        return physical(array.cast(kind.value_type))
    if pa.types.is_float16(kind):
        return [np.float16(v).tobytes() for v in array.drop_null().to_pylist()]
    if pa.types.is_decimal(kind):
        width = {5: 3, 9: 4, 18: 8, 38: 16}[kind.precision]
        return [
            int(v.scaleb(kind.scale)).to_bytes(width, "big", signed=True)
            for v in array.drop_null().to_pylist()
        ]
    if pa.types.is_uint32(kind):
        return [v - (1 << 32) if v >= 1 << 31 else v for v in array.drop_null().to_pylist()]
    if pa.types.is_uint64(kind):
        return [v - (1 << 64) if v >= 1 << 63 else v for v in array.drop_null().to_pylist()]
    return array.drop_null().to_pylist()


def leaves(array, path):
    """Yields (dotted path, flat chunked array) of a column."""
    kind = array.type
    if pa.types.is_struct(kind):
        for index, field in enumerate(kind):
            parts = [chunk.flatten()[index] for chunk in array.chunks]
            yield from leaves(pa.chunked_array(parts, field.type), f"{path}.{field.name}")
    elif pa.types.is_map(kind):
        keys = [chunk.drop_null().keys for chunk in array.chunks]
        items = [chunk.drop_null().items for chunk in array.chunks]
        yield from leaves(pa.chunked_array(keys, kind.key_type), f"{path}.key_value.key")
        yield from leaves(pa.chunked_array(items, kind.item_type), f"{path}.key_value.value")
    elif pa.types.is_list(kind) or pa.types.is_large_list(kind):
        parts = [chunk.flatten() for chunk in array.chunks]
        yield from leaves(pa.chunked_array(parts, kind.value_type), f"{path}.list.element")
    else:
        yield path, array


def write(name, table, read_back=True, **options):
    path = os.path.join(HERE, name + ".parquet")
    pq.write_table(table, path, **options)
    describe(name, pq.read_table(path) if read_back else table)


def describe(name, table):
    path = os.path.join(HERE, name + ".parquet")
    metadata = pq.ParquetFile(path).metadata
    kinds = {
        metadata.schema.column(i).path: metadata.schema.column(i).physical_type
        for i in range(metadata.num_columns)
    }
    columns = []
    for field in table.schema:
        for leaf, array in leaves(table[field.name], field.name):
            kind = kinds[leaf]
            values = physical(array) if kind != "INT96" else []
            digest = hashlib.sha256()
            for value in values:
                digest.update(physical_bytes(value, kind))
            column = {
                "name": leaf,
                "physical_type": kind,
                "nonnull": len(array) - array.null_count,
            }
            if kind == "INT96":
                column["unsupported"] = True
            else:
                column["values_sha256"] = digest.hexdigest()
            columns.append(column)
    order = list(kinds)
    columns.sort(key=lambda column: order.index(column["name"]))
    assert len(columns) == len(order), (name, order)
    EXPECTED[name] = {
        "rows": metadata.num_rows,
        "row_groups": metadata.num_row_groups,
        "columns": columns,
    }


def mixed_table(rows, seed, null_fraction=0.2):
    """One column of every flat kind, some of them with runs and repetitions."""
    random = np.random.default_rng(seed)

    def nulls(values):
        return [None if random.random() < null_fraction else v for v in values]

    words = ["a", "", "prompt", "ein Bild", "四季", "x" * 40]
    return pa.table(
        {
            "flag": pa.array(nulls((random.random(rows) < 0.5).tolist()), pa.bool_()),
            "runs": pa.array(nulls([i // 50 % 2 == 0 for i in range(rows)]), pa.bool_()),
            "i32": pa.array(nulls(random.integers(-(2**31), 2**31, rows).tolist()), pa.int32()),
            "small": pa.array(nulls(random.integers(0, 9, rows).tolist()), pa.int32()),
            "u32": pa.array(nulls(random.integers(0, 2**32, rows).tolist()), pa.uint32()),
            "i64": pa.array(nulls(random.integers(-(2**62), 2**62, rows).tolist()), pa.int64()),
            "rising": pa.array(nulls(list(range(10**12, 10**12 + rows))), pa.int64()),
            "f32": pa.array(nulls(random.normal(size=rows).tolist()), pa.float32()),
            "f64": pa.array(nulls(random.normal(size=rows).tolist()), pa.float64()),
            "label": pa.array(nulls(random.choice([0.0, 0.5, 1.0], rows).tolist()), pa.float64()),
            "text": pa.array(nulls(random.choice(words, rows).tolist()), pa.string()),
            "name": pa.array(nulls([f"prefix-{i // 7:06d}-{i % 7}" for i in range(rows)]), pa.string()),
            "blob": pa.array(
                nulls([random.bytes(int(n)) for n in random.integers(0, 30, rows)]), pa.binary()
            ),
            "fixed": pa.array(nulls([random.bytes(5) for _ in range(rows)]), pa.binary(5)),
            "time": pa.array(nulls(random.integers(0, 2**50, rows).tolist()), pa.timestamp("us")),
            "nothing": pa.array([None] * rows, pa.string()),
        }
    )


def required(table):
    """The same without nulls, in columns that may not have any."""
    fields = []
    columns = []
    for field in table.schema:
        column = table[field.name]
        if column.null_count == len(column):
            continue
        fill = column.drop_null()[0]
        columns.append(column.fill_null(fill))
        fields.append(field.with_nullable(False))
    return pa.table(columns, schema=pa.schema(fields))


def codecs_and_versions():
    for codec in ["none", "snappy", "gzip"]:
        for version in ["1.0", "2.0"]:
            for dictionary in [True, False]:
                tail = f"{codec}-v{version[0]}-{'dictionary' if dictionary else 'plain'}"
                options = dict(
                    compression=codec,
                    data_page_version=version,
                    use_dictionary=dictionary,
                    write_page_checksum=version == "2.0",
                )
                write(f"mixed-{tail}", mixed_table(300, 1), **options)
    write("required", required(mixed_table(300, 2)), compression="snappy")
    write("required-v2", required(mixed_table(300, 2)), data_page_version="2.0")


def row_groups():
    for size in [1, 7, 100, 1000]:
        rows = 24 if size == 1 else 1200 if size == 1000 else 230
        table = mixed_table(rows, 3).select(["flag", "small", "f64", "text", "nothing"])
        write(f"row-groups-{size}", table, row_group_size=size)
    write("empty", mixed_table(0, 4))
    write("nulls", pa.table({"a": pa.nulls(5000, pa.int64()), "b": pa.nulls(5000, pa.binary())}))


def encodings():
    table = mixed_table(500, 5)
    for version in ["1.0", "2.0"]:
        for codec in ["none", "snappy"]:
            encoding = {
                "i32": "DELTA_BINARY_PACKED",
                "small": "DELTA_BINARY_PACKED",
                "u32": "BYTE_STREAM_SPLIT",
                "i64": "BYTE_STREAM_SPLIT",
                "rising": "DELTA_BINARY_PACKED",
                "time": "DELTA_BINARY_PACKED",
                "f32": "BYTE_STREAM_SPLIT",
                "f64": "BYTE_STREAM_SPLIT",
                "text": "DELTA_LENGTH_BYTE_ARRAY",
                "name": "DELTA_BYTE_ARRAY",
                "blob": "DELTA_BYTE_ARRAY",
                "fixed": "BYTE_STREAM_SPLIT",
                "nothing": "DELTA_BYTE_ARRAY",
                "flag": "RLE",
                "runs": "RLE",
            }
            write(
                f"encodings-{codec}-v{version[0]}",
                table,
                compression=codec,
                data_page_version=version,
                use_dictionary=False,
                column_encoding=encoding,
                data_page_size=800,
                write_batch_size=64,
            )
    write(
        "encodings-fixed",
        table.select(["fixed", "i64", "i32"]),
        use_dictionary=False,
        column_encoding={
            "fixed": "DELTA_BYTE_ARRAY",
            "i64": "DELTA_BINARY_PACKED",
            "i32": "BYTE_STREAM_SPLIT",
        },
    )


def pages():
    table = mixed_table(2000, 6).select(["flag", "i32", "f64", "text", "name", "blob"])
    for codec in ["none", "snappy"]:
        for version in ["1.0", "2.0"]:
            write(
                f"pages-{codec}-v{version[0]}",
                table,
                compression=codec,
                data_page_version=version,
                use_dictionary=["text"],
                data_page_size=1000,
                write_batch_size=50,
                write_page_index=True,
                write_page_checksum=True,
            )
    random = np.random.default_rng(7)
    blobs = [random.bytes(int(n)) for n in random.integers(0, 900, 300)]
    names = [f"{i}-{random.integers(10**9)}" for i in range(3000)]
    # The dictionary overflows after some pages and the chunk goes on in PLAIN.
    write(
        "fallback",
        pa.table({"name": names, "number": [float(i) for i in range(3000)]}),
        dictionary_pagesize_limit=4000,
        data_page_size=2000,
        write_batch_size=100,
        compression="snappy",
    )
    write("big-values", pa.table({"blob": [random.bytes(120_000), b"", None, blobs[0]]}),
          use_dictionary=False, compression="none")
    write("big-values-snappy", pa.table({"blob": [b"ab" * 300_000, b"", None, blobs[0]]}),
          use_dictionary=False, compression="snappy")
    write("big-values-gzip", pa.table({"blob": [b"abc" * 300_000, None, blobs[0]]}),
          use_dictionary=False, compression="gzip")
    zeros = pa.table({"f": np.zeros(50_000), "t": ["same"] * 50_000})
    write("zeros", zeros, compression="snappy", use_dictionary=False, data_page_size=100_000)
    write("one-value", zeros, compression="gzip")


def pick_a_pic():
    """The columns of Pick-a-Pic with small stand-ins for pictures."""
    random = np.random.default_rng(8)
    rows = 40
    pictures = [b"\xff\xd8" + random.bytes(int(n)) for n in random.integers(200, 600, rows)]
    when = [datetime.datetime(2023, 4, 1) + datetime.timedelta(minutes=i) for i in range(rows)]
    columns = {
        "are_different": [True] * rows,
        "best_image_uid": [f"uid-{i}" for i in range(rows)],
        "caption": [f"a picture of {i // 4} foxes" for i in range(rows)],
        "created_at": pa.array(when, pa.timestamp("ns")),
        "has_label": [i % 9 != 0 for i in range(rows)],
        "image_0_uid": [f"uid-{i}" for i in range(rows)],
        "image_1_uid": [f"uid-{i + 1}" for i in range(rows)],
        "jpg_0": pa.array(pictures, pa.binary()),
        "jpg_1": pa.array(pictures[1:] + [None], pa.binary()),
        "label_0": [[1.0, 0.0, 0.5][i % 3] for i in range(rows)],
        "label_1": [[0.0, 1.0, 0.5][i % 3] for i in range(rows)],
        "num_example_per_prompt": pa.array([4] * rows, pa.int64()),
        "__index_level_0__": pa.array(range(rows), pa.int64()),
    }
    features = {"info": {"features": {"caption": {"dtype": "string", "_type": "Value"}}}}
    table = pa.table(columns).replace_schema_metadata({"huggingface": json.dumps(features)})
    write("pick-a-pic", table, row_group_size=16)
    image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    swapped = pa.struct([("path", pa.string()), ("bytes", pa.binary())])
    cells = [{"bytes": p, "path": None} for p in pictures]
    cells[3] = {"bytes": None, "path": "3.jpg"}
    cells[5] = None
    structs = pa.table(
        {
            "jpg_0": pa.array(cells, image),
            "jpg_1": pa.array(cells[::-1], swapped),
            "caption": columns["caption"],
        }
    )
    write("image-structs", structs, row_group_size=16, compression="none",
          use_dictionary=["caption"])
    write("image-structs-snappy", structs, row_group_size=16, write_page_index=True)
    write("image-structs-v2", structs, data_page_version="2.0", data_page_size=2000,
          write_batch_size=4, use_dictionary=False, write_page_checksum=True)


def nested():
    random = np.random.default_rng(9)
    rows = 200
    numbers = [
        None if i % 11 == 0 else [None if random.random() < 0.2 else int(v) for v in range(i % 5)]
        for i in range(rows)
    ]
    deep = [
        [[f"{i}.{j}.{k}" for k in range(j)] for j in range(i % 4)] if i % 6 else None
        for i in range(rows)
    ]
    records = [
        {"a": {"b": i if i % 3 else None}, "c": [{"d": float(i)}, None][: i % 3]} if i % 7 else None
        for i in range(rows)
    ]
    record = pa.struct(
        [("a", pa.struct([("b", pa.int32())])), ("c", pa.list_(pa.struct([("d", pa.float64())])))]
    )
    table = pa.table(
        {
            "numbers": pa.array(numbers, pa.list_(pa.int64())),
            "deep": pa.array(deep, pa.list_(pa.list_(pa.string()))),
            "record": pa.array(records, record),
            "map": pa.array(
                [None if i % 5 == 0 else [(f"k{j}", j) for j in range(i % 3)] for i in range(rows)],
                pa.map_(pa.string(), pa.int32()),
            ),
        }
    )
    write("nested", table)
    write("nested-v2", table, data_page_version="2.0", data_page_size=300, write_batch_size=16,
          compression="none", row_group_size=90)


def types():
    rows = 20
    table = pa.table(
        {
            "date": pa.array(range(rows), pa.date32()),
            "time_ms": pa.array(range(rows), pa.time32("ms")),
            "time_us": pa.array(range(rows), pa.time64("us")),
            "at_ms": pa.array(range(rows), pa.timestamp("ms", "UTC")),
            "at_us": pa.array(range(rows), pa.timestamp("us", "UTC")),
            "at_ns": pa.array(range(rows), pa.timestamp("ns")),
            "i8": pa.array(range(-rows, 0), pa.int8()),
            "u16": pa.array(range(rows), pa.uint16()),
            "u64": pa.array([2**64 - 1 - i for i in range(rows)], pa.uint64()),
            "half": pa.array([np.float16(i / 3) for i in range(rows)], pa.float16()),
            "decimal": pa.array([decimal.Decimal(i) / 100 for i in range(rows)], pa.decimal128(5, 2)),
            "wide": pa.array([decimal.Decimal(-i) for i in range(rows)], pa.decimal128(38, 0)),
            "category": pa.array(["x", "y"] * (rows // 2)).dictionary_encode(),
        }
    )
    write("types", table)
    stamps = pa.table({"at": pa.array(range(rows), pa.timestamp("ns")), "n": range(rows)})
    write("int96", stamps, use_deprecated_int96_timestamps=True)
    for codec in ["zstd", "lz4", "brotli"]:
        numbers = pa.table({"n": range(100), "t": [str(i) for i in range(100)]})
        write(f"codec-{codec}", numbers, compression={"n": codec, "t": "snappy"})


def check(paths):
    """Reads files that another program wrote, with checksums verified, and prints digests."""
    for path in paths:
        table = pq.ParquetFile(path, page_checksum_verification=True).read()
        metadata = pq.ParquetFile(path).metadata
        print(path, metadata.num_rows, "rows,", metadata.num_row_groups, "row groups")
        print("  metadata:", {k.decode(): v.decode() for k, v in (metadata.metadata or {}).items()})
        for index, field in enumerate(table.schema):
            kind = metadata.schema.column(index).physical_type
            digest = hashlib.sha256()
            for value in physical(table[field.name]):
                digest.update(physical_bytes(value, kind))
            print(f"  {field}: {table[field.name].null_count} nulls, {digest.hexdigest()}")


def main():
    if sys.argv[1:2] == ["--check"]:
        return check(sys.argv[2:])
    codecs_and_versions()
    row_groups()
    encodings()
    pages()
    pick_a_pic()
    nested()
    types()
    with open(os.path.join(HERE, "expected.json"), "w") as file:
        json.dump(EXPECTED, file, indent=1, sort_keys=True)
        file.write("\n")
    with open(os.path.join(HERE, "MANIFEST"), "w") as file:
        file.write(f"pyarrow {pa.__version__}, numpy {np.__version__}\n")
        for name in sorted(EXPECTED):
            with open(os.path.join(HERE, name + ".parquet"), "rb") as data:
                file.write(f"{hashlib.sha256(data.read()).hexdigest()}  {name}.parquet\n")


main()
