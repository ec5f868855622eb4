import { constants, deflateSync, type ZlibOptions } from "node:zlib";
import { describe, expect, test } from "vitest";
import { Generator } from "../src/core/rng.ts";
import { inflate, InflateError } from "../src/data/inflate.ts";

const LENGTH = 40_000; // more than the 32,768 bytes that copies reach back

const random = new Generator(3);
const inputs: Readonly<Record<string, Uint8Array>> = {
  noise: Uint8Array.from({ length: LENGTH }, () => random.uniform() * 256),
  "few symbols": Uint8Array.from({ length: LENGTH }, () => random.uniform() * 4),
  "skewed symbols": Uint8Array.from({ length: LENGTH }, () => 255 * random.uniform() ** 12), // codes longer than the lookup table's
  runs: Uint8Array.from({ length: LENGTH }, (_, i) => i >> 9),
  zeros: new Uint8Array(LENGTH),
};
const options: Readonly<Record<string, ZlibOptions>> = {
  stored: { level: 0 },
  fast: { level: 1 },
  best: { level: 9 },
  "fixed codes": { strategy: constants.Z_FIXED },
  "Huffman only": { strategy: constants.Z_HUFFMAN_ONLY },
};
const cases = Object.entries(inputs).flatMap(([input, bytes]) => Object.entries(options).map(([packing, option]) => ({ input, packing, bytes, option })));

describe("inflate", () => {
  test.each(cases)("unpacks $input, $packing", ({ bytes, option }) => {
    const packed = deflateSync(bytes, option);
    expect(Buffer.compare(inflate(packed, LENGTH), bytes)).toBe(0);
    expect(Buffer.compare(inflate(packed, 1234), bytes.subarray(0, 1234)), "the first bytes").toBe(0);
    expect(() => inflate(packed, LENGTH + 1)).toThrow(`it unpacks to ${LENGTH} of ${LENGTH + 1} bytes`);
    for (const end of [3, packed.length >> 1, packed.length - 8]) expect(() => inflate(packed.subarray(0, end), LENGTH), `${end} bytes`).toThrow(InflateError);
  });

  test("gives nothing for nothing", () => {
    expect(inflate(deflateSync(new Uint8Array()), 0)).toEqual(new Uint8Array());
  });

  // Streams behind the two bytes of zlib's header; bits are stored from the lowest on.
  test.each([
    ["no zlib stream", [0x79, 0x01], []],
    ["a block of unknown kind", [0x78, 0x01], [0b111]],
    ["a stored block whose length makes no sense", [0x78, 0x01], [1, 2, 0, 0, 0]],
    ["a copy from 1 bytes before, at byte 0", [0x78, 0x01], [0b0000_0011, 0b10]],
    ["more than there is room for", [0x78, 0x01], [0b101, 0b1001_0010, 0b0100_1001, 0b0010_0100]],
  ])("refuses %s", (message, header, stream) => {
    expect(() => inflate(Uint8Array.from([...header, ...stream, 0, 0, 0, 0, 0, 0]), 5)).toThrow(message);
  });

  test("800,000 blocks of nothing take at most 2 s of computing", () => {
    // Four blocks of 10 bits in 5 bytes, each 0, 01 and seven zeros from the lowest bit on.
    const blocks = Uint8Array.from({ length: 1_000_000 }, (_, i) => [0b0000_0010, 0b0000_1000, 0b0010_0000, 0b1000_0000, 0][i % 5]);
    const start = process.cpuUsage();
    expect(() => inflate(Buffer.concat([Uint8Array.of(0x78, 0x01), blocks]), 5)).toThrow(InflateError);
    expect(process.cpuUsage(start).user / 1e6).toBeLessThan(2);
  });

  test("refuses what so few bytes cannot hold, before taking memory for it", () => {
    expect(() => inflate(deflateSync(new Uint8Array(10)), 2 ** 40)).toThrow(/\d+ bytes cannot unpack to 1099511627776/);
  });
});
