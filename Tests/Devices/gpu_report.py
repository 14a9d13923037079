"""What came of the parts of gpu.py: how they are run, judged and written down."""

import array
import json
import os
import pathlib
import re
import signal
import struct
import subprocess
import time

try:
    import numpy
except ImportError:
    # Minutes instead of seconds for `operators`.
    numpy = None

ROOT = pathlib.Path(__file__).resolve().parents[2]


class Report:
    """Runs parts within the time that is left, and keeps what came of them."""

    def __init__(self, options):
        self.options, self.folder = options, options.folder
        self.end = time.monotonic() + options.seconds
        self.patience = 10 if options.processors else 1
        self.parts, self.rows = [], []
        # Devices and precisions that were found wrong.
        self.unproven = set()
        self.write()

    def stage(self, name, work):
        """Does what has that name, if it is wanted."""
        if self.options.only and name not in self.options.only:
            return
        try:
            work()
        except Exception as error:
            self.note(name, f"failed: {type(error).__name__}: {error}")

    def part(self, name, limit, command, judge=None):
        """Runs a command; the outcome is what `judge` makes of it if it succeeds, "ran" without one."""
        start = time.monotonic()
        limit = min(limit * self.patience, self.end - start)
        if limit < 2:
            return self.note(name, "not done: no time left")
        command = list(map(str, command))
        print(f"== {name}: {' '.join(command)}", flush=True)
        part = {"name": name, "outcome": "interrupted", "seconds": 0.0}
        part |= {"unproven": True} if "--unproven" in command else {}
        self.parts.append(part)
        self.write()
        try:
            code = self.run(name, limit, command)
            over = f"limit of {limit:.0f} s, after" if time.monotonic() < self.end else "not done: no time left, after"
            part["outcome"] = {0: "ran", None: over}.get(code, f"code {code}")
            if code == 0 and judge:
                part["outcome"] = judge(part)
            elif code != 0:
                part["outcome"] += f": {self.reason(name)[:200]}"
        except Exception as error:
            part["outcome"] = f"failed: {type(error).__name__}: {error}"
        part["seconds"] = round(time.monotonic() - start, 1)
        print(f"   {told(part)}, {part['seconds']:.0f} s", flush=True)
        self.write()
        return part

    def run(self, name, limit, command):
        """The exit code; None after the limit. Nothing that it started is left."""
        process = None
        with (self.folder / f"{name}.txt").open("w") as out, (self.folder / f"{name}.log").open("w") as err:
            try:
                process = subprocess.Popen(command, stdout=out, stderr=err, cwd=ROOT, start_new_session=True)
                return process.wait(timeout=limit)
            except subprocess.TimeoutExpired:
                return None
            finally:
                if process and process.returncode is None:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()

    def note(self, name, outcome):
        print(f"== {name}: {outcome}", flush=True)
        self.parts.append({"name": name, "outcome": outcome, "seconds": 0.0})
        self.write()
        return self.parts[-1]

    def text(self, name, ending="txt"):
        path = self.folder / f"{name}.{ending}"
        return path.read_text(errors="replace") if path.exists() else ""

    def reason(self, name):
        """The first error that a sanitizer or the program names, else the last line."""
        lines = [line.strip() for ending in ("txt", "log") for line in self.text(name, ending).splitlines()
                 if line.strip()]
        named = [line for line in lines if re.match(
            "error: |=+ (Invalid|Misaligned|Program hit|Warning|Error|ERROR:)", line)]
        return (named[:1] or lines[-1:] or ["no output"])[0]

    def write(self):
        """After each part, so that a machine that goes away takes little along."""
        machine = [line for line in self.text("doctor").splitlines() if line.strip()]
        results = {"machine": machine, "parts": self.parts, "rows": self.rows}
        texts = {"results.json": json.dumps(results, indent=1) + "\n",
                 "table.txt": table(machine, self.parts, self.rows)}
        try:
            for name, text in texts.items():
                (self.folder / f"{name}.new").write_text(text)
                (self.folder / f"{name}.new").replace(self.folder / name)
        except OSError as error:
            print(f"   not written: {error}", flush=True)


def is_good(part):
    return part["outcome"].startswith(("right", "ran", "nothing to do"))


