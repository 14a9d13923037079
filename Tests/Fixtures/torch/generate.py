"""Makes the fixtures of torch checkpoints: `python generate.py` in this folder.

Written with torch 2.13.0, safetensors 0.8.0.

* mixed.bin: a checkpoint of torch.save; mixed.safetensors: the same tensors by the names they get
* protocol4.bin, large.zip.bin: the same with pickle protocol 4, and with the zip's 64-bit extension
* unarchived.bin: the same in the format before torch 1.6
* published.ckpt: the same between objects of other classes, as frameworks write them
* model/: a text encoder whose weights are files of torch
* hostile/: files that are refused; hostile.json: a part of the error each must give
"""

import collections
import io
import json
import os
import pickle
import shutil
import sys
import types
import zipfile

import numpy
import torch
from safetensors.torch import load_file, save_file

here = os.path.dirname(os.path.abspath(__file__))


def path(*names):
    return os.path.join(here, *names)


# Files of torch

generator = torch.Generator().manual_seed(2)
matrix = torch.randn(3, 4, generator=generator)
linear = torch.nn.Linear(2, 3)
with torch.no_grad():
    linear.weight.copy_(torch.randn(3, 2, generator=generator))
    linear.bias.copy_(torch.randn(3, generator=generator))
plain = {
    "matrix": matrix,
    "transposed": matrix.t(),
    "row": matrix[1],
    "column": matrix[:, 2],
    "inner": matrix[1:, 1:3],
    "swapped": torch.arange(24).reshape(2, 3, 4).permute(2, 0, 1),
    "half": matrix.half(),
    "bfloat": matrix.bfloat16()[::2],
    "double": matrix.double(),
    "scalar": torch.tensor(-3),
    "empty": torch.zeros(0, 5),
    "int": torch.tensor([-(2**31), 5], dtype=torch.int32),
    "short": torch.tensor([-300], dtype=torch.int16),
    "char": torch.tensor([-3], dtype=torch.int8),
    "byte": torch.tensor([200], dtype=torch.uint8),
    "bool": torch.tensor([True, False]),
    "parameter": torch.nn.Parameter(matrix[0].clone()),
}
checkpoint = plain | {
    "state_dict": linear.state_dict(),
    "list": [matrix, {7: matrix[2]}],
    "epoch": 3, "loss": 0.5, "name": "größe", "none": None, "flag": True, "big": 2**40, "minus": -5,
    "pair": (1, 2), "five": (1, 2, 3, 4, 5), "alphas": [0.5, 1.5], "ordered": collections.OrderedDict(),
}
named = plain | {
    "state_dict.weight": linear.weight, "state_dict.bias": linear.bias,
    "list.0": matrix, "list.1.7": matrix[2],
}
torch.save(checkpoint, path("mixed.bin"))
torch.save(checkpoint, path("protocol4.bin"), pickle_protocol=4)
torch.save(checkpoint, path("unarchived.bin"), _use_new_zipfile_serialization=False)
save_file({name: t.detach().clone().contiguous() for name, t in named.items()}, path("mixed.safetensors"))



def stand_in(module, name, *bases):
    """A class that pickles under another's name."""
    made = type(name, bases or (object,), {"__module__": module, "__qualname__": name})
    for position in range(1, module.count(".") + 2):
        part = ".".join(module.split(".")[:position])
        sys.modules.setdefault(part, types.ModuleType(part))
    setattr(sys.modules[module], name, made)
    return made


callback = stand_in("pytorch_lightning.callbacks.model_checkpoint", "ModelCheckpoint")
attributes = stand_in("pytorch_lightning.utilities.parsing", "AttributeDict", dict)
listed = stand_in("omegaconf.listconfig", "ListConfig", list)
instance = callback()
instance.best_model_path = "last.ckpt"
torch.save(
    checkpoint | {
        "callbacks": {callback: {"best_model_score": 0.25}, (1, 2): 3, None: 4, True: 5},
        "loops": {"instance": instance, "score": numpy.float32(0.5), "array": numpy.arange(3)},
        "hyper_parameters": attributes(lr=1e-4, kinds={1, 2}, frozen=frozenset("ab"), z=1j),
        "states": collections.defaultdict(list, {"seed": 2**64 - 1}), "items": listed([1, 2]),
        "device": torch.device("cpu"), "size": torch.Size([2, 3]), "raw": b"\xff\x00",
    }, path("published.ckpt"))

