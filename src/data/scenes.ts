/**
 * Scenes: an endless data set of pictures with captions that needs no download, because code draws it. A scene holds one
 * to three objects and is found by (seed, split, index) alone, in any order, with the same bits on every machine.
 *
 * Splits. A scene of two or three objects belongs to the split that a hash of its facts names, so no statement about
 * several objects that is tested was ever trained on. One object has too few facts for that (a few dozen), so there the
 * hash also takes the cell of a fine grid that it lies in: the same object never lies in the same cell in two splits.
 * The hash does not depend on the seed: the training scenes of one seed and the test scenes of another are disjoint too.
 * Some pairs of colour and shape ({@link HELD_OUT_PAIRS}) are in test scenes only; those scenes are marked `heldOut`.
 */

import { InputError } from "../core/errors.ts";
import { Generator, threefry } from "../core/rng.ts";
import { COLOURS, SHAPES, SIZES, type Colour, type ObjectFacts, type Relation, type SceneFacts, type Shape, type Size } from "./scene-facts.ts";
import { factsKey } from "./scene-grammar.ts";

export type SceneSplit = "train" | "validation" | "test";

/** Red, green and blue, 0 to 255, not necessarily whole. */
export type Rgb = readonly [number, number, number];

/** An object as drawn. Lengths are fractions of the picture's side; y grows downwards. */
export interface SceneObject extends ObjectFacts {
  readonly x: number;
  readonly y: number;
  /** Radius of a circle of the object's area, about; nothing is drawn further than {@link REACH} radii from the centre. */
  readonly radius: number;
  /** Tangent of half the angle by which the object is turned. */
  readonly turn: number;
  readonly tint: Rgb;
}

/** What is behind the objects: `from` fades to `to` along a direction, under a texture of some contrast. */
export interface SceneBackground {
  readonly kind: "plain" | "gradient" | "texture";
  readonly from: Rgb;
  readonly to: Rgb;
  /** Direction of the gradient, of length 1. */
  readonly direction: readonly [number, number];
  /** Amplitude of the texture, in the units of {@link Rgb}; 0 for none. */
  readonly contrast: number;
  readonly textureKey: number;
}

/** A picture's contents. Being also its own {@link SceneFacts}, it can be given wherever facts are wanted. */
export interface Scene extends SceneFacts {
  readonly objects: readonly SceneObject[];
  readonly background: SceneBackground;
  readonly split: SceneSplit;
  readonly index: number;
  /** Whether an object has a pair of colour and shape that training never shows. */
  readonly heldOut: boolean;
}

/** Pairs of colour and shape that only test scenes have. */
export const HELD_OUT_PAIRS: readonly (readonly [Colour, Shape])[] = [
  ["red", "cross"],
  ["green", "ring"],
  ["purple", "square"],
];

/** How far an object can reach from its centre, in radii. */
export const REACH = 1.3;

/** Of every four test scenes, the last has a held-out pair. */
const HELD_OUT_PERIOD = 4;

/** Cells along one side of the grid that parts the scenes of one object. */
const GRID = 16;

const MARGIN = 0.01; // between an object's reach and the picture's edge
// Where the centres of related objects lie along the relation's axis. The largest object reaches 0.221 from its centre, so
// it stays on its own side of 0.5.
const LOW = [0.17, 0.27] as const;
const HIGH = [0.73, 0.83] as const;

const SPLIT_KEY = 0x5ce9e5; // any constant, the same for ever: it decides which scene is in which split
const SPLITS: readonly SceneSplit[] = ["train", "validation", "test"];

const RADII: Readonly<Record<Size, readonly [number, number]>> = { small: [0.11, 0.12], large: [0.16, 0.17] };

const TINTS: Readonly<Record<Colour, Rgb>> = {
  red: [216, 38, 44],
  orange: [246, 130, 28],
  yellow: [250, 212, 44],
  green: [42, 158, 76],
  blue: [38, 98, 222],
  purple: [142, 58, 178],
};
const TINT_SPREAD = 10;

/** Light, so that every object stands out: its darkest channel is well below any background's. */
const BACKGROUNDS: readonly Rgb[] = [
  [236, 236, 232],
  [240, 230, 210],
  [206, 220, 232],
  [200, 212, 194],
  [226, 208, 208],
  [222, 214, 230],
];

function between(random: Generator, low: number, high: number): number {
  return low + (high - low) * random.uniform();
}

function isHeldOut({ colour, shape }: ObjectFacts): boolean {
  return HELD_OUT_PAIRS.some(([c, s]) => c === colour && s === shape);
}

/** A u32 from a text: FNV-1a, then threefry, whose low bits are fair. */
function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return threefry(SPLIT_KEY, 0, hash >>> 0, 0)[0];
}

/** The split that a scene without held-out pairs belongs to: eight tenths to training, one to each of the others. */
function splitOf(facts: SceneFacts, objects: readonly SceneObject[]): SceneSplit {
  const cell = objects.length === 1 ? ` ${Math.floor(objects[0].x * GRID)} ${Math.floor(objects[0].y * GRID)}` : "";
  const tenth = hashOf(factsKey(facts) + cell) % 10;
  return tenth === 0 ? "validation" : tenth === 1 ? "test" : "train";
}

