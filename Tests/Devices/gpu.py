#!/usr/bin/env python3
"""Everything worth knowing about a GPU, in one go of under ten minutes: Tests/Devices/gpu.py [--folder gpu-report]

Needs the program, data/tiny-sd, a driver and NVRTC, and for what is beside PyTorch, PyTorch; no Swift. package.sh puts
all of it into one file. The parts come in the order of their importance, each with a limit; what no time is left for is
said. FOLDER keeps what each part prints, results.json and table.txt. See docs/devices.md.
"""

import argparse
import array
import importlib.util
import json
import os
import pathlib
import re
import shutil
import signal
import struct
import subprocess
import sys
import time

try:
    import numpy
except ImportError:
    # Minutes instead of seconds for `operators`.
    numpy = None

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
DOORS = ["unet-lora", "vae-decode", "preference", "vae-encode", "text-encoder", "unet"]
OPERATORS = ["convolution", "linear", "attention", "group-norm", "layer-norm", "geglu"]
PARTS = ["check", "doors", "unet", "quickstart", "step", "parts", "sanitizer", "sdxl", "operators", "others"]
# Of the largest value of an array.
LARGEST_ERROR = {"f32": 1e-4, "tf32": 1e-2, "f16": 2e-2}


class Report:
    """Runs parts within the time that is left, and keeps what came of them."""

    def __init__(self, options):
        self.options, self.folder = options, options.folder
        self.end = time.monotonic() + options.seconds
        self.patience = 10 if options.processors else 1
        self.parts, self.rows = [], []

    def part(self, name, limit, command, judge=None):
        """Whether the command succeeded, and what it printed was right, if that can be told."""
        start = time.monotonic()
        limit = min(limit * self.patience, self.end - start)
        if limit < 2:
            return self.note(name, "no time left", 0)
        print(f"== {name}: {' '.join(map(str, command))}", flush=True)
        output, log = (self.folder / f"{name}.{ending}" for ending in ("txt", "log"))
        with output.open("w") as out, log.open("w") as err:
            process = subprocess.Popen(
                list(map(str, command)), stdout=out, stderr=err, cwd=ROOT, start_new_session=True)
            try:
                code = process.wait(timeout=limit)
            except subprocess.TimeoutExpired:
                code = None
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
        outcome = {0: "right", None: f"limit of {limit:.0f} s"}.get(code, f"code {code}")
        if code == 0 and judge:
            outcome = judge() or "right"
        elif code != 0:
            said = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
            outcome += f": {said[-1][:120]}" if said else ""
        return self.note(name, outcome, time.monotonic() - start)

    def note(self, name, outcome, seconds=0.0):
        print(f"   {outcome}, {seconds:.0f} s", flush=True)
        self.parts.append({"name": name, "outcome": outcome, "seconds": round(seconds, 1)})
        self.write()
        return outcome == "right"

    def text(self, name):
        path = self.folder / f"{name}.txt"
        return path.read_text(errors="replace") if path.exists() else ""

    def write(self):
        """After each part, so that a machine that goes away takes little along."""
        machine = [line for line in self.text("doctor").splitlines() if line.strip()]
        (self.folder / "results.json").write_text(json.dumps(
            {"machine": machine, "parts": self.parts, "rows": self.rows}, indent=1) + "\n")
        (self.folder / "table.txt").write_text(table(machine, self.parts, self.rows))


def table(machine, parts, rows):
    lines = [line for line in machine if line.startswith(("processor", "devices"))] + [""]
    lines += [f"{part['name']:34}{part['seconds']:7.0f} s  {part['outcome']}" for part in parts] + [""]
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
            theirs.get("error") is not None and f"{theirs['error']:.0e}"]
        why = "; ".join(part["failed"] for part in (ours, theirs) if "failed" in part)
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


def difference(expected, found, limit):
    """What is wrong; nothing if all is right."""
    expected, found = saved(expected), saved(found)
    if expected.keys() != found.keys():
        return f"other arrays: {sorted(expected.keys() ^ found.keys())[:3]}"
    worst, name = 0.0, ""
    for key, values in expected.items():
        others = found[key]
        if values == others:
            continue
        if len(values) != len(others):
            return f"{key}: {len(others)} numbers instead of {len(values)}"
        error = relative_error(values, others)
        if error > worst:
            worst, name = error, key
    print(f"   largest difference {worst:.1e}, {name}")
    return "" if worst <= limit else f"WRONG: {name} differs by {worst:.1e} of its largest, more than {limit:.0e}"


