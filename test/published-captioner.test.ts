import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { noGrad } from "../src/autograd/tape.ts";
import { tensor } from "../src/autograd/tensor.ts";
import type { Captioner } from "../src/caption/captioner.ts";
import { publishedCaptioner } from "../src/caption/published-captioner.ts";
import type { Storyteller } from "../src/caption/storyteller.ts";
import type { DescribeOptions } from "../src/caption/teller.ts";
import { openCheckpoint, saveSafetensors } from "../src/checkpoint/files.ts";
import { readSafetensors } from "../src/checkpoint/safetensors.ts";
import { openCaptioner, type CaptionerFiles } from "../src/cli/open-captioner.ts";
import type { HostInput } from "../src/core/host-tensor.ts";
import { Generator } from "../src/core/rng.ts";
import { squash } from "../src/data/preprocess.ts";
import { BYTE_CHARACTERS } from "../src/data/tokenizer-bytes.ts";
import { Vocabulary } from "../src/data/vocabulary.ts";
import { ResNet } from "../src/models/resnet.ts";
import { useDevice } from "./device.ts";
import { dict, op, pickle } from "./pickle-maker.ts";

const device = useDevice({ adapter: "software" });
const root = mkdtempSync(join(tmpdir(), "sightline-published-"));
afterAll(() => rmSync(root, { recursive: true }));

const golden = (path: string): string => new URL(`golden/models/${path}`, import.meta.url).pathname;
const meta = (model: string): Record<string, unknown> => JSON.parse(readFileSync(golden(`${model}/meta.json`), "utf8")) as Record<string, unknown>;

/** The id that starts, ends and fills the texts of the small GPT-2s. */
const FRAME = 100;

/** A byte-level tokeniser whose texts end with token 100. */
const TOKENIZER = ((): unknown => {
  const tokens = [...BYTE_CHARACTERS];
  tokens.splice(FRAME, 0, "<|endoftext|>");
  return { added_tokens: [{ id: FRAME, content: "<|endoftext|>", special: true }], pre_tokenizer: { type: "ByteLevel", add_prefix_space: false }, decoder: { type: "ByteLevel" }, model: { type: "BPE", vocab: Object.fromEntries(tokens.map((token, id) => [token, id])), merges: [] } };
})();

/** The heads of the small models, which no tensor tells: their width is no multiple of 64. */
const HEADS = { model_type: "vision-encoder-decoder", prefix_heads: 3, encoder: { model_type: "vit", num_attention_heads: 3 }, decoder: { model_type: "gpt2", n_head: 3 } };

/** A pickled vocabulary, an instance of a class that only its own program knows. */
function vocabularyPickle(size: number): Uint8Array {
  const words = ["<PAD>", "<SOS>", "<EOS>", "<UNK>", ...Array.from({ length: size - 4 }, (_, i) => `word${i + 4}`)];
  const itos = [...op.emptyDict, ...op.mark, ...words.flatMap((word, id) => [...op.int(id), ...op.text(word)]), ...op.setItems];
  return pickle(op.global("__main__", "Vocabulary"), op.emptyTuple, op.newObject, dict({ itos }), op.build);
}

/** A folder as users have it: the weights, and what lies beside them. */
function folderOf(name: string, weights: string, beside: Readonly<Record<string, unknown>>): string {
  const folder = join(root, name);
  mkdirSync(folder);
  copyFileSync(golden(weights), join(folder, weights.split("/")[1]));
  for (const [file, content] of Object.entries(beside)) writeFileSync(join(folder, file), content instanceof Uint8Array ? content : JSON.stringify(content));
  return folder;
}

function values(model: string, name: string, rows?: number): HostInput {
  const { shape, data } = readSafetensors(readFileSync(golden(`${model}/io.safetensors`)), "io.safetensors").tensors.get(name)!;
  const count = rows ?? shape[0];
  return { shape: [count, ...shape.slice(1)], data: data.slice(0, (data.length / shape[0]) * count) };
}

/** Ids of the best text for each row. */
async function idsOf(captioner: Captioner, input: HostInput, options: DescribeOptions): Promise<(readonly number[])[]> {
  return (await captioner.describeBatch(input, options)).map(([{ ids }]) => ids);
}

async function open(path: string, files?: CaptionerFiles): Promise<Captioner> {
  return (await openCaptioner(device(), path, files)).captioner;
}

