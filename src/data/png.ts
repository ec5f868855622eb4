import type { StoredImage } from "./image.ts";
import { checkSize, damaged, unsupported } from "./image-errors.ts";
import { inflate, InflateError } from "./inflate.ts";
import { orientationOf } from "./orientation.ts";

interface PngHeader {
  readonly width: number;
  readonly height: number;
  /** Bits a sample: 1, 2, 4, 8 or 16. */
  readonly depth: number;
  /** 0 grey, 2 RGB, 3 palette, 4 grey and alpha, 6 RGB and alpha. */
  readonly colourType: number;
  readonly interlaced: boolean;
}

/** The chunks that matter here. */
interface PngParts {
  readonly header: PngHeader;
  /** Palette as R, G, B, R, G, B … */
  readonly palette: Uint8Array;
  readonly transparency: Uint8Array | undefined;
  /** The zlib stream of the pixels. */
  readonly packed: Uint8Array;
  readonly orientation: number;
}

/** Pixels (first + i · step) of each axis, stored as a picture of their own. */
interface Pass {
  readonly x: number;
  readonly y: number;
  readonly dx: number;
  readonly dy: number;
}

/** A pass of a picture of known size: `lines` rows of `columns` pixels, `stride` bytes each. */
interface SizedPass extends Pass {
  readonly columns: number;
  readonly lines: number;
  readonly stride: number;
}

const SIGNATURE_BYTES = 8;
const CHUNK_OVERHEAD = 12; // length, type and checksum
const CHECKED_CHUNKS = new Set(["IHDR", "PLTE", "tRNS", "IDAT", "IEND"]); // damage to others, such as comments, does no harm

/** Samples a pixel and the depths allowed, by colour type. */
const COLOUR_TYPES: Readonly<Record<number, { samples: number; depths: readonly number[] }>> = {
  0: { samples: 1, depths: [1, 2, 4, 8, 16] },
  2: { samples: 3, depths: [8, 16] },
  3: { samples: 1, depths: [1, 2, 4, 8] },
  4: { samples: 2, depths: [8, 16] },
  6: { samples: 4, depths: [8, 16] },
};

const WHOLE: readonly Pass[] = [{ x: 0, y: 0, dx: 1, dy: 1 }];
const ADAM7: readonly Pass[] = [
  { x: 0, y: 0, dx: 8, dy: 8 },
  { x: 4, y: 0, dx: 8, dy: 8 },
  { x: 0, y: 4, dx: 4, dy: 8 },
  { x: 2, y: 0, dx: 4, dy: 4 },
  { x: 0, y: 2, dx: 2, dy: 4 },
  { x: 1, y: 0, dx: 2, dy: 2 },
  { x: 0, y: 1, dx: 1, dy: 2 },
];

/**
 * Decodes a PNG as stored (orientation not applied): every colour type and depth, interlaced too, over white; gamma and colour profiles are ignored.
 *
 * Opaque pictures get Pillow's pixels. Where something is transparent, Pillow's `convert("RGB")` shows the colours that the file happens to hold behind it, often
 * black; and it cuts grey of 16 bits off at 255, of which the upper 8 bits are kept here, as both do with colours.
 *
 * upng-js isn't used: it garbles grey of less than 8 bits where rows don't fill whole bytes, and interlaced pictures of 1 bit, can hang on a damaged text
 * chunk, and unpacks whatever a small file claims to hold.
 * @throws InputError if it is truncated, damaged, above `maxPixels`, or breaks the standard.
 * Source: W3C, Portable Network Graphics (third edition).
 */
export function decodePng(bytes: Uint8Array, name: string, maxPixels: number): StoredImage {
  const parts = takeApart(bytes, name, maxPixels);
  const { width, height, depth, colourType, interlaced } = parts.header;
  const bitsPerPixel = COLOUR_TYPES[colourType].samples * depth;
  const passes = passesOf(width, height, bitsPerPixel, interlaced);
  const rows = unpack(parts.packed, passes.reduce((sum, { lines, stride }) => sum + lines * stride, 0), name);
  const toRgb = pixelReader(parts);
  const data = new Uint8Array(width * height * 3);
  let offset = 0;
  for (const { x, y, dx, dy, columns, lines, stride } of passes) {
    unfilter(rows, offset, stride, lines, Math.ceil(bitsPerPixel / 8), name);
    for (let line = 0; line < lines; line++, offset += stride) {
      for (let column = 0; column < columns; column++) {
        toRgb(rows, offset + 1, column, data, ((y + line * dy) * width + x + column * dx) * 3);
      }
    }
  }
  return { image: { width, height, data }, orientation: parts.orientation };
}

