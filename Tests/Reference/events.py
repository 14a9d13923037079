"""Holds the event files of a run against its metrics, as TensorBoard reads them.

    python Tests/Reference/events.py WORKSPACE...

Each stage of a workspace that has `metrics.jsonl` must show TensorBoard every number of every step
once, whether it was killed and resumed or not, and pictures that can be decoded. Also of a run that
is still at work: what metrics have, events have.
"""

import argparse
import io
import json
import pathlib
import sys

import numpy as np
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator


def numbers(values, prefix=""):
    """The numbers of a line of metrics by their tags; those of an object have its name in front."""
    for key, value in values.items():
        if isinstance(value, dict):
            yield from numbers(value, f"{prefix}{key}/")
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            yield prefix + key, float(np.float32(value))


def check(folder):
    """What is wrong with one stage's event files, and what was compared."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0, "images": 0})
    events.Reload()
    expected = {}
    for line in lines:
        for key, value in numbers(line):
            if key != "step":
                expected.setdefault(key, []).append((line["step"], value))
    problems = []
    found = {tag: [(e.step, e.value) for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]}
    if set(found) != set(expected):
        problems.append(f"tags {sorted(found)}, metrics have {sorted(expected)}")
    for key in set(found) & set(expected):
        if found[key] != expected[key]:
            problems.append(
                f"{key}: {len(found[key])} values, steps {found[key][:1]} to {found[key][-1:]}; metrics have "
                f"{len(expected[key])}, {expected[key][:1]} to {expected[key][-1:]}")
    pictures = 0
    for tag in events.Tags()["images"]:
        steps = [image.step for image in events.Images(tag)]
        if steps != sorted(set(steps)):
            problems.append(f"{tag}: pictures of steps {steps}")
        for image in events.Images(tag):
            size = Image.open(io.BytesIO(image.encoded_image_string)).convert("RGB").size
            if size != (image.width, image.height):
                problems.append(f"{tag}, step {image.step}: {size}, not {image.width} x {image.height}")
            pictures += 1
    files = len(list(folder.glob("events.out.tfevents.*")))
    return problems, f"{sum(map(len, expected.values()))} numbers, {pictures} pictures, {files} files"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("workspaces", nargs="+", type=pathlib.Path)
    arguments = parser.parse_args()
    failed = 0
    for workspace in arguments.workspaces:
        folders = sorted(path.parent for path in workspace.glob("**/metrics.jsonl")
                         if path.parent.parent.name != "checkpoints")
        if not folders:
            failed += 1
            print(f"FAIL  {workspace}: no metrics.jsonl")
        for folder in folders:
            problems, counts = check(folder)
            failed += bool(problems)
            print(f"{'FAIL' if problems else 'ok  '}  {folder}: {'; '.join(problems) or counts}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
