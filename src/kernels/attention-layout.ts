/** Sizes and memory layouts that the attention kernels share: where a head's elements lie, and how WGSL reads and writes them. */

import { ShapeError } from "../core/errors.ts";
import { sameShape, showShape, sizeOf, type Shape } from "../core/shape.ts";
import { requireFloat } from "./elementwise.ts";
import type { TensorSpec } from "./kernel.ts";

const MAX_HEAD_SIZE = 256; // beyond, a row of a head no longer fits a thread's registers in any useful way

/** Axes of q, k, v and y. `packed`: q, k and v stand side by side in one tensor [B,T,3·H·D], as one linear layer makes them. */
export type HeadLayout = "bhtd" | "bthd" | "packed";

export interface AttentionAttrs {
  readonly layout: HeadLayout;
  /** Heads of the packed layout; the others say it themselves. */
  readonly heads?: number;
  /** Whether query i sees the keys 0 … i only. */
  readonly causal: boolean;
  /** Whether the last input is a key mask [B,Tk]. */
  readonly masked: boolean;
  /** Factor of the scores q·k. */
  readonly scale: number;
}

export interface AttentionSize {
  readonly batch: number;
  readonly heads: number;
  readonly queries: number;
  readonly keys: number;
  readonly headSize: number;
}

/** The heads of one tensor: element (b, h, t, d) lies at offset + b·batch + h·head + t·position + d. */
export interface Heads {
  /** Name of the storage binding, and prefix of the names that WGSL declares for these heads. */
  readonly binding: string;
  readonly name: string;
  /** Positions t. */
  readonly length: number;
  readonly headSize: number;
  readonly offset: number;
  readonly batch: number;
  readonly head: number;
  readonly position: number;
}

/** Shape of a tensor of heads in the layouts that have four axes. */
export function headShape(layout: "bhtd" | "bthd", { batch, heads, headSize }: AttentionSize, length: number): Shape {
  return layout === "bhtd" ? [batch, heads, length, headSize] : [batch, length, heads, headSize];
}

/** Shape of the output y. */
export function outputShape(size: AttentionSize, layout: HeadLayout): Shape {
  return layout === "packed" ? [size.batch, size.queries, size.heads * size.headSize] : headShape(layout, size, size.queries);
}

/** The inputs without the mask: q, k, v, or all three in one. */
export function headInputs(inputs: readonly TensorSpec[], { layout }: Pick<AttentionAttrs, "layout">): readonly TensorSpec[] {
  return inputs.slice(0, layout === "packed" ? 1 : 3);
}

/**
 * Sizes of an attention.
 * @throws ShapeError if q, k and v (or the packed tensor) and the mask don't fit each other.
 */
export function attentionSize(what: string, inputs: readonly TensorSpec[], attrs: AttentionAttrs): AttentionSize {
  requireFloat(what, ...headInputs(inputs, attrs));
  const size = attrs.layout === "packed" ? packedSize(what, inputs[0].shape, attrs.heads!) : separateSize(what, inputs, attrs.layout);
  requireHeadSize(what, size.headSize);
  if (attrs.masked) requireKeyMask(what, inputs.at(-1)!, [size.batch, size.keys]);
  return size;
}

/** @throws ShapeError if heads are larger than the kernels can hold. */
export function requireHeadSize(what: string, headSize: number): void {
  if (headSize > MAX_HEAD_SIZE) throw new ShapeError(`${what}: a head must have at most ${MAX_HEAD_SIZE} elements; got ${headSize}`);
}

/** @throws ShapeError if a mask has not the shape [B,Tk]. */
export function requireKeyMask(what: string, mask: TensorSpec, shape: Shape): void {
  if (!sameShape(mask.shape, shape)) throw new ShapeError(`${what}: keyMask must be [B,Tk] = ${showShape(shape)}; got ${showShape(mask.shape)}`);
}

function packedSize(what: string, shape: Shape, heads: number): AttentionSize {
  const width = sizeOf(shape.slice(2));
  if (shape.length < 3 || !Number.isInteger(heads) || heads < 1 || width % (3 * heads) !== 0) {
    throw new ShapeError(`${what}: qkv must be [B,T,3·H·D] for H = ${heads} heads; got ${showShape(shape)}`);
  }
  return { batch: shape[0], heads, queries: shape[1], keys: shape[1], headSize: width / 3 / heads };
}

function separateSize(what: string, [q, k, v]: readonly TensorSpec[], layout: "bhtd" | "bthd"): AttentionSize {
  const axes = layout === "bhtd" ? ["[B,H,Tq,D]", "[B,H,Tk,D]"] : ["[B,Tq,H,D]", "[B,Tk,H,D]"];
  if (q.shape.length !== 4) throw new ShapeError(`${what}: q must be ${axes[0]}; got ${showShape(q.shape)}`);
  const [length, head] = layout === "bhtd" ? [2, 1] : [1, 2];
  const size: AttentionSize = { batch: q.shape[0], heads: q.shape[head], queries: q.shape[length], keys: k.shape[length] ?? 0, headSize: q.shape[3] };
  const wanted = headShape(layout, size, size.keys);
  if (!sameShape(k.shape, wanted) || !sameShape(v.shape, wanted)) {
    throw new ShapeError(`${what}: k and v must both be ${axes[1]} for q ${showShape(q.shape)}; got ${showShape(k.shape)} and ${showShape(v.shape)}`);
  }
  return size;
}

