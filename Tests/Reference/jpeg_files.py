"""Writers of JPEG and PNG variants that Pillow does not write, for `jpeg.py`."""

import struct
import zlib

import numpy as np

# Huffman tables as counts by code length and the values in order; DC as in ITU T.81, annex K.
DC_COUNTS = [0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0]
DC_VALUES = list(range(12))
# Eight bits for every (run, size) of the AC coefficients: longer than need be, and complete.
AC_VALUES = [0x00, 0xF0] + [run << 4 | size for run in range(16) for size in range(1, 11)]
AC_COUNTS = [0] * 7 + [len(AC_VALUES)] + [0] * 8

ZIGZAG = sorted(
    ((row, column) for row in range(8) for column in range(8)),
    key=lambda place: (sum(place), place[0] if sum(place) % 2 else place[1]))


def cosine_matrix():
    frequency, place = np.mgrid[0:8, 0:8]
    matrix = np.cos((2 * place + 1) * frequency * np.pi / 16) / 2
    matrix[0] /= np.sqrt(2)
    return matrix


COSINE = cosine_matrix()


def huffman_codes(counts, values):
    codes, code, index = {}, 0, 0
    for length, count in enumerate(counts, start=1):
        for _ in range(count):
            codes[values[index]] = (code, length)
            code, index = code + 1, index + 1
        code <<= 1
    return codes


DC_CODES = huffman_codes(DC_COUNTS, DC_VALUES)
AC_CODES = huffman_codes(AC_COUNTS, AC_VALUES)


class Bits:
    def __init__(self):
        self.out, self.value, self.count = bytearray(), 0, 0

    def put(self, code, length):
        self.value = self.value << length | code
        self.count += length
        while self.count >= 8:
            self.count -= 8
            byte = self.value >> self.count & 255
            self.out.append(byte)
            if byte == 255:
                self.out.append(0)
        self.value &= (1 << self.count) - 1

    def number(self, value):
        """A value in the one's complement form of JPEG; returns how many bits it has."""
        size = abs(value).bit_length()
        return value if value >= 0 else value + (1 << size) - 1, size

    def flush(self):
        if self.count:
            self.put((1 << 8 - self.count) - 1, 8 - self.count)


def segment(marker, content):
    return struct.pack(">BBH", 255, marker, len(content) + 2) + content


