import { loadInto } from "../checkpoint/load.ts";
import { OWN_NAMES, type FoundLayout } from "../checkpoint/layout.ts";
import { recogniseLayouts } from "../checkpoint/layouts.ts";
import { storedShape } from "../checkpoint/matching.ts";
import type { CheckpointReader } from "../checkpoint/reader.ts";
import { decodeMetadata, isOwnCheckpoint } from "../checkpoint/training-state.ts";
import { CheckpointError } from "../core/errors.ts";
import { parsePreprocessing, PREPROCESSING, type Preprocessing } from "../data/preprocess.ts";
import { gpt2ConfigOf, resnetConfigOf, vitConfigOf, type ShapeOf } from "../models/config-of.ts";
import { GPT2LMHeadModel, type GPT2Config } from "../models/gpt2.ts";
import type { ResNetConfig } from "../models/resnet.ts";
import type { ViTConfig } from "../models/vit.ts";
import type { Module } from "../nn/module.ts";
import type { Flavour } from "./recipe.ts";
import { modelConfig, SYSTEM, type ModelConfig } from "./systems.ts";

/** A vision network that a file holds. */
export type EncoderFound =
  | { readonly kind: "resnet"; readonly config: ResNetConfig; readonly picture: Preprocessing; readonly layout: FoundLayout }
  | { readonly kind: "vit"; readonly config: ViTConfig; readonly picture: Preprocessing; readonly layout: FoundLayout };

/** How pictures are given to published networks, by the layout of their files. */
const PUBLISHED_PICTURES: Readonly<Record<string, Preprocessing>> = {
  "torchvision ResNet": PREPROCESSING.imagenetV1,
  "timm ViT": PREPROCESSING.timmVit,
  "Hugging Face ViT": PREPROCESSING.huggingFaceVit,
};

/**
 * The vision network in a file: a published ResNet or ViT, alone or as part of a captioner, or the one of a captioner that this
 * library trained.
 * @throws CheckpointError if there is none.
 */
export function findEncoder(reader: CheckpointReader): EncoderFound {
  if (isOwnCheckpoint(reader.metadata)) return ownEncoder(reader);
  for (const layout of recogniseLayouts(reader.tensors.keys())) {
    const picture = PUBLISHED_PICTURES[layout.layout.name];
    if (picture === undefined) continue;
    const shapeOf: ShapeOf = (key) => storedShape(key, layout, reader.tensors);
    if (layout.layout.name === "torchvision ResNet") return { kind: "resnet", config: { ...resnetConfigOf(shapeOf), classes: 0 }, picture, layout };
    const config = { ...vitConfigOf(shapeOf, layout.layout.name === "timm ViT" ? {} : { eps: 1e-12 }), classes: 0 };
    return { kind: "vit", config, picture: atSize(picture, config.image), layout };
  }
  throw new CheckpointError(`${reader.file}: --encoder must name a file with a ResNet or ViT; got ${reader.tensors.size} tensors of something else`, "`sightline inspect FILE` shows what is in it");
}

/** Pictures of another size of which the same part is seen. */
export function atSize(picture: Preprocessing, size: number): Preprocessing {
  const { shortSide } = picture;
  return { ...picture, size, ...(shortSide !== undefined && { shortSide: Math.round((shortSide * size) / picture.size) }) };
}

function ownEncoder(reader: CheckpointReader): EncoderFound {
  const metadata = decodeMetadata(reader.metadata, reader.file);
  const config = modelConfig((metadata.config as { readonly model?: unknown } | null)?.model, `${reader.file}: model`);
  const picture = parsePreprocessing(metadata.preprocessing, reader.file);
  const layout = { layout: OWN_NAMES, prefix: SYSTEM[config.system].vision };
  if (config.system === "prefix" || config.system === "cross") return { kind: "vit", config: config.encoder, picture, layout };
  const network = config.system === "storyteller" ? config.backbone : config.encoder;
  if (network === null) throw new CheckpointError(`${reader.file}: --encoder must name a file with a vision network; got a captioner that works on features alone`, "name the file of the network");
  return { kind: "resnet", config: { ...network, classes: 0 }, picture, layout };
}

