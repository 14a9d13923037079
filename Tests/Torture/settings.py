"""Random changes of one setting: a sound result, or one line that refuses it."""

import array
import json
import math

from harness import PIPELINE, STAGES, Campaign
from models import header

STRANGE = [-1, 0, 1, 2, 0.5, -0.5, 1e9, 1e30, 2**62, -2**63, "x", "", "../x", None, True, [], [1],
           [0.5, 900], {}]
# Refusals: settings, input, space, not finite, nothing learned.
REFUSALS = (3, 4, 5, 7, 8)


class Settings(Campaign):
    name = "settings"
    share = 2.0

    def __init__(self, program, snapshots, random):
        self.program, self.snapshots, self.random = program, snapshots, random

    def trials(self):
        listed = json.loads(self.program.run("settings", "--json").output)
        known = [(f"{stage['stage']}.{setting['name']}", setting)
                 for stage in listed["stages"] if stage["stage"] in STAGES
                 for setting in stage["settings"]]
        while True:
            name, setting = self.random.choice(known)
            value = json.dumps(self.random.choice(self.values(setting)))
            yield f"{name}={value}", lambda folder, a=(name, value): self.trial(folder, *a)

    def values(self, setting):
        """In range as often as not: the bounds, between them and beyond them, near the default, any choice."""
        values = list(STRANGE)
        if "minimum" in setting:
            low, high = setting["minimum"], setting["maximum"]
            near = min(max(setting["default"] or low, low), high)
            inside = [low, near, min(2 * near, high), max(near / 2, low), min(near + 1, high),
                      low + (high - low) * self.random.random() ** 4]
            if "whole" in setting["type"]:
                inside = [round(value) for value in inside]
            values = inside * 4 + values + [high, low - 1, high + 1]
        return values + setting.get("values", []) * 4

    def trial(self, folder, name, value):
        workspace = self.snapshots.start(folder, name.split(".")[0])
        words = ["--set", f"{name}={value}"]
        doctor = self.program.run("doctor", PIPELINE, "--workspace", workspace, *words)
        if doctor.unsound():
            return f"doctor: {doctor.unsound()}"
        # A value in range may ask for hours: those are interrupted, which is no failure.
        result = self.program.pipeline(workspace, *words, interrupt_after=20, address_space=6_000_000)
        if result.unsound():
            return result.unsound()
        if result.code not in (0, 130, *REFUSALS):
            return f"exit code {result.code}: {result.last_line}"
        if result.code == 0:
            return unsound(workspace / "spo/pytorch_lora_weights.safetensors")
        if result.code == 3 and doctor.code == 0:
            return f"run refuses what doctor accepts: {result.last_line}"
        return None


def unsound(path):
    """What is wrong with a LoRA that was handed over: it is missing, not finite, or changes nothing."""
    if not path.exists():
        return "exit code 0 without a LoRA"
    content = path.read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")
    changes = False
    for name, entry in header(path).items():
        if name == "__metadata__" or entry["dtype"] != "F32":
            continue
        begin, end = entry["data_offsets"]
        numbers = array.array("f", content[start + begin:start + end])
        if not all(map(math.isfinite, numbers)):
            return f"exit code 0, but {name} is not finite"
        changes = changes or ".up." in name and any(numbers)
    return None if changes else "exit code 0, but the LoRA changes nothing"
