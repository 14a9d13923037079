"""Trains the embedded model by each method, with several seeds, and writes what came of it.

    python3 Tests/Experiments/experiments.py [--fast] [--folder runs/experiments] [--only NAME]...

Every run of a method with a seed leaves one file in FOLDER/results; a run whose file is there is not done again,
unless its settings or the bundled model and data have changed. One that was interrupted goes on. FOLDER/results.md and
FOLDER/*.svg are written from all files that are there. Results in Tests/Experiments/results.jsonl, which the
repository holds, count as done; --store writes what is there now to that file and the curves to docs/. Needs the built
program and Python 3, nothing beside its library.
"""

import argparse
import hashlib
import json
import re
import shutil
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import results

ROOT = Path(__file__).resolve().parents[2]
STORED = Path(__file__).resolve().parent / "results.jsonl"
PIXEL = "pipelines/quickstart.json5"
LATENT = "pipelines/quickstart-latent.json5"
DPO = "pipelines/experiments/dpo.json5"

# Sampling batches of stage spo, and steps of stage dpo, after which a method is looked at: shares of all.
CURVE = [0.5, 1]
# Stands for the LoRA of the same run with spo.inverted.
INVERTED = "of a run with spo.inverted"
METHODS = [
    # name, pipeline, settings, whether it is looked at on the way
    ("SPO, pixel", PIXEL, {}, True),
    ("SPO, latent", LATENT, {"spo.stop_step": 9}, True),
    ("SPO, latent, five noisiest steps", LATENT, {"spo.divert_step": 0, "spo.stop_step": 5}, True),
    ("Diffusion-DPO", DPO, {}, True),
    ("Diffusion-DPO, safeguarded", DPO, {"dpo.safeguard": 0.9}, False),
    ("supervised tuning on winners", DPO, {"dpo.loss": "supervised"}, True),
    ("SPO, pixel, labels of trajectories", PIXEL, {"spo.labels": "trajectory"}, True),
    ("SPO, pixel, from the best", PIXEL, {"spo.continue_from": "best"}, False),
    ("SPO, pixel, from the worst", PIXEL, {"spo.continue_from": "worst"}, False),
    ("SPO, pixel, two candidates", PIXEL, {"spo.candidates": 2}, False),
    ("SPO, pixel, eight candidates", PIXEL, {"spo.candidates": 8}, False),
    ("SPO, pixel, GradSPO", PIXEL, {"spo.loss": "gradspo", "spo.average_decay": 0.9}, False),
    ("SPO, pixel, 16 batches", PIXEL, {"spo.iterations": 16}, False),
    ("SPO, pixel, no threshold", PIXEL, {"spo.threshold": 0}, False),
    ("SPO, pixel, threshold 0.2", PIXEL, {"spo.threshold": 0.2}, False),
    ("SPO, pixel, threshold 0.3", PIXEL, {"spo.threshold": 0.3}, False),
    ("SPO, pixel, threshold 0.3, 16 batches", PIXEL, {"spo.threshold": 0.3, "spo.iterations": 16}, False),
    ("SPO, pixel, beta 2", PIXEL, {"spo.beta": 2}, False),
    ("SPO, pixel, beta 50", PIXEL, {"spo.beta": 50}, False),
    ("SPO, pixel, steps 1 to 9", PIXEL, {"spo.divert_step": 0}, False),
    ("SPO, pixel, steps 7 to 9", PIXEL, {"spo.divert_step": 6}, False),
    # As many pairs as ten batches at all five steps.
    ("SPO, pixel, window of two steps, 25 batches", PIXEL, {"spo.window": 2, "spo.iterations": 25}, False),
    ("SPO, pixel, negative LoRA", PIXEL, {"report.negative_lora": INVERTED}, False),
    ("SPO, pixel, step-blind judge", PIXEL,
     {"preference.step_aware": "false", "spo.judged_timestep": "none"}, False),
    ("SPO, pixel, judge of clean images", PIXEL,
     {"preference.clean_steps": 899, "preference.step_aware": "false", "spo.judged_timestep": "none"}, False),
]
FAST_LEAVES_OUT = {
    "SPO, pixel, two candidates", "SPO, pixel, eight candidates", "SPO, pixel, GradSPO", "SPO, pixel, 16 batches",
    "SPO, pixel, no threshold", "SPO, pixel, threshold 0.2", "SPO, pixel, threshold 0.3, 16 batches",
    "SPO, pixel, beta 2", "SPO, pixel, beta 50", "SPO, pixel, window of two steps, 25 batches",
    "SPO, pixel, negative LoRA", "SPO, pixel, steps 1 to 9", "SPO, pixel, steps 7 to 9",
    "SPO, pixel, judge of clean images", "Diffusion-DPO, safeguarded",
}


