"""Makes the safetensors fixtures: `python generate.py` in this folder.

Written with safetensors 0.8.0, torch 2.13.0, numpy 2.4.6.

* mixed.safetensors, one.safetensors, sharded/: files of the safetensors library
* float8.safetensors: every number of the F8 types
* mixed.json, float8.json: the numbers that are in them
* hostile/: files that break one rule each; hostile.json: a part of the error each must give
"""

import json
import os
import shutil
import struct

import numpy
import torch
from safetensors.torch import save_file

here = os.path.dirname(os.path.abspath(__file__))


def path(*names):
    return os.path.join(here, *names)


# Files of the library

generator = torch.Generator().manual_seed(1)


def normal(*shape):
    return torch.randn(*shape, generator=generator)


# Round-to-even ties, subnormals, overflow to infinity, the largest halves, signed zero.
edges = torch.tensor(
    [0.0, -0.0, 1.0, 1 + 2**-11, 1 + 3 * 2**-11, 1 + 2**-8, 1 + 3 * 2**-8, 65504, 65519.99, 65520,
     2**-24, 2**-25, 3 * 2**-25, 2**-14, -2**-149, 3.3895e38, 3.4e38, float("inf"), float("-inf")])
mixed = {
    "edges.f32": edges,
    "edges.f16": edges.half(),
    "edges.bf16": edges.bfloat16(),
    "edges.f64": edges.double(),
    "weight": normal(3, 5),
    "weight.half": normal(2, 2, 3).half(),
    "weight.bfloat": normal(4).bfloat16(),
    "scalar": torch.tensor(2.5),
    "empty": torch.zeros(0, 7),
    "ids": torch.tensor([[1, -2], [2**40, -(2**63)]]),
    "ids.i32": torch.tensor([-(2**31), 7], dtype=torch.int32),
    "bytes": torch.tensor([0, 255, 1], dtype=torch.uint8),
    "flags": torch.tensor([True, False, True]),
    "größe": torch.tensor([1.0]),
}
save_file(mixed, path("mixed.safetensors"), metadata={"format": "pt"})
save_file({"x": torch.arange(6.0).reshape(2, 3)}, path("one.safetensors"))


def numbers(tensor):
    if tensor.is_floating_point():  # as bits: JSON has no infinity
        return tensor.float().numpy().view(numpy.uint32).reshape(-1).tolist()
    return tensor.reshape(-1).to(torch.int64).tolist()


every = torch.arange(256).to(torch.uint8)
float8 = {str(kind).removeprefix("torch."): every.clone().view(kind)
          for kind in (torch.float8_e4m3fn, torch.float8_e5m2, torch.float8_e4m3fnuz, torch.float8_e5m2fnuz)}
save_file(float8, path("float8.safetensors"))

for name, tensors in {"mixed": mixed, "float8": float8}.items():
    with open(path(f"{name}.json"), "w") as file:
        json.dump({key: {"shape": list(t.shape), "values": numbers(t)} for key, t in tensors.items()}, file)

shutil.rmtree(path("sharded"), ignore_errors=True)
os.makedirs(path("sharded"))
shards = [{"a": normal(2, 2), "c": normal(3)}, {"b": normal(4).half()}]
weight_map = {}
for index, shard in enumerate(shards):
    name = f"model-{index + 1:05}-of-00002.safetensors"
    save_file(shard, path("sharded", name))
    weight_map |= {tensor: name for tensor in shard}
with open(path("sharded", "model.safetensors.index.json"), "w") as file:
    json.dump({"metadata": {"total_size": 36}, "weight_map": weight_map}, file, indent=2)

# Files that break a rule

hostile = {}


def write(name, content, error):
    hostile[name] = error
    with open(path("hostile", name + ".safetensors"), "wb") as file:
        file.write(content)