def against_host(report, device, subjects, arguments, limit, total, tag=""):
    """Every subject on the host once, and on the device in each precision; no further one after `total` seconds."""
    end = time.monotonic() + report.patience * total
    for subject in subjects:
        if time.monotonic() > end:
            report.note(f"{tag}{subject}-{device.replace(':', '')}", f"no time left of {total} s")
            continue
        for precision in (None, *LARGEST_ERROR):
            # NAME-host, NAME-f32 and so on
            name = f"{tag}{subject}-{device.replace(':', '')}-{precision or 'host'}"
            file = report.folder / f"{name}.safetensors"
            place = ["--device", device, "--device-precision", precision] if precision else ["--device", "cpu"]
            judge = precision and (lambda: difference(host, file, LARGEST_ERROR[precision]))
            done = report.part(
                name, limit, [report.options.program, "bench", subject, *arguments, *place, "--repeat", 1, "--save",
                              file, "--json"], judge)
            if not precision:
                host = file
                if not done:
                    break
        for file in report.folder.glob(f"{tag}{subject}-*.safetensors"):
            file.unlink()


def check(report, device):
    for precision in LARGEST_ERROR:
        report.part(f"check-{device.replace(':', '')}-{precision}", 150, [
            report.options.program, "doctor", "--device-check", "--device", device, "--device-precision", precision])


# ---------------------------------------------------------------------------------------------
# Speed and memory beside PyTorch


def speed_rows(options, models, group):
    """What ours computes, and in what precisions PyTorch does the same."""
    sd15, sdxl = str(models / "sd15"), str(models / "sdxl-unet")
    preference, steps = str(models / "preference"), 20
    if options.small:
        sd15 = sdxl = str(ROOT / "data/tiny-sd")
        preference, steps = str(models / "tiny-preference"), 6
    half, diffusers = "float16", "float16 diffusers"
    groups = {
        "unet": [
            ("SD v1.5 U-Net, 8", "unet", 8, sd15, "f16", [half, diffusers]),
            ("SD v1.5 U-Net, 8", "unet", 8, sd15, "tf32", ["tf32"]),
            ("SD v1.5 U-Net, 8", "unet", 8, sd15, "f32", ["float32"]),
            ("SD v1.5 U-Net, 2", "unet", 2, sd15, "f16", [half]),
            ("SD v1.5 U-Net, 2", "unet", 2, sd15, "tf32", ["tf32"])],
        "parts": [
            ("LoRA step, 2", "unet-lora", 2, sd15, "f16", [half]),
            ("VAE decode, 4", "vae-decode", 4, sd15, "f16", [half]),
            ("text encoder, 4", "text-encoder", 4, sd15, "f16", [half]),
            ("preference (ViT-H), 16", "preference", 16, sd15, "f16", [half])],
        "step": [("SPO iteration, 1", "spo-step", 1, sd15, "f16", [half])],
        "sdxl": [("SDXL U-Net, 2", "unet", 2, sdxl, "f16", [half, diffusers])],
    }
    for name, subject, batch, model, precision, peers in groups[group]:
        name = name.replace("SD v1.5", "tiny").replace("SDXL", "tiny") if options.small else name
        row = {"name": name, "subject": subject, "batch": batch, "model": model, "precision": precision}
        if subject in ("preference", "spo-step"):
            row["preference"] = preference
        if subject == "spo-step":
            row["steps"] = steps
        yield row, peers


def measure(report, device, models, group, limit):
    """Ours, each in a process of its own, then all of PyTorch's in one, which takes long to start."""
    options, asked, alone = report.options, [], []
    for row, peers in speed_rows(options, models, group):
        name = re.sub("[^a-z0-9]+", "-", f"{row['name']} {row['precision']}".lower())
        command = [options.program, "bench", row["subject"], "--model", row["model"], "--batch", row["batch"],
                   "--device", device, "--device-precision", row["precision"], "--json"]
        if "preference" in row:
            command += ["--preference", row["preference"]]
        if row["subject"] == "spo-step":
            command += ["--steps", row["steps"], "--repeat", 1, "--cold"]
        else:
            command += ["--repeat", 20, "--seconds", 3]
        if row["subject"] not in ("spo-step", "unet-lora"):
            row["saved"] = str(report.folder / f"{name}.safetensors")
            command += ["--save", row["saved"]]
        done = report.part(name, limit, command)
        row["ours"] = json.loads(report.text(name)) if done else {"failed": report.parts[-1]["outcome"]}
        asked += [row | {"peer": peer} for peer in peers]
        alone += [] if peers else [row]
    given, results = report.folder / f"torch-{group}.json", report.folder / f"torch-{group}.jsonl"
    given.write_text(json.dumps(asked))
    results.unlink(missing_ok=True)
    if importlib.util.find_spec("torch") is None:
        report.note(f"torch-{group}", "no PyTorch")
    else:
        report.part(f"torch-{group}", 15 + limit * len(asked) / 2, [
            sys.executable, HERE / "torch_times.py", given, results, *(["--cpu"] if options.processors else [])])
    found = [json.loads(line) for line in results.read_text().splitlines()] if results.exists() else []
    missing = [{"failed": f"PyTorch: {report.parts[-1]['outcome']}"}] * (len(asked) - len(found))
    report.rows += [row | {"theirs": theirs} for row, theirs in zip(asked, found + missing)] + alone
    for row in asked + alone:
        if "saved" in row:
            pathlib.Path(row["saved"]).unlink(missing_ok=True)
    report.write()


