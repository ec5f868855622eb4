/** What is compared for each kind of model. */

import { concat, crossEntropy, reshape, slice, softmax } from "../../src/autograd/ops/index.ts";
import { recorded } from "../../src/autograd/recorded.ts";
import { noGrad } from "../../src/autograd/tape.ts";
import { full, tensor, type Tensor } from "../../src/autograd/tensor.ts";
import { beamDecoder, wordByWordDecoder, type SequenceDecoder } from "../../src/caption/decode.ts";
import { fromPictures } from "../../src/caption/caption-model.ts";
import { gpt2Text } from "../../src/caption/gpt2-text.ts";
import type { Published } from "../../src/caption/published.ts";
import type { TextModel } from "../../src/caption/text-model.ts";
import { InputError } from "../../src/core/errors.ts";
import type { HostInput } from "../../src/core/host-tensor.ts";
import { decodeImage } from "../../src/data/image.ts";
import { preprocess, PREPROCESSING } from "../../src/data/preprocess.ts";
import { END, PAD, START } from "../../src/data/vocabulary.ts";
import type { Device } from "../../src/device/device.ts";
import { IGNORED, type GPT2LMHeadModel } from "../../src/models/gpt2.ts";
import type { VisionTransformer } from "../../src/models/vit.ts";
import type { Module } from "../../src/nn/module.ts";
import { AdamW } from "../../src/train/adamw.ts";
import { expectedClasses, fieldsOf, type ModelFolder } from "./findings.ts";
import { MODEL_TOLERANCES, type ModelMeasure } from "./model-measure.ts";

type Kind<Name extends Published["kind"]> = (model: Extract<Published, { kind: Name }>["model"], measure: ModelMeasure, folder: ModelFolder) => Promise<void>;

/** Compares all that the folder holds values of. */
export async function measurePublished({ kind, model }: Published, measure: ModelMeasure, folder: ModelFolder): Promise<void> {
  using _scope = measure.device.scope();
  await (KINDS[kind] as (model: Module, measure: ModelMeasure, folder: ModelFolder) => Promise<void>)(model, measure, folder);
}

