"""Golden renders and scores of the procedural world, by an implementation in numpy that shares nothing
with the one in Swift (Sources/ProceduralWorld) but the formulas of its comments.

Writes beside itself:
  pictures.bin  the pictures, 64 x 64 x 3 bytes each, one after the other
  cases.json    for each picture: the prompt; how it was made (a rendered scene with its appearance, or a
                treatment of an earlier picture); the scores of its bytes

Made with Python 3.11, numpy 2.4.6.
"""

import json
import pathlib

import numpy as np

HUES = {"red": 0, "yellow": 50, "green": 125, "blue": 215, "purple": 285}
CENTRES = {"left": (20, 32), "right": (44, 32), "top": (32, 20), "bottom": (32, 44), "middle": (32, 32)}
AXIS = np.arange(64) + 0.5
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
    return clip(distance(shape, centre, radius) + 0.5)


def parse(prompt):
    words = prompt.replace(",", "").split()
    objects = [tuple(part.split()[i] for i in (1, 2, 5))
               for part in " ".join(words[:-2]).split(" and ")]
    return objects, words[-2]


def render(prompt, look):
    objects, background = parse(prompt)
    top, bottom = (0.93, 0.80) if background == "light" else (0.34, 0.20)
    value = top + (bottom - top) * (Y - 0.5) / 63
    picture = rgb(look["backgroundHue"], look["backgroundSaturation"], value)
    harshness = look["harshness"]
    for (colour, shape, place), one in zip(objects, look["objects"]):
        centre = np.add(CENTRES[place], one["offset"])
        mask = coverage(shape, centre, one["radius"])[..., None]
        saturation = 0.54 + (-0.26 if look["isPale"] else 0.46) * harshness
        diagonal = ((X - centre[0]) + (Y - centre[1])) / (2 * one["radius"])
        value = clip(0.84 + 0.14 * harshness - 0.16 * (1 - harshness) * diagonal)
        picture = picture * (1 - mask) + mask * rgb(HUES[colour] + one["hueOffset"], saturation, value)
    grain = np.reshape(look["grain"], (16, 16)).repeat(4, 0).repeat(4, 1)
    return clip(picture + 0.10 * look["graininess"] * grain[..., None])


def chroma(picture):
    return picture.max(-1) - picture.min(-1)


def smoothness(picture):
    cells = picture.reshape(16, 4, 16, 4, 3).mean((1, 3))
    bends = np.concatenate([abs(np.diff(cells, 2, axis)).mean(-1).ravel() for axis in (0, 1)])
    return np.exp(-np.sort(bends)[: int(0.6 * len(bends))].mean() / 0.06)


def colour_terms(picture):
    strength = chroma(picture)
    member = clip((strength - 0.12) / 0.12)
    if not member.any():
        return 0, 0
    saturation = strength / np.maximum(picture.max(-1), 1e-9)
    excess = np.average(saturation, weights=member * strength) - 0.54
    return min(member.sum() / 120, 1), np.exp(-((excess / (0.25 if excess > 0 else 0.12)) ** 2))


def aesthetics(picture):
    presence, harmony = colour_terms(picture)
    return 100 * presence * (0.55 * smoothness(picture) + 0.45 * harmony)


def hue(picture):
    red, green, blue = np.moveaxis(picture, -1, 0)
    strength = np.maximum(chroma(picture), 1e-12)
    sectors = [np.mod((green - blue) / strength, 6), (blue - red) / strength + 2, (red - green) / strength + 4]
    return 60 * np.choose(picture.argmax(-1), sectors)


def agreement(picture, prompt):
    objects, background = parse(prompt)
    strength, hues = chroma(picture), hue(picture)
    matches, outside = [], np.ones((64, 64), bool)
    for colour, shape, place in objects:
        off = abs((hues - HUES[colour] + 180) % 360 - 180)
        member = clip((42 - off) / 16) * clip((strength - 0.12) / 0.12)
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
    strays = np.where(strength > 0.3, clip((strength - 0.12) / 0.12), 0)[outside].mean()
    return 75 * np.mean(matches) + 15 * ground + 10 * clip(1 - strays / 0.1)


def look(random, count, graininess, harshness, pale):
    def draw(low, high):
        return round(random.uniform(low, high), 3)

    return {
        "graininess": graininess, "harshness": harshness, "isPale": pale,
        "backgroundHue": draw(0, 360), "backgroundSaturation": draw(0.05, 0.13),
        "objects": [{"offset": [draw(-2, 2), draw(-2, 2)], "radius": draw(10, 12),
                     "hueOffset": draw(-6, 6)} for _ in range(count)],
        "grain": [round(value, 3) for value in random.standard_normal(256)],
    }


def blurred(picture):
    for axis in (0, 1):
        picture = sum(np.roll(picture, shift, axis) for shift in (-1, 0, 1)) / 3
    return picture


RENDERS = [
    ("a red circle on the left, light background", 0.1, 0.0, False),
    ("a yellow triangle in the middle, dark background", 0.4, 0.7, False),
    ("a green square on the top and a purple triangle on the bottom, light background", 0.0, 0.2, True),
    ("a blue triangle on the left and a red square on the right, dark background", 0.9, 1.0, False),
    ("a purple circle on the left and a yellow circle on the right, light background", 0.6, 0.9, True),
]


def main():
    random = np.random.default_rng(0)
    folder = pathlib.Path(__file__).parent
    pictures, cases = [], []

    def add(picture, case):
        picture = np.round(clip(picture) * 255).astype(np.uint8)
        pictures.append(picture)
        values = picture / 255
        cases.append(case | {
            "aesthetics": round(float(aesthetics(values)), 4),
            "agreement": round(float(agreement(values, case["prompt"])), 4)})
        return values

    for prompt, graininess, harshness, pale in RENDERS:
        appearance = look(random, len(parse(prompt)[0]), graininess, harshness, pale)
        add(render(prompt, appearance), {"prompt": prompt, "appearance": appearance})
    first, fourth = pictures[0] / 255, pictures[3] / 255
    add(first, {"prompt": RENDERS[0][0].replace("circle", "square"), "treatment": "another shape"})
    prompt = RENDERS[0][0]
    add(blurred(first), {"prompt": prompt, "treatment": "blurred"})
    add(first + 0.1 * random.standard_normal(first.shape), {"prompt": prompt, "treatment": "noisy"})
    add(0.4 * first + 0.6 * first.mean((0, 1)), {"prompt": prompt, "treatment": "faded"})
    add(np.full((64, 64, 3), 0.5), {"prompt": prompt, "treatment": "blank"})
    add(fourth, {"prompt": prompt, "treatment": "another scene"})
    add(random.uniform(0, 1, first.shape), {"prompt": prompt, "treatment": "random"})
    np.stack(pictures).tofile(folder / "pictures.bin")
    (folder / "cases.json").write_text(json.dumps(cases) + "\n")
    for case in cases:
        print(case.get("treatment", "render"), case["aesthetics"], case["agreement"])


main()
