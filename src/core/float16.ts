/** IEEE 754 half precision (f16): 1 sign bit, 5 exponent bits, 10 fraction bits. */

const SCALES = Float64Array.from({ length: 31 }, (_, exponent) => 2 ** (exponent - 25));
const SMALLEST_NORMAL = 2 ** -14;
const BEYOND = 2 ** 16; // from here on, no f16 is near
const doubleValue = new Float64Array(1);
const doubleWords = new Uint32Array(doubleValue.buffer);

/** The largest finite f16. */
export const FLOAT16_MAX = 65504;

/** Every f16 by its bits, made when it is first needed: checkpoints hold hundreds of millions of them. */
let values: Float32Array | undefined;

/** The number that 16 bits stand for. */
export function fromFloat16Bits(bits: number): number {
  values ??= Float32Array.from({ length: 65536 }, (_, each) => valueOf(each));
  return values[bits];
}

function valueOf(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 0x3ff;
  if (exponent === 31) return fraction === 0 ? sign * Infinity : NaN;
  return sign * (exponent === 0 ? fraction * 2 ** -24 : (1024 + fraction) * SCALES[exponent]);
}

/** The 16 bits of the nearest f16; ties go to the even one, and what lies beyond the range becomes infinite. */
export function toFloat16Bits(value: number): number {
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  const size = Math.abs(value);
  if (Number.isNaN(size)) return 0x7e00;
  if (size >= BEYOND) return sign | 0x7c00;
  const exponent = size < SMALLEST_NORMAL ? -14 : exponentOf(size);
  const units = roundToEven(size / SCALES[exponent + 15]); // units of the last place; 2048 of them carry into the exponent
  const bits = size < SMALLEST_NORMAL ? units : ((exponent + 14) << 10) + units;
  return sign | Math.min(bits, 0x7c00);
}

/** The power of two at or below a positive, normal number, from its bits, which is faster than a logarithm. */
function exponentOf(value: number): number {
  doubleValue[0] = value;
  return (doubleWords[1] >> 20) - 1023;
}

function roundToEven(value: number): number {
  const down = Math.floor(value);
  const rest = value - down;
  return rest > 0.5 || (rest === 0.5 && down % 2 === 1) ? down + 1 : down;
}
