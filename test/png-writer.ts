import { deflateSync } from "node:zlib";

export interface PngParts {
  readonly width: number;
  readonly height: number;
  readonly depth: number;
  readonly colourType: number;
  readonly interlace?: boolean;
  /** Samples of a pixel. */
  readonly pixel: (x: number, y: number) => readonly number[];
  readonly chunks?: readonly (readonly [type: string, body: Uint8Array])[];
}

/** CRC-32, bit by bit. */
function crc32(bytes: Uint8Array): number {
  let crc = -1;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc >>> 0;
}

function withChecksum(chunk: Buffer): Buffer {
  chunk.writeUInt32BE(crc32(chunk.subarray(4, -4)), chunk.length - 4);
  return chunk;
}

/** The PNG with the right checksum in every chunk, as far as chunks can be told. */
export function withChecksums(png: Uint8Array): Uint8Array {
  const fixed = Buffer.from(png);
  for (let offset = 8; offset + 12 <= fixed.length; ) {
    const end = offset + 12 + fixed.readUInt32BE(offset);
    if (end > fixed.length) break;
    withChecksum(fixed.subarray(offset, end));
    offset = end;
  }
  return Uint8Array.from(fixed);
}

function chunk(type: string, body: Uint8Array): Uint8Array {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(body.length);
  return withChecksum(Buffer.concat([length, Buffer.from(type), body, Buffer.alloc(4)]));
}

const ADAM7 = [
  [0, 0, 8, 8],
  [4, 0, 8, 8],
  [0, 4, 4, 8],
  [2, 0, 4, 4],
  [0, 2, 2, 4],
  [1, 0, 2, 2],
  [0, 1, 1, 2],
] as const;

/** A PNG of any colour type and depth, unfiltered, from the standard alone. */
export function writePng(parts: PngParts): Uint8Array {
  const { width, height, depth, colourType, interlace = false, pixel, chunks = [] } = parts;
  const rows: Buffer[] = [];
  for (const [x0, y0, dx, dy] of interlace ? ADAM7 : ([[0, 0, 1, 1]] as const)) {
    for (let y = y0; y < height && x0 < width; y += dy) {
      let bits = "";
      for (let x = x0; x < width; x += dx) bits += pixel(x, y).map((s) => s.toString(2).padStart(depth, "0")).join("");
      const bytes = bits.match(/.{1,8}/g) ?? [];
      rows.push(Buffer.from([0, ...bytes.map((byte) => Number.parseInt(byte.padEnd(8, "0"), 2))]));
    }
  }
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([depth, colourType, 0, 0, interlace ? 1 : 0], 8);
  return Uint8Array.from(Buffer.concat([
    Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]),
    chunk("IHDR", header),
    ...chunks.map(([type, body]) => chunk(type, body)),
    chunk("IDAT", deflateSync(Buffer.concat(rows))),
    chunk("IEND", Buffer.alloc(0)),
  ]));
}
