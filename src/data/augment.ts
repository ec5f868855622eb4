import { InputError, shown } from "../core/errors.ts";
import { Generator, threefry } from "../core/rng.ts";
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

/**
 * Checks an augmentation that was read from a file; fields that are left out change nothing.
 * @param name Of the file, for error messages.
 * @throws InputError that names the field at fault.
 */
export function parseAugmentation(value: unknown, name?: string): Augmentation {
  const where = name === undefined ? "" : ` of ${name}`;
  const refuse = (field: string, expected: string, got: unknown): never => {
    throw new InputError(`parseAugmentation: ${field}${where} must be ${expected}; got ${shown(got)}`, "leave it out to do without it");
  };
  const fieldsOf = (object: unknown, field: string, known: readonly string[]): Readonly<Record<string, unknown>> => {
    if (typeof object !== "object" || object === null || Array.isArray(object)) return refuse(field, "an object", object);
    const unknown = Object.keys(object).find((key) => !known.includes(key));
    return unknown === undefined ? (object as Readonly<Record<string, unknown>>) : refuse(field, `an object of ${known.join(", ")}`, unknown);
  };
  const number = (field: string, got: unknown, low: number, high: number, expected = `a number from ${low} to ${high}`): number =>
    typeof got === "number" && got >= low && got <= high ? got : refuse(field, expected, got);
  const range = (field: string, got: unknown, low: number, high: number): Range => {
    const isRange = Array.isArray(got) && got.length === 2 && got.every((end) => typeof end === "number" && end >= low && end <= high) && got[0] <= got[1];
    return isRange ? (got as unknown as Range) : refuse(field, `two numbers, the lower first, from ${low} to ${high}`, got);
  };

  const a = { ...NO_AUGMENTATION, ...fieldsOf(value, "the augmentation", Object.keys(NO_AUGMENTATION)) } as Readonly<Record<keyof Augmentation, unknown>>;
  const parseCrop = (crop: unknown): Augmentation["crop"] => {
    if (crop === null) return null;
    const { kind } = fieldsOf(crop, "crop", ["kind", "scale", "ratio", "resize", "crop"]);
    if (kind === "resized") {
      const { scale, ratio } = fieldsOf(crop, "crop", ["kind", "scale", "ratio"]);
      return { kind, scale: range("crop.scale", scale, 0.001, 1), ratio: range("crop.ratio", ratio, 0.01, 100) };
    }
    if (kind !== "window") return refuse("crop.kind", '"resized" or "window"', kind);
    const fields = fieldsOf(crop, "crop", ["kind", "resize", "crop"]);
    const size = number("crop.crop", fields.crop, 1, 8192);
    return { kind, crop: size, resize: number("crop.resize", fields.resize, size, MAX_ENLARGEMENT * size, `a number from crop.crop = ${size} to ${MAX_ENLARGEMENT * size}`) };
  };
  const parseMove = (move: unknown): ShiftScaleRotate | null => {
    if (move === null) return null;
    const { shift, scale, rotate, probability, border } = fieldsOf(move, "shiftScaleRotate", ["shift", "scale", "rotate", "probability", "border"]);
    if (border !== "reflect" && border !== "black") return refuse("shiftScaleRotate.border", '"reflect" or "black"', border);
    return {
      shift: number("shiftScaleRotate.shift", shift, 0, 1),
      scale: number("shiftScaleRotate.scale", scale, 0, 0.9),
      rotate: number("shiftScaleRotate.rotate", rotate, 0, 180),
      probability: number("shiftScaleRotate.probability", probability, 0, 1),
      border,
    };
  };
  return {
    flip: number("flip", a.flip, 0, 1),
    crop: parseCrop(a.crop),
    brightness: range("brightness", a.brightness, 0, 10),
    contrast: range("contrast", a.contrast, 0, 10),
    saturation: range("saturation", a.saturation, 0, 10),
    hue: range("hue", a.hue, -0.5, 0.5),
    shiftScaleRotate: parseMove(a.shiftScaleRotate),
  };
}
