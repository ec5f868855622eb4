import { storageBytes } from "../../core/dtype.ts";
import { sizeOf } from "../../core/shape.ts";
import type { Device } from "../../device/device.ts";
import { appendToCache as appendKernel, cachedAttentionParts, cachedAttentionTotal } from "../../kernels/attention-decode.ts";
import type { HeadLayout } from "../../kernels/attention-layout.ts";
import { run } from "../run.ts";
import { Tensor } from "../tensor.ts";

/** Keys and values of the positions so far, [B,H,Tmax,D] each: tensors that live longer than a step, zeros at first. */
export interface KeyValueCache {
  readonly keys: Tensor;
  readonly values: Tensor;
}

/** An empty cache [B,H,Tmax,D] for decoding, which lives until its tensors are disposed; also made while a step is recorded. */
export function keyValueCache(device: Device, shape: readonly [batch: number, heads: number, positions: number, headSize: number], dtype: "f32" | "f16" = "f32"): KeyValueCache {
  const empty = (label: string): Tensor => new Tensor(device, shape, dtype, device.allocatePersistent(storageBytes(sizeOf(shape), dtype, device.limits.emulateF16), label, true));
  return { keys: empty("cached keys"), values: empty("cached values") };
}

export interface CachedAttentionOptions {
  /** [B,Tmax] of any dtype: 0 where nobody may attend to a position, such as padding on the left. */
  readonly keyMask?: Tensor;
  /** Factor of the scores q·k. Default 1/√D. */
  readonly scale?: number;
}

/**
 * Writes keys and values of new positions into a cache, from `position` on; no gradient flows through it.
 *
 * k, v [B,H,T,D] (layout `bthd`: [B,T,H,D]), position u32 or i32, [1] or one for each row [B]. It is read on the device, so
 * that one recording serves every step. What would lie beyond the cache is dropped.
 * @throws ShapeError if shapes or types don't fit.
 */
export function appendToCache(cache: KeyValueCache, k: Tensor, v: Tensor, position: Tensor, layout: "bhtd" | "bthd" = "bhtd"): void {
  append(cache, [k, v, position], layout);
}

/**
 * Attention of new positions to a cache that holds them already: query t sees the positions 0 … position + t.
 *
 * q [B,H,T,D] (layout `bthd`: [B,T,H,D]), position as in {@link appendToCache} → like q. For few queries at a time: the work
 * grows with position · T, not with Tmax. A query that sees no key gives zeros, one beyond the cache NaN. No gradient.
 * @throws ShapeError if shapes or types don't fit.
 */
export function cachedAttention(q: Tensor, cache: KeyValueCache, position: Tensor, options: CachedAttentionOptions & { readonly layout?: "bhtd" | "bthd" } = {}): Tensor {
  return attendToCache(q, cache, position, options.layout ?? "bhtd", options);
}

/**
 * {@link appendToCache} and {@link cachedAttention} on what one linear layer made of the new positions.
 *
 * qkv [B,T,3·H·D] with q, k and v side by side, position as in {@link appendToCache} → [B,T,H·D].
 * @throws ShapeError if shapes or types don't fit.
 */
export function packedCachedAttention(qkv: Tensor, cache: KeyValueCache, position: Tensor, options: CachedAttentionOptions = {}): Tensor {
  append(cache, [qkv, position], "packed");
  return attendToCache(qkv, cache, position, "packed", options);
}

function append({ keys, values }: KeyValueCache, inputs: readonly Tensor[], layout: HeadLayout): void {
  run(appendKernel, inputs, { layout, cache: keys.shape }, [keys, values]);
}

function attendToCache(x: Tensor, { keys, values }: KeyValueCache, position: Tensor, layout: HeadLayout, { keyMask, scale }: CachedAttentionOptions): Tensor {
  const attrs = { layout, masked: keyMask !== undefined, scale: scale ?? 1 / Math.sqrt(keys.shape.at(-1) ?? 1) };
  const inputs = [x, keys, values, position, ...(keyMask === undefined ? [] : [keyMask])];
  const [result, ...rest] = run(cachedAttentionParts, inputs, attrs);
  if (rest.length === 0) return result;
  return run(cachedAttentionTotal, [result, ...rest, position], { ...attrs, inputs })[0];
}
