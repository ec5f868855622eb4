import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { InputError } from "../src/core/errors.ts";
import { drawScene } from "../src/data/scene-drawing.ts";
import { SCENE_WORDS, captionsOf, factsKey, parseCaption, sameFacts } from "../src/data/scene-grammar.ts";
import { COLOURS, RELATIONS, type Relation, type SceneFacts } from "../src/data/scene-facts.ts";
import { HELD_OUT_PAIRS, REACH, factsOf, sceneAt } from "../src/data/scenes.ts";
import type { Scene, SceneObject, SceneSplit } from "../src/data/scenes.ts";

const SPLITS: readonly SceneSplit[] = ["train", "validation", "test"];

function scenes(split: SceneSplit, count: number, seed = 1): Scene[] {
  return Array.from({ length: count }, (_, index) => sceneAt(seed, split, index));
}

function sha256(bytes: Uint8ClampedArray): string {
  return createHash("sha256").update(bytes).digest("hex");
}

const train = scenes("train", 3000);
const validation = scenes("validation", 1000);
const test = scenes("test", 1000);
const all = [...train, ...validation, ...test];

describe("sampling", () => {
  it("is fixed by seed, split and index, in any order", () => {
    expect(sceneAt(1, "test", 7)).toEqual(test[7]);
    expect(sceneAt(2, "test", 7)).not.toEqual(test[7]);
    expect(sceneAt(1, "train", 7).objects).not.toEqual(test[7].objects);
  });

  it("refuses an index that is not a whole number from 0 up", () => {
    for (const index of [-1, 0.5, NaN, 2 ** 32]) expect(() => sceneAt(1, "train", index)).toThrow(InputError);
  });

  it("has one, two and three objects in the shares that it promises", () => {
    for (const [objects, share] of [[1, 0.2], [2, 0.4], [3, 0.4]]) {
      const found = all.filter((scene) => scene.objects.length === objects).length / all.length;
      expect(Math.abs(found - share)).toBeLessThan(0.03); // 4 standard deviations of 5000 draws
    }
  });
});

describe("splits", () => {
  const key = (scene: Scene): string => {
    const [{ x, y }] = scene.objects;
    return factsKey(scene) + (scene.objects.length === 1 ? ` at ${Math.floor(x * 16)}, ${Math.floor(y * 16)}` : "");
  };

  it("share no statement about several objects, and no object in the same cell, whatever the seeds", () => {
    const bySplit = SPLITS.map((split) => new Set([1, 2].flatMap((seed) => scenes(split, 2000, seed).map(key))));
    for (const [a, b] of [[0, 1], [0, 2], [1, 2]]) {
      expect([...bySplit[a]].filter((text) => bySplit[b].has(text))).toEqual([]);
    }
  });

  it("keep the held-out pairs for every fourth test scene", () => {
    const hasPair = (scene: Scene): boolean =>
      scene.objects.some(({ colour, shape }) => HELD_OUT_PAIRS.some(([c, s]) => c === colour && s === shape));
    for (const scene of [...train, ...validation]) expect(scene.heldOut || hasPair(scene)).toBe(false);
    for (const scene of test) {
      expect(scene.heldOut).toBe(scene.index % 4 === 3);
      expect(hasPair(scene)).toBe(scene.heldOut);
    }
  });

  it("show every other pair, and every word of a held-out pair, in training", () => {
    const pairs = new Set(train.flatMap(({ objects }) => objects.map(({ colour, shape }) => `${colour} ${shape}`)));
    expect(pairs.size).toBe(6 * 4 - HELD_OUT_PAIRS.length);
  });
});

describe("placement", () => {
  const reach = ({ radius }: SceneObject): number => radius * REACH;

  it("keeps objects inside the picture and apart", () => {
    for (const { objects } of all) {
      for (const object of objects) {
        for (const centre of [object.x, object.y]) {
          expect(centre - reach(object)).toBeGreaterThan(0);
          expect(centre + reach(object)).toBeLessThan(1);
        }
      }
      objects.forEach((a, i) => {
        for (const b of objects.slice(i + 1)) {
          expect(Math.max(Math.abs(a.x - b.x), Math.abs(a.y - b.y))).toBeGreaterThan(reach(a) + reach(b));
        }
      });
    }
  });

  it("shows each relation with a gap along its axis, and nearly level along the other", () => {
    for (const { objects, relations } of all) {
      expect(relations.length).toBe(objects.length - 1);
      for (const { subject, name, object } of relations) {
        const [a, b] = [objects[subject], objects[object]];
        const [dx, dy] = [b.x - a.x, b.y - a.y];
        const along = { "left of": dx, "right of": -dx, above: dy, below: -dy }[name];
        const across = name === "above" || name === "below" ? dx : dy;
        expect(along).toBeGreaterThan(reach(a) + reach(b));
        expect(Math.abs(across)).toBeLessThan(along / 3);
      }
    }
  });
});

