"""Golden renders and scores of the procedural world, by an implementation in numpy that shares nothing
with the one in Swift (Sources/ProceduralWorld) but the formulas of its comments.

Writes beside itself:
  NN.png        the pictures, 128 x 128
  cases.json    for each picture: the prompt; how it was made (a rendered scene with its appearance, or a
                treatment of an earlier picture); the scores of its bytes

With --sheet FILE it writes a contact sheet instead: renders that are pleasant in every part, drawn as the
world draws them (three rows), and unpleasant in every part (muddy, then pale).

Made with Python 3.11, numpy 2.4.6.
"""

import json
import pathlib
import struct
import sys
import zlib

import numpy as np

HUES = {"red": 0, "yellow": 50, "green": 125, "blue": 215, "purple": 285}
CENTRES = {"left": (20, 32), "right": (44, 32), "top": (32, 20), "bottom": (32, 44), "middle": (32, 32)}
SIDE = 128
# Lengths are in units, a 64th of the side.
SCALE = SIDE / 64
CELL = SIDE // 16
AXIS = (np.arange(SIDE) + 0.5) / SCALE
X, Y = np.meshgrid(AXIS, AXIS)


def clip(values):
    return np.clip(values, 0, 1)


def rgb(hue, saturation, value):
    saturation, value = np.broadcast_arrays(saturation, value)
    sector = np.mod(hue, 360) / 60
    chroma = value * saturation
    second = chroma * (1 - abs(np.mod(sector, 2) - 1))
    order = [(chroma, second, 0), (second, chroma, 0), (0, chroma, second), (0, second, chroma),
             (second, 0, chroma), (chroma, 0, second)][int(sector)]
    return np.stack([value - chroma + channel for channel in order], -1)


def distance(shape, centre, radius):
    x, y = X - centre[0], Y - centre[1]
    if shape == "circle":
        return radius - np.hypot(x, y)
    if shape == "square":
        return 0.88 * radius - np.maximum(abs(x), abs(y))
    half, height = 1.1 * radius, 1.85 * radius
    t = y + 1.05 * radius
    sides = [(t * half + sign * x * height) / np.hypot(half, height) for sign in (-1, 1)]
    return np.minimum.reduce([0.8 * radius - y, *sides])


def coverage(shape, centre, radius):
    return clip(distance(shape, centre, radius) * SCALE + 0.5)


def parse(prompt):
    words = prompt.replace(",", "").split()
    objects = [tuple(part.split()[i] for i in (1, 2, 5))
               for part in " ".join(words[:-2]).split(" and ")]
    return objects, words[-2]


def mixed(one, other, share):
    return one + (other - one) * share


def render(prompt, look):
    objects, background = parse(prompt)
    t = (X + Y) / 128
    if background == "light":
        fresh = rgb(look["freshHue"], 0.13, 0.99 * (1 - 0.10 * t))
        dingy = rgb(look["dingyHue"], 0.22, 0.72 * (1 - 0.05 * t))
    else:
        fresh = rgb(look["freshHue"], 0.36, 0.42 * (1 - 0.35 * t))
        dingy = rgb(look["dingyHue"], 0.30, 0.30 * (1 - 0.05 * t))
    picture = mixed(fresh, dingy, look["dinginess"])
    placed = [(shape, HUES[colour] + one["hueOffset"], np.add(CENTRES[place], one["offset"]), one["radius"])
              for (colour, shape, place), one in zip(objects, look["objects"])]
    for shape, _, centre, radius in placed:
        shadow = clip(distance(shape, centre + (1.5, 4.5), radius) / 7 + 0.5)
        picture = picture * (1 - 0.5 * (1 - look["shadowLoss"]) * shadow[..., None])
    dullness, roundness = look["dullness"], 1 - look["flatness"]
    saturation, value = mixed(0.88, 0.34 if look["isPale"] else 0.48, dullness), mixed(
        0.97, 0.90 if look["isPale"] else 0.56, dullness)
    for shape, hue, centre, radius in placed:
        x, y = (X - centre[0]) / radius, (Y - centre[1]) / radius
        body = rgb(hue, saturation, value * (1 - 0.30 * roundness * np.maximum(x + y, 0)))
        highlight = (-0.16, -0.10) if shape == "triangle" else (-0.32, -0.36)
        squared = (x - highlight[0]) ** 2 + (y - highlight[1]) ** 2
        body = mixed(body, 1, (0.65 * roundness * np.exp(-squared / (2 * 0.24**2)))[..., None])
        picture = mixed(picture, body, coverage(shape, centre, radius)[..., None])
    grain = np.reshape(look["grain"], (16, 16)).repeat(CELL, 0).repeat(CELL, 1)
    return clip(picture + 0.085 * look["graininess"] * grain[..., None])


