/**
 * Draws scenes, at any size. What decides a pixel is +, -, *, / and the square root only, which IEEE 754 fixes to the last
 * bit; so a scene has the same bytes in every JavaScript engine.
 */

import { InputError } from "../core/errors.ts";
import { threefry } from "../core/rng.ts";
import type { Shape } from "./scene-facts.ts";
import { REACH } from "./scenes.ts";
import type { Scene, SceneBackground, SceneObject } from "./scenes.ts";

type Point = readonly [number, number];

const LATTICE = 20; // cells of the texture along one side
const SHADOW = { shift: 0.012, blur: 0.03, strength: 0.28 } as const; // lengths as fractions of the picture's side
const SHEEN = 0.1; // how much lighter an object is at its top, and darker at its bottom

const RING = { middle: 0.8, halfWidth: 0.3 } as const; // radius of the ring's middle line, and half its band
const ARM = 0.36; // half the width of a cross's arms

/** Outlines of the straight-edged shapes, in units of the radius; nothing reaches further than {@link REACH}. */
const OUTLINES: Readonly<Record<Exclude<Shape, "ring">, readonly Point[]>> = {
  square: [[-0.89, -0.89], [0.89, -0.89], [0.89, 0.89], [-0.89, 0.89]],
  triangle: [[0, -REACH], [(REACH * Math.sqrt(3)) / 2, REACH / 2], [(-REACH * Math.sqrt(3)) / 2, REACH / 2]],
  cross: [[-ARM, -1.2], [ARM, -1.2], [ARM, -ARM], [1.2, -ARM], [1.2, ARM], [ARM, ARM], [ARM, 1.2], [-ARM, 1.2], [-ARM, ARM], [-1.2, ARM], [-1.2, -ARM], [-ARM, -ARM]],
};

/** Signed distance from a point to a polygon's outline, below 0 inside. Even-odd rule, one pass over the edges. */
function polygonDistance(points: readonly Point[], x: number, y: number): number {
  let squared = Infinity;
  let inside = false;
  let [ax, ay] = points[points.length - 1];
  for (const [bx, by] of points) {
    const ex = bx - ax;
    const ey = by - ay;
    const px = x - ax;
    const py = y - ay;
    const t = Math.min(1, Math.max(0, (px * ex + py * ey) / (ex * ex + ey * ey)));
    const dx = px - ex * t;
    const dy = py - ey * t;
    squared = Math.min(squared, dx * dx + dy * dy);
    if (ay > y !== by > y && x < ax + (ex * (y - ay)) / ey) inside = !inside;
    ax = bx;
    ay = by;
  }
  return inside ? -Math.sqrt(squared) : Math.sqrt(squared);
}

/** Signed distance from a point to an object's outline, in fractions of the picture's side. */
function objectDistance({ x, y, radius, turn, shape }: SceneObject, px: number, py: number): number {
  const dx = (px - x) / radius;
  const dy = (py - y) / radius;
  if (shape === "ring") return (Math.abs(Math.sqrt(dx * dx + dy * dy) - RING.middle) - RING.halfWidth) * radius;
  const scale = 1 / (1 + turn * turn);
  const cosine = (1 - turn * turn) * scale;
  const sine = 2 * turn * scale;
  return polygonDistance(OUTLINES[shape], dx * cosine + dy * sine, dy * cosine - dx * sine) * radius;
}

/** Values from -1 to 1 at the corners of the texture's cells: [LATTICE + 1, LATTICE + 1]. */
function latticeOf(key: number): Float64Array {
  const side = LATTICE + 1;
  return Float64Array.from({ length: side * side }, (_, i) => threefry(key, 0, i, 0)[0] / 2 ** 31 - 1);
}

function textureAt(lattice: Float64Array, x: number, y: number): number {
  const column = Math.floor(x * LATTICE);
  const row = Math.floor(y * LATTICE);
  const u = x * LATTICE - column;
  const v = y * LATTICE - row;
  const at = row * (LATTICE + 1) + column;
  const top = lattice[at] * (1 - u) + lattice[at + 1] * u;
  const bottom = lattice[at + LATTICE + 1] * (1 - u) + lattice[at + LATTICE + 2] * u;
  return top * (1 - v) + bottom * v;
}

function paintBackground(canvas: Float64Array, size: number, background: SceneBackground): void {
  const { from, to, direction, contrast, textureKey } = background;
  const lattice = contrast === 0 ? undefined : latticeOf(textureKey);
  const reach = Math.abs(direction[0]) + Math.abs(direction[1]);
  for (let row = 0; row < size; row++) {
    for (let column = 0; column < size; column++) {
      const x = (column + 0.5) / size;
      const y = (row + 0.5) / size;
      const along = 0.5 + ((x - 0.5) * direction[0] + (y - 0.5) * direction[1]) / reach;
      const grain = lattice === undefined ? 0 : contrast * textureAt(lattice, x, y);
      for (let c = 0; c < 3; c++) {
        canvas[(row * size + column) * 3 + c] = from[c] + (to[c] - from[c]) * along + grain;
      }
    }
  }
}

function paintObject(canvas: Float64Array, size: number, object: SceneObject): void {
  const extent = object.radius * REACH + SHADOW.shift + SHADOW.blur + 1 / size;
  const first = (centre: number): number => Math.max(0, Math.floor((centre - extent) * size));
  const end = (centre: number): number => Math.min(size, Math.ceil((centre + extent) * size));
  for (let row = first(object.y); row < end(object.y); row++) {
    for (let column = first(object.x); column < end(object.x); column++) {
      const x = (column + 0.5) / size;
      const y = (row + 0.5) / size;
      const coverage = clamp01(0.5 - objectDistance(object, x, y) * size);
      const depth = clamp01(0.5 - objectDistance(object, x - SHADOW.shift, y - SHADOW.shift) / (2 * SHADOW.blur));
      const light = 1 - (SHEEN * (y - object.y)) / object.radius;
      const behind = 1 - SHADOW.strength * depth;
      for (let c = 0; c < 3; c++) {
        const at = (row * size + column) * 3 + c;
        canvas[at] = canvas[at] * behind * (1 - coverage) + object.tint[c] * light * coverage;
      }
    }
  }
}

function clamp01(value: number): number {
  return Math.min(1, Math.max(0, value));
}

/**
 * A scene as a picture of bytes, red, green and blue interleaved: [size, size, 3], row by row from the top.
 * @param size Side of the picture, in pixels.
 * @throws InputError if size is not a whole number from 8 to 4096.
 */
export function drawScene(scene: Scene, size: number): Uint8ClampedArray {
  if (!Number.isInteger(size) || size < 8 || size > 4096) {
    throw new InputError(`drawScene: size must be a whole number of pixels from 8 to 4096; got ${size}`);
  }
  const canvas = new Float64Array(size * size * 3);
  paintBackground(canvas, size, scene.background);
  for (const object of scene.objects) paintObject(canvas, size, object);
  return Uint8ClampedArray.from(canvas, (value) => Math.floor(value + 0.5));
}
