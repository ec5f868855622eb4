import { decode } from "jpeg-js";
import type { StoredImage } from "./image.ts";
import { checkSize, damaged, unsupported } from "./image-errors.ts";
import { orientationOf } from "./orientation.ts";

interface JpegFrame {
  readonly width: number;
  readonly height: number;
  readonly componentIds: readonly number[];
}

/** What the segments before the first scan say. */
interface JpegHeader extends JpegFrame {
  readonly orientation: number;
  readonly hasJfif: boolean;
  /** Of Adobe's APP14 segment: 0 none (RGB or CMYK), 1 YCbCr, 2 YCCK. */
  readonly adobeTransform: number | undefined;
}

const START_OF_SCAN = 0xda;
const END_OF_IMAGE = 0xd9;
const RGB_COMPONENT_IDS = "82,71,66"; // "R", "G", "B", by which libjpeg too knows RGB without any marker

/**
 * Decodes a JPEG as stored (orientation not applied) with jpeg-js, after a check of its header.
 *
 * Differs from libjpeg by up to 3 levels, and at colour edges by up to 66 where chroma is subsampled: jpeg-js repeats
 * chroma samples, libjpeg interpolates them.
 * @throws InputError if it is truncated, damaged, above `maxPixels`, or of a kind that jpeg-js doesn't read.
 */
export function decodeJpeg(bytes: Uint8Array, name: string, maxPixels: number): StoredImage {
  const header = readHeader(bytes, name);
  const { width, height, componentIds, orientation, hasJfif, adobeTransform } = header;
  checkSize(name, width, height, maxPixels);
  if (componentIds.length === 4 && adobeTransform === undefined) {
    throw unsupported(name, "a grey, RGB or Adobe CMYK JPEG", "CMYK that doesn't say how its inks are stored");
  }
  if (componentIds.length === 2 || componentIds.length > 4) {
    throw unsupported(name, "a JPEG with 1, 3 or 4 components", `${componentIds.length}`);
  }
  const namedRgb = !hasJfif && componentIds.join() === RGB_COMPONENT_IDS;
  const storedAsRgb = adobeTransform === undefined ? namedRgb : adobeTransform === 0;
  try {
    const { data } = decode(bytes, {
      useTArray: true,
      formatAsRGBA: false,
      // Tolerance concerns one thing in jpeg-js: blocks past the last row, which grey pictures with restart intervals
      // have by right. A truncated file is refused either way.
      tolerantDecoding: true,
      maxResolutionInMP: Infinity,
      maxMemoryUsageInMB: Infinity, // the picture's size was checked above
      ...(componentIds.length === 3 && storedAsRgb ? { colorTransform: false } : {}),
    });
    return { image: { width, height, data }, orientation };
  } catch (error) {
    throw damaged(name, "JPEG", `its pixel data end early or make no sense, in ${bytes.length} bytes`, error);
  }
}

function readHeader(bytes: Uint8Array, name: string): JpegHeader {
  let frame: JpegFrame | undefined;
  let orientation = 1;
  let hasJfif = false;
  let adobeTransform: number | undefined;
  for (const { marker, body } of segments(bytes, name)) {
    if (marker >= 0xc0 && marker <= 0xcf && marker !== 0xc4 && marker !== 0xc8 && marker !== 0xcc) {
      frame = readFrame(marker, body, name);
    } else if (marker === 0xe0 && startsWith(body, "JFIF\0")) {
      hasJfif = true;
    } else if (marker === 0xe1 && startsWith(body, "Exif\0\0")) {
      orientation = orientationOf(body.subarray(6));
    } else if (marker === 0xee && startsWith(body, "Adobe") && body.length >= 12) {
      adobeTransform = body[11];
    }
  }
  if (!frame) throw damaged(name, "JPEG", "no frame header before the picture");
  return { ...frame, orientation, hasJfif, adobeTransform };
}

function readFrame(marker: number, body: Uint8Array, name: string): JpegFrame {
  if (marker > 0xc2) {
    const got = `a lossless, hierarchical or arithmetic-coded one (SOF${marker - 0xc0})`;
    throw unsupported(name, "a baseline or progressive JPEG", got);
  }
  const components = body[5];
  if (body.length < 6 + 3 * components) throw damaged(name, "JPEG", "the frame header is too short");
  if (body[0] !== 8) throw unsupported(name, "a JPEG of 8 bits a sample", `${body[0]} bits`);
  const componentIds = Array.from({ length: components }, (_, i) => body[6 + 3 * i]);
  for (let i = 0; i < components; i++) {
    const sampling = body[7 + 3 * i];
    const [horizontal, vertical] = [sampling >> 4, sampling & 15];
    if (horizontal < 1 || horizontal > 4 || vertical < 1 || vertical > 4) {
      throw damaged(name, "JPEG", `sampling factors must be 1 to 4; got ${horizontal}×${vertical}`);
    }
  }
  return { height: (body[1] << 8) | body[2], width: (body[3] << 8) | body[4], componentIds };
}

/** The segments between the start of the file and its first scan. */
function* segments(bytes: Uint8Array, name: string): Generator<{ marker: number; body: Uint8Array }> {
  let offset = 2;
  for (;;) {
    while (bytes[offset] === 0xff && bytes[offset + 1] === 0xff) offset++;
    if (offset + 4 > bytes.length) throw damaged(name, "JPEG", `it ends after ${bytes.length} bytes, before the picture`);
    if (bytes[offset] !== 0xff) throw damaged(name, "JPEG", `no segment at byte ${offset}`);
    const marker = bytes[offset + 1];
    if (marker === START_OF_SCAN || marker === END_OF_IMAGE) return;
    const length = (bytes[offset + 2] << 8) | bytes[offset + 3];
    const end = offset + 2 + length;
    if (length < 2 || end > bytes.length) {
      throw damaged(name, "JPEG", `the segment at byte ${offset} runs to byte ${end} of ${bytes.length}`);
    }
    yield { marker, body: bytes.subarray(offset + 4, end) };
    offset = end;
  }
}

function startsWith(bytes: Uint8Array, text: string): boolean {
  return bytes.length >= text.length && Array.from(text).every((char, i) => bytes[i] === char.charCodeAt(0));
}
