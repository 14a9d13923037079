"""Writes meanings-*.parquet, files of other writers, and meanings.json, what their values mean.

    python generate_meanings.py

Made with pyarrow 26.0.1, duckdb 2.0.1, polars 2.1.0 and fastparquet 2026.9.0. For each file and column
meanings.json has `numbers` and `texts`, a value a row or null, where the column has such a meaning,
and `type`, what a message calls it, where it has none of the two.
"""
import datetime
import decimal
import json
import os
import uuid

import duckdb
import fastparquet
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

HERE = os.path.dirname(os.path.abspath(__file__))
D = decimal.Decimal
decimal.getcontext().prec = 80
MEANINGS = {}


def path(name):
    return os.path.join(HERE, f"meanings-{name}.parquet")


def means(name, column, numbers=None, texts=None, type=None):
    entry = {"numbers": numbers, "texts": texts, "type": type}
    MEANINGS.setdefault(name, {})[column] = {k: v for k, v in entry.items() if v is not None}


def decimals(name, column, values):
    means(name, column, [None if v is None else float(v) for v in values],
          [None if v is None else f"{v:f}" for v in values])


def integers(name, column, values):
    means(name, column, [None if v is None else float(v) for v in values],
          [None if v is None else str(v) for v in values])


def of_pyarrow():
    name = "pyarrow"
    labels = [D("1.0"), D("0.0"), None, D("0.5")]
    wide = [D("1"), D("-0.25"), D("0"), D("123456789012345678901234567.5")]
    wide = [v.quantize(D("1.0000000000")) for v in wide]
    widest = [D("1").quantize(D("1." + "0" * 37)), None, D("-1.5").quantize(D("1." + "0" * 37)), None]
    identities = [uuid.UUID(int=i * 12345678901234567890) for i in range(4)]
    times = [datetime.datetime(2023, 4, 1, i) for i in range(4)]
    columns = {
        "decimal32": pa.array(labels, pa.decimal128(2, 1)),
        "decimal64": pa.array(labels, pa.decimal128(18, 1)),
        "decimal128": pa.array(wide, pa.decimal128(38, 10)),
        "decimal256": pa.array(widest, pa.decimal256(76, 37)),
        "uuid": pa.array([u.bytes for u in identities], pa.uuid()),
        "half": pa.array(np.float16([1, 0.5, -2, 6e-8])),
        "uint8": pa.array([255, 0, None, 7], pa.uint8()),
        "uint32": pa.array([2**32 - 1, 0, None, 7], pa.uint32()),
        "uint64": pa.array([2**64 - 1, 0, None, 7], pa.uint64()),
        "int8": pa.array([-128, 0, None, 7], pa.int8()),
        "truth": pa.array([True, False, None, True]),
        "text": pa.array(["1", "0.5", None, "true"]),
        "large": pa.array(["1", "ä", None, "true"], pa.large_string()),
        "category": pa.array(["a", "b", None, "a"]).dictionary_encode(),
        "binary": pa.array([b"1", b"x", None, b""], pa.binary()),
        "fixed": pa.array([b"abcd", b"efgh", None, b"    "], pa.binary(4)),
        "nothing": pa.nulls(4),
        "moment": pa.array(times, pa.timestamp("us")),
        "day": pa.array([t.date() for t in times]),
        "hour": pa.array([t.time() for t in times], pa.time64("us")),
    }
    pq.write_table(pa.table(columns), path(name), store_decimal_as_integer=True)
    pq.write_table(pa.table({k: columns[k] for k in ("decimal32", "decimal64")}), path("fixed"))
    for file in (name, "fixed"):
        decimals(file, "decimal32", labels)
        decimals(file, "decimal64", labels)
    decimals(name, "decimal128", wide)
    decimals(name, "decimal256", widest)
    means(name, "uuid", texts=[str(u) for u in identities])
    means(name, "half", [float(np.float16(v)) for v in (1, 0.5, -2, 6e-8)])
    for column in ("uint8", "uint32", "uint64", "int8"):
        integers(name, column, columns[column].to_pylist())
    means(name, "truth", [1, 0, None, 1])
    for column in ("text", "large", "category", "fixed", "binary"):
        values = columns[column].to_pylist()
        means(name, column, texts=[v.decode() if isinstance(v, bytes) else v for v in values])
    means(name, "nothing", [None] * 4, [None] * 4)
    means(name, "moment", type="TIMESTAMP(MICROS)")
    means(name, "day", type="DATE")
    means(name, "hour", type="TIME(MICROS)")


