"""Hostile model folders: every number of every configuration replaced, weights of other shapes and types."""

import json
import shutil
import struct

from harness import PIPELINE, REPOSITORY, Campaign, read_json

REMOVED = object()
NUMBERS = [-1, 0, 1, 3, 0.5, 1e-38, 1e308, 2**31, 2**62, 2**63 - 1, -2**63, "7", "x", None, [], [0], {},
           True, REMOVED]
TEXTS = ["", "x", None, 3, [], "../../etc/passwd", REMOVED]
WEIGHTS = [
    "unet/diffusion_pytorch_model.safetensors", "vae/diffusion_pytorch_model.safetensors",
    "text_encoder/model.safetensors",
]
CHANGES = ["missing", "renamed", "transposed", "wider", "integers", "empty", "nan", "truncated"]


class Models(Campaign):
    name = "models"
    share = 2.0

    def __init__(self, program, random):
        self.program, self.random = program, random
        self.model = REPOSITORY / "data/tiny-sd"
        self.preference = REPOSITORY / "data/tiny-preference"

    def trials(self):
        found = list(self.configurations()) + list(self.weights())
        self.random.shuffle(found)
        yield from found

    def configurations(self):
        for folder in (self.model, REPOSITORY / "Tests/Fixtures/sample-xl/model", self.preference):
            for file in [*sorted(folder.rglob("*config.json")), *folder.glob("model_index.json")]:
                name = str(file.relative_to(folder))
                for path, value in leaves(read_json(file)):
                    for bad in TEXTS if isinstance(value, str) else NUMBERS:
                        if bad != value or type(bad) is not type(value):
                            shown = "removed" if bad is REMOVED else f"= {bad!r}"
                            yield (f"{folder.parts[-2]}/{name}: {'.'.join(map(str, path))} {shown}",
                                   lambda out, a=(folder, name, path, bad): self.configured(out, *a))

    def configured(self, out, folder, name, path, bad):
        model = shutil.copytree(folder, out / "model")
        content = read_json(model / name)
        place = content
        for key in path[:-1]:
            place = place[key]
        if bad is REMOVED:
            del place[path[-1]]
        else:
            place[path[-1]] = bad
        (model / name).write_text(json.dumps(content))
        return self.used(out, model, is_preference=folder == self.preference)

    def weights(self):
        for file in WEIGHTS:
            names = [n for n in header(self.model / file) if n != "__metadata__"]
            for tensor in self.random.sample(names, min(12, len(names))):
                for change in CHANGES:
                    yield (f"{file}: {tensor} {change}",
                           lambda out, a=(file, tensor, change): self.weighted(out, *a))

    def weighted(self, out, file, tensor, change):
        model = shutil.copytree(self.model, out / "model")
        damage(model / file, tensor, change)
        return self.used(out, model, is_preference=False, must_fail=change != "integers")

    def used(self, out, model, is_preference, must_fail=False):
        """A picture is drawn, or one line says why not; doctor accepts no configuration that sample refuses."""
        setting = "preference.start" if is_preference else "model"
        doctor = self.program.run(
            "doctor", PIPELINE, "--workspace", out / "workspace", "--set", f"{setting}={model}",
            limit=60, address_space=4_000_000)
        if problem := self.problem(doctor):
            return f"doctor: {problem}"
        if is_preference:
            return None
        image = out / "image.png"
        result = self.program.run(
            "sample", "--model", model, "--prompt", "a red circle", "--steps", 2, "--out", image,
            limit=60, address_space=4_000_000)
        if problem := self.problem(result):
            return problem
        if (result.code == 0) != image.exists():
            return f"exit code {result.code}, and image: {image.exists()}"
        if must_fail and result.code == 0:
            return "an image, though a tensor is damaged"
        if not must_fail and result.code in (3, 4) and doctor.code == 0:
            return f"sample refuses what doctor accepts: {result.last_line}"
        return None

    def problem(self, result):
        if result.unsound():
            return result.unsound()
        if result.code not in (0, 3, 4, 5, 7):
            return f"exit code {result.code}: {result.last_line}"
        lines = [line for line in result.errors.splitlines() if line.startswith("error:")]
        return f"{len(lines)} lines of error" if result.code and len(lines) != 1 else None


def leaves(value, path=()):
    """All values that are neither objects nor lists, with their paths."""
    if isinstance(value, (dict, list)):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves(inner, (*path, key))
    else:
        yield path, value


def header(path):
    with open(path, "rb") as file:
        (count,) = struct.unpack("<Q", file.read(8))
        return json.loads(file.read(count))


def damage(path, tensor, change):
    """Changes one tensor of a safetensors file, in its header or in its numbers."""
    content = path.read_bytes()
    (count,) = struct.unpack("<Q", content[:8])
    entries, data = json.loads(content[8:8 + count]), bytearray(content[8 + count:])
    entry = entries[tensor]
    begin, end = entry["data_offsets"]
    if change == "missing":
        # A hole is refused as such: the bytes go to a name that no model knows.
        entries["nothing.of.the.model"] = entries.pop(tensor)
    elif change == "renamed":
        entries[tensor + "x"] = entries.pop(tensor)
    elif change == "transposed":
        entry["shape"] = [1, *entry["shape"]]
    elif change == "wider":
        entry["shape"] = [entry["shape"][0] * 2, *entry["shape"][1:]]
    elif change == "integers":
        entry["dtype"] = {2: "I16", 4: "I32"}[(end - begin) // max(1, product(entry["shape"]))]
    elif change == "empty":
        entry["shape"] = [0]
    elif change == "nan":
        data[begin:end] = b"\xff" * (end - begin)
    elif change == "truncated":
        data = data[:begin]
    text = json.dumps(entries).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + bytes(data))


def product(shape):
    result = 1
    for size in shape:
        result *= size
    return result
