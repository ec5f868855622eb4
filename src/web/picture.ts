/** Pictures that a page has, as pixels: what is read in Node is read by the same code here, every other format by the browser. */

import { InputError } from "../core/errors.ts";
import { checkSize } from "../data/image-errors.ts";
import { decodeImage, foreignFormat, knownFormat, MAX_MEGAPIXELS, type Image } from "../data/image.ts";
import { overWhite } from "../data/png.ts";
import type { Picture } from "./service.ts";

/** What is still a picture of a camera or a scanner, whatever its format. */
const MOST_BYTES = 2 ** 29;

/** Pixels that are drawn at a time: canvases have limits of their own, and cost four bytes a pixel. */
const PIXELS_AT_A_TIME = 2 ** 22;

/**
 * Any picture as 8-bit RGB: JPEG and PNG with the pixels that they have in Node, bit for bit; other formats as the browser decodes
 * them. Transparency is laid over white.
 * @param name Of the picture, for error messages. Default: the file's, or "the picture".
 * @throws InputError if it is empty, no picture, damaged, or has more than 64 megapixels.
 */
export async function readPicture(picture: Picture, name = nameOf(picture)): Promise<Image> {
  if (!(picture instanceof Blob)) return fromPixels(picture, name);
  if (picture.size > MOST_BYTES) throw new InputError(`${name} must have at most ${MOST_BYTES / 2 ** 20} MiB; got ${Math.ceil(picture.size / 2 ** 20)}`, "scale it down");
  const bytes = new Uint8Array(await contentOf(picture, name));
  return bytes.length === 0 || knownFormat(bytes) !== null ? decodeImage(bytes, name) : fromBrowser(picture, bytes, name);
}

function nameOf(picture: Picture): string {
  return picture instanceof File && picture.name !== "" ? picture.name : "the picture";
}

async function contentOf(picture: Blob, name: string): Promise<ArrayBuffer> {
  try {
    return await picture.arrayBuffer();
  } catch (cause) {
    throw new InputError(`${name} must be readable; got a file that was moved, changed or deleted since it was chosen`, "choose it again", { cause });
  }
}

function fromPixels({ width, height, data }: ImageData, name: string): Image {
  checkSize(name, width, height, MAX_MEGAPIXELS * 1e6);
  const image = { width, height, data: new Uint8Array(width * height * 3) };
  layOverWhite(data, image.data);
  return image;
}

async function fromBrowser(file: Blob, bytes: Uint8Array, name: string): Promise<Image> {
  const bitmap = await createImageBitmap(file).catch((cause: unknown) => {
    throw new InputError(`${name} must be a picture that this browser reads, such as a JPEG, PNG or WebP; got ${foreignFormat(bytes)}`, "convert it to JPEG or PNG", { cause });
  });
  try {
    const { width, height } = bitmap;
    checkSize(name, width, height, MAX_MEGAPIXELS * 1e6);
    const image = { width, height, data: new Uint8Array(width * height * 3) };
    const rows = Math.min(height, Math.max(1, Math.floor(PIXELS_AT_A_TIME / width)));
    const context = new OffscreenCanvas(width, rows).getContext("2d", { willReadFrequently: true });
    if (context === null) throw new InputError(`${name} must be of a size that this browser can draw; got ${width}×${height}`, "scale it down");
    for (let y = 0; y < height; y += rows) {
      context.clearRect(0, 0, width, rows);
      context.drawImage(bitmap, 0, -y);
      layOverWhite(context.getImageData(0, 0, width, Math.min(rows, height - y)).data, image.data.subarray(y * width * 3));
    }
    return image;
  } finally {
    bitmap.close();
  }
}

/** R, G, B, alpha → R, G, B. */
function layOverWhite(rgba: ImageData["data"], rgb: Uint8Array): void {
  for (let from = 0, to = 0; from < rgba.length; from += 4) {
    const alpha = rgba[from + 3];
    for (let channel = 0; channel < 3; channel++) rgb[to++] = overWhite(rgba[from + channel], alpha);
  }
}
