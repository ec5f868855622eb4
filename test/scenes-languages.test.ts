import { describe, expect, test } from "vitest";
import { InputError } from "../src/core/errors.ts";
import { bytePairCodecOf } from "../src/data/bpe.ts";
import { sceneSource } from "../src/data/pictures.ts";
import { squash } from "../src/data/preprocess.ts";
import { COLOURS, RELATIONS, SHAPES, SIZES, type ObjectFacts, type RelationName, type SceneFacts } from "../src/data/scene-facts.ts";
import { captionsOf, LANGUAGES, parseCaption, parseStory, sameFacts, storiesOf, storyOf, taggedCaption, type Language } from "../src/data/scene-grammar.ts";
import { sceneAt } from "../src/data/scenes.ts";
import { Vocabulary } from "../src/data/vocabulary.ts";

const OBJECTS: ObjectFacts[] = SIZES.flatMap((size) => COLOURS.flatMap((colour) => SHAPES.map((shape) => ({ size, colour, shape }))));
const SMALL_RED_RING: ObjectFacts = { size: "small", colour: "red", shape: "ring" };
const LARGE_BLUE_SQUARE: ObjectFacts = { size: "large", colour: "blue", shape: "square" };
const SMALL_ORANGE_CROSS: ObjectFacts = { size: "small", colour: "orange", shape: "cross" };

const TWO: SceneFacts = { objects: [SMALL_RED_RING, LARGE_BLUE_SQUARE], relations: [{ subject: 0, name: "left of", object: 1 }] };
const THREE: SceneFacts = {
  objects: [SMALL_ORANGE_CROSS, SMALL_RED_RING, LARGE_BLUE_SQUARE],
  relations: [{ subject: 0, name: "below", object: 1 }, { subject: 1, name: "right of", object: 2 }],
};

function related(objects: readonly ObjectFacts[], names: readonly RelationName[]): SceneFacts {
  return { objects, relations: names.map((name, i) => ({ subject: i, name, object: i + 1 })) };
}

/** Every object alone; every two objects, each in every place and relation; every object in each of three places, in every two relations. */
function* combinations(): Generator<SceneFacts> {
  for (const object of OBJECTS) yield related([object], []);
  for (const [i, a] of OBJECTS.entries()) for (const [j, b] of OBJECTS.entries()) yield related([a, b], [RELATIONS[(i + j) % 4]]);
  for (const [i, object] of OBJECTS.entries()) {
    const [second, third] = [OBJECTS[(i * 7 + 5) % 48], OBJECTS[(i * 11 + 17) % 48]];
    for (const first of RELATIONS) {
      for (const last of RELATIONS) {
        for (const objects of [[object, second, third], [third, object, second], [second, third, object]]) yield related(objects, [first, last]);
      }
    }
  }
}

describe.each(LANGUAGES)("%s", (language) => {
  test("every combination of facts is read back from every caption and story", { timeout: 20_000 }, () => {
    const said = new Set<string>();
    let texts = 0;
    for (const facts of combinations()) {
      const captions = captionsOf(facts, language);
      const stories = storiesOf(facts, language);
      expect([captions.length, stories.length]).toEqual([5, 3]);
      for (const [text, read] of [...captions.map((text) => [text, parseCaption] as const), ...stories.map((text) => [text, parseStory] as const)]) {
        const back = read(text, language);
        if (back === null || !sameFacts(back, facts)) throw new Error(`${text} is read as ${JSON.stringify(back)}`);
        said.add(text);
        texts++;
      }
    }
    expect(texts).toBe((48 + 48 * 48 + 48 * 16 * 3) * 8);
    expect(said.size).toBe(texts); // so no two facts have the same text
  });

  test("no text is read in another language", () => {
    for (let index = 0; index < 200; index++) {
      const facts = sceneAt(1, "train", index);
      for (const other of LANGUAGES.filter((some) => some !== language)) {
        for (const text of captionsOf(facts, language)) expect(parseCaption(text, other)).toBeNull();
        for (const text of storiesOf(facts, language)) expect(parseStory(text, other)).toBeNull();
      }
    }
  });

  test("captions are no stories, and neither is read with a word or an end more or less", () => {
    for (let index = 0; index < 60; index++) {
      const facts = sceneAt(2, "train", index);
      for (const text of captionsOf(facts, language)) expect(parseStory(text, language)).toBeNull();
      for (const text of storiesOf(facts, language)) expect(parseCaption(text, language)).toBeNull();
      for (const text of [storyOf(facts, language), storyOf(facts, language, 1)]) {
        expect(parseStory(text.slice(0, -1), language)).toBeNull();
        expect(parseStory(`${text}.`, language)).toBeNull();
        expect(parseStory(text.replace(". ", " "), language)).toBeNull();
      }
    }
  });

  test("one letter less, another or twice, and nothing or other facts are read", () => {
    for (const facts of [TWO, THREE, related([SMALL_ORANGE_CROSS], [])]) {
      for (const [text, read] of [...captionsOf(facts, language).map((some) => [some, parseCaption] as const), ...storiesOf(facts, language).map((some) => [some, parseStory] as const)]) {
        for (let i = 0; i < text.length; i++) {
          for (const letters of ["", "e", "n", "a", text[i] + text[i]]) {
            const changed = text.slice(0, i) + letters + text.slice(i + 1);
            if (changed === text) continue;
            const back = read(changed, language);
            expect(back !== null && sameFacts(back, facts), changed).toBe(false);
          }
        }
      }
    }
  });

  test("words and byte pairs keep the text of a story", () => {
    const stories = Array.from({ length: 300 }, (_, index) => taggedCaption(storyOf(sceneAt(3, "train", index), language, index), language));
    const words = Vocabulary.build(stories, 1, { punctuation: "sentences" });
    const bytePairs = bytePairCodecOf(stories, { vocabulary: 400 });
    stories.forEach((story, index) => {
      const scene = sceneAt(3, "train", index);
      const fromWords = words.decode(words.encode(story));
      expect(`<${language}> ${fromWords}`).toBe(`<${language}> ${story.slice(5).toLowerCase()}`);
      expect(sameFacts(parseStory(fromWords, language)!, scene)).toBe(true);
      expect(`<${language}> ${bytePairs.decode(bytePairs.encode(story))}`).toBe(story);
    });
    expect(words.languages).toEqual([`<${language}>`]);
  });

  test("stories have two to four sentences", () => {
    const counts = new Set<number>();
    for (const facts of [TWO, THREE, related([SMALL_ORANGE_CROSS], [])]) {
      for (const story of storiesOf(facts, language)) {
        expect(story).toMatch(/^\p{Ll}[\p{L} .]*\.$/u);
        counts.add(story.split(/\.(?: |$)/).length - 1);
      }
    }
    expect([...counts].sort()).toEqual([2, 3, 4]);
  });
});

