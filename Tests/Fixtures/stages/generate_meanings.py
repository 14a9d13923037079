"""Writes pairs-*.parquet: eight comparisons each, with columns as other writers type them.

    python generate_meanings.py

Made with pyarrow 26.0.1, duckdb 2.0.1 and polars 2.1.0. Row i has the caption "prompt i", prefers image
i % 2, and shares its prompt with four rows. IngestMeaningTests expect the same of all of them.
"""
import io
import os
import uuid
from decimal import Decimal

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

HERE = os.path.dirname(os.path.abspath(__file__))
ROWS = range(8)


def picture(seed):
    out = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 255, (2, 2, 3), dtype=np.uint8)
    Image.fromarray(pixels).resize((16, 16)).save(out, "JPEG", quality=30)
    return out.getvalue()


def columns():
    return {
        "caption": [f"prompt {i}" for i in ROWS],
        "jpg_0": [picture(2 * i) for i in ROWS], "jpg_1": [picture(2 * i + 1) for i in ROWS],
        "image_0_uid": [str(uuid.UUID(int=i)) for i in ROWS],
        "image_1_uid": [str(uuid.UUID(int=100 + i)) for i in ROWS],
        "label_0": [1.0 - i % 2 for i in ROWS], "label_1": [float(i % 2) for i in ROWS],
        "has_label": [True] * 8, "num_example_per_prompt": [4] * 8,
    }


def write(name, changes, **options):
    table = {k: v for k, v in {**columns(), **changes}.items() if v is not None}
    pq.write_table(pa.table(table), os.path.join(HERE, f"pairs-{name}.parquet"), **options)


def labels(make):
    return {k: make(columns()[k]) for k in ("label_0", "label_1")}


def number(kind, values):
    return pa.array([Decimal(str(v)).quantize(Decimal(1).scaleb(-kind.scale)) for v in values], kind)


small, wide = pa.decimal128(2, 1), pa.decimal128(38, 10)
for suffix, kind in (("small", small), ("wide", wide)):
    write(f"decimal-{suffix}", {**labels(lambda v: number(kind, v)),
                                "num_example_per_prompt": number(kind, [4] * 8),
                                "has_label": number(kind, [1] * 8)},
          store_decimal_as_integer=True)
write("decimal-fixed", labels(lambda v: number(small, v)))
write("truth", labels(lambda v: [x == 1 for x in v]))
write("text", {**labels(lambda v: [str(int(x)) for x in v]), "has_label": ["true"] * 8,
               "num_example_per_prompt": ["4"] * 8})
write("words", labels(lambda v: ["True" if x else " false " for x in v]))
write("half", labels(lambda v: pa.array(np.float16(v))))
write("integers", {**labels(lambda v: pa.array([int(x) for x in v], pa.uint8())),
                   "has_label": pa.array([1] * 8, pa.int8()),
                   "num_example_per_prompt": pa.array([4] * 8, pa.uint64())})
write("uuid", {f"image_{k}_uid": pa.array([uuid.UUID(int=100 * k + i).bytes for i in ROWS], pa.uuid())
               for k in (0, 1)})
write("category", {k: pa.array(columns()[k]).dictionary_encode()
                   for k in ("caption", "image_0_uid", "image_1_uid")})
image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
write("no-uids", {"image_0_uid": None, "image_1_uid": None,
                  "jpg_0": pa.array([{"bytes": b, "path": None} for b in columns()["jpg_0"]], image)})
for codec in ("zstd", "lz4", "brotli", "gzip"):
    write(codec, {}, compression=codec)
pl.DataFrame(columns()).write_parquet(os.path.join(HERE, "pairs-polars.parquet"))
source = pa.table(columns())
duckdb.sql(f"""
    COPY (SELECT * REPLACE (
        CAST(image_0_uid AS UUID) AS image_0_uid, CAST(image_1_uid AS UUID) AS image_1_uid,
        CAST(label_0 AS DECIMAL(3, 2)) AS label_0, CAST(label_1 AS DECIMAL(3, 2)) AS label_1)
      FROM source) TO '{HERE}/pairs-duckdb.parquet' (FORMAT parquet, COMPRESSION zstd)
    """)
write("moments", {"label_0": pa.array([1] * 8, pa.timestamp("us"))})
write("days", {"caption": pa.array([1] * 8, pa.date32())})
write("null-uids", {f"image_{k}_uid": pa.nulls(8) for k in (0, 1)})
write("some-uids", {f"image_{k}_uid": [str(uuid.UUID(int=100 * k + i)) if i % 2 else "" for i in ROWS]
                    for k in (0, 1)})
twice = pa.table(columns())
twice = twice.append_column("label_0", twice["label_1"])
pq.write_table(twice, os.path.join(HERE, "pairs-twice.parquet"))
