"""Writes the WebP files of this folder and the pixels that Pillow reads from them.

Made with Python 3.11, Pillow 13.0.0 (libwebp 1.6.0).

    python generate_webp.py

NAME.webp       a picture file
NAME-webp.rgb   its pixels as Pillow decodes them: RGB, 8 bits, rows from the top; alpha over white,
                EXIF orientation applied
"""

import io
import pathlib

from PIL import Image, ImageOps

from generate import over_white, picture

HERE = pathlib.Path(__file__).parent


def save(name, image, has_pixels=True, **options):
    file = io.BytesIO()
    image.save(file, "WEBP", **options)
    (HERE / f"{name}.webp").write_bytes(file.getvalue())
    if has_pixels:
        read = ImageOps.exif_transpose(Image.open(file))
        (HERE / f"{name}-webp.rgb").write_bytes(over_white(read).tobytes())


def with_alpha(image):
    alpha = Image.linear_gradient("L").resize(image.size)
    image = image.copy()
    image.putalpha(alpha)
    return image


def orientation(value):
    exif = Image.Exif()
    exif[0x0112] = value
    return exif


save("lossy", picture(61, 43), quality=80)
save("lossy-odd", picture(17, 3, seed=2), quality=30)
save("lossless", picture(61, 43), lossless=True)
save("lossy-alpha", with_alpha(picture(40, 30)), quality=80)
save("lossless-alpha", with_alpha(picture(40, 30)), lossless=True, exact=True)
save("one-pixel", Image.new("RGB", (1, 1), (250, 128, 3)), lossless=True)
save("turned", picture(40, 24), quality=90, exif=orientation(6))
save("animated", picture(16, 16), has_pixels=False, save_all=True,
     append_images=[picture(16, 16, seed=1)], duration=100)