/** The passes that hold any pixels, and their sizes; a row's `stride` bytes begin with the number of its filter. */
function passesOf(width: number, height: number, bitsPerPixel: number, interlaced: boolean): readonly SizedPass[] {
  return (interlaced ? ADAM7 : WHOLE).flatMap((pass) => {
    const [columns, lines] = [Math.ceil((width - pass.x) / pass.dx), Math.ceil((height - pass.y) / pass.dy)];
    return columns > 0 && lines > 0 ? [{ ...pass, columns, lines, stride: 1 + Math.ceil((columns * bitsPerPixel) / 8) }] : [];
  });
}

function takeApart(bytes: Uint8Array, name: string, maxPixels: number): PngParts {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const packed: Uint8Array[] = [];
  let header: PngHeader | undefined;
  let palette: Uint8Array = new Uint8Array();
  let transparency: Uint8Array | undefined;
  let orientation = 1;
  for (let offset = SIGNATURE_BYTES, type = ""; type !== "IEND"; ) {
    if (offset + CHUNK_OVERHEAD > bytes.length) {
      throw damaged(name, "PNG", `it ends at byte ${bytes.length}, before its end chunk`);
    }
    const end = offset + CHUNK_OVERHEAD + view.getUint32(offset);
    type = String.fromCharCode(...bytes.subarray(offset + 4, offset + 8));
    if (!/^[A-Za-z]{4}$/.test(type)) throw damaged(name, "PNG", `no chunk at byte ${offset}`);
    if (end > bytes.length) throw damaged(name, "PNG", `chunk ${type} runs to byte ${end} of ${bytes.length}`);
    if (CHECKED_CHUNKS.has(type) && checksum(bytes.subarray(offset + 4, end - 4)) !== view.getUint32(end - 4)) {
      throw damaged(name, "PNG", `chunk ${type} at byte ${offset} doesn't have its checksum`);
    }
    const body = bytes.subarray(offset + 8, end - 4);
    if (!header && type !== "IHDR") throw damaged(name, "PNG", "its first chunk isn't its header");
    if (type === "IHDR") {
      if (header) throw damaged(name, "PNG", "it has two headers");
      header = readHeader(body, name, maxPixels);
    } else if (type === "PLTE") palette = body;
    else if (type === "tRNS") transparency = body;
    else if (type === "IDAT") packed.push(body);
    else if (type === "eXIf") orientation = orientationOf(body);
    offset = end;
  }
  if (!header || packed.length === 0) throw damaged(name, "PNG", "it has no pixels");
  if (header.colourType === 3 && palette.length < 3) throw damaged(name, "PNG", "it has no palette");
  return { header, palette, transparency, packed: concatenate(packed), orientation };
}

function readHeader(body: Uint8Array, name: string, maxPixels: number): PngHeader {
  if (body.length !== 13) throw damaged(name, "PNG", `its header has ${body.length} bytes, not 13`);
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  const [width, height] = [view.getUint32(0), view.getUint32(4)];
  checkSize(name, width, height, maxPixels);
  const [depth, colourType, compression, filter, interlace] = body.subarray(8);
  if (!COLOUR_TYPES[colourType]?.depths.includes(depth)) {
    throw unsupported(name, "a PNG of a colour type in the standard", `type ${colourType} with ${depth} bits a sample`);
  }
  if (compression !== 0 || filter !== 0 || interlace > 1) {
    const got = `method ${compression}, filter ${filter}, interlace ${interlace}`;
    throw unsupported(name, "a PNG with the standard's compression", got);
  }
  return { width, height, depth, colourType, interlaced: interlace === 1 };
}

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let remainder = byte;
  for (let bit = 0; bit < 8; bit++) remainder = (remainder >>> 1) ^ (remainder & 1 ? 0xedb88320 : 0);
  return remainder;
});

/** CRC-32 as PNG uses it. */
function checksum(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (let i = 0; i < bytes.length; i++) crc = (crc >>> 8) ^ CRC_TABLE[(crc ^ bytes[i]) & 255];
  return (crc ^ 0xffffffff) >>> 0;
}

