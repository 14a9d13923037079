"""What the runs of experiments.py came to: figures of one run, a table of all, and curves."""

import json
import math
import statistics
from pathlib import Path

# Of Student's t distribution, 97.5 %, by degrees of freedom.
T = [math.nan, 12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262]
# What the paper found of Stable Diffusion v1.5 (arXiv 2406.04314), PickScore, where it has the like.
PAPER = {
    "base": 20.53, "SPO, pixel": 21.43, "Diffusion-DPO": 20.98, "SPO, pixel, from the best": 17.87,
    "SPO, pixel, from the worst": 19.36, "SPO, pixel, two candidates": 21.37,
    "SPO, pixel, eight candidates": 21.19, "SPO, pixel, step-blind judge": 21.19,
}
# What rows are compared with, seed by seed.
CONTROL = "SPO, pixel"
COLORS = ["#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e"]


def read(workspace, stage):
    """Scores, and what tuning took."""
    summary = json.loads((workspace / "report/summary.json").read_text())
    return {"oracle": summary["oracle"], "calls": calls(workspace, stage), "stage_seconds": summary["seconds"][stage]}


def calls(workspace, stage):
    """Passes of the U-Net, and judged images, that the stage took."""
    settings = json.loads((workspace / f"state/{stage}.json").read_text())["settings"]
    lines = [json.loads(line) for line in (workspace / f"{stage}/metrics.jsonl").read_text().splitlines()]
    if stage == "spo":
        return spo_calls(settings, lines, is_latent(workspace))
    # Tuned model forwards and backwards, which is twice the work, and reference, on two images; or the tuned
    # model alone on the preferred one.
    passes = 2 * 4 if settings.get("loss", "dpo") == "dpo" else 3
    return {"unet": settings["steps"] * settings["batch"] * passes, "judge": 0}


def is_latent(workspace):
    record = json.loads((workspace / "state/preference.json").read_text())
    return record["settings"]["kind"] == "latent"


def spo_calls(settings, lines, latent):
    """Passes of one image through the U-Net, guided ones twice, backward ones as two; judged images."""
    steps, k, prompts = settings["sampling_steps"], settings["candidates"], settings["batch"]
    # The averaged model predicts once more, for the loss of GradSPO.
    learned = 5 if settings.get("loss") == "gradspo" and settings["average_decay"] is not None else 4
    unet = judged = 0
    for line in lines:
        compared = line["steps"]
        # The step, counted from 0, at which candidates part first.
        first = steps - 1 - (compared[0]["timestep"] - 1) * steps // 1000
        if settings["labels"] == "trajectory":
            sampled, scored = 1 + first + k * (steps - 1 - first), k
        else:
            # Of finished images no estimate is predicted.
            predicted = min(len(compared), steps - 1 - first)
            sampled, scored = 1 + first + (predicted if latent else k * predicted), k * len(compared)
        unet += 2 * (prompts * sampled + line["pairs"] * learned)
        judged += prompts * scored
    return {"unet": unet, "judge": judged}


def mean_interval(values):
    """Mean, and half the width of its 95 % interval over seeds; None with fewer than three."""
    mean = statistics.fmean(values)
    if len(values) < 3:
        return mean, None
    return mean, T[len(values) - 1] * statistics.stdev(values) / math.sqrt(len(values))


def text(values, digits=1, sign=False):
    """The mean with its interval; of two values both, whose interval would say nothing."""
    def shown(value):
        return f"{value:+.{digits}f}" if sign else f"{value:.{digits}f}"
    if len(values) == 2:
        return ", ".join(map(shown, values))
    mean, half = mean_interval(values)
    return shown(mean) if half is None else f"{shown(mean)} ± {half:.{digits}f}"


def gains(runs, score):
    return [run["oracle"][score]["after"] - run["oracle"][score]["before"] for run in runs]


def beside(control, runs):
    """How much more is gained than by the control with the same seeds, whose preference models are the same."""
    others = dict((run["seed"], gain) for run, gain in zip(control, gains(control, "aesthetics")))
    differences = [
        gain - others[run["seed"]] for run, gain in zip(runs, gains(runs, "aesthetics")) if run["seed"] in others]
    return text(differences, sign=True) if differences else ""