# ---------------------------------------------------------------------------------------------


def find_compiler():
    """NVRTC that came with PyTorch, where the program does not look: among the packages of this Python."""
    folders = {str(file.parent) for path in sys.path for file in pathlib.Path(path or ".").glob(
        "nvidia/*/lib/libnvrtc.so.*")}
    given = os.environ.get("LD_LIBRARY_PATH")
    if folders:
        os.environ["LD_LIBRARY_PATH"] = ":".join([*([given] if given else []), *sorted(folders)])


def devices(report):
    """Those that the program can use; processors only for tests of this script."""
    line = next((line for line in report.text("doctor").splitlines() if line.startswith("devices")), "")
    found = []
    for entry in line.split(";"):
        name = re.search(r"(cuda|opencl):\d+", entry)
        if name and "not usable" not in entry and (report.options.processors or "a CPU:" not in entry):
            found.append(name[0])
    # NVIDIA's own first.
    return sorted(found), line


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", type=pathlib.Path, help="default: the package's, or .build/release/spo")
    parser.add_argument("--folder", type=pathlib.Path, default=pathlib.Path("gpu-report"))
    parser.add_argument("--seconds", type=float, default=570, help="for everything")
    parser.add_argument("--only", action="append", choices=PARTS, metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--small", action="store_true", help="models of the embedded size: a test of this script")
    parser.add_argument("--processors", action="store_true", help="OpenCL on a CPU counts as a device, too")
    options = parser.parse_args()
    options.folder = options.folder.resolve()
    places = [options.program] if options.program else [ROOT / "spo", ROOT / ".build/release/spo"]
    options.program = next((place.resolve() for place in places if os.access(place, os.X_OK)), None)
    if options.program is None:
        print(f"{places[-1]} is not there, or no program", file=sys.stderr)
        return 4
    options.folder.mkdir(parents=True, exist_ok=True)
    if options.processors:
        # The one device of PoCL that computes right.
        os.environ.setdefault("POCL_DEVICES", "basic")
    find_compiler()
    report, models = Report(options), options.folder / "models"
    wanted = lambda part: not options.only or part in options.only

    report.part("doctor", 30, [options.program, "doctor"])
    names, line = devices(report)
    if not names:
        print(f"no device: {line or report.parts[-1]['outcome']}", file=sys.stderr)
        return 3
    device = names[0]
    # It finds fault with a build that uses less of the processor than there is, too, as a package's does.
    if report.parts[-1]["outcome"].startswith("code 1:"):
        report.parts[-1]["outcome"] = f"right but for {report.parts[-1]['outcome'][8:]}"

    def weights(*names):
        if importlib.util.find_spec("torch"):
            report.part(f"weights-{names[0]}", 90, [sys.executable, HERE / "torch_weights.py", models, *names])

    def sanitize():
        if shutil.which("compute-sanitizer") is None:
            return report.note("sanitizer", "no compute-sanitizer")
        for tool in ("memcheck", "racecheck"):
            report.part(f"{tool}-{device.replace(':', '')}", 100, [
                "compute-sanitizer", "--tool", tool, "--error-exitcode", 1, options.program, "doctor",
                "--device-check", "--device", device])

    def quickstart():
        folder = options.folder / "quickstart"
        shutil.rmtree(folder, ignore_errors=True)
        report.part("quickstart-killed-and-resumed", 150, [
            sys.executable, HERE / "quickstart.py", "--program", options.program, "--device", device, "--folder",
            folder, "--kills", 3])

    def others():
        for other in names[1:]:
            check(report, other)
            against_host(report, other, ["unet-lora"], [], 20, 40)

    try:
        if wanted("check"):
            check(report, device)
        if wanted("doors"):
            against_host(report, device, DOORS, ["--batch", 1], 20, 90)
        if any(map(wanted, ("unet", "parts", "step"))):
            weights(*(["tiny-preference"] if options.small else ["sd15", "preference"]))
        if wanted("unet"):
            measure(report, device, models, "unet", 45)
        if wanted("quickstart"):
            quickstart()
        if wanted("step"):
            measure(report, device, models, "step", 120)
        if wanted("parts"):
            measure(report, device, models, "parts", 30)
        if wanted("sanitizer"):
            sanitize()
        if wanted("sdxl"):
            if not options.small:
                weights("sdxl-unet")
            measure(report, device, models, "sdxl", 45)
        if wanted("operators"):
            against_host(report, device, OPERATORS, ["--gradients"], 30, 120, "sizes-")
        if wanted("others"):
            others()
    finally:
        # Gigabytes.
        shutil.rmtree(models, ignore_errors=True)
        report.write()
        print((options.folder / "table.txt").read_text(), end="")
    wrong = [part["name"] for part in report.parts if not part["outcome"].startswith(("right", "no "))]
    if wrong:
        print(f"{', '.join(wrong)}: see {options.folder}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
