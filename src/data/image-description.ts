import { type DecodeOptions, detectFormat, MAX_MEGAPIXELS } from "./image.ts";
import { checkSize } from "./image-errors.ts";
import { readJpegHeader } from "./jpeg-header.ts";
import { takeApart } from "./png.ts";

/** What a picture's file says of itself, without a pixel being decoded. */
export interface ImageDescription {
  readonly format: "JPEG" | "PNG";
  /** As stored, before it is turned for viewing. */
  readonly width: number;
  readonly height: number;
  /** How colours are stored; every picture is decoded to RGB. */
  readonly colours: "grey" | "colour" | "CMYK";
  /** EXIF orientation, 1 to 8; 1 is upright. */
  readonly orientation: number;
}

const PNG_GREY: ReadonlySet<number> = new Set([0, 4]); // colour types without and with alpha

/**
 * Reads a picture's headers; of a PNG the checksums too.
 * @param name Stands in error messages: a path or a file name.
 * @throws InputError if the headers are damaged, or the picture is of another format or too large.
 */
export function describeImage(bytes: Uint8Array, name: string, { maxMegapixels = MAX_MEGAPIXELS }: DecodeOptions = {}): ImageDescription {
  const maxPixels = maxMegapixels * 1e6;
  if (detectFormat(bytes, name) === "png") {
    const { header, orientation } = takeApart(bytes, name, maxPixels);
    return { format: "PNG", width: header.width, height: header.height, colours: PNG_GREY.has(header.colourType) ? "grey" : "colour", orientation };
  }
  const { width, height, components, orientation } = readJpegHeader(bytes, name);
  checkSize(name, width, height, maxPixels);
  return { format: "JPEG", width, height, colours: components.length === 1 ? "grey" : components.length === 4 ? "CMYK" : "colour", orientation };
}
