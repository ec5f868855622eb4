import { damaged, unsupported } from "./image-errors.ts";
import { orientationOf } from "./orientation.ts";

export interface JpegComponent {
  readonly id: number;
  /** Sampling factors, 1 to 4: samples a unit of the picture, compared with the other components. */
  readonly horizontal: number;
  readonly vertical: number;
  /** Number of its quantisation table. */
  readonly quantisation: number;
}

export interface JpegFrame {
  readonly width: number;
  readonly height: number;
  readonly progressive: boolean;
  readonly components: readonly JpegComponent[];
}

/** What a JPEG says of itself outside of its pixels. */
export interface JpegHeader extends JpegFrame {
  readonly orientation: number;
  readonly hasJfif: boolean;
  /** Of Adobe's APP14 segment: 0 none (RGB or CMYK), 1 YCbCr, 2 YCCK. */
  readonly adobeTransform: number | undefined;
}

export interface Segment {
  readonly marker: number;
  readonly body: Uint8Array;
  /** The byte of the file behind it, where a scan's coded pixels begin. */
  readonly end: number;
}

export const START_OF_SCAN = 0xda;
const END_OF_IMAGE = 0xd9;
const MAX_SCANS = 100; // each is a walk over the whole picture, however few bytes it has; encoders write about ten

/**
 * Reads what the segments of a JPEG say, up to its end marker, about the picture as a whole.
 * @throws InputError if it is truncated, damaged or of a kind that isn't read.
 * Source: ITU-T T.81, annex B; JFIF 1.02; Adobe Technical Note 5116, 18 (APP14).
 */
export function readJpegHeader(bytes: Uint8Array, name: string): JpegHeader {
  let frame: JpegFrame | undefined;
  let adobeTransform: number | undefined;
  let orientation = 1;
  let hasJfif = false;
  let scans = 0;
  for (const { marker, body } of segments(bytes, name)) {
    if (isFrame(marker)) {
      if (frame) throw damaged(name, "JPEG", "a second frame header");
      frame = readFrame(marker, body, name);
    } else if (marker === START_OF_SCAN) {
      if (!frame) throw damaged(name, "JPEG", "no frame header before the picture");
      if (++scans > MAX_SCANS) throw damaged(name, "JPEG", `more than ${MAX_SCANS} scans`);
    } else if (marker === 0xe0 && startsWith(body, "JFIF\0")) {
      hasJfif = true;
    } else if (marker === 0xe1 && startsWith(body, "Exif\0\0")) {
      orientation = orientationOf(body.subarray(6));
    } else if (marker === 0xee && startsWith(body, "Adobe") && body.length >= 12) {
      adobeTransform = body[11];
    }
  }
  if (!frame || scans === 0) throw damaged(name, "JPEG", "no picture in it");
  return { ...frame, orientation, hasJfif, adobeTransform };
}

/** Frame headers are markers C0 to CF, apart from Huffman tables, extensions and arithmetic conditioning. */
function isFrame(marker: number): boolean {
  return marker >= 0xc0 && marker <= 0xcf && marker !== 0xc4 && marker !== 0xc8 && marker !== 0xcc;
}

function readFrame(marker: number, body: Uint8Array, name: string): JpegFrame {
  if (marker > 0xc2) {
    const got = `a lossless, hierarchical or arithmetic-coded one (SOF${marker - 0xc0})`;
    throw unsupported(name, "a baseline or progressive JPEG", got);
  }
  const count = body[5];
  if (body.length < 6 + 3 * count) throw damaged(name, "JPEG", "the frame header is too short");
  if (body[0] !== 8) throw unsupported(name, "a JPEG of 8 bits a sample", `${body[0]} bits`);
  if (count !== 1 && count !== 3 && count !== 4) throw unsupported(name, "a JPEG with 1, 3 or 4 components", `${count}`);
  const components = Array.from({ length: count }, (_, i) => {
    const [id, sampling, quantisation] = body.subarray(6 + 3 * i);
    const [horizontal, vertical] = [sampling >> 4, sampling & 15];
    if (horizontal < 1 || horizontal > 4 || vertical < 1 || vertical > 4) {
      throw damaged(name, "JPEG", `sampling factors must be 1 to 4; got ${horizontal}×${vertical}`);
    }
    return { id, horizontal, vertical, quantisation };
  });
  if (new Set(components.map(({ id }) => id)).size < count) throw damaged(name, "JPEG", "two components have the same number");
  return { height: (body[1] << 8) | body[2], width: (body[3] << 8) | body[4], progressive: marker === 0xc2, components };
}

/** The segments up to the end of the picture; coded pixels, and stray bytes between segments, are skipped. */
export function* segments(bytes: Uint8Array, name: string): Generator<Segment> {
  for (let offset = nextMarker(bytes, 2); ; ) {
    if (offset === bytes.length) throw damaged(name, "JPEG", `it ends after ${bytes.length} bytes, before its end marker`);
    const marker = bytes[offset + 1];
    if (marker === END_OF_IMAGE) return;
    const length = offset + 4 > bytes.length ? 0 : (bytes[offset + 2] << 8) | bytes[offset + 3];
    const end = offset + 2 + length;
    if (length < 2 || end > bytes.length) {
      throw damaged(name, "JPEG", `the segment at byte ${offset} runs to byte ${end} of ${bytes.length}`);
    }
    yield { marker, body: bytes.subarray(offset + 4, end), end };
    offset = nextMarker(bytes, end);
  }
}

/** Where the first marker from `offset` on begins, or the file's end. FF 00 is a coded byte, FF FF a filler, FF D0 to FF D7 are restarts within a scan. */
function nextMarker(bytes: Uint8Array, offset: number): number {
  for (let at = bytes.indexOf(0xff, offset); at >= 0 && at + 1 < bytes.length; at = bytes.indexOf(0xff, at + 1)) {
    const next = bytes[at + 1];
    if (next !== 0 && next !== 0xff && (next < 0xd0 || next > 0xd7)) return at;
  }
  return bytes.length;
}

function startsWith(bytes: Uint8Array, text: string): boolean {
  return bytes.length >= text.length && Array.from(text).every((char, i) => bytes[i] === char.charCodeAt(0));
}
