import { describe, expect, test } from "vitest";
import { checkpointChoice } from "../src/demo/caption/checkpoint-files.ts";
import { barsOf, candidatesOf, FIRST_SETTINGS, imageElement, paceOf, requestOf } from "../src/demo/caption/speech.ts";
import { messageOf } from "../src/demo/message.ts";
import type { CaptionerFacts } from "../src/web/service.ts";

const FACTS: CaptionerFacts = { system: "cross", parameters: 1, vocabulary: 42, pictureSize: 32, languages: [], tellsStories: false, looks: true };

describe("what a captioner is asked for", () => {
  test("nothing where nothing was chosen, so that its own settings hold", () => {
    expect(requestOf(FIRST_SETTINGS, FACTS)).toEqual({ attention: true });
    expect(requestOf({ ...FIRST_SETTINGS, story: true, language: "<de>" }, { ...FACTS, looks: false })).toEqual({ attention: false });
  });

  test("stories and languages of those that have them", () => {
    const facts = { ...FACTS, tellsStories: true, languages: ["<en>", "<de>"] };
    expect(requestOf({ ...FIRST_SETTINGS, story: true, language: "<de>" }, facts)).toEqual({ attention: true, story: true, language: "<de>" });
    expect(requestOf({ ...FIRST_SETTINGS, language: "<fr>" }, facts)).toEqual({ attention: true, story: false });
  });

  test("no more candidates than a beam is wide", () => {
    const settings = { ...FIRST_SETTINGS, way: "beam", beam: 3, candidates: 8 } as const;
    expect(requestOf(settings, FACTS)).toEqual({ attention: true, beam: 3, candidates: 3 });
    expect(candidatesOf({ ...settings, beam: 1 })).toBe(1);
    expect(candidatesOf({ ...settings, way: "own" })).toBe(1);
  });

  test("chance has no beam", () => {
    const settings = { ...FIRST_SETTINGS, way: "chance", candidates: 8, temperature: 0.7, seed: 3 } as const;
    expect(requestOf(settings, FACTS)).toEqual({ attention: true, sampling: { temperature: 0.7, seed: 3 }, candidates: 8 });
  });
});

describe("what is said of a text", () => {
  test("bars are as long as scores are good, and the best has a whole one", () => {
    expect(barsOf([-0.5, -1, -2])).toEqual([1, 0.5, 0.25]);
    expect(barsOf([0, 0])).toEqual([1, 1]);
    expect(barsOf([])).toEqual([]);
  });

  test.each([
    ["a small red ring", 200, "4 words in 200 ms, 20 a second"],
    ["ring", 1500, "1 word in 1.5 s, 0.7 a second"],
    ["", 0.2, "0 words in 1 ms, 0.0 a second"],
  ])("pace of %j", (text, milliseconds, line) => expect(paceOf(text, milliseconds)).toBe(line));

  test("no sign of a text or a name ends the element", () => {
    expect(imageElement('a"b.png', 'a "<ring>" & more')).toBe('<img src="a&quot;b.png" alt="a &quot;&lt;ring&gt;&quot; &amp; more">');
  });

  test("errors begin as sentences do, names of files stay", () => {
    expect(messageOf(new Error("the picture must be there"))).toBe("The picture must be there");
    expect(messageOf(new Error("ring.png must be a picture"))).toBe("ring.png must be a picture");
    expect(messageOf("gone")).toBe("gone");
  });
});

describe("files that are dropped together", () => {
  const file = (name: string): File => new File(["12345"], name);

  test("a checkpoint, and what is beside it", () => {
    const [config, weights] = [file("config.json"), file("Model.SAFETENSORS")];
    expect(checkpointChoice([config, weights])).toMatchObject({ title: "Model", about: "Model.SAFETENSORS, 5 bytes, from this device.", source: { kind: "file", file: weights, beside: [config] } });
  });

  test("pictures are none", () => expect(checkpointChoice([file("safetensors.png"), file("notes.txt")])).toBeNull());
});