def jpeg(planes, sampling, quantization=None, restart=0, adobe=None, ids=None, frame=0xC0):
    """A sequential JPEG of full-size planes (one array [height, width] a component), each reduced by
    averaging to its sampling factors (horizontal, vertical)."""
    height, width = planes[0].shape
    most_h, most_v = max(h for h, _ in sampling), max(v for _, v in sampling)
    across, down = -(-width // (8 * most_h)), -(-height // (8 * most_v))
    table = np.full((8, 8), 3) if quantization is None else quantization
    ids = ids or list(range(1, len(planes) + 1))
    if len(planes) == 1:
        sampling, most_h, most_v = [(1, 1)], 1, 1
        across, down = -(-width // 8), -(-height // 8)
    reduced = []
    for plane, (h, v) in zip(planes, sampling):
        full = np.pad(plane.astype(float), (
            (0, down * 8 * most_v - height), (0, across * 8 * most_h - width)), mode="edge")
        step_v, step_h = most_v // v, most_h // h
        reduced.append(full.reshape(full.shape[0] // step_v, step_v, -1, step_h).mean((1, 3)))

    bits, scan = Bits(), bytearray()
    previous = [0] * len(planes)
    for unit in range(across * down):
        if restart and unit and unit % restart == 0:
            bits.flush()
            scan += bits.out + bytes([255, 0xD0 + (unit // restart - 1) % 8])
            bits, previous = Bits(), [0] * len(planes)
        for index, (h, v) in enumerate(sampling):
            for block in range(h * v):
                top = (unit // across * v + block // h) * 8
                left = (unit % across * h + block % h) * 8
                samples = reduced[index][top:top + 8, left:left + 8] - 128
                levels = np.round(COSINE @ samples @ COSINE.T / table).astype(int)
                previous[index] = put_block(bits, levels, previous[index])
    bits.flush()
    scan += bits.out

    precision = int(table.max() > 255)
    entries = b"".join(
        struct.pack(">H" if precision else "B", int(table[place])) for place in ZIGZAG)
    out = b"\xff\xd8"
    if adobe is not None:
        out += segment(0xEE, b"Adobe" + struct.pack(">HHHB", 100, 0, 0, adobe))
    out += segment(0xDB, bytes([precision << 4]) + entries)
    components = b"".join(
        bytes([name, h << 4 | v, 0]) for name, (h, v) in zip(ids, sampling))
    out += segment(frame, struct.pack(">BHHB", 8, height, width, len(planes)) + components)
    out += segment(0xC4, bytes([0x00, *DC_COUNTS, *DC_VALUES]))
    out += segment(0xC4, bytes([0x10, *AC_COUNTS, *AC_VALUES]))
    if restart:
        out += segment(0xDD, struct.pack(">H", restart))
    selectors = b"".join(bytes([name, 0x00]) for name in ids)
    out += segment(0xDA, bytes([len(planes)]) + selectors + bytes([0, 63, 0]))
    return out + bytes(scan) + b"\xff\xd9"


def put_block(bits, levels, previous):
    direct = int(levels[0, 0])
    value, size = bits.number(direct - previous)
    bits.put(*DC_CODES[size])
    bits.put(value, size)
    run = 0
    for place in ZIGZAG[1:]:
        level = int(levels[place])
        if level == 0:
            run += 1
            continue
        while run > 15:
            bits.put(*AC_CODES[0xF0])
            run -= 16
        value, size = bits.number(level)
        bits.put(*AC_CODES[run << 4 | size])
        bits.put(value, size)
        run = 0
    if run:
        bits.put(*AC_CODES[0x00])
    return direct


def ycc(red, green, blue):
    """JFIF's luminance and colour differences, 0...255."""
    luminance = 0.299 * red + 0.587 * green + 0.114 * blue
    return luminance, (blue - luminance) / 1.772 + 128, (red - luminance) / 1.402 + 128


def png(samples, depth, colour, palette=None, transparency=None, interlaced=False):
    """A PNG of integer samples [height, width, channels]; rows are filtered by every kind in turn."""
    height, width, channels = samples.shape
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, int(interlaced)))]
    if palette is not None:
        chunks.append((b"PLTE", palette.astype(np.uint8).tobytes()))
    if transparency is not None:
        chunks.append((b"tRNS", transparency))
    passes = [(0, 0, 1, 1)]
    if interlaced:
        passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2),
                  (1, 0, 2, 1)]
    data = b"".join(
        filtered_rows(samples[top::down, left::right], depth, channels)
        for top, left, down, right in passes)
    chunks += [(b"IDAT", zlib.compress(data)), (b"IEND", b"")]
    out = b"\x89PNG\r\n\x1a\n"
    for kind, content in chunks:
        out += struct.pack(">I", len(content)) + kind + content
        out += struct.pack(">I", zlib.crc32(kind + content))
    return out


def filtered_rows(samples, depth, channels):
    if 0 in samples.shape:
        return b""
    if depth == 16:
        rows = samples.astype(">u2").reshape(len(samples), -1).view(np.uint8)
    elif depth == 8:
        rows = samples.astype(np.uint8).reshape(len(samples), -1)
    else:
        flat = samples.reshape(len(samples), -1)
        single = flat[..., None] >> np.arange(depth - 1, -1, -1) & 1
        rows = np.packbits(single.reshape(len(flat), -1).astype(np.uint8), axis=1)
    stride = max(channels * depth // 8, 1)
    above = np.zeros(rows.shape[1], int)
    out = b""
    for index, row in enumerate(rows.astype(int)):
        kind = index % 5
        left = np.concatenate([np.zeros(stride, int), row])[:len(row)]
        corner = np.concatenate([np.zeros(stride, int), above])[:len(row)]
        guess = [0, left, above, (left + above) // 2, paeth(left, above, corner)][kind]
        out += bytes([kind]) + ((row - guess) % 256).astype(np.uint8).tobytes()
        above = row
    return out


def paeth(left, above, corner):
    estimate = left + above - corner
    distances = [np.abs(estimate - part) for part in (left, above, corner)]
    nearest_two = np.where(distances[1] <= distances[2], above, corner)
    return np.where((distances[0] <= distances[1]) & (distances[0] <= distances[2]), left, nearest_two)
