import jpeg from "jpeg-js";
import UPNG from "upng-js";
import { describe, expect, test, vi } from "vitest";
import { InputError } from "../src/core/errors.ts";
import { decodeImage } from "../src/data/image.ts";
import { type PngParts, withChecksums, writePng } from "./png-writer.ts";

const WIDTH = 13;
const HEIGHT = 10;

/** Smooth colours, different in each corner, that JPEG keeps within a few levels: RGBA [HEIGHT, WIDTH, 4]. */
function gradient(width = WIDTH, height = HEIGHT): Uint8Array<ArrayBuffer> {
  const rgba = new Uint8Array(width * height * 4);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) rgba.set([40 + 10 * x, 60 + 12 * y, 200 - 8 * x, 255], (y * width + x) * 4);
  }
  return rgba;
}

function rgbOf(rgba: Uint8Array): number[] {
  return Array.from(rgba).filter((_, i) => i % 4 !== 3);
}

function encodeJpeg(quality = 100): Uint8Array {
  return new Uint8Array(jpeg.encode({ width: WIDTH, height: HEIGHT, data: gradient() }, quality).data);
}

function tiff(orientation: number, little: boolean): Uint8Array {
  const bytes = new Uint8Array(26);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, little ? 0x4949 : 0x4d4d);
  view.setUint16(2, 42, little);
  view.setUint32(4, 8, little);
  view.setUint16(8, 1, little);
  view.setUint16(10, 0x0112, little);
  view.setUint16(12, 3, little);
  view.setUint32(14, 1, little);
  view.setUint16(18, orientation, little);
  return bytes;
}

/** The JPEG with an Exif segment after its first two bytes. */
function withOrientation(bytes: Uint8Array, orientation: number, little = true): Uint8Array {
  const body = [...Buffer.from("Exif\0\0"), ...tiff(orientation, little)];
  return Uint8Array.from([0xff, 0xd8, 0xff, 0xe1, 0, body.length + 2, ...body, ...bytes.subarray(2)]);
}

/** The JPEG with the byte at `offset` of its frame header (after the marker) replaced. */
function withFrameByte(bytes: Uint8Array, offset: number, value: number): Uint8Array {
  const frame = Buffer.from(bytes).indexOf(Buffer.from([0xff, 0xc0]));
  const changed = bytes.slice();
  changed[frame + 2 + offset] = value;
  return changed;
}

function refusal(bytes: Uint8Array, options?: Parameters<typeof decodeImage>[2]): string {
  try {
    decodeImage(bytes, "dog.jpg", options);
  } catch (error) {
    expect(error).toBeInstanceOf(InputError);
    return (error as InputError).message;
  }
  throw new Error("decodeImage accepted what it should refuse");
}

describe("JPEG", () => {
  test("decodes to the size and nearly the colours that were encoded", () => {
    const image = decodeImage(encodeJpeg(), "a.jpg");
    expect([image.width, image.height]).toEqual([WIDTH, HEIGHT]);
    const expected = rgbOf(gradient());
    const worst = Math.max(...Array.from(image.data, (value, i) => Math.abs(value - expected[i])));
    expect(worst).toBeLessThanOrEqual(6); // quantised chroma at quality 100
  });

  // The pixel in the stored picture that must come out at the top left, and whether width and height swap.
  const corners = [
    [1, 0, 0, false],
    [2, WIDTH - 1, 0, false],
    [3, WIDTH - 1, HEIGHT - 1, false],
    [4, 0, HEIGHT - 1, false],
    [5, 0, 0, true],
    [6, 0, HEIGHT - 1, true],
    [7, WIDTH - 1, HEIGHT - 1, true],
    [8, WIDTH - 1, 0, true],
  ] as const;
  test.each(corners)("applies orientation %i", (orientation, x, y, swapped) => {
    const stored = decodeImage(encodeJpeg(), "a.jpg");
    for (const little of [true, false]) {
      const image = decodeImage(withOrientation(encodeJpeg(), orientation, little), "a.jpg");
      expect([image.width, image.height]).toEqual(swapped ? [HEIGHT, WIDTH] : [WIDTH, HEIGHT]);
      const from = (y * WIDTH + x) * 3;
      expect(image.data.subarray(0, 3)).toEqual(stored.data.subarray(from, from + 3));
      // The pixel to the right of it lies along the stored picture's other axis where the sides swap.
      const along = swapped ? (y === 0 ? WIDTH : -WIDTH) : x === 0 ? 1 : -1;
      expect(image.data.subarray(3, 6)).toEqual(stored.data.subarray(from + along * 3, from + along * 3 + 3));
    }
  });

  test("leaves the orientation alone when asked, and when it makes no sense", () => {
    const stored = decodeImage(encodeJpeg(), "a.jpg");
    expect(decodeImage(withOrientation(encodeJpeg(), 6), "a.jpg", { applyOrientation: false })).toEqual(stored);
    expect(decodeImage(withOrientation(encodeJpeg(), 9), "a.jpg")).toEqual(stored);
  });

  test("is refused wherever it is cut off, without a word on the console", () => {
    const spies = (["log", "warn", "error"] as const).map((method) => vi.spyOn(console, method));
    const bytes = withOrientation(encodeJpeg(), 6);
    for (let end = 0; end < bytes.length - 1; end++) expect(refusal(bytes.subarray(0, end))).toContain("dog.jpg");
    expect(refusal(bytes.subarray(0, bytes.length - 40))).toMatch(/complete JPEG; got a truncated .*download it again/);
    for (const spy of spies) {
      expect(spy).not.toHaveBeenCalled();
      spy.mockRestore();
    }
  });

  test("refuses kinds that are not read, by name", () => {
    const bytes = encodeJpeg();
    expect(refusal(withFrameByte(bytes, -1, 0xc9))).toContain("arithmetic-coded one (SOF9)");
    expect(refusal(withFrameByte(bytes, 2, 12))).toContain("8 bits a sample; got 12 bits");
    expect(refusal(withFrameByte(withFrameByte(bytes, 3, 0), 4, 0))).toContain(`got ${WIDTH}×0`);
    expect(refusal(withFrameByte(bytes, 9, 0x51))).toContain("sampling factors must be 1 to 4; got 5×1");
    expect(refusal(withFrameByte(withFrameByte(bytes, 9, 0x31), 12, 0x21))).toContain("components at a whole fraction of its size; got 2×1 of 3×1 samples");
    expect(refusal(withFrameByte(bytes, 11, 1))).toContain("two components have the same number");
  });

  test("refuses more pixels than its bytes could hold before taking memory for them", () => {
    const taller = withFrameByte(withFrameByte(encodeJpeg(), 3, 0x80), 5, 0x06);
    expect(refusal(taller)).toMatch(/1549×32778 pixels take at least \d+ bytes; the file has \d+/);
  });

  test("refuses more megapixels than allowed before decoding", () => {
    const huge = withFrameByte(withFrameByte(encodeJpeg(), 3, 0xff), 5, 0xff);
    expect(refusal(huge)).toMatch(/at most 64 megapixels; got \d+×\d+ = 42\d\d\.\d .*maxMegapixels/);
    expect(refusal(encodeJpeg(), { maxMegapixels: 0.0001 })).toContain("13×10");
  });
});

