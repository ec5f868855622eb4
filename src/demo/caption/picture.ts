/** The picture that is shown and described. */

import { InputError } from "../../core/errors.ts";
import { MAX_MEGAPIXELS } from "../../data/image.ts";

/** A picture that the page can show. Its address is valid until it is revoked. */
export interface ShownPicture {
  readonly blob: Blob;
  readonly name: string;
  readonly url: string;
  readonly width: number;
  readonly height: number;
  /** Whether the page drew it. */
  readonly scene: boolean;
}

/**
 * Opens a picture for the page. Nothing is decoded here: an `<img>` is decoded beside the page's own thread, and at the size that it is shown.
 * @throws InputError if the browser knows no such picture, or it has too many pixels.
 */
export async function openPicture(blob: Blob, name: string, scene = false): Promise<ShownPicture> {
  const url = URL.createObjectURL(blob);
  try {
    const image = new Image();
    image.src = url;
    await new Promise((resolve, reject) => {
      image.onload = resolve;
      image.onerror = reject;
    });
    const { naturalWidth: width, naturalHeight: height } = image;
    if (width * height > MAX_MEGAPIXELS * 1e6) throw new InputError(`${name}: a picture may have at most ${MAX_MEGAPIXELS} megapixels; got ${width} × ${height} = ${Math.round((width * height) / 1e6)}`, "make it smaller");
    return { blob, name, url, width, height, scene };
  } catch (error) {
    URL.revokeObjectURL(url);
    throw error instanceof InputError ? error : new InputError(`${name} must be a picture that this browser can show`, "JPEG, PNG, WebP and most others are fine; the file may be damaged, or something else");
  }
}
