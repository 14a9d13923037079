"""Writes the picture files of this folder and the pixels that Pillow reads from them.

Made with Python 3.11, Pillow 13.0.0 (libjpeg-turbo 3.2.0, zlib 1.2.13), numpy 2.4.6 and cjpeg 2.1.5
(Debian libjpeg-turbo-progs).

    python generate.py

NAME.jpg, NAME.png   a picture file
NAME-jpg.rgb, NAME-png.rgb
                     its pixels as Pillow decodes them: RGB, 8 bits, rows from the top; alpha over
                     white, 16-bit samples cut to their high byte, EXIF orientation applied
source.rgb           a picture of 61 x 43 pixels
resize-WxH.rgb       the same through Image.resize((W, H), BICUBIC)
encoded-Q.rgb        the same saved with quality=Q, subsampling=0 and read again
"""

import io
import pathlib
import struct
import subprocess
import zlib

import numpy as np
from PIL import Image, ImageOps

HERE = pathlib.Path(__file__).parent


def picture(width, height, seed=0):
    """Gradients, edges and grain, so that every coefficient is used."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    red = 255 * x / max(width - 1, 1)
    green = 255 * y / max(height - 1, 1)
    blue = 127 + 127 * np.sin(x / 3 + y / 5)
    image = np.stack([red, green, blue], -1)
    image[height // 3 : height // 2, width // 4 : width // 2] = (250, 10, 30)
    image[(x + y).astype(int) % 11 == 0] = (5, 240, 250)
    image += random.normal(0, 12, image.shape)
    return Image.fromarray(np.clip(image, 0, 255).astype(np.uint8), "RGB")


def save(name, data):
    (HERE / name).write_bytes(data)


def over_white(image):
    rgba = image.convert("RGBA")
    white = Image.new("RGB", image.size, "white")
    white.paste(rgba, mask=rgba.getchannel("A"))
    return white


def save_with_pixels(name, data, expected=None):
    if expected is None:
        image = Image.open(io.BytesIO(data))
        expected = over_white(image) if image.format == "PNG" else image.convert("RGB")
    save(name, data)
    save(name.replace(".", "-") + ".rgb", expected.tobytes())


def jpeg(image, **options):
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", **options)
    return buffer.getvalue()


def cjpeg(image, *options):
    ppm = io.BytesIO()
    image.save(ppm, "PPM")
    return subprocess.run(["cjpeg", *options], input=ppm.getvalue(), capture_output=True, check=True).stdout


def with_scans(image, script, *options):
    path = HERE / "scans.txt"
    path.write_text(script)
    try:
        return cjpeg(image, "-scans", str(path), *options)
    finally:
        path.unlink()


def without_segment(data, marker):
    start = data.index(bytes([0xFF, marker]))
    length = struct.unpack(">H", data[start + 2 : start + 4])[0]
    return data[:start] + data[start + 2 + length :]


def jpegs():
    small = picture(37, 29)
    for sampling, name in ((0, "444"), (1, "422"), (2, "420")):
        save_with_pixels(f"baseline-{name}.jpg", jpeg(small, quality=85, subsampling=sampling))
        save_with_pixels(
            f"progressive-{name}.jpg", jpeg(small, quality=85, subsampling=sampling, progressive=True))
    samplings = {
        "440": "1x2", "411": "4x1", "410": "4x2", "441": "1x4", "31": "3x1,1x1,3x1", "13": "1x3",
        "mixed": "2x2,1x2,2x1", "chroma": "1x1,2x2,1x2", "21all": "2x1,2x1,2x1",
    }
    for name, factors in samplings.items():
        save_with_pixels(f"sampling-{name}.jpg", cjpeg(small, "-quality", "80", "-sample", factors))
    save_with_pixels("progressive-440.jpg", cjpeg(small, "-progressive", "-sample", "1x2"))
    save_with_pixels("progressive-411.jpg", cjpeg(small, "-progressive", "-sample", "4x1"))

    for width, height in ((1, 1), (2, 2), (3, 5), (5, 3), (8, 8), (16, 16), (17, 33), (4, 18)):
        for sampling, name in ((1, "422"), (2, "420")):
            data = jpeg(picture(width, height), quality=90, subsampling=sampling)
            save_with_pixels(f"size-{width}x{height}-{name}.jpg", data)
    save_with_pixels("size-3x3-440.jpg", cjpeg(picture(3, 3), "-sample", "1x2"))

    large = picture(64, 48, seed=1)
    save_with_pixels("quality-100.jpg", jpeg(large, quality=100, subsampling=0))
    save_with_pixels("quality-1.jpg", jpeg(large, quality=1, subsampling=2))
    save_with_pixels("extended-16-bit-steps.jpg", cjpeg(large, "-quality", "1"))
    save_with_pixels("optimized.jpg", jpeg(large, quality=75, optimize=True))
    save_with_pixels("flat.jpg", jpeg(Image.new("RGB", (40, 24), (200, 30, 90)), quality=75))
    save_with_pixels("grey.jpg", jpeg(small.convert("L"), quality=85))
    save_with_pixels("progressive-grey.jpg", jpeg(small.convert("L"), quality=85, progressive=True))
    save_with_pixels("grey-2x2.jpg", cjpeg(small, "-grayscale", "-sample", "2x2"))
    save_with_pixels("restart-blocks.jpg", jpeg(large, quality=85, restart_marker_blocks=1))
    save_with_pixels("restart-rows.jpg", jpeg(large, quality=85, restart_marker_rows=1))
    save_with_pixels(
        "progressive-restart.jpg", jpeg(large, quality=85, progressive=True, restart_marker_blocks=3))
    save_with_pixels("separate-scans.jpg", with_scans(large, "0;1;2;\n"))
    save_with_pixels("separate-chroma.jpg", with_scans(large, "0;1 2;\n", "-restart", "2B"))
    save_with_pixels(
        "progressive-many.jpg",
        with_scans(
            large,
            "0 1 2: 0-0, 0, 2; 0: 1-5, 0, 3; 1: 1-63, 0, 2; 2: 1-63, 0, 1; 0: 6-63, 0, 3;"
            "0 1 2: 0-0, 2, 1; 0: 1-63, 3, 2; 1: 1-63, 2, 1; 0: 1-63, 2, 1; 0 1 2: 0-0, 1, 0;"
            "2: 1-63, 1, 0; 1: 1-63, 1, 0; 0: 1-63, 1, 0;\n"))

    save_with_pixels("rgb.jpg", jpeg(small, quality=85, keep_rgb=True))
    save_with_pixels("rgb-identifiers.jpg", without_segment(jpeg(small, quality=85, keep_rgb=True), 0xEE))
    ids = bytearray(without_segment(jpeg(small, quality=85), 0xE0))
    save_with_pixels("no-jfif.jpg", bytes(ids))
    cmyk = Image.merge("CMYK", [*small.split(), ImageOps.invert(small.getchannel(0))])
    data = jpeg(cmyk, quality=90)
    save_with_pixels("cmyk.jpg", data)
    save_with_pixels("cmyk-no-adobe.jpg", without_segment(data, 0xEE))
    adobe = data.index(b"Adobe")
    ycck = data[: adobe + 11] + b"\x02" + data[adobe + 12 :]
    save_with_pixels("ycck.jpg", ycck)

    data = jpeg(small, quality=85)
    frame = data.index(b"\xff\xc0")
    save_with_pixels("fill-bytes.jpg", data[:frame] + b"\xff\xff\xff" + data[frame:-2] + b"\xff\xff" + data[-2:])
    save_with_pixels("trailing-junk.jpg", data + b"junk \xff\xd8\xff after the end")
    save_with_pixels("thumbnail.jpg", data[:2] + segment(0xE3, data[:700]) + data[2:])
    bad_exif = b"Exif\0\0II*\0\xf0\xff\xff\xff" + b"\0" * 8
    save_with_pixels("bad-exif.jpg", data[:2] + segment(0xE1, bad_exif) + data[2:])
    save("arithmetic.jpg", cjpeg(small, "-arithmetic"))


def segment(marker, body):
    return bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body


def orientations():
    small = picture(24, 13, seed=2)
    for value in range(1, 9):
        order = "<" if value % 2 else ">"
        tiff = (b"II*\0" if value % 2 else b"MM\0*") + struct.pack(order + "IH", 8, 2)
        tiff += struct.pack(order + "HHIHH", 0x0103, 3, 1, 6, 0)
        tiff += struct.pack(order + "HHIHH", 0x0112, 3, 1, value, 0) + struct.pack(order + "I", 0)
        data = jpeg(small, quality=90, subsampling=0)
        data = data[:2] + segment(0xE1, b"Exif\0\0" + tiff) + data[2:]
        expected = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")
        save_with_pixels(f"orientation-{value}.jpg", data, expected)
        if value == 6:
            turned = small.transpose(Image.Transpose.ROTATE_270)
            png = png_file(np.asarray(small), 8, 2, extra=[(b"eXIf", tiff)])
            save_with_pixels("turned.png", png, turned)


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def packed_rows(samples, depth):
    """Filter byte 0 and the bits of each row of [height, width, channels] samples."""
    rows = []
    for row in samples.reshape(samples.shape[0], -1):
        if depth == 16:
            packed = row.astype(">u2").tobytes()
        elif depth == 8:
            packed = row.astype(np.uint8).tobytes()
        else:
            bits = ((row[:, None].astype(int) >> np.arange(depth)[::-1]) & 1).astype(np.uint8)
            packed = np.packbits(bits.reshape(-1)).tobytes()
        rows.append(b"\0" + packed)
    return b"".join(rows)


def png_file(samples, depth, kind, palette=None, transparency=None, interlaced=False, extra=()):
    samples = samples.reshape(*samples.shape[:2], -1)
    height, width = samples.shape[:2]
    if interlaced:
        passes = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
        parts = [samples[y::dy, x::dx] for y, x, dy, dx in passes]
        raw = b"".join(packed_rows(part, depth) for part in parts if part.size)
    else:
        raw = packed_rows(samples, depth)
    data = b"\x89PNG\r\n\x1a\n"
    data += chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, int(interlaced)))
    if palette is not None:
        data += chunk(b"PLTE", bytes(palette))
    if transparency is not None:
        data += chunk(b"tRNS", transparency)
    for name, body in extra:
        data += chunk(name, body)
    return data + chunk(b"IDAT", zlib.compress(raw, 9)) + chunk(b"IEND", b"")


def pngs():
    random = np.random.default_rng(5)
    small = np.asarray(picture(37, 29))
    alpha = random.integers(0, 256, (29, 37, 1))
    grey = small[..., :1]
    palette = random.integers(0, 256, 48)
    indices = random.integers(0, 16, (29, 37, 1))

    save_with_pixels("rgb.png", png_file(small, 8, 2))
    save_with_pixels("rgb-interlaced.png", png_file(small, 8, 2, interlaced=True))
    save_with_pixels("rgba.png", png_file(np.concatenate([small, alpha], -1), 8, 6))
    save_with_pixels("rgba-interlaced.png", png_file(np.concatenate([small, alpha], -1), 8, 6, interlaced=True))
    save_with_pixels("grey.png", png_file(grey, 8, 0))
    save_with_pixels("grey-alpha.png", png_file(np.concatenate([grey, alpha], -1), 8, 4))
    for depth in (1, 2, 4):
        save_with_pixels(f"grey-{depth}-bit.png", png_file(grey >> (8 - depth), depth, 0))
    save_with_pixels("palette-4-bit.png", png_file(indices, 4, 3, palette=palette.tolist()))
    save_with_pixels(
        "palette-interlaced.png", png_file(indices, 8, 3, palette=palette.tolist(), interlaced=True))
    save_with_pixels(
        "palette-alpha.png",
        png_file(indices, 4, 3, palette=palette.tolist(), transparency=bytes(range(0, 250, 25))))
    key = struct.pack(">HHH", *small[3, 4].tolist())
    save_with_pixels("rgb-key.png", png_file(small, 8, 2, transparency=key))

    wide = random.integers(0, 65536, (29, 37, 3))
    save_with_pixels("rgb-16-bit.png", png_file(wide, 16, 2))
    wide_alpha = np.concatenate([wide, alpha * 257], -1)
    save_with_pixels("rgba-16-bit.png", png_file(wide_alpha, 16, 6))
    high = np.repeat(wide[..., :1] >> 8, 3, -1).astype(np.uint8)
    save_with_pixels("grey-16-bit.png", png_file(wide[..., :1], 16, 0), Image.fromarray(high, "RGB"))

    text = chunk(b"zTXt", b"comment\0\0" + zlib.compress(b"x" * 1000))
    data = png_file(small, 8, 2)
    save_with_pixels("metadata-bad-crc.png", data[:33] + text[:-1] + b"!" + data[33:], Image.fromarray(small, "RGB"))
    bomb = chunk(b"iCCP", b"profile\0\0" + zlib.compress(b"\0" * 20_000_000, 9))
    save_with_pixels("profile-bomb.png", data[:33] + bomb + data[33:], Image.fromarray(small, "RGB"))
    save("palette-index-over.png", png_file(indices, 4, 3, palette=palette[:12].tolist()))


def resizes():
    source = picture(61, 43, seed=7)
    save("source.rgb", source.tobytes())
    for size in ((24, 17), (61, 20), (19, 43), (122, 86), (7, 5), (1, 1), (90, 11), (60, 42), (59, 38), (59, 39)):
        resized = source.resize(size, Image.Resampling.BICUBIC)
        save(f"resize-{size[0]}x{size[1]}.rgb", resized.tobytes())


def encoded():
    source = picture(61, 43, seed=7)
    for quality in (30, 85, 95):
        data = jpeg(source, quality=quality, subsampling=0)
        save(f"encoded-{quality}.rgb", Image.open(io.BytesIO(data)).convert("RGB").tobytes())


if __name__ == "__main__":
    for old in [*HERE.glob("*.rgb"), *HERE.glob("*.jpg"), *HERE.glob("*.png")]:
        old.unlink()
    jpegs()
    orientations()
    pngs()
    resizes()
    encoded()