def chroma(picture):
    return picture.max(-1) - picture.min(-1)


def membership(picture):
    return clip((chroma(picture) - 0.16) / 0.12)


def mean(values, weights):
    return (values * weights).sum() / weights.sum() if weights.sum() > 0 else 0


def aesthetics(picture):
    strength, member = chroma(picture), membership(picture)
    lightness = (picture.max(-1) + picture.min(-1)) / 2
    ground = clip((0.30 - strength) / 0.06)
    presence = min(member.sum() / SCALE**2 / 120, 1)

    cells = picture.reshape(16, CELL, 16, CELL, 3).mean((1, 3))
    bends = np.concatenate([abs(np.diff(cells, 2, axis)).mean(-1).ravel() for axis in (0, 1)])
    cleanness = np.exp(-np.sort(bends)[: int(0.6 * len(bends))].mean() / 0.05)

    richness = clip((mean(strength, member * strength) - 0.24) / 0.46)
    aside = int(6 * SCALE)
    near, far = np.s_[:-aside, :-aside], np.s_[aside:, aside:]
    roundness = clip(mean(lightness[near] - lightness[far], member[near] * member[far]) / 0.12)
    freshness = clip((mean(picture[..., 2] - picture[..., 0], ground) + 0.10) / 0.22)

    upper, lower = np.s_[: -int(5 * SCALE)], np.s_[int(5 * SCALE):]
    under = member[upper] * (1 - member[lower]) * ground[lower]
    over = member[lower] * (1 - member[upper]) * ground[upper]
    below, above = mean(lightness[lower], under), mean(lightness[upper], over)
    grounding = clip((1 - below / above) / 0.30) if under.sum() > 0 and above > 0 else 0
    return 100 * presence * (
        0.25 * cleanness + 0.30 * richness + 0.15 * roundness + 0.20 * freshness + 0.10 * grounding)


def hue(picture):
    red, green, blue = np.moveaxis(picture, -1, 0)
    strength = np.maximum(chroma(picture), 1e-12)
    sectors = [np.mod((green - blue) / strength, 6), (blue - red) / strength + 2, (red - green) / strength + 4]
    return 60 * np.choose(picture.argmax(-1), sectors)


def agreement(picture, prompt):
    objects, background = parse(prompt)
    strength, hues = chroma(picture), hue(picture)
    matches, outside = [], np.ones((SIDE, SIDE), bool)
    for colour, shape, place in objects:
        off = abs((hues - HUES[colour] + 180) % 360 - 180)
        member = clip((42 - off) / 16) * membership(picture)
        if len(objects) == 2:
            member = member * {"left": X < 32, "right": X > 32, "top": Y < 32, "bottom": Y > 32}[place]
        overlaps = {other: max(
            np.minimum(mask, member).sum() / np.maximum(mask, member).sum()
            for dx in (-2, 0, 2) for dy in (-2, 0, 2)
            for mask in [coverage(other, np.add(CENTRES[place], (dx, dy)), 11)])
            for other in ("circle", "square", "triangle")}
        own = overlaps.pop(shape)
        penalty = 0.3 * clip((max(overlaps.values()) - own) / 0.06)
        matches.append(clip((own - 0.25) / 0.55) * (1 - penalty))
        outside &= distance(shape, CENTRES[place], 11) <= -4
    light = picture[outside].mean()
    ground = clip((light - 0.4) / 0.25) if background == "light" else clip((0.62 - light) / 0.25)
    strays = np.where(strength > 0.3, membership(picture), 0)[outside].mean()
    return 75 * np.mean(matches) + 15 * ground + 10 * clip(1 - strays / 0.1)


PARTS = ["graininess", "dullness", "flatness", "dinginess", "shadowLoss"]


