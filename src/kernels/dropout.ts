import { ShapeError } from "../core/errors.ts";
import { sizeOf } from "../core/shape.ts";
import { requireFloat } from "./elementwise.ts";
import type { Kernel } from "./kernel.ts";
import { bindings, bytesOf, ENTRY_PARAMETERS, f32, foldGrid, spec, workgroupNumber } from "./wgsl.ts";
import { elementwiseWindows, whole } from "./windows.ts";

const LANES = 64; // as for elementwise functions
const ROTATIONS = [[13, 15, 26, 6], [17, 29, 16, 24]] as const;
const ROUNDS_BETWEEN_KEYS = 4;
const KEYINGS = 5; // after each four of the 20 rounds

/** WGSL of `fn threefry(key: vec2<u32>, counter: vec2<u32>) -> vec2<u32>`: the same numbers as src/core/rng.ts. */
const THREEFRY = `fn threefry(key: vec2<u32>, counter: vec2<u32>) -> vec2<u32> {
  let keys = array<u32, 3>(key.x, key.y, 0x1bd11bdau ^ key.x ^ key.y);
  var x = counter + key;
${Array.from({ length: KEYINGS }, (_, k) => {
  const rounds = Array.from({ length: ROUNDS_BETWEEN_KEYS }, (_r, j) => {
    const r = ROTATIONS[k % 2][j];
    return `  x.x += x.y; x.y = ((x.y << ${r}u) | (x.y >> ${32 - r}u)) ^ x.x;`;
  });
  return [...rounds, `  x += vec2<u32>(keys[${(k + 1) % 3}], keys[${(k + 2) % 3}] + ${k + 1}u);`].join("\n");
}).join("\n")}
  return x;
}`;

/** WGSL of `fn randomPair(j: u32) -> vec2<u32>`: pair j of the numbers that the binding `draw` (u32 [4]) stands for. */
export const RANDOM_PAIR = `${THREEFRY}

fn randomPair(j: u32) -> vec2<u32> {
  let low = draw[2] + j;
  return threefry(vec2<u32>(draw[0], draw[1]), vec2<u32>(low, draw[3] + select(0u, 1u, low < j))); // with the carry
}`;

export interface DropoutAttrs {
  readonly p: number;
  /** Pairs of elements that lie before x in what it is a part of. */
  readonly firstPair?: number;
}

/**
 * Drops elements at random and scales the others: y = x · keep / (1 − p).
 *
 * x [...] f32, draw [4] u32 (seed, stream, counter low and high) → y [...]. Elements 2j and 2j + 1 take the two words of
 * Threefry-2x32 of key (seed, stream) and counter + j; an element is kept where the upper 24 bits, as a number in [0, 1),
 * are at least p. The same kernel is its own gradient: nothing is stored but the draw.
 * @throws ShapeError unless 0 ≤ p < 1.
 * Source: Srivastava et al. 2014, "Dropout".
 */
export const dropout: Kernel<DropoutAttrs> = {
  name: "dropout",
  infer([x], { p }) {
    requireFloat("dropout", x);
    if (!(p >= 0 && p < 1)) throw new ShapeError(`dropout: p must be in 0 ≤ p < 1; got ${p}`);
    return [spec(x.shape, x.dtype)];
  },
  cost([x]) {
    return { flops: 0, bytes: bytesOf(x, x) };
  },
  program([x], { p, firstPair = 0 }, limits) {
    const packed = sizeOf(x.shape) % 4 === 0;
    const threshold = `${Math.ceil(p * 2 ** 24)}u`;
    const scale = f32(1 / (1 - p));
    const before = firstPair === 0 ? "" : ` + ${firstPair}u`;
    const kept = packed
      ? `let first = randomPair(2u * i${before});
  let second = randomPair(2u * i + 1u${before});
  let random = vec4<u32>(first, second);
  out[i] = x[i] * select(vec4<f32>(), vec4<f32>(${scale}), (random >> vec4<u32>(8u)) >= vec4<u32>(${threshold}));`
      : `let random = randomPair(i / 2u${before})[i % 2u];
  out[i] = x[i] * select(0.0f, ${scale}, (random >> 8u) >= ${threshold});`;
    const element = packed ? "vec4<f32>" : "f32";
    return {
      wgsl: `${bindings([["x", element], ["draw", "u32"]], [["out", element]])}
${RANDOM_PAIR}

@compute @workgroup_size(${LANES})
fn main(${ENTRY_PARAMETERS}) {
  let i = ${workgroupNumber()} * ${LANES}u + lane;
  if (i >= arrayLength(&out)) { return; }
  ${kept}
}`,
      grid: foldGrid(Math.ceil(sizeOf(x.shape) / (packed ? 4 : 1) / LANES), limits),
    };
  },
  parts([x, draw], attrs, limits) {
    const cuts = elementwiseWindows([x, x], x.shape, limits);
    return cuts && cuts.map(([part, out]) => ({ windows: [part, whole(draw), out], attrs: { ...attrs, firstPair: part.begin / 2 } }));
  },
};