function concatenate(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    whole.set(part, offset);
    offset += part.length;
  }
  return whole;
}

function unpack(packed: Uint8Array, length: number, name: string): Uint8Array {
  try {
    return inflate(packed, length);
  } catch (error) {
    if (!(error instanceof InflateError)) throw error;
    throw damaged(name, "PNG", `its ${packed.length} bytes of pixel data don't unpack: ${error.message}`, error);
  }
}

/** Undoes the row filters in place; each row is `stride` bytes, the first of which names its filter. */
function unfilter(rows: Uint8Array, start: number, stride: number, lines: number, pixelBytes: number, name: string): void {
  for (let line = 0; line < lines; line++) {
    const row = start + line * stride;
    const filter = rows[row];
    if (filter > 4) throw damaged(name, "PNG", `row ${line} has filter ${filter}, above 4`);
    if (filter === 0) continue;
    for (let i = 1; i < stride; i++) {
      const at = row + i;
      const left = i > pixelBytes ? rows[at - pixelBytes] : 0;
      const up = line > 0 ? rows[at - stride] : 0;
      if (filter === 1) rows[at] += left;
      else if (filter === 2) rows[at] += up;
      else if (filter === 3) rows[at] += (left + up) >> 1;
      else rows[at] += paeth(left, up, line > 0 && i > pixelBytes ? rows[at - stride - pixelBytes] : 0);
    }
  }
}

/** Whichever of three neighbours is nearest to left + up − upLeft. */
function paeth(left: number, up: number, upLeft: number): number {
  const [toLeft, toUp, toUpLeft] = [Math.abs(up - upLeft), Math.abs(left - upLeft), Math.abs(left + up - 2 * upLeft)];
  if (toLeft <= toUp && toLeft <= toUpLeft) return left;
  return toUp <= toUpLeft ? up : upLeft;
}

type PixelReader = (rows: Uint8Array, row: number, column: number, out: Uint8Array, to: number) => void;

/** Reads the pixel at `column` of the row that begins at byte `row` into R, G, B at `to` of `out`, over white. */
function pixelReader({ header, palette, transparency }: PngParts): PixelReader {
  const { depth, colourType } = header;
  const { samples } = COLOUR_TYPES[colourType];
  if (colourType === 3) {
    return (rows, row, column, out, to) => {
      const entry = sampleAt(rows, row, column, depth);
      const alpha = transparency?.[entry] ?? 255;
      for (let channel = 0; channel < 3; channel++) out[to + channel] = overWhite(palette[3 * entry + channel] ?? 0, alpha);
    };
  }
  const toByte = depth === 16 ? 1 / 256 : 255 / (2 ** depth - 1);
  const hasAlpha = samples % 2 === 0;
  const isGrey = samples < 3;
  const clear = transparency && !hasAlpha ? transparentSamples(transparency, samples) : undefined;
  return (rows, row, column, out, to) => {
    const first = column * samples;
    let alpha = hasAlpha ? Math.floor(sampleAt(rows, row, first + samples - 1, depth) * toByte) : 255;
    if (clear?.every((value, s) => value === sampleAt(rows, row, first + s, depth))) alpha = 0;
    for (let channel = 0; channel < 3; channel++) {
      const value = sampleAt(rows, row, isGrey ? first : first + channel, depth);
      out[to + channel] = overWhite(Math.floor(value * toByte), alpha);
    }
  };
}

/** The one grey or colour that stands for transparency: 16 bits a sample, whatever the depth. */
function transparentSamples(transparency: Uint8Array, samples: number): readonly number[] {
  return Array.from({ length: samples }, (_, s) => (transparency[2 * s] << 8) | transparency[2 * s + 1]);
}

function sampleAt(rows: Uint8Array, row: number, index: number, depth: number): number {
  if (depth === 8) return rows[row + index];
  if (depth === 16) return (rows[row + 2 * index] << 8) | rows[row + 2 * index + 1];
  const bit = index * depth;
  return (rows[row + (bit >> 3)] >> (8 - depth - (bit & 7))) & (2 ** depth - 1);
}

function overWhite(value: number, alpha: number): number {
  return alpha === 255 ? value : Math.round((value * alpha + 255 * (255 - alpha)) / 255);
}