def write(folder, order, fast):
    """Writes results.md and the charts; returns the table and what explains it."""
    runs = [json.loads(path.read_text()) for path in sorted((folder / "results").glob("*.json"))]
    groups = {}
    for run in runs:
        groups.setdefault((run["name"], run["share"]), []).append(run)
    names = [name for name in order if (name, 1) in groups]
    first = runs[0]["oracle"]
    rows = [["base", "", f"{first['aesthetics']['before']:.1f}", "", f"{first['agreement']['before']:.1f}", "",
             "", "0", "0", paper("base")]]
    for name in names:
        group = groups[name, 1]
        rows.append([
            name, str(len(group)), text([run["oracle"]["aesthetics"]["after"] for run in group]),
            text(gains(group, "aesthetics"), sign=True),
            text([run["oracle"]["agreement"]["after"] for run in group]),
            text(gains(group, "agreement"), sign=True),
            beside(groups.get((CONTROL, 1), []), group) if name.startswith(CONTROL + ", ") else "",
            f"{statistics.fmean(run['calls']['unet'] for run in group) / 1000:.0f}",
            f"{statistics.fmean(run['calls']['judge'] for run in group) / 1000:.1f}", paper(name),
        ])
    head = ["method", "seeds", "aesthetics", "change", "agreement", "change", f"aesthetics less {CONTROL}",
            "U-Net calls, thousands", "judge calls, thousands", "PickScore in the paper"]
    table = "\n".join("| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head)] + rows)
    curves = {name: [(point(groups[key])) for key in sorted(groups) if key[0] == name] for name in names}
    # More lines could not be told apart.
    curves = dict(list(curves.items())[:2 * len(COLORS)])
    (folder / "curves.svg").write_text(chart(curves))
    error = max(run["oracle"]["aesthetics"]["paired_standard_error"] for run in runs)
    note = (
        f"{first['prompts']} prompts that nothing was trained on, {first['pictures'] // first['prompts']} images each, "
        "scored by the oracle of the built-in world (0 to 100). ± is the 95 % interval of the mean over three training "
        f"seeds (Student's t); of two, both are given. Differences from the row \"{CONTROL}\" "
        f"are taken seed by seed, since runs with the same seed share a preference model. Over prompts, the standard error of one run's change is at most {error:.1f}. "
        "U-Net calls count each image and each half of guidance, a backward pass as two; those that trained the preference "
        "model are not counted.")
    command = "make experiments" + (" FAST=1" if fast else "")
    (folder / "results.md").write_text(
        f"# Experiments on the bundled model\n\nMade by `{command}`.\n\n{table}\n\n{note}\n\n![curves](curves.svg)\n")
    return f"{table}\n\n{note}"


def paper(name):
    return f"{PAPER[name]:.2f}" if name in PAPER else ""


def point(group):
    """Calls in thousands, mean change, half its interval."""
    calls = statistics.fmean(run["calls"]["unet"] for run in group) / 1000
    return (calls, *mean_interval(gains(group, "aesthetics")))


def chart(curves):
    """Change of aesthetics against U-Net calls."""
    width, height, left, bottom, top, legend = 720, 420, 56, 44, 16, 250
    points = [point for line in curves.values() for point in line] or [(1, 0, None)]
    right = max(point[0] for point in points) * 1.05
    low = min(0, *[point[1] - (point[2] or 0) for point in points], 0)
    high = max([point[1] + (point[2] or 0) for point in points] + [1]) * 1.05
    def x(value): return left + value / right * (width - left - legend)
    def y(value): return height - bottom - (value - low) / (high - low) * (height - bottom - top)
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" '
           'font-size="12">', f'<rect width="{width}" height="{height}" fill="white"/>']
    for number in range(6):
        value = low + number / 5 * (high - low)
        out.append(f'<path d="M{left} {y(value):.1f}H{width - legend}" stroke="#ddd"/>'
                   f'<text x="{left - 6}" y="{y(value) + 4:.1f}" text-anchor="end">{value:.0f}</text>')
        calls = number / 5 * right
        out.append(f'<text x="{x(calls):.1f}" y="{height - bottom + 16}" text-anchor="middle">{calls:.0f}</text>')
    out.append(f'<text x="{(left + width - legend) / 2:.0f}" y="{height - 8}" text-anchor="middle">'
               'U-Net calls, thousands</text>')
    out.append(f'<text transform="translate(14 {height / 2:.0f}) rotate(-90)" text-anchor="middle">'
               'change of aesthetics</text>')
    for number, (name, line) in enumerate(curves.items()):
        color = COLORS[number % len(COLORS)]
        dash = ' stroke-dasharray="4 3"' if number >= len(COLORS) else ""
        line = [(0, 0, None)] + line
        path = "L".join(f"{x(calls):.1f} {y(gain):.1f}" for calls, gain, _ in line)
        out.append(f'<path d="M{path}" fill="none" stroke="{color}" stroke-width="2"{dash}/>')
        for calls, gain, half in line[1:]:
            if half is not None:
                out.append(f'<path d="M{x(calls):.1f} {y(gain - half):.1f}V{y(gain + half):.1f}" stroke="{color}"/>')
            out.append(f'<circle cx="{x(calls):.1f}" cy="{y(gain):.1f}" r="3.5" fill="{color}"/>')
        place = top + 8 + 20 * number
        out.append(f'<path d="M{width - legend + 12} {place}h20" stroke="{color}" stroke-width="2"{dash}/>'
                   f'<text x="{width - legend + 38}" y="{place + 4}">{name}</text>')
    return "\n".join(out + ["</svg>"]) + "\n"
