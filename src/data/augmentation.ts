/** What is done to training pictures by chance, as settings; `augment.ts` does it. */

import { shown } from "../core/errors.ts";
import { FieldError, listOf, nullable, number, oneOf, type Reader, record, variantOf, withDefault } from "../core/schema.ts";

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