# The same archive with every number that can be long written long.
limit = zipfile.ZIP64_LIMIT
zipfile.ZIP64_LIMIT = 0
with zipfile.ZipFile(path("mixed.bin")) as source, zipfile.ZipFile(path("large.zip.bin"), "w") as target:
    for entry in source.infolist():
        with target.open(zipfile.ZipInfo(entry.filename), "w", force_zip64=True) as file:
            file.write(source.read(entry))
zipfile.ZIP64_LIMIT = limit

# A part of a model: that of `../models/text-quick`, as one file and in two with their index

folder = path("model", "text_encoder")
shutil.rmtree(path("model"), ignore_errors=True)
os.makedirs(folder)
os.makedirs(path("model", "text_encoder_2"))
source = path("..", "models", "text-quick", "text_encoder")
weights = load_file(os.path.join(source, "model.safetensors"))
for part in ("text_encoder", "text_encoder_2"):
    shutil.copy(os.path.join(source, "config.json"), path("model", part))
torch.save(weights, os.path.join(folder, "pytorch_model.bin"))
names, places = sorted(weights), {}
for number, part in enumerate((names[::2], names[1::2]), start=1):
    file = f"pytorch_model-0000{number}-of-00002.bin"
    torch.save({name: weights[name] for name in part}, path("model", "text_encoder_2", file))
    places |= {name: file for name in part}
with open(path("model", "text_encoder_2", "pytorch_model.bin.index.json"), "w") as file:
    json.dump({"metadata": {}, "weight_map": places}, file)

# Files that are refused

shutil.rmtree(path("hostile"), ignore_errors=True)
os.makedirs(path("hostile"))
hostile = {}


def archive(program, storages={}, method=zipfile.ZIP_STORED, name="archive"):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as file:
        file.writestr(zipfile.ZipInfo(f"{name}/data.pkl"), program, method)
        for key, content in storages.items():
            file.writestr(zipfile.ZipInfo(f"{name}/{key}"), content, method)
    return buffer.getvalue()


def case(name, error, content):
    hostile[name] = error
    with open(path("hostile", name + ".bin"), "wb") as file:
        file.write(content)


def text(value):
    return b"X" + len(value).to_bytes(4, "little") + value.encode()


def number(value):
    return b"J" + value.to_bytes(4, "little", signed=True)


def tensor(shape=(2, 2), strides=(2, 1), offset=0, count=4, key="0", kind="Float", identifier=b"storage"):
    """The program of a state dict with one tensor `w`."""
    long = lambda value: b"\x8a\x09" + value.to_bytes(9, "little", signed=True) if value > 2**63 - 1 \
        else b"\x8a\x08" + value.to_bytes(8, "little", signed=True)
    sizes = lambda values: b"(" + b"".join(long(v) for v in values) + b"t"
    return (b"\x80\x02}" + text("w") + b"ctorch._utils\n_rebuild_tensor_v2\n(("
            + text(identifier.decode()) + f"ctorch\n{kind}Storage\n".encode() + text(key) + text("cpu")
            + long(count) + b"tQ" + long(offset) + sizes(shape) + sizes(strides)
            + b"\x89ccollections\nOrderedDict\n)RtRs.")


class Call:
    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


def pickled(value, protocol=2):
    return archive(pickle.dumps(value, protocol))


data = {"data/0": bytes(16)}

# Names that are not tensors, storages or containers
case("system", "posix.system", pickled({"w": Call(os.system, "true")}))
case("system-protocol-4", "posix.system", pickled({"w": Call(os.system, "true")}, 4))
case("eval", "__builtin__.eval", pickled(Call(eval, "1")))
case("exec-in-list", "__builtin__.exec", pickled([[Call(exec, "")]]))
case("getattr", "__builtin__.getattr", pickled(Call(getattr, {}, "x")))
case("import", "importlib.import_module", archive(b"\x80\x02cimportlib\nimport_module\n" + text("os") + b"\x85R."))
case("unused-name", "subprocess.Popen", archive(b"\x80\x02csubprocess\nPopen\n0}."))
case("look-alike", "torch._utils.rebuild", archive(b"\x80\x02ctorch._utils\nrebuild\n)R."))
case("dotted-name", "torch.storage.os.system", archive(b"\x80\x02ctorch\nstorage.os.system\n)R."))
case("torch-load", "torch.serialization.load", archive(b"\x80\x02ctorch.serialization\nload\n" + text("x") + b"\x85R."))
case("hub", "torch.hub.load_state_dict_from_url", archive(b"\x80\x02ctorch.hub\nload_state_dict_from_url\n)R."))
case("module", "torch.nn.modules.linear.Linear",
     (lambda b: (torch.save(linear, b), b.getvalue())[1])(io.BytesIO()))
