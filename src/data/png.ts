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

const BITS_OF_A_FULL_PIXEL = 16; // the limit of pixels is for pictures of as many bits a pixel; of larger ones fewer are read

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
  const bitsPerPixel = bitsPerPixelOf(colourType, depth);
  const passes = passesOf(width, height, bitsPerPixel, interlaced);
  const rows = unpack(parts.packed, passes.reduce((sum, { lines, stride }) => sum + lines * stride, 0), name);
  const toRgb = colourReader(parts);
  const data = new Uint8Array(width * height * 3);
  const { samples } = COLOUR_TYPES[colourType];
  const wide = new Uint16Array(width * samples);
  let offset = 0;
  for (const { x, y, dx, dy, columns, lines, stride } of passes) {
    unfilter(rows, offset, stride, lines, Math.ceil(bitsPerPixel / 8), name);
    const into = wide.subarray(0, columns * samples);
    for (let line = 0; line < lines; line++, offset += stride) {
      toRgb(rowSamples(rows.subarray(offset + 1, offset + stride), depth, into), columns, data, ((y + line * dy) * width + x) * 3, dx * 3);
    }
  }
  return { image: { width, height, data }, orientation: parts.orientation };
}

function bitsPerPixelOf(colourType: number, depth: number): number {
  return COLOUR_TYPES[colourType].samples * depth;
}

/** The passes that hold any pixels, and their sizes; a row's `stride` bytes begin with the number of its filter. */
function passesOf(width: number, height: number, bitsPerPixel: number, interlaced: boolean): readonly SizedPass[] {
  return (interlaced ? ADAM7 : WHOLE).flatMap((pass) => {
    const [columns, lines] = [Math.ceil((width - pass.x) / pass.dx), Math.ceil((height - pass.y) / pass.dy)];
    return columns > 0 && lines > 0 ? [{ ...pass, columns, lines, stride: 1 + Math.ceil((columns * bitsPerPixel) / 8) }] : [];
  });
}

/** The chunks that matter, their checksums verified. @throws InputError if it is truncated, damaged or too large. */
export function takeApart(bytes: Uint8Array, name: string, maxPixels: number): PngParts {
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
  const [depth, colourType, compression, filter, interlace] = body.subarray(8);
  if (!COLOUR_TYPES[colourType]?.depths.includes(depth)) {
    throw unsupported(name, "a PNG of a colour type in the standard", `type ${colourType} with ${depth} bits a sample`);
  }
  // Time and memory go with the unpacked bytes, of which a small file can claim a thousand times its own.
  checkSize(name, width, height, maxPixels * Math.min(1, BITS_OF_A_FULL_PIXEL / bitsPerPixelOf(colourType, depth)));
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
  let above: Uint8Array = new Uint8Array(stride);
  for (let line = 0; line < lines; line++) {
    const row = rows.subarray(start + line * stride, start + (line + 1) * stride);
    const filter = row[0];
    if (filter > 4) throw damaged(name, "PNG", `row ${line} has filter ${filter}, above 4`);
    // The first pixel has black to its left.
    const first = Math.min(1 + pixelBytes, stride);
    if (filter === 2) for (let i = 1; i < stride; i++) row[i] += above[i];
    else if (filter === 3) for (let i = 1; i < first; i++) row[i] += above[i] >> 1;
    else if (filter === 4) for (let i = 1; i < first; i++) row[i] += above[i];
    if (filter === 1) for (let i = first; i < stride; i++) row[i] += row[i - pixelBytes];
    else if (filter === 3) for (let i = first; i < stride; i++) row[i] += (row[i - pixelBytes] + above[i]) >> 1;
    else if (filter === 4) for (let i = first; i < stride; i++) row[i] += paeth(row[i - pixelBytes], above[i], above[i - pixelBytes]);
    above = row;
  }
}

/** Whichever of three neighbours is nearest to left + up − upLeft. */
function paeth(left: number, up: number, upLeft: number): number {
  const toLeft = Math.abs(up - upLeft);
  const toUp = Math.abs(left - upLeft);
  const toUpLeft = Math.abs(left + up - 2 * upLeft);
  if (toLeft <= toUp && toLeft <= toUpLeft) return left;
  return toUp <= toUpLeft ? up : upLeft;
}

type Samples = Uint8Array | Uint16Array;

/** The samples of a row's bytes; those that aren't bytes already are put into `out`. */
function rowSamples(row: Uint8Array, depth: number, out: Uint16Array): Samples {
  if (depth === 8) return row;
  if (depth === 16) {
    for (let i = 0, at = 0; at < row.length; i++, at += 2) out[i] = (row[at] << 8) | row[at + 1];
  } else {
    const mask = 2 ** depth - 1;
    for (let i = 0, bit = 0; i < out.length; i++, bit += depth) out[i] = (row[bit >> 3] >> (8 - depth - (bit & 7))) & mask;
  }
  return out;
}

/** Turns the samples of `columns` pixels into R, G, B over white, at `to` of `out` and every `step` bytes from there. */
type ColourReader = (samples: Samples, columns: number, out: Uint8Array, to: number, step: number) => void;

function colourReader({ header, palette, transparency }: PngParts): ColourReader {
  const { depth, colourType } = header;
  if (colourType === 3) return paletteReader(palette, transparency);
  const count = COLOUR_TYPES[colourType].samples;
  // From a sample to 8 bits: of 16 the upper ones, fewer ones repeated.
  const [factor, shift] = depth === 16 ? [1, 8] : [255 / (2 ** depth - 1), 0];
  const [green, blue] = count < 3 ? [0, 0] : [1, 2];
  const hasAlpha = count % 2 === 0;
  const clear = transparency && !hasAlpha ? transparentSamples(transparency) : undefined;
  return (samples, columns, out, to, step) => {
    for (let i = 0, at = to; i < columns * count; i += count, at += step) {
      let alpha = hasAlpha ? (samples[i + count - 1] * factor) >> shift : 255;
      if (clear && samples[i] === clear[0] && samples[i + green] === clear[green] && samples[i + blue] === clear[blue]) alpha = 0;
      out[at] = overWhite((samples[i] * factor) >> shift, alpha);
      out[at + 1] = overWhite((samples[i + green] * factor) >> shift, alpha);
      out[at + 2] = overWhite((samples[i + blue] * factor) >> shift, alpha);
    }
  };
}

function paletteReader(palette: Uint8Array, transparency: Uint8Array = new Uint8Array()): ColourReader {
  const colours = Uint8Array.from({ length: 3 * 256 }, (_, i) => overWhite(palette[i] ?? 0, transparency[Math.floor(i / 3)] ?? 255));
  return (samples, columns, out, to, step) => {
    for (let i = 0, at = to; i < columns; i++, at += step) {
      const entry = 3 * samples[i];
      out[at] = colours[entry];
      out[at + 1] = colours[entry + 1];
      out[at + 2] = colours[entry + 2];
    }
  };
}

/** The one grey or colour that stands for transparency: 16 bits a sample, whatever the depth. */
function transparentSamples(transparency: Uint8Array): readonly number[] {
  return [0, 2, 4].map((i) => (transparency[i] << 8) | transparency[i + 1]);
}

/** A sample of 8 bits with an alpha of 8 bits, laid over white. */
export function overWhite(value: number, alpha: number): number {
  return alpha === 255 ? value : Math.trunc((value * alpha + 255 * (255 - alpha) + 127) / 255);
}
