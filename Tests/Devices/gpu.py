#!/usr/bin/env python3
"""Everything worth knowing about a GPU, in one go of under ten minutes: Tests/Devices/gpu.py [--folder gpu-report]

Needs the program, data/tiny-sd, a driver and NVRTC, and for what is beside PyTorch, PyTorch; no Swift. package.sh puts
all of it into one file. The parts come in the order of their importance, each with a limit; one that fails ends no
other. FOLDER keeps what each part prints, results.json and table.txt; an earlier run's are removed first. An outcome is
"right" where results were compared, and "ran" where they were not. See docs/devices.md.

Exit code 0: all that was wanted was done, and is right; 1: something is wrong or failed; 5: nothing is, but something was
not done; 3: there is no device; 4: the program or the folder cannot be used; 128 and more: interrupted.
"""

import argparse
import importlib.util
import json
import os
import pathlib
import re
import shutil
import signal
import sys
import time

from gpu_report import Report, compared, is_good, judged

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
DOORS = ["unet-lora", "vae-decode", "preference", "vae-encode", "text-encoder", "unet"]
OPERATORS = ["convolution", "linear", "attention", "group-norm", "layer-norm", "geglu"]
PARTS = ["check", "doors", "unet", "quickstart", "step", "parts", "sdxl", "operators", "sanitizer", "others"]
SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
# Begun this often after kernels that crash, which take the device from all that follow in the process.
CHECKS = 10
# Of the largest value of an array.
LARGEST_ERROR = {"f32": 1e-4, "tf32": 1e-2, "f16": 2e-2}


def on(report, device, precision):
    unproven = ["--unproven"] if (device, precision) in report.unproven else []
    return ["--device", device, "--device-precision", precision, *unproven]


def against_host(report, device, subjects, arguments, limit, total, tag=""):
    """Every subject on the host once, and on the device in each precision; no further one after `total` seconds."""
    end = time.monotonic() + report.patience * total
    for subject in subjects:
        if time.monotonic() > end:
            report.note(f"{tag}{subject}-{device.replace(':', '')}", f"not done: no time left of {total} s")
            continue
        for precision in (None, *LARGEST_ERROR):
            # NAME-host, NAME-f32 and so on
            name = f"{tag}{subject}-{device.replace(':', '')}-{precision or 'host'}"
            file = report.folder / f"{name}.safetensors"
            place = on(report, device, precision) if precision else ["--device", "cpu"]
            judge = precision and (lambda part: compared(part, host, file, LARGEST_ERROR[precision]))
            part = report.part(
                name, limit, [report.options.program, "bench", subject, *arguments, *place, "--repeat", 1, "--save",
                              file, "--json"], judge)
            if not precision:
                host = file
                if not is_good(part):
                    break
        for file in report.folder.glob(f"{tag}{subject}-*.safetensors"):
            file.unlink()


def check(report, device):
    limit = 150
    for precision in LARGEST_ERROR:
        name, after, done = f"check-{device.replace(':', '')}-{precision}", [], []
        for number in range(CHECKS):
            part = report.part(name + (f"-{number + 1}" if number else ""), limit, [
                report.options.program, "doctor", "--device-check", "--device", device, "--device-precision", precision,
                *after], lambda part: "right")
            done.append(part)
            lines = map(str.strip, report.text(part["name"]).splitlines())
            part["wrong"] = [line for line in lines if line.startswith(("WRONG", "FAILED"))]
            lost = re.search(r"the device was lost in (.+); (\d+) operation", report.text(part["name"], "log"))
            if not lost or lost[2] == "0":
                break
            # In a new process the device is there again.
            after = ["--after", lost[1]]
        else:
            report.note(f"{name}-rest", f"not done: {lost[2]} operations after {lost[1]}")
        if not all(map(is_good, done)):
            report.unproven.add((device, precision))
        if any(part["outcome"].startswith("limit") for part in done):
            # It hangs: what is left of the time is for other parts.
            limit = 60


# ---------------------------------------------------------------------------------------------
# Speed and memory beside PyTorch