describe("Spanish", () => {
  test("captions of three objects", () => {
    expect(captionsOf(THREE, "es")).toEqual([
      "una cruz naranja pequeña está debajo de un anillo rojo pequeño que está a la derecha de un cuadrado azul grande",
      "hay una cruz naranja pequeña debajo de un anillo rojo pequeño con un cuadrado azul grande a su izquierda",
      "una cruz naranja pequeña con un anillo rojo pequeño encima que tiene un cuadrado azul grande a su izquierda",
      "una cruz naranja pequeña está debajo de un anillo rojo pequeño y un cuadrado azul grande está a la izquierda del mismo anillo",
      "la imagen muestra una cruz naranja pequeña y encima un anillo rojo pequeño con un cuadrado azul grande a su izquierda",
    ]);
  });

  test("captions of two objects, and stories", () => {
    expect(captionsOf(TWO, "es")[0]).toBe("un anillo rojo pequeño está a la izquierda de un cuadrado azul grande");
    expect(captionsOf(TWO, "es")[3]).toBe("a la izquierda hay un anillo rojo pequeño y a la derecha hay un cuadrado azul grande");
    expect(storyOf(TWO, "es", 2)).toBe("primero hay un anillo rojo pequeño. luego hay un cuadrado azul grande. la primera figura está a la izquierda de la segunda.");
    expect(storyOf(related([{ size: "small", colour: "red", shape: "cross" }], []), "es", 2)).toBe("aquí hay una cruz. es pequeña y roja.");
  });

  test.each([
    ["gender of the article", "un cruz roja pequeña"],
    ["gender of the colour", "una cruz rojo pequeña"],
    ["gender of the size", "una cruz roja pequeño"],
    ["order", "una pequeña cruz roja"],
    ["accent", "un triangulo rojo grande"],
    ["contraction", "un anillo rojo pequeño está encima de una cruz azul grande y una cruz verde grande está debajo del misma cruz"],
    ["gender of what is the same", "un anillo rojo pequeño está encima de una cruz azul grande y una cruz verde grande está debajo del mismo cruz"],
    ["gender of traits", "aquí hay una cruz. es pequeño y roja."],
  ])("wrong %s is not read", (_, text) => {
    expect(parseCaption(text, "es")).toBeNull();
    expect(parseStory(text, "es")).toBeNull();
  });
});

