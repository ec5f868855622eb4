import type { RowReader } from "./jpeg-upsample.ts";

/** What the components of a JPEG stand for. CMYK's are 255 for no ink, as Adobe's programs store them. */
export type ColourSpace = "grey" | "rgb" | "ycc" | "cmyk" | "ycck";

// What chroma adds to red, green and blue, with 16 fraction bits, as in libjpeg's jdcolor.c.
const HALF = 1 << 15;
const byChroma = (weigh: (chroma: number) => number): Int32Array => Int32Array.from({ length: 256 }, (_, level) => weigh(level - 128));
const RED_FROM_CR = byChroma((cr) => (91881 * cr + HALF) >> 16);
const BLUE_FROM_CB = byChroma((cb) => (116130 * cb + HALF) >> 16);
const GREEN_FROM_CR = byChroma((cr) => -46802 * cr);
const GREEN_FROM_CB = byChroma((cb) => -22554 * cb + HALF);

/**
 * Puts components together.
 *
 * One [height, width] each → RGB [height, width, 3]. Inks become light as in Pillow: each colour times black, of 255.
 * Source: libjpeg-turbo, jdcolor.c; Pillow, Convert.c.
 */
export function toRgb(components: readonly RowReader[], space: ColourSpace, width: number, height: number): Uint8Array {
  const out = new Uint8ClampedArray(width * height * 3);
  const inkLevels = space === "cmyk" || space === "ycck";
  for (let y = 0; y < height; y++) {
    const rows = components.map((row) => row(y));
    const line = out.subarray(y * width * 3, (y + 1) * width * 3);
    if (space === "ycc" || space === "ycck") convertYcc(rows, line, width);
    else interleave(rows, line, width);
    if (space === "ycck") for (let i = 0; i < line.length; i++) line[i] = 255 - line[i];
    if (inkLevels) applyBlack(rows[3], line, width);
  }
  return new Uint8Array(out.buffer);
}

function convertYcc([luma, blue, red]: readonly Uint8ClampedArray[], out: Uint8ClampedArray, width: number): void {
  for (let x = 0, to = 0; x < width; x++, to += 3) {
    const level = luma[x];
    const cb = blue[x];
    const cr = red[x];
    out[to] = level + RED_FROM_CR[cr];
    out[to + 1] = level + ((GREEN_FROM_CB[cb] + GREEN_FROM_CR[cr]) >> 16);
    out[to + 2] = level + BLUE_FROM_CB[cb];
  }
}

function interleave(rows: readonly Uint8ClampedArray[], out: Uint8ClampedArray, width: number): void {
  const [red, green, blue] = rows.length === 1 ? [rows[0], rows[0], rows[0]] : rows;
  for (let x = 0, to = 0; x < width; x++, to += 3) {
    out[to] = red[x];
    out[to + 1] = green[x];
    out[to + 2] = blue[x];
  }
}

function applyBlack(black: Uint8ClampedArray, line: Uint8ClampedArray, width: number): void {
  for (let x = 0, to = 0; x < width; x++) {
    const light = black[x];
    for (const end = to + 3; to < end; to++) {
      const product = (255 - line[to]) * light + 128;
      line[to] = light - ((product + (product >> 8)) >> 8); // the second term: product / 255, rounded
    }
  }
}
