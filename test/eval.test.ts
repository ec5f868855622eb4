import { mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import UPNG from "upng-js";
import { beforeAll, describe, expect, test } from "vitest";
import { Captioner } from "../src/caption/captioner.ts";
import { evaluate } from "../src/caption/evaluate.ts";
import { attentionMaps } from "../src/caption/attention-maps.ts";
import type { ModelConfig } from "../src/caption/systems.ts";
import { wordMaps } from "../src/caption/word-maps.ts";
import { noGrad } from "../src/autograd/tape.ts";
import { tensor } from "../src/autograd/tensor.ts";
import { showDecoding } from "../src/cli/decoding-options.ts";
import { bytePairCodecOf } from "../src/data/bpe.ts";
import { sceneSource, type SceneSet } from "../src/data/pictures.ts";
import { squash } from "../src/data/preprocess.ts";
import type { Language, SceneText } from "../src/data/scene-grammar.ts";
import type { TextCodec } from "../src/data/text-codec.ts";
import { Vocabulary } from "../src/data/vocabulary.ts";
import { pictureBatch } from "../src/train/batches.ts";
import { useCommandLine, writeUntrainedModel } from "./cli.ts";
import { useDevice } from "./device.ts";

const device = useDevice();
const cli = useCommandLine();

const SIDE = 8;

/** An untrained captioner that knows the words of some scenes. */
function untrained(set: SceneSet, attention: "dot" | null = "dot"): Captioner {
  return speaking(Vocabulary.build(Array.from({ length: set.length }, (_, i) => set.captions(i)).flat(), 1, { punctuation: "sentences" }), attention);
}

function speaking(vocabulary: TextCodec, attention: "dot" | null = "dot"): Captioner {
  const model: ModelConfig = {
    system: "storyteller",
    backbone: { block: "basic", layers: [1, 0, 0, 0], width: 4, stem: "small", classes: 0 },
    grid: 2,
    features: 0,
    attention,
    decoder: { cell: "lstm", vocabulary: vocabulary.size, embedding: 8, hidden: 8 },
  };
  return Captioner.make(device(), { model, maxLength: 7 }, vocabulary, squash(SIDE), 1);
}

function scenes(languages: readonly Language[], text: SceneText = "caption"): SceneSet {
  return sceneSource(3, { train: 5, validation: 5, test: 5 }, squash(SIDE), { languages, text }).test;
}

/** A set of which the captioner seems to say what it should: each picture's first reference in the language it speaks. */
function knowing(captioner: Captioner, set: SceneSet): Captioner {
  const asked: string[] = [];
  const known = Object.create(captioner) as Captioner & { asked: readonly string[] };
  let next = 0;
  known.describeBatch = async ({ shape: [batch] }, { language = "" } = {}) => {
    asked.push(language);
    return Array.from({ length: batch }, () => {
      const caption = set.captions(next++ % set.length).find((text) => text.startsWith(language)) ?? "";
      return [{ text: caption.slice(language === "" ? 0 : language.length + 1), ids: [], score: 0, ended: "end" as const }];
    });
  };
  known.asked = asked;
  return known;
}

describe("evaluate", () => {
  test("one language: every picture once, references without a tag", async () => {
    const set = scenes(["en"]);
    const seen: (readonly [number, number])[] = [];
    const captioner = untrained(set);
    const [only, ...more] = await evaluate(captioner, set, {}, (done, total) => seen.push([done, total]));
    expect([only.language, more.length]).toEqual([null, 0]);
    expect(only.pictures.map(({ index }) => index)).toEqual([0, 1, 2, 3, 4]);
    expect(only.pictures.map(({ references }) => references)).toEqual([0, 1, 2, 3, 4].map((i) => set.captions(i)));
    expect(only.scores.factsRight!.of + only.scores.factsRightHeldOut!.of).toBe(5);
    expect(only.pictures.some(({ ids }) => ids.length > 0)).toBe(true);
    expect(seen.at(-1)).toEqual([5, 5]);
    captioner.dispose();
  });

  test.each(["caption", "story"] as const)("several languages: each is asked for, and held against its own references alone (%s)", async (text) => {
    const set = scenes(["en", "es", "de"], text);
    const captioner = untrained(set);
    const known = knowing(captioner, set) as Captioner & { asked: readonly string[] };
    const rounds = await evaluate(known, set);
    const languages = rounds.map(({ language }) => language);
    expect(languages.toSorted()).toEqual(["<de>", "<en>", "<es>"]);
    expect(languages).toEqual([...captioner.codec.languages]);
    expect(known.asked).toEqual(languages);
    for (const { language, pictures, scores } of rounds) {
      const own = set.captions(2).filter((caption) => caption.startsWith(language!));
      expect(pictures[2].references).toEqual(own.map((caption) => caption.slice(language!.length + 1)));
      expect(pictures.every(({ right }) => right)).toBe(true); // what the grammar wrote is right in its language
      expect(scores.exact).toEqual({ count: 5, of: 5 });
    }
    captioner.dispose();
  });

  test("facts said in another language than was asked for are not right", async () => {
    const set = scenes(["en", "de"]);
    const captioner = untrained(set);
    const known = knowing(captioner, set);
    const english = known.describeBatch.bind(known);
    known.describeBatch = (pictures, options) => english(pictures, { ...options, language: "<en>" });
    const rounds = await evaluate(known, set);
    expect(rounds.map(({ language, pictures }) => [language, pictures.filter(({ right }) => right).length]).toSorted()).toEqual([["<de>", 0], ["<en>", 5]]);
    captioner.dispose();
  });

  test("one language of several, and one that is not there", async () => {
    const set = scenes(["en", "de"]);
    const captioner = untrained(set);
    const rounds = await evaluate(knowing(captioner, set), set, { language: "<de>" });
    expect(rounds.map(({ language }) => language)).toEqual(["<de>"]);
    await expect(evaluate(captioner, set, { language: "<fr>" })).rejects.toThrow(/the language must be one that the captioner knows and the pictures have captions in, <.+>, <.+>; got <fr>/);
    captioner.dispose();
  });

  test("pictures without a caption in a language are not in its scores", async () => {
    const all = scenes(["en", "de"]);
    const set: SceneSet = { ...all, captions: (index) => all.captions(index).filter((caption) => index > 1 || caption.startsWith("<en>")) };
    const captioner = untrained(all);
    const rounds = await evaluate(knowing(captioner, all), set);
    expect(rounds.map(({ language, scores }) => [language, scores.images]).toSorted()).toEqual([["<de>", 3], ["<en>", 5]]);
    captioner.dispose();
  });
});

describe("wordMaps", () => {
  test("each word has the map that was made before it, the language's tag counted", async () => {
    const set = scenes(["en", "de"]);
    const captioner = untrained(set);
    const batch = await pictureBatch(set, [0, 1], captioner.preprocessing);
    const { codec, model } = captioner;
    const said = set.captions(0).at(-1)!.split(" ").slice(1, 4).map((word) => word.toLowerCase());
    const texts = [said, said.slice(0, 1)].map((words) => codec.encode(words.join(" ")));
    const found = await wordMaps(captioner, batch, [[...texts[0], codec.end], texts[1]], "<de>");
    expect(found!.map((words) => words.map(({ text }) => text))).toEqual([said, said.slice(0, 1)]);

    using _scope = device().scope();
    const [tag] = codec.encode("<de> ");
    const alone = noGrad(() => attentionMaps(model, model.see(tensor(device(), batch.data, batch.shape)), tensor(device(), Int32Array.from([codec.start, tag, texts[0][0], codec.start, tag, texts[0][0]]), [2, 3])))!;
    const values = [...(await alone.read())];
    expect([...(found![0][0].map.data as Float32Array)].map((value, i) => Math.abs(value - values[4 + i]) < 1e-6)).toEqual([true, true, true, true]);
    expect([...(found![0][1].map.data as Float32Array)].map((value, i) => Math.abs(value - values[8 + i]) < 1e-6)).toEqual([true, true, true, true]);
    captioner.dispose();
  });

  test("words of byte pairs are parted by any white space", async () => {
    const captioner = speaking(bytePairCodecOf(["a dog"], { vocabulary: 300 }));
    const batch = await pictureBatch(scenes(["en"]), [0], captioner.preprocessing);
    const found = await wordMaps(captioner, batch, [captioner.codec.encode("a dog.\nIt runs")]);
    expect(found![0].map(({ text }) => text)).toEqual(["a", "dog.", "It", "runs"]);
    captioner.dispose();
  });

  test("is null where a decoder does not look at places", async () => {
    const set = scenes(["en"]);
    const captioner = untrained(set, null);
    expect(await wordMaps(captioner, await pictureBatch(set, [0], captioner.preprocessing), [[4]])).toBeNull();
    captioner.dispose();
  });
});

test.each([
  [{}, "greedy decoding"],
  [{ beam: 3, noRepeatNgram: 2 }, "beam of 3, length penalty 0.7, no 2 words twice"],
  [{ sampling: { temperature: 0.5, topP: 0.9, seed: 4 }, minLength: 3 }, "drawn at temperature 0.5 with seed 4, from the likeliest 90 %, at least 3 words"],
  [{ sampling: { topK: 0, topP: 0.57 } }, "drawn at temperature 1 with seed 0, from the likeliest 57 %"],
])("decoding in words: %j", (options, words) => {
  expect(showDecoding(options)).toBe(words);
});

describe("sightline eval", () => {
  beforeAll(async () => {
    await writeUntrainedModel(device(), cli.path("model.safetensors"));
    mkdirSync(cli.path("photos", "images"), { recursive: true });
    const names = ["one.png", "two.png", "three.png"];
    for (const [i, name] of names.entries()) writeFileSync(cli.path("photos", "images", name), new Uint8Array(UPNG.encode([new Uint8Array(16 * 16 * 4).fill(70 * (i + 1)).buffer], 16, 16, 0)));
    writeFileSync(cli.path("photos", "captions.txt"), ["image,caption", ...names.flatMap((name) => [`${name},"a <b>large</b> red ring, here"`, `${name},a square`])].join("\n"));
  });

  test("prints every score with its terms, and writes table and report", async () => {
    const { code, stdout, stderr } = await cli.run("eval", "--model", "model.safetensors", "--data", "photos", "--beam", "2", "--no-repeat-ngram", "2", "--tokenizer", "coco", "--csv", "scores.csv", "--out", "report.html");
    expect(code).toBe(0);
    expect(stdout).toMatch(/^scores of model.safetensors: 3 pictures \(all\), 2 references each; beam of 2, length penalty 0.7, no 2 words twice; tokens as coco-caption makes them$/m);
    for (const name of ["word for word", "CIDEr-D", "BLEU-1", "BLEU-4", "meteor (nltk)", "ROUGE-L (coco)", "ROUGE-1", "ROUGE-2", "ROUGE-L", "token F1", "distinct captions"]) expect(stdout).toContain(`\n  ${name} `);
    expect(stdout).toMatch(/\n {2}words {2}captions\n/);
    expect(stderr).toContain("scores of each image scores.csv\n");
    const [header, ...rows] = readFileSync(cli.path("scores.csv"), "utf8").trimEnd().split("\n");
    expect(header).toMatch(/^image,caption,references,exact,bleu1,.*,token_f1$/);
    expect(rows.map((row) => row.split(",")[0]).toSorted()).toEqual(["one.png", "three.png", "two.png"]);
    const page = readFileSync(cli.path("report.html"), "utf8");
    expect(page).toContain('id="looked"');
    expect(page).not.toContain("<b>large");
    expect(statSync(cli.path("report.html")).size).toBeLessThan(500_000);
  });

  test("--json is one object, with each image where it is asked for", async () => {
    const { code, stdout } = await cli.run("eval", "--model", "model.safetensors", "--data", "photos", "--json", "--per-image", "--temperature", "1", "--seed", "3");
    expect(code).toBe(0);
    const { decoding, scores, images, beam } = JSON.parse(stdout) as { decoding: string; beam: number; scores: { images: number }; images: { name: string; references: string[]; scores: { cider: number; meteor: number } }[] };
    expect([decoding, beam, scores.images, images.length]).toEqual(["drawn at temperature 1 with seed 3", 1, 3, 3]);
    expect(images[0].references).toHaveLength(2);
    expect(images[0].scores.meteor).toBeGreaterThanOrEqual(0);
  });

  test.each([
    [["--per-image"], "--per-image adds each image's scores to the JSON; got no --json"],
    [["--seed", "3"], "--seed decides which words are drawn; got 3 where the likeliest ones are taken"],
    [["--top-p", "2"], "It must be a probability above 0"],
    [["--language", "german"], "It must be a language's two letters"],
    [["--language", "de"], "the language must be left out, as this captioner knows one alone; got <de>"],
    [["--csv", "nowhere/x.csv"], "cannot write nowhere/x.csv: the folder nowhere does not exist"],
  ])("%j is refused in one line", async (args, message) => {
    const { code, stderr } = await cli.run("eval", "--model", "model.safetensors", "--data", "photos", ...args);
    expect(code).toBe(1);
    expect(stderr.trimEnd().split("\n").at(-1)).toMatch(/^error: /);
    expect(stderr).toContain(message);
  });
});