def look(random, count, badness, pale):
    def draw(low, high):
        return round(random.uniform(low, high), 3)

    return dict(zip(PARTS, badness)) | {
        "isPale": pale, "freshHue": draw(195, 250), "dingyHue": draw(25, 55),
        "objects": [{"offset": [draw(-2, 2), draw(-2, 2)], "radius": draw(10, 12),
                     "hueOffset": draw(-6, 6)} for _ in range(count)],
        "grain": [round(value, 3) for value in random.standard_normal(256)],
    }


def blurred(picture):
    for axis in (0, 1):
        picture = sum(np.roll(picture, shift, axis) for shift in range(-3, 4)) / 7
    return picture


def png(pixels):
    """The file of `[height, width, 3]` bytes."""
    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    # Each row as differences from the one above.
    rows = np.diff(pixels, axis=0, prepend=np.zeros_like(pixels[:1]))
    content = b"".join(b"\2" + row.tobytes() for row in rows)
    header = struct.pack(">IIBBBBB", pixels.shape[1], pixels.shape[0], 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(content, 9)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*one) for one in chunks)


RENDERS = [
    ("a red circle on the left, light background", [0.1, 0.0, 0.1, 0.0, 0.2], False),
    ("a yellow triangle in the middle, dark background", [0.4, 0.7, 0.0, 0.6, 0.0], False),
    ("a green square on the top and a purple triangle on the bottom, light background",
     [0.0, 0.2, 0.5, 0.4, 0.7], True),
    ("a blue triangle on the left and a red square on the right, dark background", [0.9, 1.0, 0.7, 1.0, 1.0], False),
    ("a purple circle on the left and a yellow circle on the right, light background", [0.6, 0.9, 1.0, 0.8, 0.5], True),
]


def sheet(path):
    random = np.random.default_rng(3)
    prompts = [prompt for prompt, _, _ in RENDERS] * 2
    rows = []
    for kind in ("good", "drawn", "drawn", "drawn", "muddy", "pale"):
        row = []
        for prompt in prompts:
            badness = [0.0 if kind == "good" else 1.0] * 5
            if kind == "drawn":
                badness = clip(1.3 * ((random.uniform() + random.uniform(size=5)) / 2 - 0.5) + 0.5)
            pale = kind == "pale" or kind == "drawn" and random.uniform() < 1 / 3
            picture = render(prompt, look(random, len(parse(prompt)[0]), badness, pale))
            row.append(np.pad(picture, ((4, 4), (4, 4), (0, 0)), constant_values=1))
        rows.append(np.concatenate(row, 1))
    pathlib.Path(path).write_bytes(png(np.round(np.concatenate(rows) * 255).astype(np.uint8)))


def main():
    random = np.random.default_rng(0)
    folder = pathlib.Path(__file__).parent
    pictures, cases = [], []

    def add(picture, case):
        picture = np.round(clip(picture) * 255).astype(np.uint8)
        (folder / f"{len(pictures):02}.png").write_bytes(png(picture))
        pictures.append(picture)
        values = picture / 255
        cases.append(case | {
            "aesthetics": round(float(aesthetics(values)), 4),
            "agreement": round(float(agreement(values, case["prompt"])), 4)})

    for prompt, badness, pale in RENDERS:
        appearance = look(random, len(parse(prompt)[0]), badness, pale)
        add(render(prompt, appearance), {"prompt": prompt, "appearance": appearance})
    first, fourth = pictures[0] / 255, pictures[3] / 255
    add(first, {"prompt": RENDERS[0][0].replace("circle", "square"), "treatment": "another shape"})
    prompt = RENDERS[0][0]
    add(blurred(first), {"prompt": prompt, "treatment": "blurred"})
    coarse = random.standard_normal((32, 32, 3)).repeat(4, 0).repeat(4, 1)
    add(first + 0.1 * coarse, {"prompt": prompt, "treatment": "noisy"})
    add(0.4 * first + 0.6 * first.mean((0, 1)), {"prompt": prompt, "treatment": "faded"})
    add(np.full((SIDE, SIDE, 3), 0.5), {"prompt": prompt, "treatment": "blank"})
    add(fourth, {"prompt": prompt, "treatment": "another scene"})
    (folder / "cases.json").write_text(json.dumps(cases) + "\n")
    for case in cases:
        print(case.get("treatment", "render"), case["aesthetics"], case["agreement"])


if sys.argv[1:2] == ["--sheet"]:
    sheet(sys.argv[2])
else:
    main()