describe("captioners of published layouts say what PyTorch says", () => {
  test("story", async () => {
    const captioner = await open(folderOf("story", "story-resnet-gpt2/vlm_model.pt", { "tokenizer.json": TOKENIZER, "config.json": HEADS }));
    const { greedy } = meta("story-resnet-gpt2") as { greedy: number[] };
    expect(await idsOf(captioner, values("story-resnet-gpt2", "image", 1), { maxLength: greedy.length })).toEqual([greedy]);
    expect(captioner.config).toMatchObject({ model: { system: "story" }, maxLength: 100 });
    expect(captioner.preprocessing).toMatchObject({ size: 224, mean: [0, 0, 0], std: [1, 1, 1] });
    captioner.dispose();
  });

  test("prefix: drawn by default, as its project does, and the likeliest words where a beam of 1 is asked for", async () => {
    const captioner = await open(folderOf("prefix", "prefix-vit-gpt2/image_captioning.pth", { "tokenizer.json": TOKENIZER, "config.json": HEADS }));
    const { greedy } = meta("prefix-vit-gpt2") as { greedy: number[] };
    const picture = values("prefix-vit-gpt2", "image", 1);
    expect(await idsOf(captioner, picture, { beam: 1, maxLength: greedy.length })).toEqual([greedy]);
    expect(captioner.decodingFor({})).toMatchObject({ sampling: { temperature: 0.8, topK: 50, topP: 0.95 } });
    const drawn = await idsOf(captioner, picture, {});
    expect(drawn[0].length).toBeLessThanOrEqual(15);
    expect(drawn).not.toEqual([greedy]);
    expect(await idsOf(captioner, picture, {})).toEqual(drawn);
    expect(captioner.preprocessing.size).toBe(32);
    captioner.dispose();
  });

  test("cross", async () => {
    const captioner = await open(folderOf("cross", "vision-gpt2-cross/captioner.pt", { "tokenizer.json": TOKENIZER, "config.json": { ...HEADS, decoder: { ...HEADS.decoder, activation_function: "gelu" } } }));
    const { greedy_from_bos: [, ...words] } = meta("vision-gpt2-cross") as { greedy_from_bos: number[] };
    expect(await idsOf(captioner, values("vision-gpt2-cross", "image", 1), { maxLength: words.length })).toEqual([words]);
    expect(captioner.config).toMatchObject({ model: { system: "cross", looksAt: "each", decoder: { activation: "gelu" } }, maxLength: 50 });
    captioner.dispose();
  });

  test("Hugging Face's VisionEncoderDecoder, with its own config.json", async () => {
    const config = JSON.parse(readFileSync(golden("vit-gpt2/config.json"), "utf8")) as object;
    const captioner = await open(folderOf("vit-gpt2", "vit-gpt2/model.safetensors", { "tokenizer.json": TOKENIZER, "config.json": config }));
    const { greedy, beam4 } = meta("vit-gpt2") as Record<string, number[][]>;
    const words = (texts: number[][]): number[][] => texts.map((ids) => ids.slice(1));
    const pictures = values("vit-gpt2", "pixel_values");
    const maxLength = greedy[0].length - 1;
    expect(await idsOf(captioner, pictures, { beam: 1, maxLength })).toEqual(words(greedy));
    expect(await idsOf(captioner, pictures, { maxLength })).toEqual(words(beam4));
    expect(captioner.config).toMatchObject({ model: { system: "cross", looksAt: "last" }, maxLength: 15, decoding: { beam: 4, lengthPenalty: 1 } });
    captioner.dispose();
  });

  test("storyteller, from features, with its words pickled", async () => {
    const vocabulary = Vocabulary.fromJson({ words: ["<pad>", "<start>", "<end>", "<unk>", ...Array.from({ length: 33 }, (_, i) => `word${i + 4}`)] });
    const reader = await openCheckpoint(golden("storyteller-lstm/model.safetensors"));
    const captioner = await publishedCaptioner(device(), reader, { vocabulary });
    await reader.close();
    const { greedy: [, ...greedy], beam5_alpha0: [, ...alpha0], beam5_alpha0p7: [, ...alpha7] } = meta("storyteller-lstm").decode as Record<string, number[]>;
    const features = values("storyteller-lstm", "features", 1);
    expect(await idsOf(captioner, features, { maxLength: greedy.length })).toEqual([greedy]);
    expect(await idsOf(captioner, features, { beam: 5, maxLength: greedy.length })).toEqual([alpha0]);
    expect(await idsOf(captioner, features, { beam: 5, lengthPenalty: 0.7, maxLength: greedy.length })).toEqual([alpha7]);
    expect((await captioner.describeBatch(features, { beam: 5 }))[0][0].text).toBe("word6");
    captioner.dispose();
  });

  test("encdec, as the model alone says it", async () => {
    const folder = folderOf("encdec", "encdec-gru/model.safetensors", { "vocab.pkl": vocabularyPickle(33) });
    const captioner = await open(folder);
    expect(captioner.config).toMatchObject({ model: { system: "encdec", decoder: { cell: "gru" } }, maxLength: 20 });
    const image = values("encdec-gru", "image", 2);
    const said = await captioner.describeBatch(image);
    const words = said.map(([{ ids }]) => ids);
    // The likeliest word after each that was said is the next one.
    const length = Math.max(...words.map((ids) => ids.length));
    const given = tensor(device(), Int32Array.from(words.flatMap((ids) => [1, ...ids, ...Array<number>(length).fill(0)].slice(0, length))), [2, length]);
    const logits = noGrad(() => captioner.model.logits(captioner.model.see(tensor(device(), image.data, image.shape)), given));
    const [all, vocabulary] = [await logits.read(), logits.shape[2]];
    words.forEach((ids, row) => ids.forEach((id, at) => {
      const some = all.slice((row * length + at) * vocabulary, (row * length + at + 1) * vocabulary);
      expect(some.indexOf(Math.max(...some))).toBe(id);
    }));
    expect(said[0][0].text.split(" ").every((word) => word === "" || word === "<unk>" || /^word\d+$/.test(word))).toBe(true);
    captioner.dispose();
  });

  test("storyteller with its vision network: words pickled beside it, or in a file that is named", async () => {
    const [wide, narrow] = [await resnetFile("wide.safetensors", 64), await resnetFile("narrow.safetensors", 8)];
    const folder = folderOf("storyteller", "storyteller-lstm/model.safetensors", { "vocab.pkl": vocabularyPickle(37) });
    const captioner = await open(folder, { encoder: wide });
    expect(captioner.config.model).toMatchObject({ system: "storyteller", grid: 1, backbone: { width: 64, classes: 0 } });
    const picture = { shape: [1, 3, 16, 16], data: Float32Array.from({ length: 768 }, (_, i) => Math.sin(i)) };
    const [[{ ids }]] = await captioner.describeBatch(picture, { maxLength: 4 });
    // The same words follow from the network's own features.
    using _scope = device().scope();
    const { backbone } = captioner.model as Storyteller;
    const pooled = noGrad(() => backbone!.pooled(tensor(device(), picture.data, picture.shape)));
    const reader = await openCheckpoint(folder);
    const fromFeatures = await publishedCaptioner(device(), reader, { vocabulary: captioner.codec as Vocabulary });
    await reader.close();
    expect(await idsOf(fromFeatures, { shape: pooled.shape, data: (await pooled.read()) as Float32Array }, { maxLength: 4 })).toEqual([ids]);
    fromFeatures.dispose();
    captioner.dispose();

    await expect(open(folder, { encoder: narrow })).rejects.toThrow("model.safetensors: the vision network must give 2048 features of a picture, on which this storyteller works; got one that gives 256");
    await expect(open(folder, { encoder: golden("gpt2/model.safetensors") })).rejects.toThrow("--encoder must name a file with a ResNet or ViT");
    await expect(open(folder, { encoder: "resnet-none" })).rejects.toThrow("--encoder must name the ResNet-50 that they come from; got resnet-none, which is neither a file nor pulled (get it with: sightline pull resnet50)");
    await expect(open(folder, { encoder: wide, vocab: join(folder, "nothing.pkl") })).rejects.toThrow("nothing.pkl: there is no such file");
    writeFileSync(join(folder, "small.json"), JSON.stringify({ words: ["<pad>", "<start>", "<end>", "<unk>", "dog"] }));
    await expect(open(folder, { encoder: wide, vocab: join(folder, "small.json") })).rejects.toThrow("the vocabulary must be the one of these weights, which know 37 words; got a vocabulary of 5");
    rmSync(join(folder, "vocab.pkl"));
    await expect(open(folder, { encoder: wide })).rejects.toThrow("model.safetensors must have its words beside it, in vocab.pkl or vocab.json; got neither (name the file with --vocab)");
  });
});

