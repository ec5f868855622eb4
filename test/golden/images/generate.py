"""Writes the pictures of this folder, and pixels.bin and pixels.json with the pixels that Pillow reads from them.

    python3 test/golden/images/generate.py        (Pillow 9.4.0 with libjpeg-turbo 2.1.5, numpy 1.24.2)

JPEGs: Pillow's own, some of them changed in their headers into kinds that Pillow doesn't write. Expected: Image.convert("RGB").
PNGs: written here from the standard, with all five row filters. Expected: Pillow's pixels laid over white.
"""

import io
import json
import os
import struct
import zlib

import numpy as np
from PIL import Image

HERE = os.path.dirname(os.path.abspath(__file__))
random = np.random.default_rng(4)
pictures = {}


def drawing(width, height, channels=3):
    """Gradients, sharp saturated edges and noise: [height, width, channels]."""
    y, x = np.mgrid[0:height, 0:width]
    planes = []
    for c in range(channels):
        plane = 128 + 90 * np.sin(x / (3 + c) + c) * np.cos(y / (5 - c) + 2 * c)
        plane = np.where((x * 3 + y * (c + 1)) % 23 < 6, 255 * (c % 2 == 0), plane)
        planes.append(plane + random.normal(0, 12, plane.shape))
    return np.clip(np.stack(planes, -1), 0, 255).astype(np.uint8)


def jpeg(pixels, **options):
    data = io.BytesIO()
    Image.fromarray(pixels, options.pop("mode", None)).save(data, "JPEG", **options)
    return data.getvalue()


def segment(data, marker):
    """Where a segment begins, and where the next one does."""
    at = 2
    while data[at + 1] != marker:
        at += 2 + struct.unpack(">H", data[at + 2 : at + 4])[0]
    return at, at + 2 + struct.unpack(">H", data[at + 2 : at + 4])[0]


def without(data, marker):
    begin, end = segment(data, marker)
    return data[:begin] + data[end:]


def with_frame(data, size=None, sampling=None, ids=None):
    """The same coded blocks in a frame of another size, other sampling factors or other component numbers."""
    out = bytearray(data)
    frame = segment(data, 0xC0)[0]
    if size:
        out[frame + 5 : frame + 9] = struct.pack(">HH", size[1], size[0])
    if sampling:
        out[frame + 11] = sampling
    if ids:
        scan = segment(data, 0xDA)[0]
        for i, name in enumerate(ids):
            out[frame + 10 + 3 * i] = out[scan + 5 + 2 * i] = name
    return bytes(out)


def with_adobe(data, transform):
    return data[:2] + b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0" + bytes([transform]) + data[2:]


