import { shown } from "../core/errors.ts";
import { Generator, threefry } from "../core/rng.ts";
import { FieldError, listOf, nullable, number, oneOf, type Reader, record, variantOf, withDefault } from "../core/schema.ts";
import { adjustBrightness, adjustContrast, adjustHue, adjustSaturation } from "./augment-colour.ts";
import { shiftScaleRotate } from "./augment-geometry.ts";
import type { Image } from "./image.ts";
import { orient } from "./orientation.ts";
import { resize } from "./resize.ts";

/** Least and greatest value that is drawn, uniformly. */
export type Range = readonly [low: number, high: number];

/** A window of a random share of the picture's area and a random shape, scaled to the picture's size. */
export interface ResizedCrop {
  readonly kind: "resized";
  /** Share of the area, above 0 and at most 1; torchvision's default is [0.08, 1]. */
  readonly scale: Range;
  /** Width / height of the window before it is scaled; torchvision's default is [3/4, 4/3]. */
  readonly ratio: Range;
}

/** The picture scaled up by `resize` / `crop`, and a window of its first size cut out: 256 and 224 in most papers. */
export interface WindowCrop {
  readonly kind: "window";
  readonly resize: number;
  readonly crop: number;
}

/** Moves, scales and turns the picture about its centre; each amount is drawn evenly from −limit to +limit. */
export interface ShiftScaleRotate {
  /** Limit of the shift, in picture sides, along x and y on their own: 0.0625 is albumentations' default. */
  readonly shift: number;
  /** Limit of the scaling: the factor is 1 + what is drawn; below 1, 0.1 by default there. */
  readonly scale: number;
  /** Limit of the angle, degrees; 45 by default there. */
  readonly rotate: number;
  /** How often it is done at all, 0 to 1. */
  readonly probability: number;
  /** What fills in from outside: the picture mirrored, its edge pixels not repeated, or black. */
  readonly border: "reflect" | "black";
}

/** What is done to training pictures by chance: a plain JSON object, kept in recipes. */
export interface Augmentation {
  /**
   * How often a picture is mirrored, 0 to 1. Left and right swap, and captions don't: leave it at 0 where captions say "to the left of", or
   * where a mirrored letter or number would be wrong.
   */
  readonly flip: number;
  readonly crop: ResizedCrop | WindowCrop | null;
  /** Factors; [1, 1] leaves the picture as it is. */
  readonly brightness: Range;
  readonly contrast: Range;
  readonly saturation: Range;
  /** Turns of the colour circle, −0.5 to 0.5; [0, 0] leaves the picture as it is. */
  readonly hue: Range;
  readonly shiftScaleRotate: ShiftScaleRotate | null;
}

/** What augmentation depends on beside the picture: nothing else, so a resumed run sees the same pictures. */
export interface AugmentationKeys {
  readonly seed: number;
  readonly epoch: number;
  /** Of the picture in its set. */
  readonly index: number;
}

/** Changes nothing. */
export const NO_AUGMENTATION: Augmentation = {
  flip: 0,
  crop: null,
  brightness: [1, 1],
  contrast: [1, 1],
  saturation: [1, 1],
  hue: [0, 0],
  shiftScaleRotate: null,
};

/** Separates augmentation from every other use of the same seed. */
const AUGMENTATION_STREAM = 0xa096;
const CROP_TRIALS = 10; // as torchvision: then the largest window of an allowed shape is taken

/**
 * A training picture changed by chance: crop, flip, shift-scale-rotate, brightness, contrast, saturation, hue, in this order.
 *
 * image [height, width, 3] → the same size, 8 bits after every step. A function of its arguments alone: each step draws from a
 * sequence of its own, of (seed, epoch, index), so that changing one setting leaves the draws of the others alone.
 * Source: the definitions are torchvision's (RandomResizedCrop, ColorJitter on PIL pictures) and albumentations' (ShiftScaleRotate); the
 * draws are our own.
 */
export function augment(image: Image, settings: Augmentation, { seed, epoch, index }: AugmentationKeys): Image {
  const [key, stream] = threefry(seed, AUGMENTATION_STREAM, epoch, index);
  const draws = (step: number): Generator => new Generator(key, stream ^ step);
  const within = ([low, high]: Range, step: number): number => low + (high - low) * draws(step).uniform();
  const { crop, shiftScaleRotate: move } = settings;
  let result = image;
  if (crop !== null) result = crop.kind === "resized" ? resizedCrop(result, crop, draws(1)) : windowCrop(result, crop, draws(1));
  if (draws(2).uniform() < settings.flip) result = mirror(result);
  if (move !== null) result = moved(result, move, draws(3));
  result = adjustBrightness(result, within(settings.brightness, 4));
  result = adjustContrast(result, within(settings.contrast, 5));
  result = adjustSaturation(result, within(settings.saturation, 6));
  return adjustHue(result, within(settings.hue, 7));
}

/** A picture mirrored: left and right swap. */
function mirror(image: Image): Image {
  return orient(image, 2); // EXIF's number of a mirrored picture
}

function resizedCrop(image: Image, crop: ResizedCrop, random: Generator): Image {
  const { left, top, width, height } = drawWindow(image.width, image.height, crop, random);
  return resize(cut(image, left, top, width, height), image.width, image.height, "bilinear");
}

