import { ShapeError } from "../core/errors.ts";
import { sizeOf } from "../core/shape.ts";
import type { Image } from "./image.ts";

/** Weights over a picture, row by row from the top. */
export interface AttentionMap {
  readonly width: number;
  readonly height: number;
  /** [height · width], at least 0; only how they compare to the greatest matters. */
  readonly data: ArrayLike<number>;
}

const UNSEEN_BRIGHTNESS = 0.3; // of what got no weight: dark enough to stand back, light enough to be recognised
const LUMA = [0.299, 0.587, 0.114] as const; // of red, green and blue, ITU-R BT.601

/**
 * A map stretched over a picture with bilinear interpolation, its greatest weight as 1.
 *
 * map [map.height · map.width] → [height · width]
 * @throws ShapeError unless the map has width · height finite weights of at least 0.
 */
export function stretchAttention(map: AttentionMap, width: number, height: number): Float64Array {
  const weights = Array.from(map.data);
  const unfit = weights.find((weight) => !(Number.isFinite(weight) && weight >= 0));
  const sides = [map.width, map.height];
  if (!sides.every((side) => Number.isInteger(side) && side >= 1) || weights.length !== sizeOf(sides) || unfit !== undefined) {
    throw new ShapeError(`stretchAttention: the map must have ${map.width} × ${map.height} finite weights of at least 0; got ${weights.length}${unfit === undefined ? "" : `, one of them ${unfit}`}`);
  }
  const greatest = weights.reduce((most, weight) => Math.max(most, weight), 0) || 1;
  const columns = Array.from({ length: width }, (_, x) => neighbours(x, width, map.width));
  const stretched = new Float64Array(width * height);
  for (let y = 0; y < height; y++) {
    const [top, bottom, down] = neighbours(y, height, map.height);
    for (let x = 0; x < width; x++) {
      const [left, right, across] = columns[x];
      const row = (line: number): number => mix(weights[line * map.width + left], weights[line * map.width + right], across);
      stretched[y * width + x] = mix(row(top), row(bottom), down) / greatest;
    }
  }
  return stretched;
}

/**
 * A picture under a map of where a model looked: bright and in its colours where the weight is greatest, dark and grey where there is none.
 *
 * Brightness says it all, without a colour scale, so that people see the same whatever colours they can tell apart. The map is stretched
 * over the picture by {@link stretchAttention}; its greatest weight stands for full brightness.
 * @throws ShapeError unless the map has width · height finite weights of at least 0.
 */
export function overlayAttention(image: Image, map: AttentionMap): Image {
  const weights = stretchAttention(map, image.width, image.height);
  const data = new Uint8Array(image.data.length);
  weights.forEach((weight, place) => {
    const pixel = place * 3;
    const grey = UNSEEN_BRIGHTNESS * LUMA.reduce((sum, share, channel) => sum + share * image.data[pixel + channel], 0);
    for (let channel = 0; channel < 3; channel++) data[pixel + channel] = Math.round(mix(grey, image.data[pixel + channel], weight));
  });
  return { width: image.width, height: image.height, data };
}

/** The two places of a map's axis between whose centres a pixel's centre lies, and how far it is from the first to the second. */
function neighbours(pixel: number, pixels: number, places: number): readonly [first: number, second: number, share: number] {
  const at = Math.min(Math.max(((pixel + 0.5) * places) / pixels - 0.5, 0), places - 1);
  const first = Math.floor(at);
  return [first, Math.min(first + 1, places - 1), at - first];
}

function mix(from: number, to: number, share: number): number {
  return from + (to - from) * share;
}
