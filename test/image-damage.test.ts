import { describe, expect, test } from "vitest";
import { InputError } from "../src/core/errors.ts";
import { Generator } from "../src/core/rng.ts";
import { decodeImage } from "../src/data/image.ts";
import { goldenImages } from "./image-golden.ts";
import { withChecksums } from "./png-writer.ts";

const MUTATIONS = 4000;
const HEADER_BYTES = 700; // tables and headers, where a changed byte does the most

function golden(name: string): Uint8Array {
  return goldenImages().find((image) => image.name === name)!.bytes;
}

/** The picture with a few bytes changed, moved, cut off or doubled. */
function mutated(bytes: Uint8Array, random: Generator): Uint8Array {
  let copy = bytes.slice();
  for (let changes = 1 + random.integer(5); changes > 0; changes--) {
    const at = random.integer(random.integer(2) === 0 ? Math.min(HEADER_BYTES, copy.length) : copy.length);
    const kind = random.integer(6);
    if (kind < 2) copy[at] = random.integer(256);
    else if (kind === 2) copy[at] ^= 1 << random.integer(8);
    else if (kind === 3) copy[at] = [0, 1, 127, 128, 255][random.integer(5)];
    else if (kind === 4) copy.copyWithin(at, random.integer(copy.length), random.integer(copy.length));
    else copy = random.integer(2) === 0 ? copy.slice(0, Math.max(1, at)) : Uint8Array.from([...copy.subarray(0, at), ...copy.subarray(random.integer(copy.length))]);
  }
  return copy;
}

describe("damaged pictures", () => {
  test(`${MUTATIONS} mutations give a picture or an InputError, at once`, () => {
    const random = new Generator(7);
    const images = goldenImages();
    const outcomes = { decoded: 0, refused: 0 };
    let slowest = 0;
    for (let i = 0; i < MUTATIONS; i++) {
      const { name, bytes } = images[i % images.length];
      const changed = mutated(bytes, random);
      // Three in four PNGs get right checksums again: otherwise nothing behind these would be tested.
      const input = name.endsWith(".png") && i % 4 !== 0 ? withChecksums(changed) : changed;
      const start = performance.now();
      try {
        const { width, height, data } = decodeImage(input, name);
        expect(data.length).toBe(width * height * 3);
        outcomes.decoded++;
      } catch (error) {
        expect(error, `mutation ${i} of ${name}`).toBeInstanceOf(InputError);
        expect((error as Error).message, `mutation ${i} of ${name}`).toMatch(/^decodeImage: [^\n\r]+$/);
        outcomes.refused++;
      }
      slowest = Math.max(slowest, performance.now() - start);
    }
    expect(outcomes.decoded).toBeGreaterThan(MUTATIONS / 20);
    expect(outcomes.refused).toBeGreaterThan(MUTATIONS / 20);
    expect(slowest).toBeLessThan(2000);
  });

  // Each block is its mean alone, one bit, and 14 more scans go over all of them in 32,768 blocks a bit.
  test("128 KB that claim 64 megapixels take at most 2 s of computing", () => {
    const side = 8000;
    const segment = (marker: number, ...body: number[]): number[] => [0xff, marker, 0, body.length + 2, ...body];
    const oneCode = (table: number, symbol: number): number[] => segment(0xc4, table, 1, ...Array<number>(15).fill(0), symbol);
    const scan = (first: number, last: number, bits: number, bytes: number): number[] => [...segment(0xda, 1, 1, 0, first, last, bits), ...Array<number>(bytes).fill(0)];
    const bytes = Uint8Array.from([
      0xff,
      0xd8,
      ...segment(0xdb, 0, ...Array<number>(64).fill(1)),
      ...segment(0xc2, 8, side >> 8, side & 255, side >> 8, side & 255, 1, 1, 0x11, 0),
      ...oneCode(0, 0),
      ...oneCode(0x10, 0xe0),
      ...scan(0, 0, 0, side ** 2 / 64 / 8 + 1),
      ...scan(1, 63, 13, 200),
      ...Array.from({ length: 13 }, (_, i) => scan(1, 63, ((13 - i) << 4) | (12 - i), 200)).flat(),
      0xff,
      0xd9,
    ]);
    const start = process.cpuUsage();
    expect(decodeImage(bytes, "a.jpg").data.length).toBe(3 * side ** 2);
    expect(process.cpuUsage(start).user / 1e6).toBeLessThan(2);
  });

  test("a scan that repeats another is refused, so that a small file cannot ask for endless work", () => {
    const bytes = golden("grey-progressive-19x13.jpg");
    const lastScan = Buffer.from(bytes).lastIndexOf(Buffer.from([0xff, 0xda]));
    const repeated = Uint8Array.from([...bytes.subarray(0, -2), ...bytes.subarray(lastScan)]);
    expect(() => decodeImage(repeated, "a.jpg")).toThrow(/a scan that brings coefficients \d+ to \d+ twice or out of order/);
  });

  test("a restart marker that is missing or out of turn is named", () => {
    const bytes = golden("420-restarts-12x150.jpg");
    const second = Buffer.from(bytes).indexOf(Buffer.from([0xff, 0xd1]));
    const swapped = bytes.slice();
    swapped[second + 1] = 0xd5;
    expect(() => decodeImage(swapped, "a.jpg")).toThrow(/restart 1 is missing at byte \d+/);
  });

  test("a JPEG whose coded pixels stop before the end marker is refused", () => {
    const bytes = golden("420-21x11.jpg");
    const short = Uint8Array.from([...bytes.subarray(0, -40), 0xff, 0xd9]);
    expect(() => decodeImage(short, "a.jpg")).toThrow(InputError);
    expect(() => decodeImage(short, "a.jpg")).toThrow(/its pixel data end early|bits that no Huffman code begins with/);
  });
});