/** A bottleneck ResNet of so many channels at its start, and 32 times as many at its end. */
async function resnetFile(name: string, width: number): Promise<string> {
  const model = new ResNet({ device: device(), generator: new Generator(1) }, { block: "bottleneck", layers: [1, 0, 0, 1], width, stem: "imagenet", classes: 0 });
  const path = join(root, name);
  await saveSafetensors(path, await model.stateDict(), {});
  model.dispose();
  return path;
}

describe("what cannot be opened gets one clear line", () => {
  test.each(["resnet", "vit-timm", "gpt2"])("%s is no captioner", async (model) => {
    await expect(open(golden(`${model}/model.safetensors`))).rejects.toThrow("model.safetensors: must hold a captioner; got a vision network or a language model alone (name the captioner's file");
  });

  test("files that are no weights, or hold unknown ones", async () => {
    writeFileSync(join(root, "text.pt"), "hello there");
    await expect(open(join(root, "text.pt"))).rejects.toThrow('must be a safetensors or PyTorch file, or the index of one in several files; got text that begins with "hello there"');
    await expect(open(golden("vit-hf/io.safetensors"))).rejects.toThrow("io.safetensors: must hold one of");
    await expect(open(join(root, "nothing"))).rejects.toThrow("must be the folder of a run, a file of weights, or the name of weights that were pulled; got nothing of that name");
  });

  test("what lies beside the weights belongs to another model", async () => {
    const cases: readonly (readonly [Record<string, unknown>, string])[] = [
      [{ "tokenizer.json": TOKENIZER }, "the number of heads must be known for a width of 48"],
      [{ "config.json": HEADS }, "the vocabulary must be the one of these weights, which know 101 words; got a tokeniser whose texts begin with 50256 and end with 50256"],
      [{ "tokenizer.json": TOKENIZER, "config.json": { ...HEADS, eos_token_id: 3000 } }, "end must be the id of a token, 0 to 256; got 3000"],
      [{ "tokenizer.json": TOKENIZER, "config.json": HEADS, "generation_config.json": { num_beams: "many" } }, 'num_beams of its configuration must be a number from 1 to 128; got "many"'],
      [{ "tokenizer.json": TOKENIZER, "config.json": HEADS, "preprocessor_config.json": { size: 224 } }, "its ViT sees pictures of 32 × 32 pixels; got a preprocessing to 224 × 224"],
      [{ "tokenizer.json": TOKENIZER, "config.json": HEADS, "preprocessor_config.json": { size: 32, do_center_crop: true } }, "do_center_crop of"],
    ];
    for (const [i, [beside, message]] of cases.entries()) {
      await expect(open(folderOf(`bad-${i}`, "vit-gpt2/model.safetensors", beside))).rejects.toThrow(message);
    }
    await expect(open(join(root, "bad-1"), { encoder: "resnet50" })).rejects.toThrow("--encoder is for a storyteller, which works on features; got");
  });
});

