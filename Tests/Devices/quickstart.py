"""Runs the quickstart with reduced counts on a device and on the CPU, and compares what was learned.

    POCL_DEVICES=basic python3 Tests/Devices/quickstart.py --device opencl --folder /tmp/quickstart

The device's run is then repeated in another workspace, where it gets SIGKILL at random moments and is started
again each time: it must end with the same bytes. See docs/devices.md.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
# Every stage and every kind of layer, in minutes on PoCL, which computes on one thread.
REDUCED = [
    "ingest.limit=6", "ingest.limit_by=prompts",
    "preference.clean_steps=2", "preference.steps=6", "preference.warm_up_steps=2",
    "preference.batch=6", "preference.micro_batch=6", "preference.checkpoint_every=3",
    "preference.selection_limit=8", "preference.validation_pairs=8", "preference.estimates=1",
    "spo.iterations=2", "spo.batch=5", "spo.prompts_at_once=5", "spo.checkpoint_every=1", "spo.held_out_every=1",
    "spo.sampling_steps=5", "spo.divert_step=2", "spo.stop_step=4", "spo.pictures=1", "spo.held_out_prompts=1", "spo.threshold=0.08",
    "report.pictures_per_prompt=1", "report.candidate_draws=1", "report.sampling_steps=5",
]


def lines(path: pathlib.Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def run(command: list[str], workspace: pathlib.Path) -> float:
    start = time.monotonic()
    subprocess.run([*command, "--workspace", str(workspace)], check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - start


def learned(workspace: pathlib.Path) -> dict[str, list[float]]:
    preference = lines(workspace / "preference/metrics.jsonl")
    tuning = lines(workspace / "spo/metrics.jsonl")
    oracle = json.loads((workspace / "report/summary.json").read_text())["oracle"]
    return {
        "preference loss": [entry["loss"] for entry in preference if "loss" in entry],
        "spo loss": [entry["loss"] for entry in tuning],
        "pairs kept, a sampling step": [step["kept"] for entry in tuning for step in entry["steps"]],
        "held-out score": [entry["held_out_score"] for entry in tuning],
        "aesthetics before, after": [oracle["aesthetics"]["before"], oracle["aesthetics"]["after"]],
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--program", default=".build/release/spo")
    parser.add_argument("--device", default="opencl")
    parser.add_argument("--precision", default="auto", help="auto, f32, tf32 or f16")
    parser.add_argument("--folder", required=True, help="for the workspaces; must not exist")
    parser.add_argument("--kills", type=int, default=6)
    parser.add_argument("--seed", type=int, default=0, help="of the moments of the kills")
    parser.add_argument(
        "--tolerance", type=float, default=0.02, help="largest difference, as a part of the CPU's largest")
    options = parser.parse_args()

    folder = pathlib.Path(options.folder)
    folder.mkdir(parents=True)
    prompts = folder / "prompts.json"
    prompts.write_text(json.dumps(json.loads(pathlib.Path("data/validation-prompts.json").read_text())[:2]))
    settings = [*REDUCED, f"report.prompts={prompts}"]

    def command(device: str) -> list[str]:
        overrides = [word for text in [*settings, f"device={device}", f"device_precision={options.precision}"] for word in ("--set", text)]
        return ["run", "pipelines/quickstart.json5", "--quiet", *overrides]

    seconds = {}
    for name, device in [("cpu", "cpu"), ("alone", options.device)]:
        seconds[name] = run([options.program, *command(device)], folder / name)
        print(f"{device}: {seconds[name]:.0f} s", flush=True)
    expected, found = learned(folder / "cpu"), learned(folder / "alone")
    wrong = []
    for name, values in expected.items():
        others = found[name]
        if len(values) != len(others):
            print(f"{name}: {len(values)} numbers on the CPU, {len(others)} on {options.device}")
            wrong.append(name)
            continue
        difference = max(abs(a - b) for a, b in zip(values, others))
        limit = options.tolerance * max(map(abs, values))
        # A pair whose candidates differ by just the threshold may be kept on one of them alone.
        limit = max(limit, 1) if name.startswith("pairs") else limit
        if not difference <= limit:
            wrong.append(name)
        print(
            f"{name}: {len(values)} numbers, CPU {values[0]:.6g} to {values[-1]:.6g}, {options.device} "
            f"{others[0]:.6g} to {others[-1]:.6g}, largest difference {difference:.2g}"
            + ("" if difference <= limit else f": MORE THAN {limit:.2g}"))
        if name.startswith("pairs"):
            print(f"  together {sum(values)} on the CPU, {sum(others)} on {options.device}")

    kept = list((folder / "alone/state/kernels").glob("*/*"))
    print(f"programs of machine code that were kept: {len(kept)}")
    if bool(kept) != options.device.startswith("cuda"):
        print("those of CUDA, and no others, should be")
        wrong.append("machine code")

    killed = subprocess.run([
        sys.executable, str(HERE.parent / "Reference/kill.py"), "--program", options.program, "--folder",
        str(folder), "--kills", str(options.kills), "--seed", str(options.seed), "--reference",
        str(folder / "alone"), "--seconds", str(seconds["alone"]), "--", *command(options.device),
    ])
    if killed.returncode != 0:
        wrong.append("the resumed run")
    if wrong:
        print(f"wrong: {', '.join(wrong)}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except subprocess.CalledProcessError as error:
        # The program said why.
        sys.exit(error.returncode)
