"""Which images do people prefer, those before tuning or those after? Sheets of pairs for viewers who are not told.

    viewers.py sheets runs/quickstart/report --out DIR [--pairs 40] [--seed 1] [--after after]
    viewers.py count DIR/key.json CHOICES.json...
    viewers.py figure runs/quickstart/report --out data/before-after.png

`sheets` writes DIR/sheet-N.png, ten pairs each, numbered: one image of a held-out prompt before tuning and the one
after it from the same noise, left and right by a seeded coin; and key.json, which says where 'after' is. Give the
viewers the sheets alone, and one question: "Which image of each pair looks better, left or right?" Their answers are
JSON files, {"1": "left", "2": "right", ...}. `count` says how often each of them chose 'after'.

`figure` writes the README's image: the first prompts of the report, before above after.
"""

import argparse
import json
import pathlib
import random

from PIL import Image, ImageDraw

PAIRS_PER_SHEET = 10


def image(report, prompt, name):
    return Image.open(report / "pictures" / f"{prompt:03}-0-{name}.png").convert("RGB")


def enlarged(picture, scale):
    return picture.resize((picture.width * scale, picture.height * scale), Image.Resampling.BICUBIC)


def sheets(options):
    coin = random.Random(options.seed)
    prompts = sorted(int(path.name[:3]) for path in (options.report / "pictures").glob("*-0-before.png"))
    prompts = sorted(coin.sample(prompts, options.pairs))
    key = {}
    options.out.mkdir(parents=True, exist_ok=True)
    for start in range(0, len(prompts), PAIRS_PER_SHEET):
        rows = []
        for number, prompt in enumerate(prompts[start:start + PAIRS_PER_SHEET], start + 1):
            after_left = coin.random() < 0.5
            key[number] = {"prompt": prompt, "after": "left" if after_left else "right"}
            names = [options.after, "before"] if after_left else ["before", options.after]
            rows.append((number, [enlarged(image(options.report, prompt, name), 2) for name in names]))
        side = rows[0][1][0].width
        # Two pairs a row: number, left, right.
        width, height = 2 * side + 70, side + 16
        sheet = Image.new("RGB", (2 * width, (len(rows) + 1) // 2 * height), "white")
        draw = ImageDraw.Draw(sheet)
        for place, (number, pair) in enumerate(rows):
            x, y = place % 2 * width, place // 2 * height + 8
            draw.text((x + 8, y + side // 2), str(number), fill="black", font_size=24)
            for offset, picture in zip((44, 52 + side), pair):
                sheet.paste(picture, (x + offset, y))
        sheet.save(options.out / f"sheet-{start // PAIRS_PER_SHEET + 1}.png")
    (options.out / "key.json").write_text(json.dumps(key, indent=1) + "\n")


def count(options):
    key = json.loads(options.key.read_text())
    for path in options.choices:
        choices = json.loads(path.read_text())
        if set(choices) != set(key):
            raise SystemExit(f"{path}: answers are missing or too many: {sorted(set(choices) ^ set(key))}")
        chosen = sum(choices[number] == key[number]["after"] for number in key)
        print(f"{path.name}: after in {chosen} of {len(key)} pairs, {chosen / len(key):.0%}")


def figure(options):
    pairs = [[image(options.report, prompt, name) for name in ("before", options.after)]
             for prompt in range(options.pairs)]
    side, gap = pairs[0][0].width, 8
    sheet = Image.new("RGB", (len(pairs) * (side + gap) - gap, 2 * side + gap), "white")
    for column, pair in enumerate(pairs):
        for row, picture in enumerate(pair):
            sheet.paste(picture, (column * (side + gap), row * (side + gap)))
    sheet.save(options.out, optimize=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    for name, run, pairs in (("sheets", sheets, 40), ("figure", figure, 8)):
        command = commands.add_parser(name)
        command.add_argument("report", type=pathlib.Path)
        command.add_argument("--out", type=pathlib.Path, required=True)
        command.add_argument("--pairs", type=int, default=pairs)
        command.add_argument("--seed", type=int, default=1)
        command.add_argument("--after", default="after", help="name of the tuned model in the report's files")
        command.set_defaults(run=run)
    command = commands.add_parser("count")
    command.add_argument("key", type=pathlib.Path)
    command.add_argument("choices", type=pathlib.Path, nargs="+")
    command.set_defaults(run=count)
    options = parser.parse_args()
    options.run(options)


main()