case("set", "__builtin__.set", pickled({1, 2}))
case("complex", "__builtin__.complex", pickled(1j))
case("instance", "os.system", archive(b"\x80\x02(ios\nsystem\n."))
case("extension", "instruction 0x82", archive(b"\x80\x02\x82\x01."))
case("persistent-text", "instruction 0x50", archive(b"\x80\x02Pstorage\n."))
case("call-of-text", "a call that does not make a tensor", archive(b"\x80\x02" + text("os.system") + b")R."))
case("call-of-storage-type", "a call that does not make a tensor", archive(b"\x80\x02ctorch\nFloatStorage\n)R."))
case("call-ordered-with-arguments", "a call that does not make a tensor", archive(b"\x80\x02ccollections\nOrderedDict\n]\x85R."))
case("attributes-of-name", "attributes are set", archive(b"\x80\x02ccollections\nOrderedDict\n}b."))

# Tensors that lie about their storage
case("tensor-beyond-storage", "does not fit its storage", archive(tensor(shape=(3, 2)), data))
case("tensor-offset", "does not fit its storage", archive(tensor(offset=1), data))
case("tensor-negative-offset", "does not fit its storage", archive(tensor(offset=-1), data))
case("tensor-strides", "does not fit its storage", archive(tensor(strides=(3, 1)), data))
case("tensor-negative-stride", "does not fit its storage", archive(tensor(strides=(-2, 1), offset=2), data))
case("tensor-negative-shape", "does not fit its storage", archive(tensor(shape=(-2, 2)), data))
case("tensor-expanded", "does not fit its storage", archive(tensor(shape=(2**40,), strides=(0,)), data))
case("tensor-overflow", "does not fit its storage", archive(tensor(shape=(2**62, 2**62)), data))
case("tensor-stride-overflow", "does not fit its storage", archive(tensor(shape=(2, 1), strides=(2**63 - 1, 1), offset=1), data))
case("tensor-shape-beyond-int", "a size is not a number", archive(tensor(shape=(2**64,)), data))
case("tensor-rank", "does not fit its storage", archive(tensor(shape=(2, 2), strides=(1,)), data))
case("tensor-many-dimensions", "over 64 dimensions", archive(tensor(shape=(1,) * 65, strides=(1,) * 65), data))
case("storage-missing", "storage archive/data/1 is missing", archive(tensor(key="1"), data))
case("storage-path", "storage archive/data/../../etc is missing", archive(tensor(key="../../etc"), data))
case("storage-short", "has 16 bytes", archive(tensor(count=5), data))
case("storage-long", "has 16 bytes", archive(tensor(shape=(1, 1), count=1), data))
case("storage-negative", "an identifier that is not of a storage", archive(tensor(count=-4), data))
case("storage-huge", "has 16 bytes", archive(tensor(count=2**61), data))
case("storage-unknown-type", "torch.QInt8Storage", archive(tensor(kind="QInt8"), data))
case("storage-identifier", "an identifier that is not of a storage", archive(tensor(identifier=b"module"), data))
case("big-endian", "not little-endian", archive(tensor(), data | {"byteorder": b"big"}))

# Programs that are wrong
case("program-empty", "the program ends too early", archive(b""))
case("program-cut", "the program ends too early", archive(tensor()[:-20], data))
case("program-no-value", "a value is missing", archive(b"\x80\x02."))
case("program-pop-below-mark", "a value is missing", archive(b"\x80\x02N(0."))
case("program-no-mark", "a mark is missing", archive(b"\x80\x02Nt."))
case("program-odd-dictionary", "no dictionary", archive(b"\x80\x02}(Nu."))
case("program-odd-dict", "a key has no value", archive(b"\x80\x02(Nd."))
case("program-append-to-none", "no list", archive(b"\x80\x02NNa."))
case("program-recall", "the memo has no value", archive(b"\x80\x02h\x05."))
case("program-long-text", "the program ends too early", archive(b"\x80\x02X\xff\xff\xff\xff."))
case("program-bad-text", "not valid UTF-8", archive(b"\x80\x02X\x01\0\0\0\xff."))
case("program-circle", "contain themselves", archive(b"\x80\x02]q\0h\0a."))
case("program-deep-tuple", "contain themselves", archive(b"\x80\x02N" + b"\x85" * 20000 + b"."))
case("program-deep-lists", "contain themselves", archive(
    b"\x80\x02]q\2q\0000" + b"]q\0010h\0h\1a0h\1q\0000" * 2000 + b"h\2."))