def with_header(text, data=b"", length=None):
    if isinstance(text, str):
        text = text.encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def tensor(dtype="F32", shape=(1,), offsets=(0, 4)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


def case(name, error, header, data=bytes(4)):
    write(name, with_header(header if isinstance(header, (str, bytes)) else json.dumps(header), data), error)


shutil.rmtree(path("hostile"), ignore_errors=True)
os.makedirs(path("hostile"))

write("empty-file", b"", "is empty")
write("seven-bytes", b"\x02\0\0\0\0\0\0", "too short")
write("length-only", struct.pack("<Q", 0), "does not start with '{'")
write("length-zero", struct.pack("<Q", 0) + b"{}", "does not start with '{'")
write("length-past-end", with_header("{}", length=3), "length is 3")
write("length-at-limit", with_header("{}", length=100_000_001), "length is 100000001")
write("length-2-63", with_header("{}", length=2**63), "length is 9223372036854775808")
write("length-2-64", with_header("{}", length=2**64 - 1), "length is 18446744073709551615")
write("length-wraps", with_header("{}", length=2**64 - 8), "length is 18446744073709551608")
write("length-short", with_header('{"a":{}}', length=4), "expected ':'")

one = json.dumps(tensor())
case("not-json", "expected a value", '{"a":nonsense}')
case("leading-space", "does not start with '{'", ' {"a":' + one + "}")
case("header-array", "does not start with '{'", "[" + one + "]")
case("header-text-after", "after the value", '{"a":' + one + "}x")
case("header-nul-padding", "after the value", '{"a":' + one + "}\0")
case("header-bom", "does not start with '{'", b"\xef\xbb\xbf{}")
case("header-not-utf8", "not valid UTF-8", b'{"a\xff":' + one.encode() + b"}")
case("header-surrogate", "surrogate", '{"\\ud800":' + one + "}")
case("header-unclosed", "expected", '{"a":' + one)
case("header-deep", "nested", '{"a":' + "[" * 5000 + "]" * 5000 + "}")
case("header-comment", "expected a key in quotes", '{/*x*/"a":' + one + "}")
case("header-trailing-comma", "expected a key in quotes", '{"a":' + one + ",}")
case("name-twice", "duplicate", '{"a":' + one + ',"a":' + one + "}")
case("name-twice-escaped", "duplicate", '{"a":' + one + ',"\\u0061":' + one + "}")
case("name-twice-normalized", "duplicate",
     json.dumps({"\u00e9": tensor(), "e\u0301": tensor(offsets=(4, 8))}, ensure_ascii=False), bytes(8))
case("metadata-twice", "duplicate", '{"__metadata__":{},"__metadata__":{}}', b"")
case("metadata-array", "__metadata__ must be an object", {"__metadata__": [], "a": tensor()})
case("metadata-text", "__metadata__ must be an object", {"__metadata__": "pt", "a": tensor()})
case("metadata-number", "must be a string", {"__metadata__": {"step": 1}, "a": tensor()})
case("metadata-null", "must be a string", {"__metadata__": {"step": None}, "a": tensor()})
case("metadata-nested", "must be a string", {"__metadata__": {"x": {"y": "z"}}, "a": tensor()})
case("metadata-key-twice", "duplicate", '{"__metadata__":{"a":"1","a":"2"}}', b"")

case("tensor-no-object", "must be an object", {"a": 1})
case("tensor-null", "must be an object", {"a": None})
case("dtype-missing", "dtype is missing", {"a": {"shape": [1], "data_offsets": [0, 4]}})
case("shape-missing", "shape is missing", {"a": {"dtype": "F32", "data_offsets": [0, 4]}})
case("offsets-missing", "data_offsets is missing", {"a": {"dtype": "F32", "shape": [1]}})
case("dtype-unknown", "unknown element type F128", {"a": tensor("F128")})
case("dtype-lower-case", "unknown element type f32", {"a": tensor("f32")})
case("dtype-number", "dtype must be a string", {"a": tensor(32)})
case("shape-negative", "at least 0", {"a": tensor(shape=(-1,))})
case("shape-two-negatives", "at least 0", {"a": tensor(shape=(-1, -1))})
case("shape-float", "at least 0", {"a": tensor(shape=(1.0,))})
case("shape-text", "at least 0", {"a": tensor(shape=("1",))})
case("shape-number", "shape must be an array", '{"a":{"dtype":"F32","shape":1,"data_offsets":[0,4]}}')
case("shape-overflow", "is impossible for type", {"a": tensor(shape=(2**32, 2**32), offsets=(0, 0))}, b"")
case("shape-overflow-with-type", "is impossible for type", {"a": tensor(shape=(2**61,), offsets=(0, 0))}, b"")
case("shape-overflow-zero", "is impossible for type", {"a": tensor(shape=(2**62, 4, 0), offsets=(0, 0))}, b"")
case("shape-beyond-int", "at least 0", {"a": tensor(shape=(2**63,), offsets=(0, 0))}, b"")
case("shape-beyond-64-bits", "does not fit in 64 bits", {"a": tensor(shape=(2**64 + 1,), offsets=(0, 0))}, b"")
case("shape-half-byte", "is impossible for type", {"a": tensor("F4", (3,), (0, 2))}, bytes(2))
case("shape-six-bits", "is impossible for type", {"a": tensor("F6_E2M3", (3,), (0, 3))}, bytes(3))
case("size-short", "needs 8 bytes", {"a": tensor(shape=(2,))})
case("size-long", "needs 4 bytes", {"a": tensor(offsets=(0, 8))}, bytes(8))
case("offsets-one", "a start and an end", '{"a":{"dtype":"F32","shape":[1],"data_offsets":[4]}}')
case("offsets-three", "a start and an end", '{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4,8]}}')
case("offsets-negative", "at least 0", {"a": tensor(offsets=(-4, 0))})
case("offsets-float", "at least 0", {"a": tensor(offsets=(0, 4.0))})
case("offsets-exponent", "at least 0", '{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4e0]}}')
case("offsets-reversed", "a start and an end", {"a": tensor(offsets=(4, 0))})
case("offsets-huge", "needs 4 bytes", {"a": tensor(offsets=(0, 2**63 - 1))})
case("offsets-beyond-int", "at least 0", {"a": tensor(offsets=(2**63, 2**63 + 4))})
case("hole-before", "a gap before it", {"a": tensor(offsets=(4, 8))}, bytes(8))
case("hole-between", "a gap before it", {"a": tensor(), "b": tensor(offsets=(8, 12))}, bytes(12))
case("overlap", "it overlaps", {"a": tensor(), "b": tensor(offsets=(2, 6))}, bytes(6))
case("overlap-same", "it overlaps", {"a": tensor(), "b": tensor()})
case("overlap-inside", "it overlaps", {"a": tensor(shape=(3,), offsets=(0, 12)), "b": tensor(offsets=(4, 8))}, bytes(12))
case("empty-inside", "it overlaps", {"a": tensor(), "b": tensor(shape=(0,), offsets=(2, 2))})
case("tail", "belong to no tensor", {"a": tensor()}, bytes(5))
case("tail-only", "belong to no tensor", {}, bytes(1))
case("truncated", "truncated", {"a": tensor()}, bytes(3))
case("truncated-all", "truncated", {"a": tensor()}, b"")

with open(path("hostile.json"), "w") as file:
    json.dump(hostile, file, indent=2)
