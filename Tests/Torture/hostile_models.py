"""Runs the program on model folders of whose configurations each number was replaced by a bad one.

usage: hostile_models.py SPO OUT [MODEL] [PREFERENCE]

Every outcome must be exit code 0, or one line of error with the exit code of bad input (4), of bad settings
(3: what the model cannot follow) or of numbers that are not finite (7); a signal, a stack trace, silence or
a run that does not end is a failure. Prints a table of trials and failures; exit code 1 if there is any failure.
"""
import collections, copy, json, os, shutil, subprocess, sys

SPO, OUT = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
MODEL = os.path.abspath(sys.argv[3] if len(sys.argv) > 3 else "data/tiny-sd")
PREFERENCE = os.path.abspath(sys.argv[4] if len(sys.argv) > 4 else "data/tiny-preference")
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
VALUES = [-1, 0, 0.5, 1e30, 2**31, 2**63 - 1, "x", None, []]
SECONDS = 120


def numbers(value, place=()):
    if isinstance(value, bool):
        return
    if isinstance(value, (int, float)):
        yield place
    for key, member in value.items() if isinstance(value, dict) else (
        enumerate(value) if isinstance(value, list) else ()
    ):
        yield from numbers(member, place + (key,))


def changed(config, place, value, is_removed):
    config = copy.deepcopy(config)
    target = config
    for key in place[:-1]:
        target = target[key]
    if is_removed:
        del target[place[-1]]
    else:
        target[place[-1]] = value
    return config


def linked(source, target):
    """A copy whose large files are links."""
    shutil.rmtree(target, ignore_errors=True)
    for folder, _, names in os.walk(source):
        place = os.path.join(target, os.path.relpath(folder, source))
        os.makedirs(place, exist_ok=True)
        for name in names:
            path = os.path.join(folder, name)
            if name.endswith(".json"):
                shutil.copy(path, place)
            else:
                os.symlink(path, os.path.join(place, name))


def doctor(**settings):
    words = [SPO, "doctor", f"{ROOT}/pipelines/quickstart.json5", "--workspace", f"{OUT}/none"]
    paths = {
        "ingest.source": f"{ROOT}/data/pickapic-sample/data/*.parquet",
        "report.prompts": f"{ROOT}/data/validation-prompts.json",
        "model": MODEL, "preference.start": PREFERENCE,
    }
    paths.update(settings)
    return words + [word for key, path in paths.items() for word in ("--set", f"{key}={path}")]


def problem(words):
    """What is wrong with how a command ends; None if nothing is."""
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        return "no end", f"no end after {SECONDS} s"
    if done.returncode == 0:
        return "accepted", None
    lines = [line for line in done.stderr.splitlines() if not line.startswith("peak memory")]
    if done.returncode not in (3, 4, 7):
        return "other code", f"exit code {done.returncode}: {done.stderr[-300:]}"
    if len(lines) != 1 or not lines[0].startswith("error: "):
        return "lines", f"{len(lines)} lines: {done.stderr[-300:]}"
    return f"exit code {done.returncode}", None


def main():
    os.makedirs(OUT, exist_ok=True)
    trials = collections.Counter()
    failures = []
    for source, setting, kinds in [(MODEL, "model", ("sample", "doctor")),
                                   (PREFERENCE, "preference.start", ("doctor",))]:
        folder = f"{OUT}/model"
        linked(source, folder)
        files = sorted(
            os.path.join(place, name) for place, _, names in os.walk(folder) for name in names
            if name.endswith("config.json"))
        for path in files:
            original = json.load(open(path))
            for place in numbers(original):
                for value in VALUES + ["removed"]:
                    is_removed = value == "removed"
                    json.dump(changed(original, place, value, is_removed), open(path, "w"))
                    for kind in kinds:
                        words = doctor(**{setting: folder}) if kind == "doctor" else [
                            SPO, "sample", "--model", folder, "--prompt", "a red circle",
                            "--steps", "2", "--out", f"{OUT}/x.png"]
                        outcome, fault = problem(words)
                        trials[kind, outcome] += 1
                        if fault:
                            failures.append((kind, os.path.relpath(path, folder), place, value, fault))
            json.dump(original, open(path, "w"))
    for (kind, outcome), count in sorted(trials.items()):
        print(f"{kind:8} {outcome:14} {count:6}")
    for failure in failures:
        print("FAILED", *failure)
    print(f"{sum(trials.values())} trials, {len(failures)} failures")
    sys.exit(bool(failures))


main()
