import { InputError } from "../core/errors.ts";
import type { Image } from "./image.ts";
import { resize } from "./resize.ts";
import type { Filter } from "./resize.ts";

export type PerChannel = readonly [red: number, green: number, blue: number];

/** How a picture becomes the input of a vision model: a plain JSON object, kept inside checkpoints. */
export interface Preprocessing {
  /** Width and height of the result, pixels; with `keep`, the length of its short side. */
  readonly size: number;
  /** `squash` to size × size; scale the short side to `shortSide` and `crop` the centre; or `keep` the whole picture and its shape. */
  readonly resize: "squash" | "crop" | "keep";
  /** Length of the short side before a crop, pixels; at least `size`, which is also the default. */
  readonly shortSide?: number;
  /** With `keep`, the most that the long side may have, pixels; at least `size`. No limit by default. */
  readonly longSide?: number;
  readonly filter: Filter;
  /** Of R, G, B, on the scale 0 to 1. */
  readonly mean: PerChannel;
  readonly std: PerChannel;
}

export const IMAGENET = { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] } as const;
export const HALF = { mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5] } as const;

/** Squashed to `size` × `size` without a crop, bilinear, scaled to −1 … 1. */
export function squash(size: number): Preprocessing {
  return { size, resize: "squash", filter: "bilinear", ...HALF };
}

/** The constants that published weights were trained with. */
export const PREPROCESSING = {
  /** torchvision's ResNet-50, IMAGENET1K_V1. */
  imagenetV1: { size: 224, resize: "crop", shortSide: 256, filter: "bilinear", ...IMAGENET },
  /** torchvision's ResNet-50, IMAGENET1K_V2. */
  imagenetV2: { size: 224, resize: "crop", shortSide: 232, filter: "bilinear", ...IMAGENET },
  /** torchvision's fasterrcnn_resnet50_fpn_v2, whose pictures are of any shape. */
  fasterRcnn: { size: 800, resize: "keep", longSide: 1333, filter: "bilinear", ...IMAGENET },
  /** timm's vit_base_patch16_224 and vit_tiny_patch16_224. */
  timmVit: { size: 224, resize: "crop", shortSide: 248, filter: "bicubic", ...HALF },
  /** Hugging Face's ViTImageProcessor. */
  huggingFaceVit: squash(224),
  /** Squashed, with ImageNet's statistics: systems `story` (fixed) and `prefix` (compat). */
  imagenetSquash: { size: 224, resize: "squash", filter: "bilinear", ...IMAGENET },
  /** Squashed and only scaled to 0 … 1: system `story` (compat). */
  unitSquash: { size: 224, resize: "squash", filter: "bilinear", mean: [0, 0, 0], std: [1, 1, 1] },
} as const satisfies Record<string, Preprocessing>;

/**
 * The model's input: (v / 255 − mean) / std, in f32 steps as torchvision takes them.
 *
 * image [height, width, 3] → [3, size, size]; with `keep`, [3, height, width] of what {@link fit} gives.
 */
export function preprocess(image: Image, preprocessing: Preprocessing): Float32Array {
  const { mean, std } = preprocessing;
  const { width, height, data } = fit(image, preprocessing);
  const plane = width * height;
  const out = new Float32Array(3 * plane);
  for (let channel = 0; channel < 3; channel++) {
    const levels = normalisedLevels(mean[channel], std[channel]);
    for (let i = 0; i < plane; i++) out[channel * plane + i] = levels[data[3 * i + channel]];
  }
  return out;
}

/** @throws InputError if pictures keep their shape, for a system that puts them into batches; `name` is its own. */
export function requireSquare({ resize: how }: Preprocessing, name: string): void {
  if (how !== "keep") return;
  throw new InputError(`${name}: pictures must be resized to one size, by "squash" or "crop"; got "keep"`, "only detection models read pictures of any shape");
}

