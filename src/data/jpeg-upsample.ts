/** One component of a JPEG as it is coded: 8-bit samples, rows `stride` apart; [width, height] without the padding to whole blocks. */
export interface Plane {
  readonly width: number;
  readonly height: number;
  readonly stride: number;
  readonly data: Uint8ClampedArray;
}

/** Gives row `y` of a picture at full size. The array is overwritten by the next call. */
export type RowReader = (y: number) => Uint8ClampedArray;

/**
 * Brings a component to the picture's size, `across` times as wide and `down` times as high, as libjpeg-turbo does by default.
 *
 * Halved chroma is interpolated: each new sample takes 3/4 of the nearest old one and 1/4 of the next. What rounds down alternates with what rounds up, so
 * that a flat area keeps its mean. Planes of 1 or 2 columns and other ratios are repeated.
 * Source: libjpeg-turbo, jdsample.c ("fancy upsampling").
 */
export function rowReader(plane: Plane, across: number, down: number): RowReader {
  if (across === 1 && down === 1) return (y) => rowOf(plane, y);
  const wideEnough = plane.width > 2;
  if (across === 2 && down === 1 && wideEnough) return doubledAcross(plane);
  if (across === 1 && down === 2) return doubledDown(plane);
  if (across === 2 && down === 2 && wideEnough) return doubledBothWays(plane);
  return repeated(plane, across, down);
}

function rowOf({ data, width, stride }: Plane, y: number): Uint8ClampedArray {
  return data.subarray(y * stride, y * stride + width);
}

/** The row nearest to output row `y` and the next nearest, which is above for even rows; at the edges both are the same. */
function nearestRows(plane: Plane, y: number): readonly [near: Uint8ClampedArray, far: Uint8ClampedArray] {
  const near = y >> 1;
  const far = Math.min(Math.max(near + (y % 2 === 0 ? -1 : 1), 0), plane.height - 1);
  return [rowOf(plane, near), rowOf(plane, far)];
}

function doubledAcross(plane: Plane): RowReader {
  const last = plane.width - 1;
  const out = new Uint8ClampedArray(2 * plane.width);
  return (y) => {
    const row = rowOf(plane, y);
    for (let x = 0; x <= last; x++) {
      const near = 3 * row[x];
      out[2 * x] = x === 0 ? row[0] : (near + row[x - 1] + 1) >> 2;
      out[2 * x + 1] = x === last ? row[last] : (near + row[x + 1] + 2) >> 2;
    }
    return out;
  };
}

function doubledDown(plane: Plane): RowReader {
  const out = new Uint8ClampedArray(plane.width);
  return (y) => {
    const [near, far] = nearestRows(plane, y);
    const rounding = 1 + (y % 2);
    for (let x = 0; x < plane.width; x++) out[x] = (3 * near[x] + far[x] + rounding) >> 2;
    return out;
  };
}

function doubledBothWays(plane: Plane): RowReader {
  const last = plane.width - 1;
  const out = new Uint8ClampedArray(2 * plane.width);
  return (y) => {
    const [near, far] = nearestRows(plane, y);
    let left = 3 * near[0] + far[0];
    let here = left;
    for (let x = 0; x <= last; x++) {
      const right = x === last ? here : 3 * near[x + 1] + far[x + 1];
      out[2 * x] = (3 * here + left + 8) >> 4;
      out[2 * x + 1] = (3 * here + right + 7) >> 4;
      left = here;
      here = right;
    }
    return out;
  };
}

function repeated(plane: Plane, across: number, down: number): RowReader {
  const out = new Uint8ClampedArray(plane.width * across);
  return (y) => {
    const row = rowOf(plane, Math.floor(y / down));
    for (let x = 0; x < out.length; x++) out[x] = row[Math.floor(x / across)];
    return out;
  };
}