def of_duckdb():
    for codec in ("zstd", "lz4_raw", "brotli", "gzip"):
        name = f"duckdb-{codec}"
        duckdb.sql(
            f"""
            COPY (SELECT
              CAST(i % 2 AS DECIMAL(2, 1)) AS decimal_4, CAST(i / 4 AS DECIMAL(9, 2)) AS decimal_9,
              CAST(i / 4 AS DECIMAL(18, 6)) AS decimal_18, CAST(-i AS DECIMAL(38, 20)) AS decimal_38,
              CAST('00000000-0000-0000-0000-0000000000' || (10 + i) AS UUID) AS identity,
              i % 2 = 0 AS truth, CAST(i AS UTINYINT) AS small, CAST(i AS UBIGINT) AS large,
              CAST(i AS VARCHAR) AS text, CAST(['a', 'b'][i % 2 + 1] AS ENUM('a', 'b')) AS choice,
              CAST('2023-04-01' AS DATE) AS day, CAST('2023-04-01 12:00:00' AS TIMESTAMP) AS moment,
              CAST(i AS FLOAT) AS single
            FROM range(20) AS t(i)) TO '{path(name)}' (FORMAT parquet, COMPRESSION {codec})
            """)
        rows = range(20)
        decimals(name, "decimal_4", [D(i % 2).quantize(D("1.0")) for i in rows])
        decimals(name, "decimal_9", [(D(i) / 4).quantize(D("1.00")) for i in rows])
        decimals(name, "decimal_18", [(D(i) / 4).quantize(D("1.000000")) for i in rows])
        decimals(name, "decimal_38", [D(-i).quantize(D("1." + "0" * 20)) if i else D("0." + "0" * 20) for i in rows])
        means(name, "identity", texts=["00000000-0000-0000-0000-0000000000" + str(10 + i) for i in rows])
        means(name, "truth", [float(i % 2 == 0) for i in rows])
        integers(name, "small", list(rows))
        integers(name, "large", list(rows))
        means(name, "text", texts=[str(i) for i in rows])
        means(name, "choice", texts=["ab"[i % 2] for i in rows])
        means(name, "day", type="DATE")
        means(name, "moment", type="TIMESTAMP(MICROS)")
        means(name, "single", [float(i) for i in rows])


def of_polars():
    name = "polars"
    table = pl.DataFrame({
        "text": ["1", None, "0.5"], "truth": [True, None, False], "number": [1.0, 0.5, None],
        "count": pl.Series([4, 2**63, None], dtype=pl.UInt64),
        "decimal": pl.Series([D("1.0"), D("0.5"), None], dtype=pl.Decimal(10, 1)),
        "category": pl.Series(["a", "b", None], dtype=pl.Categorical),
        "half": pl.Series([1.0, 0.5, None], dtype=pl.Float32),
    })
    table.write_parquet(path(name))
    means(name, "text", texts=["1", None, "0.5"])
    means(name, "truth", [1, None, 0])
    means(name, "number", [1.0, 0.5, None])
    integers(name, "count", [4, 2**63, None])
    decimals(name, "decimal", [D("1.0"), D("0.5"), None])
    means(name, "category", texts=["a", "b", None])
    means(name, "half", [1.0, 0.5, None])


def of_fastparquet():
    for codec in (None, "SNAPPY", "ZSTD", "BROTLI", "LZ4"):
        name = f"fastparquet-{codec or 'none'}".lower()
        frame = pd.DataFrame({
            "truth": [True, False, True], "text": ["1", "0.5", "x"], "number": [1.0, 0.5, 0.25],
            "count": np.array([4, 5, 6], np.uint32), "maybe": pd.array([1, None, 0], "Int64"),
            "maybe_true": pd.array([True, None, False], "boolean"),
        })
        fastparquet.write(path(name), frame, compression=codec, object_encoding="utf8")
        means(name, "truth", [1, 0, 1])
        means(name, "text", texts=["1", "0.5", "x"])
        means(name, "number", [1.0, 0.5, 0.25])
        integers(name, "count", [4, 5, 6])
        integers(name, "maybe", [1, None, 0])
        means(name, "maybe_true", [1, None, 0])


def old_lz4():
    """The codec LZ4 of before 2021, which pyarrow reads but writes no more: its number is 5, not 7."""
    name = "old-lz4"
    pq.write_table(pa.table({"n": pa.array(range(100))}), path(name), compression="lz4")
    with open(path(name), "rb") as file:
        data = file.read()
    # Field 4 of the chunk's metadata, an integer: 7 is 0e in zigzag, 5 is 0a.
    length = int.from_bytes(data[-8:-4], "little")
    footer = data[-8 - length:-8]
    assert footer.count(b"\x15\x0e\x16") == 1
    changed = data[:-8 - length] + footer.replace(b"\x15\x0e\x16", b"\x15\x0a\x16") + data[-8:]
    with open(path(name), "wb") as file:
        file.write(changed)
    assert pq.read_table(path(name))["n"].to_pylist() == list(range(100))
    integers(name, "n", list(range(100)))


if __name__ == "__main__":
    of_pyarrow()
    of_duckdb()
    of_polars()
    of_fastparquet()
    old_lz4()
    with open(os.path.join(HERE, "meanings.json"), "w") as file:
        json.dump(MEANINGS, file, indent=0, ensure_ascii=False)
        file.write("\n")