const KINDS: { readonly [Name in Published["kind"]]: Kind<Name> } = {
  async resnet(model, measure, { json }) {
    if (!measure.has("x") || (await measure.host("x")).shape.length !== 4) return measure.weights(model, await model.stateDict());
    const x = await measure.input("x");
    const before = await model.stateDict();
    model.eval();
    const features = noGrad(() => model.features(x));
    for (const name of ["layer1", "layer2", "layer3", "layer4"] as const) await measure.output(`eval/${name}`, features[name]);
    const pooled = noGrad(() => model.pooled(x));
    await measure.output("eval/avgpool", reshape(pooled, [...pooled.shape, 1, 1]));
    await measure.output("eval/logits", noGrad(() => model.forward(x)));

    const target = await measure.optional("target");
    if (target === undefined) return;
    model.train();
    const loss = crossEntropy(model.forward(x), target);
    await measure.loss("train/loss", loss, model);
    await measure.output("train/bn1.running_mean", model.bn1.running_mean);
    await measure.output("train/bn1.running_var", model.bn1.running_var);

    model.loadStateDict(before);
    await measureTraining(measure, model, json, ["x", "target"], (pictures, classes) => crossEntropy(model.forward(pictures), classes), { batchNorm: true });
  },

  async vit(model, measure, folder) {
    const { json } = folder;
    const x = await measure.input("x");
    const { blocks, tokens, pooled } = noGrad(() => model.features(x));
    for (const [i, block] of blocks.entries()) await measure.output(`blocks.${i}`, block);
    await measure.output("forward_features", tokens);
    await measure.output("last_hidden_state", tokens);
    await measure.output("pooler_output", pooled);
    await measure.output("cls", pooled);
    if (model.head === null) return;
    await measureClasses(model, measure, folder);
    const logits = model.forward(x);
    await measure.output("logits", logits);
    if (!measure.has("target")) return;
    const loss = crossEntropy(logits, await measure.input("target"));
    await measure.loss("loss", loss, model);
    await measureTraining(measure, model, json, ["x", "target"], (pictures, classes) => crossEntropy(model.forward(pictures), classes));
  },

  async gpt2(model, measure, { json }) {
    const [ids, labels, mask] = [await measure.input("ids"), await measure.optional("labels"), await measure.optional("attention_mask")];
    const hidden = noGrad(() => model.transformer.hidden(model.embed(ids), { keyMask: mask }));
    for (const [i, state] of hidden.entries()) await measure.output(`hidden.${i}`, state);
    await measure.output("logits", noGrad(() => model.head(hidden.at(-1)!)));

    if (labels !== undefined) {
      const loss = model.loss(model.embed(ids), following(labels), { keyMask: mask });
      await measure.loss("loss", loss, model);
    }

    const { prompt, generate } = fieldsOf(json["meta.json"]);
    if (prompt !== undefined) {
      if (!isTexts(prompt) || prompt.some(({ length }) => length !== prompt[0].length)) throw new InputError(`meta.json: "prompt" must be lists of token ids, all of one length; got ${JSON.stringify(prompt).slice(0, 60)}`);
      const [{ length }] = prompt;
      const text = (longest: number): TextModel => gpt2Text(model, longest, (given) => ({ x: model.embed(given), said: given }));
      const end = Number(fieldsOf(json["config.json"]).eos_token_id ?? -1);
      await measureGenerated(measure, fieldsOf(generate), text, [{ shape: [prompt.length, length], data: Int32Array.from(prompt.flat()) }], length, end);
    }

    if (labels === undefined) return;
    const names = ["ids", "labels", ...(mask === undefined ? [] : ["attention_mask"])];
    await measureTraining(measure, model, json, names, (words, same, keyMask) => model.loss(model.embed(words), following(same), { keyMask }));
  },

  async storyteller(model, measure, { json }) {
    const features = await measure.input("features");
    const [words, next] = await columns(measure, "ids");
    const [given, labels] = [onDevice(measure.device, words), onDevice(measure.device, withoutPads(next))];
    await measure.output("logits", noGrad(() => model.logits([features], given)));
    const loss = model.loss([features], given, labels);
    await measure.loss("loss", loss, model);
    const [first] = await inputsOf(measure, "features");
    await measureGenerated(measure, fieldsOf(fieldsOf(json["meta.json"]).decode), () => fromPictures(model, 0, [START]), [firstRow(first)], 1, END);
  },

  async story(model, measure, { json }) {
    model.encoder.eval();
    const [ids, mask] = await inputsOf(measure, "ids", "mask");
    const end = endOf(json, model.gpt2);
    const image = await measure.input("image");
    const [given, keyMask] = [withFirst(ids, end), withFirst(mask, 1)].map((host) => onDevice(measure.device, host));
    await measure.output("logits", noGrad(() => model.logits(model.see(image), given, keyMask)));
    const labels: HostInput = { shape: ids.shape, data: ids.data.map((id, i) => (mask.data[i] === 0 ? IGNORED : id)) };
    const loss = model.loss(model.see(image), onDevice(measure.device, shifted(ids, end)), onDevice(measure.device, labels));
    await measure.loss("loss", loss, model);
    const [pictures] = await inputsOf(measure, "image");
    await measureGenerated(measure, meta(json, "greedy"), (longest) => fromPictures(model, longest, [end]), [firstRow(pictures)], 0, end);
  },

  async prefix(model, measure, { json }) {
    model.eval();
    const end = endOf(json, model.text_decoder);
    const image = await measure.input("image");
    const [ids, labels] = await inputsOf(measure, "ids", "labels");
    const seen = noGrad(() => model.see(image));
    await measure.output("prefix", noGrad(() => model.prefix(seen)));
    const sequence = noGrad(() => model.sequence(seen, onDevice(measure.device, withFirst(ids, end))));
    await measure.output("logits", noGrad(() => model.text_decoder.head(model.text_decoder.transformer.hidden(sequence).at(-1)!)));
    const loss = model.loss(model.see(image), onDevice(measure.device, shifted(ids, end)), onDevice(measure.device, labels));
    await measure.loss("loss", loss, model);
    const [pictures] = await inputsOf(measure, "image");
    await measureGenerated(measure, meta(json, "greedy"), (longest) => fromPictures(model, longest, [end]), [firstRow(pictures)], 0, end);
  },

  async "vision-gpt2"(model, measure, { json }) {
    const ownInputs = measure.has("ids");
    const pictures = ownInputs ? "image" : "pixel_values";
    const image = await measure.input(pictures);
    const labels = await measure.host("labels");
    const start = Number(fieldsOf(json["config.json"]).decoder_start_token_id ?? endOf(json, model.decoder));
    const words = onDevice(measure.device, ownInputs ? await measure.host("ids") : shifted(labels, start));
    await measure.output("logits", noGrad(() => model.logits(model.see(image), words)));
    const loss = model.loss(model.see(image), words, onDevice(measure.device, labels));
    await measure.loss("loss", loss, model);
    const cases = { ...meta(json, "greedy"), ...meta(json, "beam4"), ...meta(json, "beam4_noeos"), ...meta(json, "greedy_from_bos") };
    const [input] = await inputsOf(measure, pictures);
    await measureGenerated(measure, cases, (longest) => fromPictures(model, longest, [start]), [input], 1, start);
  },

  async encdec(model, measure) {
    const image = await measure.input("image");
    const [ids, target] = await inputsOf(measure, "ids", "target");
    const words = onDevice(measure.device, withFirst(ids, START));
    const before = await model.stateDict();
    await measure.output("train/logits", noGrad(() => model.logits(model.see(image), words)));
    model.loadStateDict(before); // the batch norms have moved
    const loss = model.loss(model.see(image), words, onDevice(measure.device, withoutPads(target)));
    await measure.loss("train/loss", loss, model, /^linear\.bias$/);
    await measure.output("train/bn.running_mean", model.bn.running_mean);
  },
};

