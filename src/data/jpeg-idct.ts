import type { Plane } from "./jpeg-upsample.ts";
import type { Coefficients } from "./jpeg-scan.ts";

// Cosines with 13 fraction bits.
const C0_298 = 2446;
const C0_390 = 3196;
const C0_541 = 4433;
const C0_765 = 6270;
const C0_899 = 7373;
const C1_175 = 9633;
const C1_501 = 12299;
const C1_847 = 15137;
const C1_961 = 16069;
const C2_053 = 16819;
const C2_562 = 20995;
const C3_072 = 25172;

const COSINE_BITS = 13;
const COLUMN_BITS = 2; // fraction bits kept between the passes
const COLUMN_SHIFT = COSINE_BITS - COLUMN_BITS;
const ROW_SHIFT = COSINE_BITS + COLUMN_BITS + 3; // 3: the transform of 8 × 8 is scaled by 8

/**
 * Samples of a component from its coefficients, in the integer arithmetic that libjpeg uses by default, bit for bit.
 *
 * Columns, then rows, of 8 × 8 blocks.
 * @param quantisation [64], in the order of the picture. @param width, height Of the component in samples.
 * Source: Loeffler, Ligtenberg and Moschytz 1989; libjpeg-turbo, jidctint.c.
 */
export function samplesOf(coefficients: Coefficients, quantisation: Uint16Array, width: number, height: number): Plane {
  const { across, down, rowBlocks, values, ends } = coefficients;
  const stride = 8 * across;
  const data = new Uint8ClampedArray(stride * 8 * down);
  const work = new Int32Array(64);
  for (let y = 0; y < down; y++) {
    for (let x = 0; x < across; x++) {
      const at = (y * rowBlocks + x) * 64;
      const to = 8 * (y * stride + x);
      if (ends[at >> 6] === 0) {
        // Its mean alone. A small file can hold millions of these; the whole transform gives the same in ten times the time.
        fillBlock(data, to, stride, 128 + ((values[at] * quantisation[0] + 4) >> 3));
        continue;
      }
      for (let column = 0; column < 8; column++) transformColumn(values, at + column, quantisation, column, work);
      for (let row = 0; row < 8; row++) transformRow(work, 8 * row, data, to + row * stride);
    }
  }
  return { width, height, stride, data };
}

function fillBlock(data: Uint8ClampedArray, to: number, stride: number, level: number): void {
  for (let row = 0; row < 8; row++, to += stride) for (let x = to; x < to + 8; x++) data[x] = level;
}

function transformColumn(values: Int16Array, at: number, quantisation: Uint16Array, column: number, work: Int32Array): void {
  const [a1, a2, a3, a4] = [values[at + 8], values[at + 16], values[at + 24], values[at + 32]];
  const [a5, a6, a7] = [values[at + 40], values[at + 48], values[at + 56]];
  const mean = values[at] * quantisation[column];
  if ((a1 | a2 | a3 | a4 | a5 | a6 | a7) === 0) {
    const level = mean << COLUMN_BITS;
    for (let i = column; i < 64; i += 8) work[i] = level;
    return;
  }
  transform(
    mean, a1 * quantisation[column + 8], a2 * quantisation[column + 16], a3 * quantisation[column + 24], a4 * quantisation[column + 32],
    a5 * quantisation[column + 40], a6 * quantisation[column + 48], a7 * quantisation[column + 56], COLUMN_SHIFT, 0, work, column, 8,
  );
}

function transformRow(work: Int32Array, at: number, data: Uint8ClampedArray, to: number): void {
  transform(work[at], work[at + 1], work[at + 2], work[at + 3], work[at + 4], work[at + 5], work[at + 6], work[at + 7], ROW_SHIFT, 128, data, to, 1);
}

/** The inverse cosine transform of 8 numbers, shifted down with rounding, raised by `level`; to every `step`-th place of `out`. */
function transform(
  a0: number, a1: number, a2: number, a3: number, a4: number, a5: number, a6: number, a7: number,
  shift: number, level: number, out: Int32Array | Uint8ClampedArray, to: number, step: number,
): void {
  const half = 1 << (shift - 1);
  const rotated = (a2 + a6) * C0_541;
  const [even2, even3] = [rotated - a6 * C1_847, rotated + a2 * C0_765];
  const [even0, even1] = [((a0 + a4) << COSINE_BITS) + half, ((a0 - a4) << COSINE_BITS) + half];
  const [s0, s1, s2, s3] = [even0 + even3, even1 + even2, even1 - even2, even0 - even3];

  const all = (a1 + a3 + a5 + a7) * C1_175;
  const [p17, p35] = [(a1 + a7) * -C0_899, (a3 + a5) * -C2_562];
  const [p37, p15] = [all - (a3 + a7) * C1_961, all - (a1 + a5) * C0_390];
  const [d3, d2, d1, d0] = [a7 * C0_298 + p17 + p37, a5 * C2_053 + p35 + p15, a3 * C3_072 + p35 + p37, a1 * C1_501 + p17 + p15];

  out[to] = level + ((s0 + d0) >> shift);
  out[to + step] = level + ((s1 + d1) >> shift);
  out[to + 2 * step] = level + ((s2 + d2) >> shift);
  out[to + 3 * step] = level + ((s3 + d3) >> shift);
  out[to + 4 * step] = level + ((s3 - d3) >> shift);
  out[to + 5 * step] = level + ((s2 - d2) >> shift);
  out[to + 6 * step] = level + ((s1 - d1) >> shift);
  out[to + 7 * step] = level + ((s0 - d0) >> shift);
}
