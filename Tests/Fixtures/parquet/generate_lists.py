"""Writes lists-NAME.parquet: a column of lists, by pyarrow and by polars.

Made with Python 3.11, pyarrow 26.0.1 and polars 2.1.0.

    python generate_lists.py
"""

import pathlib

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

HERE = pathlib.Path(__file__).parent
LISTS = [[1, 2], [], None, [None, 3], [4, None], list(range(3000)), [5]]

table = pa.table({"numbers": pa.array(LISTS, pa.list_(pa.int64()))})
pq.write_table(table, HERE / "lists-pyarrow.parquet", row_group_size=4, data_page_size=1000)
pl.DataFrame({"numbers": LISTS}, schema={"numbers": pl.List(pl.Int64)}).write_parquet(
    HERE / "lists-polars.parquet", compression="lz4")
