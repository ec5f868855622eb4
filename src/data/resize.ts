import { ShapeError } from "../core/errors.ts";
import type { Image } from "./image.ts";

export type Filter = "bilinear" | "bicubic";

const FRACTION_BITS = 22; // 32 bits less 8 for the pixel and 2 for the overshoot of negative weights, as in PIL
const CUBIC_A = -0.5;

/** Filter weight at distance `x` ≥ 0 from the centre, and the distance beyond which it is 0. */
const FILTERS: Readonly<Record<Filter, { support: number; weight: (x: number) => number }>> = {
  bilinear: { support: 1, weight: (x) => (x < 1 ? 1 - x : 0) },
  bicubic: {
    support: 2,
    weight(x) {
      if (x < 1) return ((CUBIC_A + 2) * x - (CUBIC_A + 3)) * x * x + 1;
      return x < 2 ? (((x - 5) * x + 8) * x - 4) * CUBIC_A : 0;
    },
  },
};

/** The source samples that make up each output sample of one axis. */
interface Taps {
  /** First source sample [out]. */
  readonly first: Int32Array;
  /** Number of source samples [out]. */
  readonly count: Int32Array;
  /** Weights with {@link FRACTION_BITS} fraction bits, [out, stride]. */
  readonly weights: Int32Array;
  readonly stride: number;
}

/** A rectangle of pixels. */
export interface Window {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

/**
 * Antialiased resize to `width` × `height`, bit for bit what PIL's `Image.resize` gives for RGB pictures.
 *
 * Horizontal, then vertical, rounded to 8 bits in between; an axis that keeps its length is left alone. A browser's
 * canvas does not match it.
 * @param window The part of the result that is wanted, all of it by default. The rest is not computed: scaled to a short side, a line
 * of pixels would take gigabytes.
 * @throws ShapeError if a length is not a whole number of at least 1.
 * Source: Pillow, src/libImaging/Resample.c.
 */
export function resize(image: Image, width: number, height: number, filter: Filter, window: Window = { left: 0, top: 0, width, height }): Image {
  if (!Number.isInteger(width) || !Number.isInteger(height) || width < 1 || height < 1) {
    throw new ShapeError(`resize: width and height must be whole numbers of at least 1; got ${width}×${height}`);
  }
  let { data } = image;
  const columns = tapsFor(image.width, width, filter, window.left, window.width);
  const lines = tapsFor(image.height, height, filter, window.top, window.height);
  if (width !== image.width || window.width !== width) data = horizontal(data, image.width, image.height, window.width, columns);
  if (height !== image.height || window.height !== height) data = vertical(data, window.width, window.height, lines);
  return { width: window.width, height: window.height, data };
}

/** The taps of `length` output samples from the `start`-th on, of an axis that is resized from `inLength` to `outLength`. */
function tapsFor(inLength: number, outLength: number, filter: Filter, start: number, length: number): Taps {
  const { support: unitSupport, weight } = FILTERS[filter];
  const scale = inLength / outLength;
  const filterScale = Math.max(scale, 1);
  const support = unitSupport * filterScale;
  const inverse = 1 / filterScale;
  const stride = Math.ceil(support) * 2 + 1;
  const first = new Int32Array(length);
  const count = new Int32Array(length);
  const weights = new Int32Array(length * stride);
  const exact = new Float64Array(stride);
  for (let out = 0; out < length; out++) {
    const centre = (start + out + 0.5) * scale;
    const begin = Math.max(Math.trunc(centre - support + 0.5), 0);
    const end = Math.min(Math.trunc(centre + support + 0.5), inLength);
    let sum = 0;
    for (let tap = 0; tap < end - begin; tap++) {
      exact[tap] = weight(Math.abs((tap + begin - centre + 0.5) * inverse));
      sum += exact[tap];
    }
    for (let tap = 0; tap < end - begin; tap++) {
      const fixed = (sum === 0 ? exact[tap] : exact[tap] / sum) * 2 ** FRACTION_BITS;
      weights[out * stride + tap] = Math.trunc(fixed + (fixed < 0 ? -0.5 : 0.5));
    }
    first[out] = begin;
    count[out] = end - begin;
  }
  return { first, count, weights, stride };
}

/** [height, inWidth, 3] → [height, outWidth, 3]. */
function horizontal(source: Uint8Array, inWidth: number, height: number, outWidth: number, taps: Taps): Uint8Array {
  const out = new Uint8Array(height * outWidth * 3);
  for (let y = 0, to = 0; y < height; y++) {
    for (let x = 0; x < outWidth; x++, to += 3) {
      const from = (y * inWidth + taps.first[x]) * 3;
      weigh(source, from, 3, taps, x, out, to);
    }
  }
  return out;
}

/** [inHeight, width, 3] → [outHeight, width, 3]. */
function vertical(source: Uint8Array, width: number, outHeight: number, taps: Taps): Uint8Array {
  const out = new Uint8Array(outHeight * width * 3);
  for (let y = 0, to = 0; y < outHeight; y++) {
    for (let x = 0; x < width; x++, to += 3) {
      const from = (taps.first[y] * width + x) * 3;
      weigh(source, from, width * 3, taps, y, out, to);
    }
  }
  return out;
}

/** One output pixel: `source` from `from`, a tap every `step` bytes, weighed with the taps of `index`. */
function weigh(source: Uint8Array, from: number, step: number, taps: Taps, index: number, out: Uint8Array, to: number): void {
  const half = 1 << (FRACTION_BITS - 1);
  const { weights, stride, count } = taps;
  let [red, green, blue] = [half, half, half];
  let at = from;
  for (let tap = index * stride, last = tap + count[index]; tap < last; tap++, at += step) {
    const weight = weights[tap];
    red += source[at] * weight;
    green += source[at + 1] * weight;
    blue += source[at + 2] * weight;
  }
  out[to] = clip(red >> FRACTION_BITS);
  out[to + 1] = clip(green >> FRACTION_BITS);
  out[to + 2] = clip(blue >> FRACTION_BITS);
}

function clip(value: number): number {
  return value < 0 ? 0 : value > 255 ? 255 : value;
}