/** The heads of a tensor with four axes, or of y in the packed layout. */
export function headsOf(name: string, layout: HeadLayout, { heads, headSize }: AttentionSize, length: number): Heads {
  const together = { binding: name, name, length, headSize, offset: 0, batch: heads * length * headSize };
  return layout === "bhtd" ? { ...together, head: length * headSize, position: headSize } : { ...together, head: headSize, position: heads * headSize };
}

/** q, k and v: three tensors, or three parts of one. @param prefix Before the names: `d` for gradients. */
export function inputHeads(layout: HeadLayout, size: AttentionSize, prefix = ""): { readonly q: Heads; readonly k: Heads; readonly v: Heads } {
  const length = { q: size.queries, k: size.keys, v: size.keys };
  const part = (name: "q" | "k" | "v", number: number): Heads => {
    if (layout !== "packed") return headsOf(`${prefix}${name}`, layout, size, length[name]);
    const { heads, headSize, queries } = size;
    const width = heads * headSize;
    return { binding: `${prefix}qkv`, name: `${prefix}${name}`, length: queries, headSize, offset: number * width, batch: queries * 3 * width, head: headSize, position: 3 * width };
  };
  return { q: part("q", 0), k: part("k", 1), v: part("v", 2) };
}

/** Names of the bindings of some heads, each once. */
export function bindingsOf(...heads: readonly Heads[]): string[] {
  return [...new Set(heads.map(({ binding }) => binding))];
}

/** WGSL element of a binding with heads of that size: four at a time where a head divides into fours. */
export function headElement(headSize: number): string {
  return headSize % 4 === 0 ? "vec4<f32>" : "f32";
}

/** Vectors of four that a head takes; the last may be filled up with zeros. */
export function quadsOf(headSize: number): number {
  return Math.ceil(headSize / 4);
}

/** WGSL index `strides · numbers` in elements of the binding. */
function inElements(headSize: number, elements: number): number {
  return headSize % 4 === 0 ? elements / 4 : elements;
}

/** Declares where the heads of `batch` and `head` start, as `<name>Start`. */
export function locateHeads({ name, headSize, offset, batch, head }: Heads): string {
  const unit = (elements: number): number => inElements(headSize, elements);
  return `let ${name}Start = ${offset === 0 ? "" : `${unit(offset)}u + `}batch * ${unit(batch)}u + head * ${unit(head)}u;`;
}

/** WGSL for where the row `t` of located heads starts. */
export function rowStart({ name, headSize, position }: Heads, t: string): string {
  return `${name}Start + ${t} * ${inElements(headSize, position)}u`;
}

/** WGSL functions that {@link loadQuad} needs where a head does not divide into fours. */
export function loadFunctions(...heads: readonly Heads[]): string {
  const { headSize } = heads[0];
  if (headSize % 4 === 0) return "";
  return bindingsOf(...heads)
    .map((binding) => `fn load_${binding}(start: u32, quad: u32) -> vec4<f32> {
  let d = vec4<u32>(quad * 4u) + vec4<u32>(0u, 1u, 2u, 3u);
  let i = vec4<u32>(start) + min(d, vec4<u32>(${headSize - 1}u));
  return select(vec4<f32>(), vec4<f32>(${binding}[i.x], ${binding}[i.y], ${binding}[i.z], ${binding}[i.w]), d < vec4<u32>(${headSize}u));
}`)
    .join("\n");
}

/** WGSL for the vector `quad` of the row that starts at `start`; a number, or a WGSL expression that is in range. */
export function loadQuad({ binding, headSize }: Heads, start: string, quad: number | string): string {
  if (headSize % 4 === 0) return `${binding}[${start} + ${typeof quad === "number" ? `${quad}u` : quad}]`;
  if (typeof quad === "string") return `load_${binding}(${start}, ${quad})`;
  const parts = [0, 1, 2, 3].map((e) => (quad * 4 + e < headSize ? `${binding}[${start} + ${quad * 4 + e}u]` : "0.0"));
  return `vec4<f32>(${parts.join(", ")})`;
}

/** WGSL statements that store the vector `quad` of a row; `value` is a name. */
export function storeQuad({ binding, headSize }: Heads, start: string, quad: number | string, value: string): string {
  if (headSize % 4 === 0) return `${binding}[${start} + ${typeof quad === "number" ? `${quad}u` : quad}] = ${value};`;
  return [0, 1, 2, 3]
    .map((e) => {
      if (typeof quad === "number") return quad * 4 + e < headSize ? `${binding}[${start} + ${quad * 4 + e}u] = ${value}[${e}];` : "";
      const store = `${binding}[${start} + ${quad} * 4u + ${e}u] = ${value}[${e}];`;
      return e === 0 ? store : `if (${quad} * 4u + ${e}u < ${headSize}u) { ${store} }`;
    })
    .join(" ");
}