case("program-billion-laughs", "over a million values",
     archive(b"\x80\x02]q\0" + b"(" + b"h\0" * 9 + b"tq\0" + (b"(" + b"h\0" * 9 + b"tq\0") * 20 + b"."))
case("program-long-names", "names of over", archive(
    b"\x80\x02" + text("x" * 3000) + b"q\0" + b"}h\0}h\0Nss."))
case("same-name-twice", "duplicate name", archive(
    b"\x80\x02}(" + (text("w") + tensor()[len(b"\x80\x02}" + text("w")):-2]) * 2 + b"u.", data))

# Archives that are wrong
good = archive(tensor(), data)
case("not-an-archive", "its end is missing", b"PK\x03\x04" + bytes(100))
old = io.BytesIO()
torch.save({"w": matrix}, old, _use_new_zipfile_serialization=False)
old = old.getvalue()
case("unarchived-cut", "truncated", old[:-1])
case("unarchived-without-elements", "truncated", old[:-4 * 12 - 8])
case("unarchived-pickle-cut", "the program ends too early", old[:60])
case("unarchived-count", "are listed", old[:-4 * 12 - 8] + (11).to_bytes(8, "little") + old[-4 * 12:])
case("unarchived-version", "unknown format", old.replace(b"M\xe9\x03.", b"M\xe8\x03.", 1))
case("unarchived-system", "posix.system", old.replace(b"}q\x00", b"cposix\nsystem\n0}q\x00"))
case("sparse", "torch._utils._rebuild_sparse_tensor", archive(b"\x80\x02ctorch._utils\n_rebuild_sparse_tensor\n)R."))
case("storage-from-bytes", "torch.storage._load_from_bytes", archive(b"\x80\x02ctorch.storage\n_load_from_bytes\n)R."))
case("empty-file", "its end is missing", b"")
case("cut", "its end is missing", good[:-1])
case("compressed", "is compressed or encrypted", archive(tensor() + bytes(1000), data, zipfile.ZIP_DEFLATED))


def two(*names):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name in names:
            file.writestr(zipfile.ZipInfo(name), tensor())
    return buffer.getvalue()


case("no-pickle", "one entry data.pkl, but this archive has 0", two("archive/data/0"))
case("two-pickles", "one entry data.pkl, but this archive has 2", two("a/data.pkl", "b/data.pkl"))
case("entry-twice", "duplicate entry", two("a/data.pkl", "a/data.pkl"))
directory = good.index(b"PK\x01\x02")
end = good.index(b"PK\x05\x06")


def patched(offset, content, base=good):
    return base[:offset] + content + base[offset + len(content):]


case("encrypted", "is compressed or encrypted", patched(directory + 8, b"\x01"))
case("wrong-checksum", "checksum of archive/data.pkl is wrong", patched(directory + 16, b"\0\0\0\0"))
case("entry-size", "outside the file", patched(directory + 20, b"\xff\xff\xff\x7f" * 2))
case("entry-offset", "outside the file", patched(directory + 42, b"\xff\xff\xff\x7f"))
case("entry-offset-off-by-one", "header is damaged", patched(directory + 42, b"\x01\0\0\0"))
case("entry-name-length", "damaged", patched(directory + 28, b"\x01\0"))
case("entry-name-too-long", "ends within an entry", patched(directory + 28, b"\xff\xff"))
case("entry-large-without-numbers", "outside the file", patched(directory + 20, b"\xff" * 8))
case("directory-offset", "is outside", patched(end + 16, b"\xff\xff\xff\x7f"))
case("directory-size", "is outside", patched(end + 12, b"\xff\xff\xff\x7f"))
case("directory-large-missing", "64-bit directory is missing", patched(end + 16, b"\xff\xff\xff\xff"))

with open(path("hostile.json"), "w") as file:
    json.dump(hostile, file, indent=2)