describe("German", () => {
  test("captions of three objects", () => {
    expect(captionsOf(THREE, "de")).toEqual([
      "ein kleines orangefarbenes Kreuz ist unter einem kleinen roten Ring der rechts von einem großen blauen Quadrat ist",
      "es gibt ein kleines orangefarbenes Kreuz unter einem kleinen roten Ring mit einem großen blauen Quadrat links davon",
      "ein kleines orangefarbenes Kreuz mit einem kleinen roten Ring darüber der links davon ein großes blaues Quadrat hat",
      "ein kleines orangefarbenes Kreuz ist unter einem kleinen roten Ring und ein großes blaues Quadrat ist links von demselben Ring",
      "das Bild zeigt ein kleines orangefarbenes Kreuz und darüber einen kleinen roten Ring mit einem großen blauen Quadrat links davon",
    ]);
  });

  test("captions of two objects, and stories", () => {
    expect(captionsOf(TWO, "de")[0]).toBe("ein kleiner roter Ring ist links von einem großen blauen Quadrat");
    expect(captionsOf(TWO, "de")[4]).toBe("das Bild zeigt einen kleinen roten Ring und rechts davon ein großes blaues Quadrat");
    expect(storyOf(TWO, "de", 0)).toBe("es gibt einen kleinen roten Ring. rechts davon ist ein großes blaues Quadrat.");
    expect(storyOf(related([SMALL_RED_RING], []), "de", 5)).toBe("hier ist ein Ring. er ist klein und rot.");
  });

  test("is read in lower case, as a vocabulary of words gives it, but not in any other", () => {
    expect(parseCaption("ein kleiner roter ring", "de")).toEqual(related([SMALL_RED_RING], []));
    expect(parseCaption("das bild zeigt einen kleinen roten ring", "de")).toEqual(related([SMALL_RED_RING], []));
    for (const text of ["Ein kleiner roter Ring", "ein Kleiner roter Ring", "das bild zeigt einen kleinen roten Ring"]) expect(parseCaption(text, "de")).toBeNull();
  });

  test.each([
    ["ending of the size", "ein kleines roter ring"],
    ["ending of the colour", "ein kleiner rotes ring"],
    ["article", "einen kleiner roter ring"],
    ["gender", "ein kleiner roter quadrat"],
    ["case after es gibt", "es gibt ein kleiner roter ring"],
    ["case after mit", "ein kleiner roter ring mit ein großes blaues quadrat darunter"],
    ["case after von", "ein kleiner roter ring ist links von einen großen blauen kreuz"],
    ["relative pronoun", "ein kleiner roter ring ist unter einem großen blauen quadrat der über einem kleinen roten kreuz ist"],
    ["pronoun", "hier ist ein ring. es ist klein und rot."],
    ["ss", "ein grosser roter ring"],
  ])("wrong %s is not read", (_, text) => {
    expect(parseCaption(text, "de")).toBeNull();
    expect(parseStory(text, "de")).toBeNull();
  });
});

test("English stories", () => {
  expect(storiesOf(THREE)).toEqual([
    "there is a small orange cross. above it there is a small red ring. to its left there is a large blue square.",
    "the picture shows three shapes. a small orange cross is below a small red ring. a large blue square is to the left of the same ring.",
    "first there is a small orange cross. then there is a small red ring and after it a large blue square. the first one is below the second one. the third one is to the left of the second one.",
  ]);
});

test("a language or a number of objects that no grammar has is refused", () => {
  expect(() => captionsOf(TWO, "fr" as Language)).toThrow(InputError);
  expect(() => parseStory("a", "constructor" as Language)).toThrow('scenes: a language must be one of en, es, de; got "constructor"');
  expect(() => captionsOf({ objects: [], relations: [] })).toThrow("scenes: a caption must be about 1 to 3 objects; got 0");
  expect(() => storyOf({ objects: [...TWO.objects, ...TWO.objects], relations: [] })).toThrow("scenes: a story must be about 1 to 3 objects; got 4");
});

describe("sceneSource", () => {
  const counts = { train: 20, validation: 5, test: 20 };

  test("has English captions without a tag, unless it is asked for others", () => {
    const { test: set } = sceneSource(1, counts, squash(32));
    expect(set.captions(3)).toEqual(captionsOf(sceneAt(1, "test", 3)));
    expect(sceneSource(1, counts, squash(32), { languages: ["de"] }).train.captions(3)).toEqual(captionsOf(sceneAt(1, "train", 3), "de"));
  });

  test("has tagged texts of several languages", () => {
    const { train } = sceneSource(1, counts, squash(32), { languages: ["en", "de"], text: "story" });
    const scene = sceneAt(1, "train", 4);
    expect(train.captions(4)).toEqual([...storiesOf(scene).map((text) => `<en> ${text}`), ...storiesOf(scene, "de").map((text) => `<de> ${text}`)]);
  });

  test.each(["caption", "story"] as const)("judges a %s in the language of its tag, or in any", (text) => {
    const { test: set } = sceneSource(1, counts, squash(32), { languages: ["en", "de"], text });
    const [right, wrong] = text === "story" ? [storiesOf, captionsOf] : [captionsOf, storiesOf];
    for (let index = 0; index < counts.test; index++) {
      const scene = set.scene(index);
      for (const caption of set.captions(index)) {
        expect(set.right(index, caption)).toBe(true);
        expect(set.right(index, caption.slice(5))).toBe(true);
        expect(set.right((index + 1) % counts.test, caption)).toBe(false);
      }
      const [german] = right(scene, "de");
      expect([`<de> ${german.toLowerCase()}`, `<en> ${german}`, `<es> ${german}`, right(scene, "es")[0], wrong(scene, "de")[0], "", "<de>"].map((said) => set.right(index, said))).toEqual([true, false, false, false, false, false, false]);
    }
  });

  test("needs a language", () => {
    expect(() => sceneSource(1, counts, squash(32), { languages: [] })).toThrow("sceneSource: there must be at least 1 language; got 0");
  });
});