function drawFacts(random: Generator): ObjectFacts {
  return { size: random.pick(SIZES), colour: random.pick(COLOURS), shape: random.pick(SHAPES) };
}

function objectAt(random: Generator, facts: ObjectFacts, x: readonly [number, number], y: readonly [number, number]): SceneObject {
  const [low, high] = RADII[facts.size];
  const radius = between(random, low, high);
  const clear = MARGIN + REACH * radius;
  const inside = ([from, to]: readonly [number, number]): number =>
    Math.min(1 - clear, Math.max(clear, between(random, from, to)));
  const tint = TINTS[facts.colour].map((value) => value + between(random, -TINT_SPREAD, TINT_SPREAD));
  return {
    ...facts,
    x: inside(x),
    y: inside(y),
    radius,
    turn: between(random, -0.02, 0.02),
    tint: tint as unknown as Rgb,
  };
}

/**
 * Places objects so that every relation is plain to see: related objects lie in opposite halves of the picture along the
 * relation's axis, with a gap between them, and nearly level along the other axis.
 */
function place(random: Generator, facts: readonly ObjectFacts[]): { objects: SceneObject[]; relations: Relation[] } {
  if (facts.length === 1) {
    return { objects: [objectAt(random, facts[0], [0.1, 0.9], [0.1, 0.9])], relations: [] };
  }
  if (facts.length === 2) {
    const level = between(random, 0.3, 0.7);
    const near = [level - 0.06, level + 0.06] as const;
    const beside = random.integer(2) === 0;
    const objects = facts.map((fact, i) => {
      const along = i === 0 ? LOW : HIGH;
      return objectAt(random, fact, beside ? along : near, beside ? near : along);
    });
    return { objects, relations: [{ subject: 0, name: beside ? "left of" : "above", object: 1 }] };
  }
  const cornerLeft = random.integer(2) === 0;
  const cornerTop = random.integer(2) === 0;
  const objects = facts.map((fact, i) => {
    const left = i === 0 ? !cornerLeft : cornerLeft;
    const top = i === 2 ? !cornerTop : cornerTop;
    return objectAt(random, fact, left ? LOW : HIGH, top ? LOW : HIGH);
  });
  return {
    objects,
    relations: [
      { subject: 0, name: cornerLeft ? "right of" : "left of", object: 1 },
      { subject: 1, name: cornerTop ? "above" : "below", object: 2 },
    ],
  };
}

function drawBackground(random: Generator): SceneBackground {
  const kind = random.pick(["plain", "gradient", "texture"] as const);
  const from = random.pick(BACKGROUNDS);
  const shift = between(random, 18, 34) * (random.integer(2) === 0 ? 1 : -1);
  const to = kind === "plain" ? from : (from.map((value) => Math.min(250, Math.max(20, value + shift))) as unknown as Rgb);
  // A point of the circle from a fraction: (1 - t², 2t) / (1 + t²), exact arithmetic in place of cosine and sine.
  const t = between(random, -1, 1);
  const direction = [(1 - t * t) / (1 + t * t), (2 * t) / (1 + t * t)] as const;
  return { kind, from, to, direction, contrast: kind === "texture" ? between(random, 8, 16) : 0, textureKey: random.nextU32() };
}

/** Two tenths of the scenes have one object, four have two, and four have three. */
function drawCount(random: Generator): number {
  const tenth = random.integer(10);
  return tenth < 2 ? 1 : tenth < 6 ? 2 : 3;
}

function candidate(random: Generator, count: number): Pick<Scene, "objects" | "relations" | "background"> | undefined {
  const facts = Array.from({ length: count }, () => drawFacts(random));
  const names = new Set(facts.map(({ size, colour, shape }) => `${size} ${colour} ${shape}`));
  if (names.size < count) return undefined; // "a small red ring is to the left of a small red ring" says too little
  return { ...place(random, facts), background: drawBackground(random) };
}

/**
 * The scene of a place in a split; every index from 0 up has one. The number of objects depends on the index alone, so
 * that rejecting candidates of another split does not change how often each number occurs.
 * @throws InputError if index is not a whole number from 0 up to 2^32 - 1.
 */
export function sceneAt(seed: number, split: SceneSplit, index: number): Scene {
  if (!Number.isInteger(index) || index < 0 || index >= 2 ** 32) {
    throw new InputError(`sceneAt: index must be a whole number from 0 to 4294967295; got ${index}`);
  }
  const random = new Generator(...threefry(seed, SPLIT_KEY, index, SPLITS.indexOf(split)));
  const heldOut = split === "test" && index % HELD_OUT_PERIOD === HELD_OUT_PERIOD - 1;
  const count = drawCount(random);
  for (;;) {
    const scene = candidate(random, count);
    if (scene === undefined || scene.objects.some(isHeldOut) !== heldOut) continue;
    if (heldOut || splitOf(scene, scene.objects) === split) return { ...scene, split, index, heldOut };
  }
}

/** The facts of a scene alone, without the placement and the background. */
export function factsOf({ objects, relations }: Scene): SceneFacts {
  return { objects: objects.map(({ size, colour, shape }) => ({ size, colour, shape })), relations };
}
