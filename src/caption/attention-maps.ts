import { noGrad } from "../autograd/tape.ts";
import type { Tensor } from "../autograd/tensor.ts";
import { add, affine, div, mean, reshape, slice, sum } from "../autograd/ops/index.ts";
import { ShapeError } from "../core/errors.ts";
import type { VisionTransformer } from "../models/vit.ts";
import type { CaptionModel } from "./caption-model.ts";
import { EncDec } from "./encdec.ts";
import { Storyteller } from "./storyteller.ts";
import type { ModelConfig } from "./systems.ts";
import { VisionGPT2 } from "./vision-gpt2.ts";

export interface AttentionMapOptions {
  /** Which layer of a decoder with several, from 0; left out: the mean of all. */
  readonly layer?: number;
}

/** Whether a captioner looks at places of the picture before its words, so that {@link attentionMaps} has something to tell. */
export function looksAtPlaces(config: ModelConfig): boolean {
  return config.system === "cross" || ((config.system === "storyteller" || config.system === "encdec") && (config.attention ?? null) !== null);
}

/**
 * Where a captioner looked before each word of a text, which is run once more, all words at once.
 *
 * seen as {@link CaptionModel.see} gives it, words [B, T] i32, the start word first → weights [B, T, gh, gw] over the picture, rows from
 * the top, each map summing to 1. Map t belongs to the word after word t, as logits do. They are the weights that the text came from,
 * so the model should be in evaluation mode; no gradient flows through them.
 *
 * `storyteller` and `encdec` with attention: over the grid of their regions. `cross`: cross-attention over the patches, the mean of the heads
 * (and layers); what went to the class token, which lies nowhere, is left out, and the rest scaled to a sum of 1.
 * @returns null where a decoder does not look at places: `story` and `prefix` get the whole picture as a few tokens, `storyteller`
 * and `encdec` without attention as one. Where a ViT made such tokens, {@link classTokenMaps} shows what of.
 * @throws ShapeError if there is no such layer.
 */
export function attentionMaps(model: CaptionModel, seen: readonly Tensor[], words: Tensor, { layer }: AttentionMapOptions = {}): Tensor | null {
  return noGrad(() => {
    if (model instanceof VisionGPT2) return overPatches(model.lookingAt(seen, words), layer);
    if (!(model instanceof Storyteller || model instanceof EncDec)) return null;
    const { weights } = model.decode(seen, words);
    return weights && asMaps(weights);
  });
}

/**
 * Where the class token of a ViT looked in the last block, the mean of the heads: what a picture's summary, as `prefix` has it, was made
 * of. It is the same for all words.
 *
 * pictures [B, 3, image, image] → [B, 1, gh, gw], each map summing to 1; null for a ViT whose summary is the mean of its patches.
 */
export function classTokenMaps(vit: VisionTransformer, pictures: Tensor): Tensor | null {
  if (vit.config.pool === "mean" || vit.blocks.length === 0) return null;
  return noGrad(() => {
    const { embedded, blocks } = vit.features(pictures);
    const weights = vit.blocks.at(-1)!.lookingAt(blocks.at(-2) ?? embedded);
    return overPatches([slice(weights, 2, 0, 1)]);
  });
}

/** Weights of each layer [B, heads, T, 1 + R], the class token first → [B, T, gh, gw]. */
function overPatches(layers: readonly Tensor[], layer?: number): Tensor {
  if (layer !== undefined && !(layer in layers)) throw new ShapeError(`attentionMaps: the layer must be a whole number from 0 to ${layers.length - 1}; got ${layer}`);
  const chosen = layer === undefined ? layers : [layers[layer]];
  const average = affine(chosen.map((weights) => mean(weights, [1])).reduce((total, weights) => add(total, weights)), 1 / chosen.length, 0);
  const patches = slice(average, 2, 1, average.shape[2]);
  return asMaps(div(patches, sum(patches, [2], true)));
}

/** [B, T, R] → [B, T, gh, gw]: all grids here are square. */
function asMaps(weights: Tensor): Tensor {
  const [batch, length, regions] = weights.shape;
  const side = Math.sqrt(regions);
  return reshape(weights, [batch, length, side, side]);
}
