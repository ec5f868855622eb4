import type { StoredImage } from "./image.ts";
import { checkSize, damaged, unsupported } from "./image-errors.ts";
import { JpegDataError } from "./jpeg-bits.ts";
import { type ColourSpace, toRgb } from "./jpeg-colour.ts";
import { decodeComponents, type Units } from "./jpeg-components.ts";
import { type JpegHeader, readJpegHeader } from "./jpeg-header.ts";

const RGB_COMPONENT_IDS = "82,71,66"; // "R", "G", "B", by which libjpeg too knows RGB without any marker

/**
 * Decodes a JPEG as stored (orientation not applied): the pixels of libjpeg-turbo with its default settings, bit for bit.
 *
 * Written here because trained models notice the difference that `jpeg-js` makes: its cosine transform is up to 3 levels off, by which the first
 * three probabilities of a ViT-Tiny move by up to 0.057, and by up to 0.024 where chroma is interpolated as libjpeg does. It also takes five times the memory.
 * @throws InputError if it is truncated, damaged, above `maxPixels`, or of a kind that isn't read.
 * Source: ITU-T T.81.
 */
export function decodeJpeg(bytes: Uint8Array, name: string, maxPixels: number): StoredImage {
  const header = readJpegHeader(bytes, name);
  const { width, height, orientation } = header;
  checkSize(name, width, height, maxPixels);
  const units = unitsOf(header, name);
  checkCapacity(header, units, bytes.length, name);
  try {
    const components = decodeComponents(bytes, header, units, name);
    return { image: { width, height, data: toRgb(components, colourSpace(header), width, height) }, orientation };
  } catch (error) {
    if (!(error instanceof JpegDataError)) throw error;
    throw damaged(name, "JPEG", error.message, error);
  }
}

function unitsOf({ width, height, components }: JpegHeader, name: string): Units {
  const horizontal = Math.max(...components.map((component) => component.horizontal));
  const vertical = Math.max(...components.map((component) => component.vertical));
  const odd = components.find((component) => horizontal % component.horizontal !== 0 || vertical % component.vertical !== 0);
  if (odd) {
    const got = `${odd.horizontal}×${odd.vertical} of ${horizontal}×${vertical} samples`;
    throw unsupported(name, "a JPEG with components at a whole fraction of its size", got);
  }
  return { horizontal, vertical, across: Math.ceil(width / (8 * horizontal)), down: Math.ceil(height / (8 * vertical)) };
}

/** @throws InputError if the file is too short for the blocks that its header promises: before memory is taken for them. */
function checkCapacity({ width, height, progressive, components }: JpegHeader, units: Units, fileBytes: number, name: string): void {
  const blocks = components.reduce((sum, { horizontal, vertical }) => {
    const [across, down] = [(width * horizontal) / units.horizontal, (height * vertical) / units.vertical];
    return sum + Math.ceil(across / 8) * Math.ceil(down / 8);
  }, 0);
  const bitsPerBlock = progressive ? 1 : 2; // the shortest code of a mean, and of "nothing but zeros"
  const least = Math.ceil((blocks * bitsPerBlock) / 8);
  if (least > fileBytes) throw damaged(name, "JPEG", `${width}×${height} pixels take at least ${least} bytes; the file has ${fileBytes}`);
}

/** By libjpeg's rules. */
function colourSpace({ components, hasJfif, adobeTransform }: JpegHeader): ColourSpace {
  if (components.length === 1) return "grey";
  if (components.length === 4) return (adobeTransform ?? 0) === 0 ? "cmyk" : "ycck";
  if (hasJfif) return "ycc";
  const storesRgb = adobeTransform === undefined ? components.map(({ id }) => id).join() === RGB_COMPONENT_IDS : adobeTransform === 0;
  return storesRgb ? "rgb" : "ycc";
}