test("a configuration's own way to make texts", async () => {
  const settings = { decoder_start_token_id: 7, eos_token_id: [9, 100], max_length: 12, do_sample: true, top_k: 3, no_repeat_ngram_size: 2 };
  const captioner = await open(folderOf("settings", "vit-gpt2/model.safetensors", { "tokenizer.json": TOKENIZER, "config.json": HEADS, "generation_config.json": settings, "preprocessor_config.json": { size: 32, resample: 3 } }));
  expect(captioner.config).toMatchObject({ maxLength: 11, decoding: { sampling: { topK: 3 }, noRepeatNgram: 2 } });
  expect(captioner.codec).toMatchObject({ start: 7, end: 9, pad: FRAME });
  expect(captioner.preprocessing).toEqual({ ...squash(32), filter: "bicubic" });

  // Written as a checkpoint of our own, it comes back as it is.
  const path = join(root, "own.safetensors");
  await saveSafetensors(path, await captioner.model.stateDict(), captioner.metadata());
  const again = await openCaptioner(device(), path);
  expect(again.captioner.config).toEqual(captioner.config);
  expect(again.captioner.codec).toMatchObject({ start: 7, end: 9, pad: FRAME });
  expect(again).toMatchObject({ own: true, tellsStories: false });
  const pictures = values("vit-gpt2", "pixel_values", 1);
  expect(await idsOf(again.captioner, pictures, {})).toEqual(await idsOf(captioner, pictures, {}));
  await expect(open(path, { vocab: path })).rejects.toThrow("--vocab is for published captioners; got");
  captioner.dispose();
  again.captioner.dispose();
});