def world():
    """A digest of the bundled model and its comparisons: results of others do not compare."""
    digest = hashlib.sha256()
    for path in sorted((ROOT / "data").glob("**/*.safetensors")) + sorted((ROOT / "data").glob("**/*.parquet")):
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]


class Experiments:
    def __init__(self, options):
        self.fast = options.fast
        self.folder = Path(options.folder).resolve()
        self.only = options.only
        self.full_only = options.full_only
        self.program = str(Path(options.program).resolve())
        self.prompts = self.folder / "prompts.json"
        self.seeds = [1] if self.fast else [1, 2, 3]
        self.iterations = 8 if self.fast else 10
        self.steps = 150 if self.fast else 300

    def settings(self, pipeline, own, seed, share):
        """All that differs from the pipeline file."""
        settings = {
            "report.prompts": str(self.prompts),
            "report.pictures_per_prompt": 2 if self.fast else 4,
            "report.candidate_draws": 0, "report.shown_prompts": 0, "report.beside": "[]",
            "export.forms": '["lora"]',
        }
        if pipeline == DPO:
            settings |= {"dpo.seed": seed, "dpo.pictures": 0, "dpo.steps": round(self.steps * share)}
        else:
            if pipeline == PIXEL:
                # The quickstart's own is a row.
                settings["spo.threshold"] = 0.05
            settings |= {
                "preference.seed": seed, "spo.seed": seed, "spo.pictures": 0,
                "spo.iterations": max(1, round(self.iterations * share)),
            }
            if self.fast:
                settings |= {"preference.steps": 300, "preference.clean_steps": 100} if (
                    pipeline == PIXEL) else {"preference.steps": 300}
        return settings | own

    def spo(self, pipeline, settings, *more):
        command = [self.program, "run", pipeline, "--workspace", str(self.folder / "workspace"), *more]
        for key, value in settings.items():
            command += ["--set", f"{key}={value}"]
        subprocess.run(command, cwd=ROOT, check=True)

    def inverted(self, pipeline, settings):
        """The settings with the LoRA of an inverted run in place of what stands for it, and the U-Net calls of that run."""
        if settings.get("report.negative_lora") != INVERTED:
            return settings, 0
        rest = {key: value for key, value in settings.items() if key != "report.negative_lora"}
        self.spo(pipeline, rest | {"spo.inverted": "true"}, "--through", "spo")
        lora = self.folder / "inverted.safetensors"
        shutil.copy(self.folder / "workspace/spo/pytorch_lora_weights.safetensors", lora)
        return settings | {"report.negative_lora": str(lora)}, results.calls(self.folder / "workspace", "spo")

    def make_prompts(self):
        """Prompts that nothing is trained on. The world has few, so the held-out split counts, too."""
        if self.prompts.exists():
            return
        def listed(name):
            return [entry["caption"] for entry in json.loads((ROOT / f"data/{name}-prompts.json").read_text())]
        texts = listed("validation")
        if not self.fast:
            self.spo(DPO, {}, "--through", "ingest")
            catalog = sqlite3.connect(self.folder / "workspace" / "catalog.sqlite")
            held_out = catalog.execute(
                "select distinct text from prompt join pair on pair.prompt_id = prompt.id "
                "where split = 'validation_unique' order by text")
            texts += listed("tuning") + [text for (text,) in held_out]
            catalog.close()
        texts = list(dict.fromkeys(texts))
        self.prompts.write_text(json.dumps([{"caption": text} for text in texts], indent=1) + "\n")

    def jobs(self):
        """Those that share a preference model follow each other, so it is trained once a seed."""
        for seed in self.seeds:
            for name, pipeline, own, has_curve in METHODS:
                if self.fast and name in FAST_LEAVES_OUT or self.only and name not in self.only:
                    continue
                for share in CURVE if has_curve and not self.fast and not self.full_only else [1]:
                    yield name, pipeline, self.settings(pipeline, own, seed, share), seed, share

    def path(self, name, seed, share):
        words = re.sub(r"\W+", "-", name.lower()).strip("-")
        return self.folder / "results" / f"{words}-{seed}-{round(100 * share)}.json"

    def stored(self):
        """The results that the repository holds, by the names of their files."""
        if self.fast or not STORED.exists():
            return {}
        runs = [json.loads(line) for line in STORED.read_text().splitlines()]
        return {self.path(run["name"], run["seed"], run["share"]).name: run for run in runs}

    def is_done(self, path, asked):
        """Whether a run with these settings has left its file, or the repository has its result."""
        def is_same(run):
            return run["settings"] == asked and run["world"] == self.world
        if path.exists() and is_same(json.loads(path.read_text())):
            return True
        stored = self.stored().get(path.name)
        if stored is None or not is_same(stored):
            return False
        path.write_text(json.dumps(stored, indent=1) + "\n")
        return True

    def run(self):
        (self.folder / "results").mkdir(parents=True, exist_ok=True)
        self.world = world()
        self.make_prompts()
        # What there is on the way comes last: a table of all methods is worth more.
        jobs = sorted(self.jobs(), key=lambda job: (
            -job[4], job[3], job[1], "preference.step_aware" in job[2], "preference.clean_steps" in job[2]))
        for number, (name, pipeline, settings, seed, share) in enumerate(jobs, 1):
            path = self.path(name, seed, share)
            asked = {key: str(value) for key, value in settings.items() if key != "report.prompts"}
            if self.is_done(path, asked):
                continue
            print(f"{number} of {len(jobs)}: {name}, seed {seed}, {share:.0%}", file=sys.stderr)
            start = time.time()
            own, calls = self.inverted(pipeline, settings)
            self.spo(pipeline, own)
            found = results.read(self.folder / "workspace", "dpo" if pipeline == DPO else "spo")
            if calls:
                found["calls"] = {key: found["calls"][key] + calls[key] for key in calls}
            found |= {
                "name": name, "pipeline": pipeline, "seed": seed, "share": share, "settings": asked, "world": self.world,
                "seconds": round(time.time() - start, 1),
            }
            part = path.with_suffix(".part")
            part.write_text(json.dumps(found, indent=1) + "\n")
            shutil.move(part, path)
        self.write()

    def write(self):
        order = [method[0] for method in METHODS]
        text = results.write(self.folder, order, self.fast)
        print(text)
        return text

    def store(self):
        """Puts the results into the repository, one per line, and table and curves into docs/."""
        runs = {path.name: json.loads(path.read_text()) for path in (self.folder / "results").glob("*.json")}
        runs = self.stored() | runs
        STORED.write_text("".join(
            json.dumps(runs[name], separators=(",", ":")) + "\n" for name in sorted(runs)))
        text = self.write()
        shutil.copy(self.folder / "curves.svg", ROOT / "docs/experiments.svg")
        page = ROOT / "docs/experiments.md"
        start, end = "<!-- results -->", "<!-- end of results -->"
        before, rest = page.read_text().split(start)
        page.write_text(f"{before}{start}\n\n{text}\n\n{end}{rest.split(end)[1]}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--fast", action="store_true", help="about 20 minutes: one seed, smaller runs")
    parser.add_argument("--folder", default=None, help="runs/experiments, or runs/experiments-fast")
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="this method alone")
    parser.add_argument("--full-only", action="store_true", help="leave out what is measured on the way")
    parser.add_argument("--program", default=str(ROOT / ".build/release/spo"))
    parser.add_argument("--store", action="store_true", help="train nothing; put the results into the repository")
    options = parser.parse_args()
    options.folder = options.folder or ROOT / ("runs/experiments-fast" if options.fast else "runs/experiments")
    experiments = Experiments(options)
    experiments.store() if options.store else experiments.run()