/** The configuration with another vision network in it. @throws CheckpointError if the system needs one of the other kind. */
export function withEncoder(config: ModelConfig, { kind, config: encoder }: EncoderFound, file: string): ModelConfig {
  if ((config.system === "prefix" || config.system === "cross") && kind === "vit") {
    if (config.system === "prefix") return { ...config, encoder };
    return { ...config, encoder, decoder: { ...config.decoder, crossAttention: encoder.dim }, looksAt: config.looksAt === "each" && encoder.depth === config.decoder.layers ? "each" : "last" };
  }
  if (kind === "resnet") {
    if (config.system === "storyteller") return { ...config, backbone: encoder };
    if (config.system === "encdec") return { ...config, encoder };
    if (config.system === "story") return { ...config, encoder: { ...encoder, classes: config.encoder.classes, ...(config.encoder.grid && { grid: config.encoder.grid }) } };
  }
  const wanted = config.system === "prefix" || config.system === "cross" ? "ViT" : "ResNet";
  throw new CheckpointError(`${file}: the system "${config.system}" needs a ${wanted}; got a ${kind === "vit" ? "ViT" : "ResNet"}`, `name a ${wanted} with --encoder, or choose another --system`);
}

/** Fills a vision network; heads in the file or in the network are left alone. @throws CheckpointError if tensors don't fit. */
export async function loadEncoder(vision: Module, reader: CheckpointReader, { layout }: EncoderFound): Promise<void> {
  await loadInto(vision, reader, { layout: layout.layout.name, prefix: layout.prefix, ignore: [/^fc\./, /^head\./] });
}

/** The GPT-2 in a file. @throws CheckpointError if there is none. */
export function findDecoder(reader: CheckpointReader): { readonly config: GPT2Config; readonly layout: FoundLayout } {
  const layout = recogniseLayouts(reader.tensors.keys()).find((found) => found.layout.name === "GPT-2");
  if (layout === undefined) throw new CheckpointError(`${reader.file}: --decoder must name a file with a GPT-2; got ${reader.tensors.size} tensors of something else`, "`sightline inspect FILE` shows what is in it");
  return { config: gpt2ConfigOf((key) => storedShape(key, layout, reader.tensors)), layout };
}

/** The configuration with a decoder of another size. @throws CheckpointError if the system has no GPT-2. */
export function withDecoder(config: ModelConfig, { vocabulary, positions, dim, layers, heads, mlp, eps }: GPT2Config, file: string): ModelConfig {
  const sizes = { vocabulary, positions, dim, layers, heads, mlp, eps };
  if (config.system === "cross") return { ...config, decoder: { ...config.decoder, ...sizes }, looksAt: config.looksAt === "each" && config.encoder.depth === layers ? "each" : "last" };
  if (config.system === "story" || config.system === "prefix") return { ...config, gpt2: { ...config.gpt2, ...sizes } };
  throw new CheckpointError(`${file}: the system "${config.system}" has a recurrent decoder, which takes no GPT-2`, "leave --decoder out, or choose story, prefix or cross");
}

/**
 * Fills a GPT-2; its cross-attention, which no language model has, keeps its initial values.
 * @param flavour With cross-attention, `compat` gives the norm before the MLP to the cross-attention that now stands in its place, as
 * published; the MLP's own begins as the identity. `fixed` leaves it where it was learned.
 */
export async function loadDecoder(gpt2: GPT2LMHeadModel, reader: CheckpointReader, { layout }: { readonly layout: FoundLayout }, flavour: Flavour): Promise<void> {
  await loadInto(gpt2, reader, { layout: layout.layout.name, prefix: layout.prefix, ignore: [/\.crossattention\./, /\.ln_cross_attn\./] });
  if (flavour === "fixed") return;
  for (const { ln_2, ln_cross_attn } of gpt2.transformer.h) {
    if (ln_cross_attn === null) continue;
    const learned = await ln_2.stateDict();
    ln_2.loadStateDict(await ln_cross_attn.stateDict()); // the identity
    ln_cross_attn.loadStateDict(learned);
  }
}