/** Pictures from their files, through decoder, resize and model: their likeliest classes, and how likely they are. */
async function measureClasses(model: VisionTransformer, measure: ModelMeasure, folder: ModelFolder): Promise<void> {
  const { size } = PREPROCESSING.timmVit;
  for (const [name, expected] of Object.entries(expectedClasses(folder))) {
    const picture = tensor(measure.device, preprocess(decodeImage(folder.files[name], name), PREPROCESSING.timmVit), [1, 3, size, size]);
    const probabilities = await noGrad(() => softmax(model.forward(picture))).read();
    const likeliest = probabilities.indexOf(Math.max(...probabilities));
    const error = Math.max(...expected.map(([id, probability]) => Math.abs(probabilities[id] - probability)));
    const problem = likeliest === expected[0][0] ? undefined : `the likeliest class must be ${expected[0][0]}; got ${likeliest}`;
    measure.measured.push({ what: `top3/${name}`, error, tolerance: MODEL_TOLERANCES.probability.error, problem });
  }
}

function isNumbers(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((item) => typeof item === "number");
}

function isTexts(value: unknown): value is number[][] {
  return Array.isArray(value) && value.length > 0 && value.every((text) => isNumbers(text) && text.length > 0);
}

/** One field of meta.json, by its name; none where there is no such field. */
function meta(json: ModelFolder["json"], name: string): Record<string, unknown> {
  const value = fieldsOf(json["meta.json"])[name];
  return value === undefined ? {} : { [name]: value };
}

/** The token that ends, starts and fills texts, as GPT-2 has only one: the last of its vocabulary where nothing else is said. */
function endOf(json: ModelFolder["json"], { transformer }: GPT2LMHeadModel): number {
  return Number(fieldsOf(fieldsOf(fieldsOf(json["meta.json"]).sizes).gpt2).start_end_pad ?? transformer.config.vocabulary - 1);
}

async function inputsOf(measure: ModelMeasure, ...names: readonly string[]): Promise<HostInput[]> {
  return Promise.all(names.map((name) => measure.host(name)));
}

function firstRow({ shape, data }: HostInput): HostInput {
  return { shape: [1, ...shape.slice(1)], data: data.slice(0, data.length / shape[0]) };
}

/** All columns but the last, and all but the first. */
async function columns(measure: ModelMeasure, name: string): Promise<HostInput[]> {
  const { shape: [rows, length], data } = await measure.host(name);
  return [0, 1].map((from) => ({ shape: [rows, length - 1], data: data.filter((_, i) => (from === 0 ? i % length < length - 1 : i % length > 0)) }));
}

/** The start token, then the labels but the last. */
function shifted({ shape, data }: HostInput, start: number): HostInput {
  const [, length] = shape;
  return { shape, data: data.map((_, i) => (i % length === 0 ? start : data[i - 1] === IGNORED ? start : data[i - 1])) };
}

/** What should follow each token of a text [B, T]; of the last one nothing is known. */
function following(labels: Tensor): Tensor {
  const [batch, length] = labels.shape;
  return concat([slice(labels, 1, 1, length), full(labels.device, [batch, 1], IGNORED, "i32")], 1);
}

/** A column of one value, then the others. */
function withFirst({ shape: [rows, length], data }: HostInput, first: number): HostInput {
  const wide = Int32Array.from({ length: rows * (length + 1) }, (_, i) => (i % (length + 1) === 0 ? first : data[Math.floor(i / (length + 1)) * length + (i % (length + 1)) - 1]));
  return { shape: [rows, length + 1], data: wide };
}