def with_restarts(pixels, rows, **options):
    """Each band of `rows` lines coded apart, then joined by restart markers."""
    bands = [jpeg(pixels[y : y + rows], **options) for y in range(0, len(pixels), rows)]
    scans = [band[segment(band, 0xDA)[1] : -2] for band in bands]
    head = with_frame(bands[0][: segment(bands[0], 0xDA)[1]] + b"\xff\xd9", size=(pixels.shape[1], pixels.shape[0]))[:-2]
    scan = segment(bands[0], 0xDA)[0]
    interval = -(-pixels.shape[1] // 16)
    coded = scans[0] + b"".join(bytes([0xFF, 0xD0 + i % 8]) + s for i, s in enumerate(scans[1:]))
    return head[:scan] + b"\xff\xdd\0\4" + struct.pack(">H", interval) + head[scan:] + coded + b"\xff\xd9"


def add(name, data, expected=None):
    if expected is None:
        expected = np.array(Image.open(io.BytesIO(data)).convert("RGB"))
    pictures[name] = data, expected


def add_jpegs():
    for subsampling in ("4:4:4", "4:2:2", "4:2:0"):
        for width, height in ((1, 1), (4, 3), (5, 2), (21, 11)):
            name = f"{subsampling.replace(':', '')}-{width}x{height}.jpg"
            add(name, jpeg(drawing(width, height), quality=90, subsampling=subsampling))
    add("420-40x32-quality20.jpg", jpeg(drawing(40, 32), quality=20, subsampling="4:2:0"))
    add("444-24x16-quality100.jpg", jpeg(drawing(24, 16), quality=100, subsampling="4:4:4"))
    for subsampling in ("4:4:4", "4:2:0"):
        name = f"{subsampling.replace(':', '')}-progressive-23x14.jpg"
        add(name, jpeg(drawing(23, 14), quality=85, subsampling=subsampling, progressive=True))
    add("grey-19x13.jpg", jpeg(drawing(19, 13)[..., 0], quality=90))
    add("grey-progressive-19x13.jpg", jpeg(drawing(19, 13)[..., 1], quality=90, progressive=True))
    add("420-restarts-12x150.jpg", with_restarts(drawing(12, 150), 16, quality=85, subsampling="4:2:0"))
    # 4:1:1 and 4:4:0 are blocks of 4:2:0 and 4:2:2 in another order.
    add("411-61x7.jpg", with_frame(jpeg(drawing(32, 16), quality=85, subsampling="4:2:0"), (61, 7), 0x41))
    add("440-15x29.jpg", with_frame(jpeg(drawing(32, 16), quality=85, subsampling="4:2:2"), (15, 29), 0x12))
    add("440-2x17.jpg", with_frame(jpeg(drawing(16, 16), quality=85, subsampling="4:2:2"), (2, 17), 0x12))
    plain = jpeg(drawing(19, 13), quality=90, subsampling="4:4:4")
    add("rgb-ids-19x13.jpg", with_frame(without(plain, 0xE0), ids=b"RGB"))
    add("rgb-adobe-19x13.jpg", with_adobe(without(plain, 0xE0), 0))
    add("ycc-adobe-19x13.jpg", with_adobe(without(plain, 0xE0), 1))
    add("jfif-and-adobe-0-19x13.jpg", with_adobe(plain, 0))
    chroma = jpeg(drawing(21, 11), quality=90, subsampling="4:2:0")
    add("420-adobe-21x11.jpg", with_adobe(without(chroma, 0xE0), 1))
    cmyk = jpeg(drawing(19, 13, 4), quality=95, mode="CMYK")
    add("cmyk-19x13.jpg", cmyk)
    adobe = segment(cmyk, 0xEE)[0]
    add("ycck-19x13.jpg", cmyk[: adobe + 15] + b"\2" + cmyk[adobe + 16 :])
    add("ycck-adobe-1-19x13.jpg", cmyk[: adobe + 15] + b"\1" + cmyk[adobe + 16 :])
    add("cmyk-without-adobe-19x13.jpg", without(cmyk, 0xEE))


SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def filtered(rows, step):
    """Rows of bytes, each behind its filter's number; the filters take turns."""
    out, above = b"", None
    for line, row in enumerate(rows):
        row = np.frombuffer(row, np.uint8).astype(int)
        above = np.zeros_like(row) if above is None else above
        left = np.concatenate([np.zeros(step, int), row])[: len(row)]
        corner = np.concatenate([np.zeros(step, int), above])[: len(row)]
        guess = left + above - corner
        distances = np.stack([abs(guess - left), abs(guess - above), abs(guess - corner)])
        paeth = np.choose(distances.argmin(0), [left, above, corner])
        number = (line + 4) % 5
        base = (np.zeros_like(row), left, above, (left + above) // 2, paeth)[number]
        out += bytes([number]) + ((row - base) % 256).astype(np.uint8).tobytes()
        above = row
    return out


def png(samples, depth, kind, interlaced, chunks=()):
    """samples: [height, width, samples a pixel]."""
    height, width, count = samples.shape
    data = b""
    for x, y, dx, dy in ADAM7 if interlaced else ((0, 0, 1, 1),):
        part = samples[y::dy, x::dx]
        if part.size == 0:
            continue
        bits = (part.reshape(len(part), -1, 1) >> np.arange(depth)[::-1]) & 1
        rows = [np.packbits(row.ravel()).tobytes() for row in bits]
        data += filtered(rows, max(1, count * depth // 8))

    def chunk(name, body):
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, int(interlaced)))
    middle = b"".join(chunk(*c) for c in chunks)
    return b"\x89PNG\r\n\x1a\n" + header + middle + chunk(b"IDAT", zlib.compress(data, 9)) + chunk(b"IEND", b"")


def over_white(data, depth):
    image = Image.open(io.BytesIO(data))
    if image.mode == "I":  # 16 bits of grey, which Pillow would cut off at 255
        return np.repeat((np.array(image) >> 8).astype(np.uint8)[..., None], 3, 2)
    image = image.convert("RGBA")
    return np.array(Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB"))


def add_pngs():
    width, height = 9, 7
    for kind, depths in DEPTHS.items():
        for depth in depths:
            for interlaced in (False, True):
                samples = random.integers(0, 2**depth, (height, width, SAMPLES[kind]))
                chunks = [(b"gAMA", struct.pack(">I", 100000))]
                if kind == 3:
                    chunks.append((b"PLTE", random.integers(0, 256, 3 * 2**depth).astype(np.uint8).tobytes()))
                    if interlaced:
                        chunks.append((b"tRNS", random.integers(0, 256, 2 ** (depth - 1)).astype(np.uint8).tobytes()))
                if kind in (0, 2) and depth in (1, 8) and interlaced:  # of 2 and 4 bits Pillow compares scaled levels with unscaled ones
                    chunks.append((b"tRNS", b"".join(struct.pack(">H", s) for s in samples[4, 5])))
                data = png(samples, depth, kind, interlaced, chunks)
                add(f"type{kind}-{depth}bit{'-interlaced' if interlaced else ''}.png", data, over_white(data, depth))


add_jpegs()
add_pngs()
index, offset = {}, 0
with open(os.path.join(HERE, "pixels.bin"), "wb") as pixels:
    for name, (data, expected) in pictures.items():
        with open(os.path.join(HERE, name), "wb") as file:
            file.write(data)
        index[name] = {"width": expected.shape[1], "height": expected.shape[0], "offset": offset}
        offset += pixels.write(expected.tobytes())
with open(os.path.join(HERE, "pixels.json"), "w") as file:
    json.dump(index, file, indent=1)
    file.write("\n")
