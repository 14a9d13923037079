"""Random changes of one setting: a sound result, or one line that refuses it."""

import array
import collections
import dataclasses
import json
import math

from harness import PIPELINE, STAGES, Campaign, Snapshots
from models import header

STRANGE = [-1, 0, 1, 2, 0.5, -0.5, 1e9, 1e30, 2**62, -2**63, "x", "", "../x", None, True, [], [1],
           [0.5, 900], {}]
# Refusals: settings, input, space, not finite, nothing learned.
REFUSALS = (3, 4, 5, 7, 8)
DATA = ["ingest.source=Tests/Fixtures/commands/comparisons/*.parquet",
        "report.prompts=Tests/Fixtures/commands/comparisons/prompts.json"]


@dataclasses.dataclass
class Subject:
    """A pipeline whose settings are changed: run where it is small, else looked at by doctor and status."""

    pipeline: str
    stages: list[str]
    overrides: list[str] = dataclasses.field(default_factory=list)
    snapshots: Snapshots | None = None  # of an unbroken run


class Settings(Campaign):
    name = "settings"
    share = 2.0

    def __init__(self, program, snapshots, random):
        self.program, self.snapshots, self.random = program, snapshots, random
        self.codes = collections.Counter()

    def subjects(self):
        yield Subject(PIPELINE, STAGES, snapshots=self.snapshots)
        for name, stages in [("latent", STAGES), ("base", ["autoencoder", "denoiser", "comparisons"])]:
            path = f"Tests/Torture/pipelines/{name}.json5"
            yield Subject(path, stages, snapshots=Snapshots(self.program, path, stages))
        labelled = ["ingest", "encode", "label", *STAGES[2:]]
        scorer = self.snapshots.finished / "preference/model"
        tiny = [*DATA, "spo.rank=4", "model=data/tiny-sd"]
        pixel = ["preference.start=data/tiny-preference", "preference.starts_fresh=true"]
        yield Subject("pipelines/quickstart.json5", STAGES)
        yield Subject("pipelines/quickstart-latent.json5", STAGES)
        yield Subject("pipelines/sd15.json5", STAGES, tiny + pixel)
        yield Subject("pipelines/sd15-latent.json5", STAGES, [*tiny, 'preference.start=""'])
        yield Subject("pipelines/sdxl.json5", labelled, [*tiny, *pixel, f"label.scorer={scorer}"])
        yield Subject("pipelines/sdxl-latent.json5", STAGES,
                      [*DATA, "spo.rank=4", "encode.size=64",
                       "model=Tests/Fixtures/sample-xl/model"])

    def trials(self):
        listed = json.loads(self.program.run("settings", "--json").output)
        known = {stage["stage"]: stage["settings"] for stage in listed["stages"]}
        subjects = list(self.subjects())
        while True:
            # Four of five trials run a pipeline, the others look at one.
            is_run = self.random.random() < 0.8
            subject = self.random.choice([s for s in subjects if bool(s.snapshots) == is_run])
            stage = self.random.choice(subject.stages)
            setting = self.random.choice(known[stage])
            value = self.random.choice(self.values(setting))
            change = f"{stage}.{setting['name']}={json.dumps(value)}"
            yield (f"{subject.pipeline}: {change}",
                   lambda folder, a=(subject, stage, change, is_refused(setting, value)):
                   self.trial(folder, *a))

    def values(self, setting):
        """In range as often as not: the bounds, between them and beyond them, near the default, any choice."""
        values = list(STRANGE)
        if "minimum" in setting:
            low, high = setting["minimum"], setting["maximum"]
            near = setting["default"] if isinstance(setting["default"], (int, float)) else low
            near = min(max(near, low), high)
            inside = [low, near, min(2 * near, high), max(near / 2, low), min(near + 1, high),
                      low + (high - low) * self.random.random() ** 4]
            if "integer" in setting["type"]:
                inside = [round(value) for value in inside]
            values = inside * 4 + values + [high, low - 1, high + 1]
        return values + setting.get("values", []) * 4

    def trial(self, folder, subject, stage, change, refused):
        words = [word for item in [*subject.overrides, change] for word in ("--set", item)]
        workspace = folder / "workspace"
        if subject.snapshots:
            subject.snapshots.start(folder, stage)
        looks = {}
        for command in ("doctor", "status"):
            look = self.program.run(command, subject.pipeline, "--workspace", workspace, *words)
            looks[command] = look.code
            if problem := self.problem(look, refused):
                return f"{command}: {problem}"
        if not subject.snapshots:
            self.codes[f"looked {looks['doctor']}"] += 1
            return None
        # A value in range may ask for hours: those are interrupted, which is no failure.
        result = self.program.pipeline(workspace, *words, pipeline=subject.pipeline,
                                       interrupt_after=20, address_space=6_000_000)
        self.codes[str(result.code)] += 1
        if problem := self.problem(result, refused):
            return problem
        # What the rows hold is known once they are read: `ingest.limit` may leave too few of them.
        is_of_rows = result.last_line.startswith("error: ingest.source:")
        if result.code == 3 and looks["doctor"] == 0 and not is_of_rows:
            return f"run refuses what doctor accepts: {result.last_line}"
        return unsound(workspace, subject) if result.code == 0 else None

    def problem(self, result, refused):
        """What is wrong with how a command ended."""
        if result.unsound():
            return result.unsound()
        if result.code not in (0, 130, *REFUSALS):
            return f"exit code {result.code}: {result.last_line}"
        stated = [line for line in result.errors.splitlines() if line.startswith("error:")]
        if result.code in REFUSALS and len(stated) != 1:
            return f"{len(stated)} lines of error: {' / '.join(stated)}"
        if refused and result.code != 3:
            return f"exit code {result.code}, not 3, for a value out of range or of another type"
        return None

    def note(self):
        return ", ".join(f"{code}: {count}" for code, count in sorted(self.codes.items()))


def is_refused(setting, value):
    """Whether the value must be refused whatever the pipeline; only what is certain."""
    if "minimum" not in setting or value is None and "null" in setting["type"]:
        return False
    # "a list of numbers" takes no number, "a number or a list of numbers" both.
    kinds = (list,) if "list" in setting["type"] else ()
    if not setting["type"].startswith("a list"):
        kinds += (int, float)
    if not isinstance(value, kinds) or isinstance(value, bool):
        return True
    numbers = value if isinstance(value, list) else [value]
    return any(isinstance(n, (int, float)) and not setting["minimum"] <= n <= setting["maximum"]
               for n in numbers)


def unsound(workspace, subject):
    """What is wrong with what was handed over: missing, not finite, or a LoRA that changes nothing."""
    lora = workspace / "spo/pytorch_lora_weights.safetensors"
    model = workspace / "model/unet/diffusion_pytorch_model.safetensors"
    if not (lora if "spo" in subject.stages else model).exists():
        return "exit code 0 without a result"
    for folder in ("preference/model", "spo", "export", "model"):
        for path in (workspace / folder).rglob("*.safetensors"):
            for name, numbers in floats(path):
                if not all(map(math.isfinite, numbers)):
                    return f"exit code 0, but {name} in {path.name} is not finite"
    if lora.exists() and not any(any(n) for name, n in floats(lora) if ".up." in name):
        return "exit code 0, but the LoRA changes nothing"
    return None


def floats(path):
    """The names of a file's tensors with their numbers, those of single precision."""
    content = path.read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")
    for name, entry in header(path).items():
        if name != "__metadata__" and entry["dtype"] == "F32":
            begin, end = entry["data_offsets"]
            yield name, array.array("f", content[start + begin:start + end])