describe("captions", () => {
  it("are five different texts, from the words of the vocabulary", () => {
    for (const scene of all) {
      const captions = captionsOf(scene);
      expect(new Set(captions).size).toBe(5);
    }
    const words = new Set(all.flatMap((scene) => captionsOf(scene).join(" ").split(" ")));
    expect([...words].sort()).toEqual(SCENE_WORDS);
  });

  it("read back as the facts of their scene", () => {
    for (const scene of all) {
      for (const caption of captionsOf(scene)) {
        const facts = parseCaption(caption);
        expect(facts !== null && sameFacts(facts, factsOf(scene)), caption).toBe(true);
      }
    }
  });

  it("say the five things that they should", () => {
    const facts: SceneFacts = {
      objects: [
        { size: "small", colour: "red", shape: "ring" },
        { size: "large", colour: "blue", shape: "square" },
        { size: "small", colour: "green", shape: "cross" },
      ],
      relations: [{ subject: 0, name: "left of", object: 1 }, { subject: 1, name: "above", object: 2 }],
    };
    expect(captionsOf(facts)).toEqual([
      "a small red ring is to the left of a large blue square which is above a small green cross",
      "there is a small red ring to the left of a large blue square with a small green cross below it",
      "a small red ring with a large blue square to its right which has a small green cross below it",
      "a small red ring is to the left of a large blue square and a small green cross is below the same square",
      "the picture shows a small red ring and to its right a large blue square with a small green cross below it",
    ]);
  });

  it("state other facts as soon as one word of a fact is another", () => {
    for (const scene of all.slice(0, 500)) {
      for (const caption of captionsOf(scene)) {
        const words = caption.split(" ");
        words.forEach((word, i) => {
          const options = [["small", "large"], COLOURS, ["ring", "square", "triangle", "cross"], ["left", "right"],
            ["above", "below"], ["top", "bottom"]].find((group) => (group as readonly string[]).includes(word));
          for (const other of options ?? []) {
            if (other === word) continue;
            const facts = parseCaption(words.with(i, other).join(" "));
            expect(facts === null || !sameFacts(facts, scene), words.with(i, other).join(" ")).toBe(true);
          }
        });
      }
    }
  });

  it("are null when they are not sentences of the grammar, or contradict themselves", () => {
    for (const text of [
      "",
      "a red ring",
      "a small red ring is",
      "a small red ring is left a large blue square",
      "a small red ring is to the left of a large blue square .",
      "a small red ring  is above a large blue square",
      "A small red ring",
      "on the left is a small red ring and on the left is a large blue square",
      "on the left is a small red ring and at the bottom is a large blue square",
      "a small red ring is above a large blue square and a small red cross is below the same ring",
    ]) {
      expect(parseCaption(text), text).toBeNull();
    }
  });

  it("compare equal whatever is mentioned first, and only then", () => {
    for (const scene of all.slice(0, 500)) {
      const last = scene.objects.length - 1;
      const inverse = { "left of": "right of", "right of": "left of", above: "below", below: "above" } as const;
      const reversed: Relation[] = scene.relations.map(({ subject, name, object }) => ({
        subject: last - object, name: inverse[name], object: last - subject,
      }));
      const facts = { objects: scene.objects.toReversed(), relations: reversed };
      expect(sameFacts(facts, scene)).toBe(true);
      if (last === 0) continue;
      for (const name of RELATIONS) {
        if (name === reversed[0].name) continue;
        expect(sameFacts({ ...facts, relations: [{ ...reversed[0], name }, ...reversed.slice(1)] }, scene)).toBe(false);
      }
    }
  });
});

describe("drawing", () => {
  it("gives the same bytes everywhere", () => {
    const pictures = Uint8ClampedArray.from(train.slice(0, 32).flatMap((scene) => [...drawScene(scene, 32)]));
    expect(pictures.length).toBe(32 * 32 * 32 * 3);
    expect(sha256(pictures)).toBe("94eefc5ba12b33f822e905eeaabe1685e60ac055b79b029d4bc6a9702f63ec3e");
    expect(sha256(drawScene(test[3], 192))).toBe("42bb920ef62a41c7a40fe7f49efaddcb3d025599f38760554fafcf8b1a917f83");
  });

  it("paints each object's colour at its centre", () => {
    for (const scene of all.slice(0, 300)) {
      const picture = drawScene(scene, 64);
      for (const { x, y, tint, shape } of scene.objects) {
        if (shape === "ring") continue; // nothing is at a ring's centre
        const at = (Math.floor(y * 64) * 64 + Math.floor(x * 64)) * 3;
        for (let c = 0; c < 3; c++) expect(Math.abs(picture[at + c] - tint[c])).toBeLessThan(6); // the sheen over half a pixel
      }
    }
  });

  it("blends edges: pixels on an outline lie between the colours on its two sides", () => {
    const scene = all.find(({ objects: [o], background }) => o.shape === "ring" && background.kind === "plain") as Scene;
    const [object] = scene.objects;
    const picture = drawScene(scene, 64);
    const row = Math.floor(object.y * 64);
    const greens = Array.from({ length: 64 }, (_, column) => picture[(row * 64 + column) * 3 + 1]);
    const [low, high] = [Math.min(object.tint[1], scene.background.from[1]), Math.max(object.tint[1], scene.background.from[1])];
    const between = greens.filter((green) => green > low + (high - low) * 0.2 && green < high - (high - low) * 0.2);
    expect(between.length).toBeGreaterThan(0);
    expect(between.length).toBeLessThan(12);
  });

  it("shows the same picture at every size", () => {
    for (const scene of all.slice(0, 20)) {
      const [fine, coarse] = [drawScene(scene, 128), drawScene(scene, 32)];
      let difference = 0;
      for (let row = 0; row < 32; row++) {
        for (let column = 0; column < 32; column++) {
          for (let c = 0; c < 3; c++) {
            let mean = 0;
            for (let i = 0; i < 16; i++) mean += fine[((row * 4 + (i >> 2)) * 128 + column * 4 + (i & 3)) * 3 + c] / 16;
            difference += Math.abs(mean - coarse[(row * 32 + column) * 3 + c]) / (32 * 32 * 3);
          }
        }
      }
      expect(difference).toBeLessThan(2); // of 255; only edges and texture differ
    }
  });

  it("refuses sizes that are not a whole number of pixels", () => {
    for (const size of [0, 31.5, -32, NaN, 1e6]) expect(() => drawScene(train[0], size)).toThrow(InputError);
  });
});
