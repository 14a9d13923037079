"""Makes the files of this folder: `python generate.py` (versions in README.md).

Small files of the kinds that users bring, for the tests of the built binary.
"""
import decimal, io, json, pathlib, pickle, sys, types, uuid, zipfile
from collections import OrderedDict

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image
from safetensors.numpy import load_file

HERE = pathlib.Path(__file__).parent
DATA = HERE.parent.parent.parent / "data"
ROWS = 8


def image(seed):
    pixels = np.random.default_rng(seed).integers(0, 255, (4, 4, 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).resize((16, 16), Image.Resampling.BICUBIC).save(out, "JPEG")
    return out.getvalue()


def columns(**changes):
    """The published columns; the label alternates between (0, 1) and (1, 0)."""
    rows = range(ROWS)
    return {
        "caption": [f"a red circle {i}" for i in rows],
        "jpg_0": [image(2 * i) for i in rows], "jpg_1": [image(2 * i + 1) for i in rows],
        "image_0_uid": [f"a{i}" for i in rows], "image_1_uid": [f"b{i}" for i in rows],
        "label_0": [float(i % 2) for i in rows], "label_1": [float(1 - i % 2) for i in rows],
        "has_label": [True] * ROWS, "are_different": [True] * ROWS,
        "num_example_per_prompt": [1] * ROWS,
    } | changes


def write(name, table, **options):
    pq.write_table(pa.table(table), HERE / f"{name}.parquet", **({"compression": "snappy"} | options))


def labels(convert):
    """Both label columns, converted from lists of floats."""
    plain = columns()
    return {name: convert(plain[name]) for name in ("label_0", "label_1")}


def decimals(values, kind):
    return pa.array([decimal.Decimal(str(v)) for v in values], kind)


def comparisons():
    """The first rows of the shipped sample: enough for every stage, in seconds."""
    (HERE / "comparisons").mkdir(exist_ok=True)
    for split, count in (("train", 36), ("validation_unique", 12)):
        (source,) = (DATA / "pickapic-sample/data").glob(f"{split}-*.parquet")
        pq.write_table(
            pq.read_table(source).slice(0, count),
            HERE / f"comparisons/{split}-00000-of-00001.parquet",
            row_group_size=12, compression="snappy")
    prompts = json.loads((DATA / "validation-prompts.json").read_text())[:2]
    (HERE / "comparisons/prompts.json").write_text(json.dumps(prompts) + "\n")


class FloatStorage:
    """Stands for torch.FloatStorage, which a pickle names."""


def rebuild_tensor(*_):
    """Stands for torch._utils._rebuild_tensor_v2."""


def save_torch(tensors, path):
    """Writes what `torch.save` writes for a dict of float tensors."""
    for name, module, value in (
        ("FloatStorage", "torch", FloatStorage), ("_rebuild_tensor_v2", "torch._utils", rebuild_tensor),
    ):
        value.__module__, value.__name__, value.__qualname__ = module, name, name
        sys.modules.setdefault(module, types.ModuleType(module))
        setattr(sys.modules[module], name, value)

    class Storage:
        def __init__(self, key, count): self.key, self.count = key, count

    class Tensor:
        def __init__(self, key, array): self.key, self.array = key, array
        def __reduce__(self):
            strides = tuple(s // self.array.itemsize for s in self.array.strides)
            storage = Storage(self.key, self.array.size)
            return rebuild_tensor, (storage, 0, self.array.shape, strides, False, OrderedDict())

    class Pickler(pickle.Pickler):
        def persistent_id(self, value):
            if isinstance(value, Storage):
                return "storage", FloatStorage, value.key, "cpu", value.count

    pickled = io.BytesIO()
    Pickler(pickled, protocol=2).dump({
        name: Tensor(str(i), array) for i, (name, array) in enumerate(tensors.items())})
    with zipfile.ZipFile(path, "w") as archive:
        def add(name, data):
            # A fixed date, so that the file is the same each time.
            archive.writestr(zipfile.ZipInfo(f"archive/{name}", (1980, 1, 1, 0, 0, 0)), data)
        add("data.pkl", pickled.getvalue())
        for i, array in enumerate(tensors.values()):
            add(f"data/{i}", array.tobytes())
        add("version", b"3\n")


def torch_lora():
    """A LoRA as diffusers wrote it at first: `pytorch_lora_weights.bin`."""
    rng, tensors = np.random.default_rng(0), {}
    unet = load_file(DATA / "tiny-sd/unet/diffusion_pytorch_model.safetensors")
    for key in sorted(unet):
        if key.endswith(".to_q.weight"):
            stem, (rows, width) = key[:-len(".to_q.weight")], unet[key].shape
            for part, shape in (("down", (2, width)), ("up", (rows, 2))):
                tensors[f"{stem}.processor.to_q_lora.{part}.weight"] = (
                    rng.standard_normal(shape).astype(np.float32) * 0.1)
    save_torch(tensors, HERE / "pytorch_lora_weights.bin")


def main():
    comparisons()
    torch_lora()
    write("published", columns())
    for codec in ("zstd", "lz4", "brotli"):
        write(f"codec-{codec}", columns(), compression=codec)

    whole = decimals([4.0] * ROWS, pa.decimal128(4, 1))
    as_integer = {"store_decimal_as_integer": True}
    write("decimal-count", columns(num_example_per_prompt=whole), **as_integer)
    write("decimal-labels", columns(**labels(lambda v: decimals(v, pa.decimal128(2, 1)))), **as_integer)
    write("decimal-int64", columns(**labels(lambda v: decimals(v, pa.decimal128(12, 3)))), **as_integer)
    write("decimal-bytes", columns(**labels(lambda v: decimals(v, pa.decimal128(2, 1)))))

    write("label-truth", columns(**labels(lambda v: [x == 1 for x in v])))
    write("label-text", columns(**labels(lambda v: [str(int(x)) for x in v])))
    write("label-half", columns(**labels(lambda v: pa.array(np.float16(v)))))

    def uuids(first):
        return pa.array([uuid.UUID(int=first + i).bytes for i in range(ROWS)], pa.uuid())
    write("uid-uuid", columns(image_0_uid=uuids(100), image_1_uid=uuids(200)))
    kept = ("caption", "jpg_0", "jpg_1", "label_0", "label_1")
    write("uid-none", {name: values for name, values in columns().items() if name in kept})


if __name__ == "__main__":
    main()