/**
 * The window of a resized crop: area and ratio (on a logarithmic scale) are drawn until the window fits, at most ten times; then the
 * largest window in the middle whose ratio is allowed.
 * Source: torchvision, RandomResizedCrop.get_params.
 */
export function drawWindow(width: number, height: number, { scale, ratio }: Pick<ResizedCrop, "scale" | "ratio">, random: Generator): { left: number; top: number; width: number; height: number } {
  const uniform = (low: number, high: number): number => low + (high - low) * random.uniform();
  for (let trial = 0; trial < CROP_TRIALS; trial++) {
    const area = width * height * uniform(...scale);
    const shape = Math.exp(uniform(Math.log(ratio[0]), Math.log(ratio[1])));
    const [w, h] = [Math.round(Math.sqrt(area * shape)), Math.round(Math.sqrt(area / shape))];
    if (w >= 1 && h >= 1 && w <= width && h <= height) return { left: random.integer(width - w + 1), top: random.integer(height - h + 1), width: w, height: h };
  }
  const shape = Math.min(ratio[1], Math.max(ratio[0], width / height));
  const w = Math.max(1, Math.min(width, Math.round(height * shape)));
  const h = Math.max(1, Math.min(height, Math.round(width / shape)));
  return { left: Math.floor((width - w) / 2), top: Math.floor((height - h) / 2), width: w, height: h };
}

function windowCrop(image: Image, crop: WindowCrop, random: Generator): Image {
  const { width, height } = image;
  const scaled = (length: number): number => Math.round((length * crop.resize) / crop.crop);
  const [across, down] = [scaled(width), scaled(height)];
  return resize(image, across, down, "bilinear", { left: random.integer(across - width + 1), top: random.integer(down - height + 1), width, height });
}

function moved(image: Image, { shift, scale, rotate, probability, border }: ShiftScaleRotate, random: Generator): Image {
  const evenly = (limit: number): number => limit * (2 * random.uniform() - 1);
  const isDone = random.uniform() < probability;
  const move = { angle: evenly(rotate), scale: 1 + evenly(scale), dx: evenly(shift), dy: evenly(shift) };
  return isDone ? shiftScaleRotate(image, move, border) : image;
}

function cut(image: Image, left: number, top: number, width: number, height: number): Image {
  const data = new Uint8Array(width * height * 3);
  for (let y = 0; y < height; y++) {
    const from = ((top + y) * image.width + left) * 3;
    data.set(image.data.subarray(from, from + width * 3), y * width * 3);
  }
  return { width, height, data };
}

/** Steepest enlargement, so that a file cannot ask for gigabytes. */
const MAX_ENLARGEMENT = 4;
const MAX_SIDE = 8192; // pixels

/** Two numbers within limits, the lower one first. */
function range(least: number, most: number): Reader<Range> {
  const ends = listOf(number(least, most), { least: 2, most: 2 });
  return (value, at) => {
    const [low, high] = ends(value, at);
    if (low > high) throw new FieldError(at, `${at} must be two numbers, the lower first; got ${shown(value)}`);
    return [low, high];
  };
}

const readResizedCrop = record<ResizedCrop>({ kind: oneOf("resized"), scale: range(0.001, 1), ratio: range(0.01, 100) });

const readWindowFields = record<WindowCrop>({ kind: oneOf("window"), resize: number(1), crop: number(1, MAX_SIDE) });

const readWindowCrop: Reader<WindowCrop> = (value, at) => {
  const window = readWindowFields(value, at);
  const { resize, crop } = window;
  if (resize >= crop && resize <= MAX_ENLARGEMENT * crop) return window;
  throw new FieldError(`${at}.resize`, `${at}.resize must be a number from ${crop}, which is ${at}.crop, to ${MAX_ENLARGEMENT * crop}; got ${resize}`);
};

const readAugmentation = record<Augmentation>({
  flip: withDefault(number(0, 1), NO_AUGMENTATION.flip),
  crop: withDefault(nullable(variantOf<ResizedCrop | WindowCrop>("kind", { resized: readResizedCrop, window: readWindowCrop })), NO_AUGMENTATION.crop),
  brightness: withDefault(range(0, 10), NO_AUGMENTATION.brightness),
  contrast: withDefault(range(0, 10), NO_AUGMENTATION.contrast),
  saturation: withDefault(range(0, 10), NO_AUGMENTATION.saturation),
  hue: withDefault(range(-0.5, 0.5), NO_AUGMENTATION.hue),
  shiftScaleRotate: withDefault(
    nullable(record<ShiftScaleRotate>({ shift: number(0, 1), scale: number(0, 0.9), rotate: number(0, 180), probability: number(0, 1), border: oneOf("reflect", "black") })),
    NO_AUGMENTATION.shiftScaleRotate,
  ),
});

/**
 * Checks an augmentation that was read from a file; fields that are left out change nothing.
 * @param at Where it stands in the file, for error messages.
 * @throws FieldError that names the field at fault.
 */
export function parseAugmentation(value: unknown, at = ""): Augmentation {
  return readAugmentation(value, at);
}
