"""Checks image decoding: `spo decode` against Pillow (libjpeg-turbo) and against what was written.

Usage: python Tests/Reference/jpeg.py [--program .build/release/spo] [--seed 0] [--mutations 200]
                                  [--only PREFIX] [--keep DIR]

JPEG: at most 2 of 255 from libjpeg-turbo in every channel of every pixel, 0.5 on average.
PNG: at most 1 of 255 from the samples that were written (2 where 16 bits were cut to 8). Damaged files are errors, never crashes.
"""

import io
import itertools
import random
import subprocess

import numpy as np
from PIL import Image, ImageOps, features

import harness
import jpeg_files
from harness import Failure

SIZES = [(1, 1), (7, 9), (8, 8), (16, 16), (17, 33), (31, 5), (64, 48), (133, 200), (256, 256)]


class Scenes:
    def __init__(self, seed):
        self.noise = np.random.default_rng(abs(hash_seed(seed)))

    def photo(self, width, height, channels=3):
        """Smooth shading, a hard edge and some noise, [height, width, channels] in 0...255."""
        y, x = np.mgrid[0:height, 0:width]
        waves = self.noise.normal(size=(3, channels)) / 20
        shade = 128 + 90 * np.sin(x[..., None] * waves[0] + y[..., None] * waves[1] + 9 * waves[2])
        edge = 60 * ((x + 2 * y) // 11 % 2)[..., None]
        noise = self.noise.normal(scale=8, size=(height, width, channels))
        return np.clip(shade + edge + noise, 0, 255).astype(np.uint8)


def hash_seed(seed):
    return random.Random(seed).randrange(1 << 32)


def decode(judge, name, content, suffix, *arguments):
    source, result = judge.path(f"{name}.{suffix}"), judge.path(f"{name}.decoded.png")
    source.write_bytes(content)
    judge.run("decode", source, "--out", result, *arguments)
    image = Image.open(result)
    if image.mode != "RGB":
        raise Failure(f"wrote a PNG of mode {image.mode} instead of RGB")
    return np.asarray(image).astype(int)


def compare(measured, found, expected, most, average):
    if found.shape != expected.shape:
        raise Failure(f"{found.shape} instead of {expected.shape} (height, width, channels)")
    difference = np.abs(found - expected)
    measured.append((float(difference.max()), most))
    measured.append((float(difference.mean((0, 1)).max()), average))


def check(judge, name, content, *arguments):
    """One JPEG against Pillow; orientation applied unless the arguments say otherwise."""
    if not judge.wanted(name):
        return
    with judge.case(name) as measured:
        image = Image.open(io.BytesIO(content))
        if "--keep-orientation" not in arguments:
            image = ImageOps.exif_transpose(image)
        expected = np.asarray(image.convert("RGB")).astype(int)
        found = decode(judge, name.replace("/", "-"), content, "jpg", *arguments)
        compare(measured, found, expected, 2, 0.5)


def saved(array, mode="RGB", **settings):
    buffer = io.BytesIO()
    Image.fromarray(array, mode).save(buffer, "JPEG", **settings)
    return buffer.getvalue()


# ---------------------------------------------------------------------------------------------
# Checks


def check_pillow(judge, options):
    """Everything that Pillow writes."""
    scenes = Scenes(options.seed)
    for (width, height), sampling, progressive in itertools.product(
            SIZES, ("4:4:4", "4:2:2", "4:2:0"), (False, True)):
        kind = "progressive" if progressive else "baseline"
        check(judge, f"jpeg {width}x{height} {sampling} {kind}", saved(
            scenes.photo(width, height), subsampling=sampling, progressive=progressive, quality=85))
    photo = scenes.photo(70, 50)
    for quality in (1, 10, 30, 50, 75, 95, 100):
        check(judge, f"jpeg quality {quality}", saved(photo, quality=quality))
        check(judge, f"jpeg quality {quality} progressive 4:4:4", saved(
            photo, quality=quality, progressive=True, subsampling=0, optimize=True))
    for progressive in (False, True):
        kind = "progressive" if progressive else "baseline"
        check(judge, f"jpeg grey {kind}", saved(photo[..., 0], "L", progressive=progressive))
        check(judge, f"jpeg restart by blocks {kind}", saved(
            photo, restart_marker_blocks=3, progressive=progressive))
        check(judge, f"jpeg restart by rows {kind}", saved(
            photo, restart_marker_rows=1, subsampling="4:2:0", progressive=progressive))
        check(judge, f"jpeg CMYK (Adobe) {kind}", saved(
            scenes.photo(40, 30, 4), "CMYK", progressive=progressive, quality=95))
        check(judge, f"jpeg RGB, not YCbCr {kind}", saved(
            photo, keep_rgb=True, progressive=progressive))
    check(judge, "jpeg comment, profile and density", saved(
        photo, comment=b"\xff\xd8 not a picture \xff\xd9", icc_profile=b"profile" * 20000,
        dpi=(300, 300)))
    extremes = np.zeros((40, 40, 3), np.uint8)
    extremes[::2, ::3] = 255
    check(judge, "jpeg black and white pixels", saved(extremes, quality=100, subsampling=0))


def check_orientation(judge, options):
    photo = Scenes(options.seed).photo(41, 24)
    for orientation in range(0, 10):
        exif = Image.Exif()
        exif[0x0112] = orientation
        exif[0x010F] = "maker"
        content = saved(photo, exif=exif, quality=95)
        check(judge, f"jpeg orientation {orientation}", content)
        check(judge, f"jpeg orientation {orientation} kept", content, "--keep-orientation")
    for title, exif in (
            ("loop", b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x01\0\0\0\x08\0\0\0"),
            ("outside", b"Exif\0\0II*\0\xff\xff\xff\x7f"), ("cut", b"Exif\0\0MM"),
            ("of another kind", b"Exif\0\0XXXXXXXX")):
        content = saved(photo, quality=95)
        marked = content[:2] + jpeg_files.segment(0xE1, exif) + content[2:]
        if judge.wanted(f"jpeg exif {title}"):
            with judge.case(f"jpeg exif {title}") as measured:
                found = decode(judge, f"exif {title}", marked, "jpg")
                expected = np.asarray(Image.open(io.BytesIO(content)).convert("RGB")).astype(int)
                compare(measured, found, expected, 2, 0.5)


def check_written(judge, options):
    """Sampling factors, colour spaces and tables that Pillow does not write."""
    scenes = Scenes(options.seed)
    samplings = {
        "4:4:4": [(1, 1)] * 3, "4:2:2": [(2, 1), (1, 1), (1, 1)], "4:4:0": [(1, 2), (1, 1), (1, 1)],
        "4:2:0": [(2, 2), (1, 1), (1, 1)], "4:1:1": [(4, 1), (1, 1), (1, 1)],
        "4:1:0": [(4, 2), (1, 1), (1, 1)], "1x4": [(1, 4), (1, 1), (1, 1)],
        "chroma by halves": [(2, 2), (1, 2), (2, 1)], "all doubled": [(1, 2)] * 3,
    }
    for (title, sampling), (width, height) in itertools.product(
            samplings.items(), [(1, 1), (13, 11), (32, 32), (67, 45)]):
        planes = jpeg_files.ycc(*np.moveaxis(scenes.photo(width, height).astype(float), -1, 0))
        check(judge, f"jpeg factors {title} {width}x{height}", jpeg_files.jpeg(planes, sampling))
    photo = scenes.photo(50, 37).astype(float)
    planes = jpeg_files.ycc(*np.moveaxis(photo, -1, 0))
    full, half = [(1, 1)] * 3, [(2, 2), (1, 1), (1, 1)]
    check(judge, "jpeg restart interval 1", jpeg_files.jpeg(planes, half, restart=1))
    check(judge, "jpeg restart interval 11", jpeg_files.jpeg(planes, full, restart=11))
    check(judge, "jpeg extended sequential", jpeg_files.jpeg(planes, half, frame=0xC1))
    coarse = np.full((8, 8), 300)
    check(judge, "jpeg 16-bit quantization", jpeg_files.jpeg(planes, full, coarse, frame=0xC1))
    check(judge, "jpeg Adobe transform 1", jpeg_files.jpeg(planes, half, adobe=1))
    colours = [photo[..., i] for i in range(3)]
    check(judge, "jpeg Adobe transform 0 (RGB)", jpeg_files.jpeg(colours, full, adobe=0))
    check(judge, "jpeg components named R G B", jpeg_files.jpeg(colours, full, ids=[82, 71, 66]))
    check(judge, "jpeg components numbered from 0", jpeg_files.jpeg(planes, half, ids=[0, 1, 2]))
    check(judge, "jpeg grey with factors 2x2", grey_doubled(photo[..., 0]))
    inks = scenes.photo(30, 22, 4).astype(float)
    cmyk = [inks[..., i] for i in range(4)]
    ycck = [*jpeg_files.ycc(*cmyk[:3]), cmyk[3]]
    check(judge, "jpeg Adobe transform 0 (CMYK)", jpeg_files.jpeg(cmyk, [(1, 1)] * 4, adobe=0))
    check(judge, "jpeg Adobe transform 2 (YCCK)", jpeg_files.jpeg(ycck, [(1, 1)] * 4, adobe=2))
    check(judge, "jpeg YCCK 4:2:0", jpeg_files.jpeg(ycck, [(2, 2), (1, 1), (1, 1), (2, 2)], adobe=2))
    whole = jpeg_files.jpeg(planes, half)
    check(judge, "jpeg junk after the end", whole + b"junk" * 30)
    check(judge, "jpeg fill bytes before markers", whole[:2] + b"\xff" * 5 + whole[2:])


def grey_doubled(plane):
    """A single component is never interleaved: its sampling factors mean nothing."""
    content = bytearray(jpeg_files.jpeg([plane], [(1, 1)]))
    frame = content.index(b"\xff\xc0")
    content[frame + 11] = 0x22
    return bytes(content)


def check_png(judge, options):
    source = np.random.default_rng(hash_seed(options.seed))
    kinds = [(0, depth) for depth in (1, 2, 4, 8, 16)] + [(3, depth) for depth in (1, 2, 4, 8)]
    kinds += [(colour, depth) for colour in (2, 4, 6) for depth in (8, 16)]
    for (colour, depth), interlaced, marked in itertools.product(kinds, (False, True), (False, True)):
        if marked and colour in (4, 6):
            continue
        name = (f"png colour type {colour}, {depth} bits{', interlaced' if interlaced else ''}"
                f"{', transparency' if marked else ''}")
        if not judge.wanted(name):
            continue
        with judge.case(name) as measured:
            channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
            samples = source.integers(0, 1 << depth, size=(19, 21, channels))
            palette = source.integers(0, 256, size=(1 << depth, 3)) if colour == 3 else None
            alphas = source.integers(0, 256, size=1 << depth) if colour == 3 and marked else None
            key = samples[3, 5] if marked and colour != 3 else None
            transparency = None
            if alphas is not None:
                transparency = alphas.astype(np.uint8).tobytes()
            elif key is not None:
                transparency = key.astype(">u2").tobytes()
            content = pictures.png(samples, depth, colour, palette, transparency, interlaced)
            found = decode(judge, name, content, "png")
            expected = over_white(samples, depth, colour, palette, alphas, key)
            compare(measured, found, expected, 2 if depth == 16 else 1, 0.5)


def over_white(samples, depth, colour, palette, alphas, key):
    scale = 255 / ((1 << depth) - 1)
    alpha = np.ones(samples.shape[:2])
    if colour == 3:
        rgb = palette[samples[..., 0]].astype(float)
        alpha = alpha if alphas is None else alphas[samples[..., 0]] / 255
    else:
        if colour in (4, 6):
            alpha, samples = samples[..., -1] * scale / 255, samples[..., :-1]
        rgb = samples * scale
        if key is not None:
            alpha = 1.0 - (samples == key).all(-1)
        rgb = np.broadcast_to(rgb, (*rgb.shape[:2], 3))
    mixed = rgb * alpha[..., None] + 255 * (1 - alpha[..., None])
    return np.round(mixed).astype(int)


def check_damage(judge, options):
    source = random.Random(options.seed)
    photo = Scenes(options.seed).photo(60, 44)
    whole = {
        "baseline": saved(photo), "progressive": saved(photo, progressive=True),
        "restart": saved(photo, restart_marker_blocks=2), "png": None,
    }
    buffer = io.BytesIO()
    Image.fromarray(photo).save(buffer, "PNG")
    whole["png"] = buffer.getvalue()
    broken, result = judge.path("broken.jpg"), judge.path("broken.png")
    huge = bytearray(jpeg_files.jpeg([photo[..., 0].astype(float)], [(1, 1)]))
    frame = huge.index(b"\xff\xc0")
    huge[frame + 5:frame + 9] = b"\xff\xdc\xff\xdc"
    refused = {
        "empty": b"", "text": b"<html>not found</html>", "two bytes": b"\xff\xd8",
        "baseline cut": whole["baseline"][:len(whole["baseline"]) * 2 // 3],
        "progressive cut": whole["progressive"][:len(whole["progressive"]) * 2 // 3],
        "no end marker and half the rows": whole["baseline"][:len(whole["baseline"]) // 2],
        "65500 x 65500 pixels declared": bytes(huge), "png cut": whole["png"][:-200],
        "gif": b"GIF89a\x01\x00\x01\x00\x00\x00\x00;",
    }
    for title, content in refused.items():
        if judge.wanted(f"damage refused: {title}"):
            with judge.case(f"damage refused: {title}"):
                broken.write_bytes(content)
                judge.refuse("decode", broken, "--out", result, mentions=["broken.jpg"])
                if result.exists():
                    raise Failure("a picture was written all the same")
    if judge.wanted("damage survived"):
        with judge.case(f"damage survived: {options.mutations} changed files"):
            for index in range(options.mutations):
                content = bytearray(source.choice(list(whole.values())))
                for _ in range(source.choice([1, 2, 5])):
                    place = source.randrange(len(content))
                    content[place] = source.choice([0, 1, 127, 128, 255, source.randrange(256)])
                broken.write_bytes(content)
                done = subprocess.run([judge.program, "decode", broken, "--out", result],
                                      capture_output=True, timeout=20)
                if done.returncode not in (0, 1):
                    kept = judge.path(f"crash-{index}.jpg")
                    kept.write_bytes(content)
                    raise Failure(f"exit code {done.returncode} for {kept}")


if __name__ == "__main__":
    print(f"Pillow {Image.__version__}, libjpeg-turbo {features.version('libjpeg_turbo')}")
    harness.main(
        __doc__.splitlines()[0],
        [check_pillow, check_orientation, check_written, check_png, check_damage],
        seed=dict(default="0"), mutations=dict(type=int, default=200))