describe("PNG", () => {
  test("decodes what upng-js encodes, exactly", () => {
    const rgba = gradient(64, 48);
    const image = decodeImage(new Uint8Array(UPNG.encode([rgba.buffer], 64, 48, 0)), "a.png");
    expect([image.width, image.height]).toEqual([64, 48]);
    expect(Array.from(image.data)).toEqual(rgbOf(rgba));
  });

  const level = (x: number, y: number, depth: number): number => (x * 7 + y * 3) % 2 ** depth;
  const toByte = (value: number, depth: number): number => (depth === 16 ? value >> 8 : (value * 255) / (2 ** depth - 1));
  const greys = [1, 2, 4, 8, 16].flatMap((depth) => [false, true].map((interlace) => ({ depth, interlace })));
  test.each(greys)("grey of $depth bits, interlaced: $interlace", ({ depth, interlace }) => {
    const pixel = (x: number, y: number): number[] => [depth === 16 ? level(x, y, 8) * 256 + x : level(x, y, depth)];
    const png = writePng({ width: WIDTH, height: HEIGHT, depth, colourType: 0, interlace, pixel });
    const { data } = decodeImage(png, "a.png");
    for (let i = 0; i < WIDTH * HEIGHT; i++) {
      const grey = toByte(pixel(i % WIDTH, Math.floor(i / WIDTH))[0], depth);
      expect(Array.from(data.subarray(3 * i, 3 * i + 3))).toEqual([grey, grey, grey]);
    }
  });

  test.each([1, 2, 4, 8])("palette of %i bits with transparent entries", (depth) => {
    const palette = Uint8Array.from({ length: 3 * 2 ** depth }, (_, i) => (i * 5) % 256);
    const png = writePng({
      width: WIDTH,
      height: 3,
      depth,
      colourType: 3,
      interlace: depth < 4,
      pixel: (x, y) => [level(x, y, depth)],
      chunks: [
        ["PLTE", palette],
        ["tRNS", Uint8Array.from([0])],
      ],
    });
    const { data } = decodeImage(png, "a.png");
    for (let i = 0; i < WIDTH * 3; i++) {
      const entry = level(i % WIDTH, Math.floor(i / WIDTH), depth);
      const expected = entry === 0 ? [255, 255, 255] : Array.from(palette.subarray(3 * entry, 3 * entry + 3));
      expect(Array.from(data.subarray(3 * i, 3 * i + 3))).toEqual(expected);
    }
  });

  test("lays transparency over white", () => {
    const one = { width: 1, height: 1 };
    const decoded = (parts: Omit<PngParts, "width" | "height">): number[] =>
      Array.from(decodeImage(writePng({ ...one, ...parts }), "a.png").data);
    expect(decoded({ depth: 8, colourType: 6, pixel: () => [0, 100, 255, 51] })).toEqual([204, 224, 255]);
    expect(decoded({ depth: 16, colourType: 6, pixel: () => [0, 100 << 8, 0xff00, 51 << 8] })).toEqual([204, 224, 255]);
    expect(decoded({ depth: 8, colourType: 4, pixel: () => [100, 51] })).toEqual([224, 224, 224]);
    expect(decoded({ depth: 16, colourType: 2, pixel: () => [0x1234, 0x5678, 0x9abc] })).toEqual([0x12, 0x56, 0x9a]);
    const transparent = (values: number[]): PngParts["chunks"] => [
      ["tRNS", Uint8Array.from(values.flatMap((v) => [v >> 8, v & 255]))],
    ];
    expect(decoded({ depth: 8, colourType: 2, pixel: () => [1, 2, 3], chunks: transparent([1, 2, 3]) })).toEqual([255, 255, 255]);
    expect(decoded({ depth: 8, colourType: 2, pixel: () => [1, 2, 3], chunks: transparent([1, 2, 4]) })).toEqual([1, 2, 3]);
    expect(decoded({ depth: 8, colourType: 0, pixel: () => [0], chunks: transparent([0]) })).toEqual([255, 255, 255]);
  });

  test("applies the orientation of an eXIf chunk and ignores damaged text", () => {
    const parts = { width: 2, height: 1, depth: 8, colourType: 0, pixel: (x: number) => [x * 100] };
    const rotated = decodeImage(
      writePng({
        ...parts,
        chunks: [
          ["eXIf", tiff(6, false)],
          ["iTXt", Buffer.from("no zero byte at all")],
        ],
      }),
      "a.png",
    );
    expect(rotated).toEqual({ width: 1, height: 2, data: Uint8Array.from([0, 0, 0, 100, 100, 100]) });
  });

  test("is refused wherever it is cut off", () => {
    const bytes = new Uint8Array(UPNG.encode([gradient(16, 16).buffer], 16, 16, 0));
    for (let end = 0; end < bytes.length; end++) expect(refusal(bytes.subarray(0, end))).toContain("dog.jpg");
  });

  test("is refused when its pixels are damaged, too few, too many or not of the standard", () => {
    const parts = { width: 40, height: 40, depth: 8, colourType: 0, pixel: (x: number, y: number) => [(x * y * 7) % 256] };
    const bytes = writePng(parts);
    const changed = (offset: number, value: number): Uint8Array => {
      const copy = bytes.slice();
      copy[offset] = value;
      return copy;
    };
    const middle = Math.floor(bytes.length / 2);
    expect(refusal(changed(middle, bytes[middle] ^ 0xff))).toContain("chunk IDAT at byte 33 doesn't have its checksum");
    expect(refusal(withChecksums(changed(43, 0xff)))).toMatch(/its \d+ bytes of pixel data don't unpack: /);
    expect(refusal(withChecksums(changed(23, 80)))).toMatch(/don't unpack: it unpacks to 1640 of 3280 bytes/);
    expect(decodeImage(withChecksums(changed(23, 20)), "a.png").height).toBe(20);
    expect(refusal(withChecksums(changed(21, 1)))).toMatch(/don't unpack: \d+ bytes cannot unpack to 2688616/);
    expect(refusal(withChecksums(changed(20, 0x7f)))).toContain("at most 1000000 pixels a side; got 40×2130706472");
    const square = withChecksums(Uint8Array.from([...bytes.subarray(0, 16), 0, 1, 0, 0, 0, 1, 0, 0, ...bytes.subarray(24)]));
    expect(refusal(square)).toContain("at most 64 megapixels; got 65536×65536 = 4295.0");
    const wide = writePng({ ...parts, colourType: 6, depth: 16, pixel: () => [0, 0, 0, 0] });
    expect(refusal(wide, { maxMegapixels: 0.006 })).toContain("at most 0.0015 megapixels; got 40×40 = 0.0 "); // of 64 bits a pixel a quarter
    expect(refusal(withChecksums(changed(37, 0)))).toContain("no chunk at byte 33");
    expect(refusal(writePng({ ...parts, colourType: 3 }))).toContain("it has no palette");
    expect(refusal(writePng({ ...parts, depth: 4, colourType: 6, pixel: () => [0, 0, 0, 0] }))).toContain("type 6 with 4 bits");
  });
});

describe("anything else", () => {
  test.each([
    ["an empty file", ""],
    ["a GIF", "GIF89a......"],
    ["a WebP picture", "RIFF\0\0\0\0WEBPVP8 "],
    ["a HEIC picture", "\0\0\0\x18ftypheic"],
    ["a video", "\0\0\0\x20ftypisom"],
    ["a web page", "<!DOCTYPE html><html>"],
    ["a Git LFS pointer", "version https://git-lfs.github.com/spec/v1"],
    ["5 bytes that begin with 68 65 6c 6c", "hello"],
  ])("says what it got: %s", (got, text) => {
    expect(refusal(Buffer.from(text, "latin1"))).toContain(`dog.jpg must be a JPEG or PNG picture; got ${got} (`);
  });

  test("goes by the content, not the name", () => {
    expect(decodeImage(encodeJpeg(), "photo.png").width).toBe(WIDTH);
  });
});