def speed_rows(options, models, group):
    """What ours computes, and in what precisions PyTorch does the same."""
    sd15, sdxl = str(models / "sd15"), str(models / "sdxl-unet")
    preference, steps = str(models / "preference"), 20
    if options.small:
        sd15 = sdxl = str(ROOT / "data/tiny-sd")
        preference, steps = str(models / "tiny-preference"), 6
    half, diffusers = "float16", ["float16 diffusers"] if importlib.util.find_spec("diffusers") else []
    groups = {
        "unet": [
            ("SD v1.5 U-Net, 8", "unet", 8, sd15, "f16", [half, *diffusers]),
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
        "sdxl": [("SDXL U-Net, 2", "unet", 2, sdxl, "f16", [half, *diffusers])],
    }
    for name, subject, batch, model, precision, peers in groups[group]:
        name = name.replace("SD v1.5", "tiny").replace("SDXL", "tiny XL") if options.small else name
        row = {"name": name, "subject": subject, "batch": batch, "model": model, "precision": precision}
        if subject in ("preference", "spo-step"):
            row["preference"] = preference
        if subject == "spo-step":
            row["steps"] = steps
        yield row, peers


def measure(report, device, models, group, limit):
    """Ours, each in a process of its own, then all of PyTorch's in one, which takes long to start."""
    options, asked = report.options, []
    for row, peers in speed_rows(options, models, group):
        name = re.sub("[^a-z0-9]+", "-", f"{row['name']} {row['precision']}".lower())
        command = [options.program, "bench", row["subject"], "--model", row["model"], "--batch", row["batch"],
                   *on(report, device, row["precision"]), "--json"]
        # Without PyTorch's there are the program's own random weights, which take a while to make.
        are_there = all(map(os.path.isdir, filter(None, (row["model"], row.get("preference")))))
        if "preference" in row and os.path.isdir(row["preference"]):
            command += ["--preference", row["preference"]]
        if row["subject"] == "spo-step":
            command += ["--steps", row["steps"], "--repeat", 1]
        else:
            command += ["--repeat", 20, "--seconds", 3]
        if row["subject"] not in ("spo-step", "unet-lora"):
            row["saved"] = str(report.folder / f"{name}.safetensors")
            command += ["--save", row["saved"]]

        def read(part):
            row["ours"] = json.loads(report.text(name))
            return "ran"

        part = report.part(name, limit if are_there else limit + 40, command, read)
        row.setdefault("ours", {"failed": part["outcome"]})
        asked += [(row | {"peer": peer}, part) for peer in peers]
    given, results = report.folder / f"torch-{group}.json", report.folder / f"torch-{group}.jsonl"
    given.write_text(json.dumps([row for row, _ in asked]))
    if importlib.util.find_spec("torch") is None:
        torch = report.note(f"torch-{group}", "not done: no PyTorch")
    else:
        torch = report.part(f"torch-{group}", 15 + limit * len(asked) / 2, [
            sys.executable, HERE / "torch_times.py", given, results, "cpu" if options.processors else device])
    found = {}
    for line in results.read_text().splitlines() if results.exists() else []:
        try:
            entry = json.loads(line, parse_constant=str)
        except ValueError:
            # Of the moment it was killed.
            continue
        found[entry["name"], entry["peer"]] = entry
    for row, part in asked:
        row["theirs"] = found.get((row["name"], row["peer"]), {"failed": f"PyTorch: {torch['outcome']}"})
        if "failed" in row["theirs"] and is_good(torch):
            torch["outcome"] = f"failed: {row['theirs']['failed']}"
        if "error" in row["theirs"]:
            error, most = float(row["theirs"]["error"]), LARGEST_ERROR[row["precision"]]
            part["outcome"] = judged(part, error, f"output beside {row['peer']}", most)
            row["wrong"] = not error <= most
        if "saved" in row:
            pathlib.Path(row["saved"]).unlink(missing_ok=True)
    report.rows += [row for row, _ in asked]
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


def prepare(folder):
    """Makes the folder and removes what an earlier run left there, nothing else; returns what is wrong."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not any(folder.iterdir()):
            return ""
    except OSError as error:
        return str(error)
    try:
        names = [part["name"] for part in json.loads((folder / "results.json").read_text())["parts"]]
    except (OSError, ValueError, LookupError, TypeError):
        return f"{folder} is not empty, and has no results.json of an earlier run"
    for name in names:
        for ending in ("txt", "log", "safetensors", "json", "jsonl"):
            (folder / f"{name}.{ending}").unlink(missing_ok=True)
    for name in ("models", "quickstart", "cache"):
        shutil.rmtree(folder / name, ignore_errors=True)
    return ""


def interrupt(number, _):
    sys.exit(128 + number)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", type=pathlib.Path, help="default: the package's, or .build/release/spo")
    parser.add_argument("--folder", type=pathlib.Path, default=pathlib.Path("gpu-report"))
    parser.add_argument("--seconds", type=float, default=570, help="for everything")
    parser.add_argument("--device", metavar="NAME", help="such as cuda:1 (the first one)")
    parser.add_argument("--only", action="append", choices=PARTS, metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--small", action="store_true", help="models of the embedded size: a test of this script")
    parser.add_argument("--processors", action="store_true", help="OpenCL on a CPU counts as a device, too")
    options = parser.parse_args()
    options.folder = options.folder.resolve()
    places = [options.program] if options.program else [ROOT / "spo", ROOT / ".build/release/spo"]
    options.program = next((place.resolve() for place in places if os.access(place, os.X_OK)), None)
    problem = prepare(options.folder) if options.program else f"{places[-1]} is not there, or no program"
    if problem:
        print(problem, file=sys.stderr)
        return 4
    if options.processors:
        # The one device of PoCL that computes right; what it compiled stays where it is.
        os.environ.setdefault("POCL_DEVICES", "basic")
        cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
        os.environ.setdefault("POCL_CACHE_DIR", f"{cache}/pocl/kcache")
    # The home folder may not be writable.
    os.environ["XDG_CACHE_HOME"] = str(options.folder / "cache")
    find_compiler()
    for number in SIGNALS:
        # nohup ignores one.
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, interrupt)
    report, models = Report(options), options.folder / "models"
    try:
        return perform(report, models)
    finally:
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        # Gigabytes.
        shutil.rmtree(models, ignore_errors=True)
        for part in report.parts:
            (options.folder / f"{part['name']}.safetensors").unlink(missing_ok=True)
        report.write()


def perform(report, models):
    options = report.options
    doctor = report.part("doctor", 30, [options.program, "doctor"])
    # It finds fault with a build that uses less of the processor than there is, too, as a package's does.
    if doctor["outcome"].startswith("code 1:"):
        doctor["outcome"] = f"ran, but{doctor['outcome'][6:]}"
    names, line = devices(report)
    chosen = [name for name in names if options.device in (None, name, name.split(":")[0])]
    if not chosen:
        print(f"no device{f' {options.device}' if options.device else ''}: {line or doctor['outcome']}", file=sys.stderr)
        return 3
    device = chosen[0]

    def weights(*names):
        if importlib.util.find_spec("torch"):
            report.part(f"weights-{names[0]}", 90, [sys.executable, HERE / "torch_weights.py", models, *names])
        else:
            report.note(f"weights-{names[0]}", "not done: no PyTorch; the program makes random ones of its own")

    def quickstart():
        # Stages compute on no device that is wrong.
        right = [name for name in ("tf32", "f32", "f16") if (device, name) not in report.unproven]
        precision = right[0] if report.unproven and right else "auto"
        report.part("quickstart-killed-and-resumed", 150, [
            sys.executable, HERE / "quickstart.py", "--program", options.program, "--device", device, "--folder",
            options.folder / "quickstart", "--kills", 3, "--precision", precision], lambda part: "right")

    def sdxl():
        if not options.small:
            weights("sdxl-unet")
        measure(report, device, models, "sdxl", 45)

    def sanitizer():
        if shutil.which("compute-sanitizer") is None:
            report.note("sanitizer", "not done: no compute-sanitizer")
            return
        for tool in ("memcheck", "racecheck"):
            report.part(f"{tool}-{device.replace(':', '')}", 100, [
                "compute-sanitizer", "--tool", tool, "--error-exitcode", 1, options.program, "doctor",
                "--device-check", "--device", device], lambda part: "right")

    def others():
        for other in names:
            if other != device:
                check(report, other)
                against_host(report, other, ["unet-lora"], [], 20, 40)
        if len(names) == 1:
            report.note("others", f"nothing to do: {device} is the only device")

    report.stage("check", lambda: check(report, device))
    report.stage("doors", lambda: against_host(report, device, DOORS, ["--batch", 1], 20, 90))
    if not options.only or set(options.only) & {"unet", "parts", "step"}:
        weights(*(["tiny-preference"] if options.small else ["sd15", "preference"]))
    if importlib.util.find_spec("torch") and not importlib.util.find_spec("diffusers"):
        report.note("diffusers", "not done: it is not installed")
    report.stage("unet", lambda: measure(report, device, models, "unet", 45))
    report.stage("quickstart", quickstart)
    # Two iterations, and all kernels.
    report.stage("step", lambda: measure(report, device, models, "step", 150))
    report.stage("parts", lambda: measure(report, device, models, "parts", 30))
    report.stage("sdxl", sdxl)
    report.stage("operators", lambda: against_host(report, device, OPERATORS, ["--gradients"], 30, 120, "sizes-"))
    report.stage("sanitizer", sanitizer)
    report.stage("others", others)
    return summary(report)


def summary(report):
    """What is to be looked at; the exit code."""
    print((report.folder / "table.txt").read_text(), end="", flush=True)
    bad = [part for part in report.parts if not is_good(part)]
    undone = [part["name"] for part in bad if part["outcome"].startswith("not done")]
    wrong = [part["name"] for part in bad if part["name"] not in undone]
    for title, names in [("wrong or failed", wrong), ("not done", undone)]:
        if names:
            print(f"{title}: {', '.join(names)}; see {report.folder}", file=sys.stderr)
    return 1 if wrong else 5 if undone else 0


if __name__ == "__main__":
    sys.exit(main())