def told(part):
    """An outcome, with the largest error."""
    words = [part["outcome"]]
    if "error" in part:
        words.append(f"error {float(part['error']):.1e} in {part['array']}")
    return ", ".join(words + ["unproven"] * part.get("unproven", False))


def judged(part, error, array, limit):
    """An outcome by the largest error so far, which is kept with the array's name."""
    error = error if error == error else float("inf")
    if error > float(part.get("error", -1)):
        # JSON has no infinity.
        part |= {"error": error if error < float("inf") else "inf", "array": array}
    if float(part["error"]) <= limit:
        return "right"
    return f"WRONG: more than {limit:.0e} of the largest number"


def table(machine, parts, rows):
    lines = [line for line in machine if line.startswith(("processor", "devices"))] + [""]
    for part in parts:
        lines.append(f"{part['name']:34}{part['seconds']:7.0f} s  {told(part)}")
        lines += [f"{'':45}{line}" for line in part.get("wrong", [])]
    lines.append("")
    columns = [("ours ms", 10), ("torch ms", 10), ("ratio", 7), ("TFLOP/s", 9), ("of peak", 8), ("ours MB", 9),
               ("torch MB", 9), ("error", 9)]
    lines.append(f"{'':28}{'ours':6}{'torch':20}" + "".join(f"{name:>{width}}" for name, width in columns))
    for row in rows:
        ours, theirs = row.get("ours") or {}, row.get("theirs") or {}
        seconds, beside = ours.get("median_s"), theirs.get("median_s")
        rate = ours["flop"] / seconds if seconds and "flop" in ours else None
        peak = ours.get("peak_flop_rate")
        cells = [
            seconds and f"{seconds * 1e3:.2f}", beside and f"{beside * 1e3:.2f}",
            seconds and beside and f"{seconds / beside:.2f}", rate and f"{rate / 1e12:.2f}",
            rate and peak and f"{rate / peak:.0%}", *(
                part.get("device_peak_mb") and f"{part['device_peak_mb']:.0f}" for part in (ours, theirs)),
            theirs.get("error") is not None and f"{float(theirs['error']):.0e}"]
        why = ["unproven"] * ours.get("unproven", False) + ["WRONG"] * row.get("wrong", False)
        why = "; ".join(why + [part["failed"] for part in (ours, theirs) if "failed" in part])
        kinds = f"{row['precision']:6}{row.get('peer', '-'):20}"
        lines.append(f"{row['name']:28}{kinds}" + "".join(
            f"{cell or '-':>{width}}" for cell, (_, width) in zip(cells, columns)) + (f"  {why}" if why else ""))
    return "\n".join(lines) + "\n"


# ---------------------------------------------------------------------------------------------
# Results against the host's


def saved(path):
    """Arrays of single precision, by name."""
    data = path.read_bytes()
    size, = struct.unpack("<Q", data[:8])
    header = json.loads(data[8:8 + size])
    return {
        name: array.array("f", data[8 + size + entry["data_offsets"][0]:8 + size + entry["data_offsets"][1]])
        for name, entry in header.items() if name != "__metadata__"}


def relative_error(values, others):
    """The largest difference as a share of the largest value; infinite with a NaN, which compares as neither."""
    if numpy:
        values, others = (numpy.frombuffer(part, dtype=numpy.float32) for part in (values, others))
        largest, error = float(abs(values).max()), float(abs(values - others).max())
    else:
        errors = [abs(a - b) for a, b in zip(values, others)]
        largest, error = max(map(abs, values)), max(errors) if all(e == e for e in errors) else float("nan")
    return error / largest if error == error and largest > 0 else float("inf")


def compared(part, expected, found, limit):
    """The outcome of two files of arrays."""
    expected, found = saved(expected), saved(found)
    if not expected or expected.keys() != found.keys():
        return f"WRONG: other arrays: {sorted(expected.keys() ^ found.keys())[:3]}"
    for name, values in expected.items():
        others = found[name]
        if len(values) != len(others):
            return f"WRONG: {name}: {len(others)} numbers instead of {len(values)}"
        outcome = judged(part, 0.0 if values == others else relative_error(values, others), name, limit)
    return outcome
