import type { Image } from "./image.ts";

const ORIENTATION_TAG = 0x0112;
const SHORT = 3;
const UPRIGHT = 1;

/**
 * The orientation (1 to 8) in a TIFF structure, as JPEG's Exif segment and PNG's eXIf chunk hold it; 1 where there is
 * none or the structure is damaged, since a broken note on orientation is no reason to refuse a picture.
 * Source: CIPA DC-008 (Exif 2.32), 4.5 and 4.6.4.
 */
export function orientationOf(tiff: Uint8Array): number {
  if (tiff.length < 14) return UPRIGHT;
  const view = new DataView(tiff.buffer, tiff.byteOffset, tiff.byteLength);
  const byteOrder = view.getUint16(0);
  if (byteOrder !== 0x4949 && byteOrder !== 0x4d4d) return UPRIGHT;
  const little = byteOrder === 0x4949;
  const directory = view.getUint32(4, little);
  if (directory + 2 > tiff.length) return UPRIGHT;
  const entries = view.getUint16(directory, little);
  for (let i = 0; i < entries; i++) {
    const entry = directory + 2 + 12 * i;
    if (entry + 12 > tiff.length) return UPRIGHT;
    if (view.getUint16(entry, little) !== ORIENTATION_TAG || view.getUint16(entry + 2, little) !== SHORT) continue;
    const orientation = view.getUint16(entry + 8, little);
    return orientation >= 1 && orientation <= 8 ? orientation : UPRIGHT;
  }
  return UPRIGHT;
}

/** Turns and mirrors a stored picture for viewing; orientations 5 to 8 swap width and height. */
export function orient(image: Image, orientation: number): Image {
  if (orientation === UPRIGHT) return image;
  const { width: storedWidth, height: storedHeight, data: stored } = image;
  const swap = orientation >= 5;
  const width = swap ? storedHeight : storedWidth;
  const height = swap ? storedWidth : storedHeight;
  const fromRight = orientation === 2 || orientation === 3 || orientation === 7 || orientation === 8;
  const fromBottom = orientation === 3 || orientation === 4 || orientation === 6 || orientation === 7;
  const data = new Uint8Array(stored.length);
  for (let y = 0, to = 0; y < height; y++) {
    for (let x = 0; x < width; x++, to += 3) {
      const [across, down] = swap ? [y, x] : [x, y];
      const column = fromRight ? storedWidth - 1 - across : across;
      const row = fromBottom ? storedHeight - 1 - down : down;
      const from = (row * storedWidth + column) * 3;
      data[to] = stored[from];
      data[to + 1] = stored[from + 1];
      data[to + 2] = stored[from + 2];
    }
  }
  return { width, height, data };
}
