import { InputError } from "../core/errors.ts";
import { decodeJpeg } from "./jpeg.ts";
import { orient } from "./orientation.ts";
import { decodePng } from "./png.ts";

/** A picture in memory: 8-bit RGB, interleaved, `data[(y * width + x) * 3 + channel]`. */
export interface Image {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8Array;
}

/** A picture as it is stored, with the EXIF orientation (1 to 8) that says how to turn it for viewing. */
export interface StoredImage {
  readonly image: Image;
  readonly orientation: number;
}

export interface DecodeOptions {
  /** Turn the picture as its EXIF orientation says. PIL does not do so by itself; people expect it. Default true. */
  readonly applyOrientation?: boolean;
  /** Pictures with more than this many million pixels are refused before they are decoded; of PNGs with B > 16 bits a pixel, those with more than 16 / B of it. Default 64. */
  readonly maxMegapixels?: number;
}

/** Decoding takes 7 to 18 bytes of memory a pixel, most with inks: up to 1.2 GB at this limit. */
export const MAX_MEGAPIXELS = 64;

type Format = "jpeg" | "png";

const MAGIC: readonly { format: Format; bytes: readonly number[] }[] = [
  { format: "jpeg", bytes: [0xff, 0xd8, 0xff] },
  { format: "png", bytes: [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a] },
];

/** What people have by mistake: `text` stands at `offset` of such a file. */
const OTHER_FORMATS: readonly { format: string; text: string; offset: number }[] = [
  { format: "a GIF", text: "GIF8", offset: 0 },
  { format: "a WebP picture", text: "WEBP", offset: 8 },
  { format: "an AVIF picture", text: "ftypavif", offset: 4 },
  { format: "a HEIC picture", text: "ftyphei", offset: 4 },
  { format: "a HEIC picture", text: "ftypmif1", offset: 4 },
  { format: "a video", text: "ftyp", offset: 4 },
  { format: "a TIFF", text: "II*\0", offset: 0 },
  { format: "a TIFF", text: "MM\0*", offset: 0 },
  { format: "a BMP", text: "BM", offset: 0 },
  { format: "a PDF", text: "%PDF", offset: 0 },
  { format: "an SVG", text: "<svg", offset: 0 },
  { format: "a web page", text: "<!DOCTYPE", offset: 0 },
  { format: "a web page", text: "<html", offset: 0 },
  { format: "a Git LFS pointer", text: "version https://git-lfs", offset: 0 },
];

/**
 * Decodes a JPEG (baseline, progressive, grey, RGB, CMYK) or a PNG (every colour type and depth) into RGB.
 *
 * The pixels are those of Pillow with libjpeg-turbo, in Node and in browsers. Differences on purpose: the EXIF orientation is
 * applied, transparency is laid over white, and of 16 bits the upper 8 are kept in grey as in colours. The format is told
 * from the first bytes, never from the name. Of an animated PNG the still picture is taken.
 * @param name Stands in error messages: a path or a file name.
 * @throws InputError if the bytes are empty, truncated, damaged, too large or of another format.
 */
export function decodeImage(bytes: Uint8Array, name: string, options: DecodeOptions = {}): Image {
  const { applyOrientation = true, maxMegapixels = MAX_MEGAPIXELS } = options;
  const maxPixels = maxMegapixels * 1e6;
  const format = detectFormat(bytes, name);
  const stored = format === "jpeg" ? decodeJpeg(bytes, name, maxPixels) : decodePng(bytes, name, maxPixels);
  return applyOrientation ? orient(stored.image, stored.orientation) : stored.image;
}

/** The format that the first bytes tell, or null for one that isn't read. */
export function knownFormat(bytes: Uint8Array): Format | null {
  return MAGIC.find(({ bytes: magic }) => magic.every((byte, i) => bytes[i] === byte))?.format ?? null;
}

/** What a file seems to be that is no picture of a {@link knownFormat}, for messages. */
export function foreignFormat(bytes: Uint8Array): string {
  const head = String.fromCharCode(...bytes.subarray(0, 32));
  return OTHER_FORMATS.find(({ text, offset }) => head.startsWith(text, offset))?.format ?? `${bytes.length} bytes that begin with ${hex(bytes.subarray(0, 4))}`;
}

/** @throws InputError if the first bytes are not those of a format that is read. */
export function detectFormat(bytes: Uint8Array, name: string): Format {
  if (bytes.length === 0) {
    const hint = "copy or download it again";
    throw new InputError(`decodeImage: ${name} must be a JPEG or PNG picture; got an empty file`, hint);
  }
  const known = knownFormat(bytes);
  if (known !== null) return known;
  throw new InputError(`decodeImage: ${name} must be a JPEG or PNG picture; got ${foreignFormat(bytes)}`, "convert it to JPEG or PNG");
}

function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(" ");
}