/** What the model sees, before normalisation: the picture resized, and cropped if asked, to size × size or, with `keep`, within its limits. */
export function fit(image: Image, preprocessing: Preprocessing): Image {
  const { size, filter } = preprocessing;
  if (preprocessing.resize === "squash") return resize(image, size, size, filter);
  const { width, height } = image;
  if (preprocessing.resize === "keep") return resize(image, ...keptSize(width, height, preprocessing), filter);
  const { shortSide = size } = preprocessing;
  const [across, down] = width <= height ? [shortSide, Math.trunc((shortSide * height) / width)] : [Math.trunc((shortSide * width) / height), shortSide];
  const [left, top] = [roundHalfEven((across - size) / 2), roundHalfEven((down - size) / 2)];
  return resize(image, across, down, filter, { left, top, width: size, height: size });
}

/** By torchvision's rules: since its scale is an f32, made from a reciprocal, a length that should come out whole can lose a pixel. */
function keptSize(width: number, height: number, { size, longSide = Infinity }: Preprocessing): readonly [width: number, height: number] {
  const scaleTo = (limit: number, length: number): number => Math.fround(Math.fround(1 / length) * limit);
  const scale = Math.min(scaleTo(size, Math.min(width, height)), scaleTo(longSide, Math.max(width, height)));
  const scaled = (length: number): number => Math.max(1, Math.floor(length * scale));
  return [scaled(width), scaled(height)];
}

/** Python's `round`, by which torchvision places the crop. */
function roundHalfEven(value: number): number {
  const floor = Math.floor(value);
  return value - floor === 0.5 ? floor + (floor % 2) : Math.round(value);
}

/** The normalised value of each of the 256 levels. */
function normalisedLevels(mean: number, std: number): Float32Array {
  const [mean32, std32] = [Math.fround(mean), Math.fround(std)];
  return Float32Array.from({ length: 256 }, (_, level) => Math.fround(Math.fround(level / 255) - mean32) / std32);
}

/** Pixels; no vision model sees more, and a damaged checkpoint must not ask for gigabytes. */
const MAX_SIDE = 8192;

/**
 * Checks a preprocessing that was read from a file.
 * @param name Of the file, for error messages.
 * @throws InputError that names the field at fault.
 */
export function parsePreprocessing(value: unknown, name?: string): Preprocessing {
  const p = (typeof value === "object" && value !== null ? value : {}) as Partial<Record<keyof Preprocessing, unknown>>;
  const isLength = (n: unknown): n is number => Number.isInteger(n) && (n as number) >= 1 && (n as number) <= MAX_SIDE;
  const isPerChannel = (n: unknown): n is PerChannel => Array.isArray(n) && n.length === 3 && n.every(Number.isFinite);
  const refuse = (field: keyof Preprocessing, expected: string): never => {
    throw new InputError(`parsePreprocessing: ${field}${name === undefined ? "" : ` of ${name}`} must be ${expected}; got ${JSON.stringify(p[field])}`);
  };
  const { size, resize: how, shortSide, longSide, filter, mean, std } = p;
  if (!isLength(size)) return refuse("size", `a whole number of pixels, at most ${MAX_SIDE}`);
  if (how !== "squash" && how !== "crop" && how !== "keep") return refuse("resize", '"squash", "crop" or "keep"');
  const isSide = (n: unknown): n is number | undefined => n === undefined || (isLength(n) && n >= size);
  if (!isSide(shortSide)) return refuse("shortSide", `a whole number of at least ${size}`);
  if (!isSide(longSide)) return refuse("longSide", `a whole number of at least ${size}`);
  if (filter !== "bilinear" && filter !== "bicubic") return refuse("filter", '"bilinear" or "bicubic"');
  if (!isPerChannel(mean)) return refuse("mean", "three numbers");
  if (!isPerChannel(std) || std.some((s) => s <= 0)) return refuse("std", "three numbers above 0");
  return { size, resize: how, ...(shortSide !== undefined && { shortSide }), ...(longSide !== undefined && { longSide }), filter, mean, std };
}