/** Labels of words, of which pads are none. */
function withoutPads({ shape, data }: HostInput): HostInput {
  return { shape, data: data.map((id) => (id === PAD ? IGNORED : id)) };
}

function onDevice(device: Device, { shape, data }: HostInput): Tensor {
  return tensor(device, data, shape);
}

/**
 * Losses of training, where the folder tells them: `train_losses_adamw_lr1e3_wd0p01` is ten steps of AdamW with a learning rate of
 * 1e-3 and a weight decay of 0.01.
 */
async function measureTraining(measure: ModelMeasure, model: Module, json: ModelFolder["json"], names: readonly string[], lossOf: (...inputs: Tensor[]) => Tensor, { batchNorm = false } = {}): Promise<void> {
  for (const [name, expected] of Object.entries(fieldsOf(json["meta.json"]))) {
    const [, digits, exponent, decay] = /^train_losses_adamw_lr(\d+)e(\d+)_wd([\dp]+)$/.exec(name) ?? [];
    if (digits === undefined || !isNumbers(expected)) continue;
    for (const parameter of model.parameters()) parameter.grad = null;
    const optimizer = new AdamW([{ params: model.parameters() }], { lr: Number(`${digits}e-${exponent}`), weightDecay: Number(decay.replace("p", ".")) });
    const step = recorded(measure.device, "training step", (...given) => {
      const loss = lossOf(...given);
      loss.backward();
      optimizer.step();
      return { loss };
    });
    const inputs = await inputsOf(measure, ...names);
    const found: number[] = [];
    for (const _ of expected) found.push(await (await step.run(...inputs)).loss.item());
    step.dispose();
    const early = batchNorm ? 3 : expected.length;
    measure.losses(`losses[0..${early})`, found.slice(0, early), expected.slice(0, early));
    if (batchNorm) measure.losses(`losses[${early}..${expected.length})`, found.slice(early), expected.slice(early), MODEL_TOLERANCES.lateLosses.error);
  }
}

/**
 * Compares generated words. How they are generated stands in the name: `greedy`, `beam4`, `beam3_len2_norepeat2`,
 * `beam5_alpha0p7`, `rep_penalty_1p3`, `beam4_noeos` …
 * @param textOf The model, for texts of at most so many words.
 * @param given How many words of each expected text were given.
 * @throws InputError if what a name holds is no text.
 */
async function measureGenerated(measure: ModelMeasure, cases: Readonly<Record<string, unknown>>, textOf: (longest: number) => TextModel, inputs: readonly HostInput[], given: number, end: number): Promise<void> {
  const expectedTexts = Object.entries(cases).map(([name, value]) => {
    const texts = isNumbers(value) ? [value] : value;
    if (!isTexts(texts)) throw new InputError(`meta.json: "${name}" must be a list of word ids, or of such lists; got ${JSON.stringify(value).slice(0, 60)}`);
    return [name, texts] as const;
  });
  if (expectedTexts.length === 0) return;
  const maxLength = Math.max(...expectedTexts.flatMap(([, texts]) => texts.map((ids) => ids.length - given))); // some end before it
  const text = textOf(maxLength);
  for (const [name, texts] of expectedTexts) {
    const words = texts.map((ids) => ids.slice(given));
    const rows = inputs.map((input) => (input.shape[0] === texts.length ? input : firstRow(input)));
    const stop = name.includes("noeos") ? -1 : end;
    const expected = words.map((ids) => (ids.includes(stop) ? ids.slice(0, ids.indexOf(stop) + 1) : ids));
    await measure.words(`generate/${name}`, decoderOf(name, measure.device, text, maxLength, stop), rows, expected);
  }
}

function decoderOf(name: string, device: Device, text: TextModel, maxLength: number, end: number): SequenceDecoder {
  const number = (pattern: RegExp): number | undefined => {
    const [, digits] = pattern.exec(name) ?? [];
    return digits === undefined ? undefined : Number(digits.replace("p", "."));
  };
  const rules = { maxLength, end, noRepeatNgram: number(/norepeat(\d+)/), repetitionPenalty: number(/rep_penalty_([\dp]+)/) };
  const width = number(/beam(\d+)/);
  if (width === undefined) return wordByWordDecoder(device, text, rules);
  const alpha = number(/alpha([\dp]+)/);
  return beamDecoder(device, text, { ...rules, width, alpha: alpha ?? number(/len([\dp]+)/) ?? 1, rule: alpha === undefined ? "full" : "narrow" });
}
