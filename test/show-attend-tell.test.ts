import { describe, expect, test } from "vitest";
import { logSoftmax, reshape, stack } from "../src/autograd/ops/index.ts";
import { recorded } from "../src/autograd/recorded.ts";
import { noGrad } from "../src/autograd/tape.ts";
import { tensor, zeros, type Tensor } from "../src/autograd/tensor.ts";
import { fromPictures, type CaptionModel } from "../src/caption/caption-model.ts";
import { beamDecoder } from "../src/caption/decode.ts";
import { EncDec } from "../src/caption/encdec.ts";
import { recurrentLoss } from "../src/caption/recurrent-text.ts";
import { Storyteller } from "../src/caption/storyteller.ts";
import { Generator } from "../src/core/rng.ts";
import { regionAttention } from "../src/models/config-schema.ts";
import { IGNORED } from "../src/models/gpt2.ts";
import { RecurrentDecoder, type RecurrentDecoderConfig } from "../src/models/lstm.ts";
import type { AttentionChoice, AttentionOptions } from "../src/models/region-attention.ts";
import type { ResNetConfig } from "../src/models/resnet.ts";
import { AdamW } from "../src/train/adamw.ts";
import { useDevice } from "./device.ts";

const device = useDevice({ adapter: "software" });

const ADDITIVE: AttentionOptions = { kind: "additive", gate: true, coverage: 1 };

/** Numbers that look random and are the same everywhere. */
const numbers = (size: number, salt: number): Float32Array<ArrayBuffer> => Float32Array.from({ length: size }, (_, i) => Math.sin(12.9898 * (i + 1) + 78.233 * salt));

describe("RecurrentDecoder with attention, held against float64", () => {
  const [BATCH, LENGTH, VOCABULARY, EMBEDDING, HIDDEN, REGIONS, CHANNELS] = [2, 3, 5, 3, 4, 4, 3];
  const WORDS = [1, 3, 0, 1, 4, 2];
  const NEXT = [3, 0, 2, 4, 2, IGNORED];
  const PICTURE = numbers(BATCH * HIDDEN, 1);
  const MAPS = numbers(BATCH * REGIONS * CHANNELS, 2);

  type Weights = ReadonlyMap<string, Float64Array>;
  const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));
  const dot = (a: ArrayLike<number>, b: ArrayLike<number>): number => Array.from(a).reduce((sum, value, i) => sum + value * b[i], 0);

  /** Loss as the papers write it, in plain loops. */
  function reference(weights: Weights, { kind, gate = false, coverage = 0 }: AttentionOptions): number {
    const row = (name: string, i: number, width: number): Float64Array => weights.get(name)!.subarray(i * width, (i + 1) * width);
    const layer = (name: string, x: readonly number[], outputs: number): number[] =>
      Array.from({ length: outputs }, (_, o) => dot(row(`${name}.weight`, o, x.length), x) + (weights.get(`${name}.bias`)?.[o] ?? 0));
    const softmaxOf = (scores: readonly number[]): number[] => {
      const powers = scores.map((score) => Math.exp(score));
      return powers.map((power) => power / powers.reduce((sum, each) => sum + each));
    };
    let words = 0;
    let asked = 0;
    let looks = 0;
    for (let b = 0; b < BATCH; b++) {
      const regions = Array.from({ length: REGIONS }, (_, r) => Array.from({ length: CHANNELS }, (_c, c) => MAPS[(b * REGIONS + r) * CHANNELS + c] + row("attention.positions", r, CHANNELS)[c]));
      const meanUnder = (alphas: readonly number[]): number[] => Array.from({ length: CHANNELS }, (_, c) => dot(alphas, regions.map((region) => region[c])));
      let h = [...PICTURE.subarray(b * HIDDEN, (b + 1) * HIDDEN)];
      let c = h.map(() => 0);
      const looked = regions.map(() => 0);
      for (let t = 0; t < LENGTH; t++) {
        const next = NEXT[b * LENGTH + t];
        let x = [...row("embedding.weight", WORDS[b * LENGTH + t], EMBEDDING)];
        let alphas: number[] = [];
        if (kind === "additive") {
          const query = layer("attention.query", h, HIDDEN);
          alphas = softmaxOf(regions.map((region) => dot(weights.get("attention.score")!, layer("attention.key", region, HIDDEN).map((key, a) => Math.tanh(query[a] + key)))));
          const beta = gate ? sigmoid(layer("attention.gate", h, 1)[0]) : 1;
          x = [...x, ...meanUnder(alphas).map((value) => beta * value)];
        }
        const gates = Array.from({ length: 4 * HIDDEN }, (_, g) => dot(row("lstm.weight_ih_l0", g, x.length), x) + dot(row("lstm.weight_hh_l0", g, HIDDEN), h) + weights.get("lstm.bias_ih_l0")![g] + weights.get("lstm.bias_hh_l0")![g]);
        c = c.map((cell, i) => sigmoid(gates[HIDDEN + i]) * cell + sigmoid(gates[i]) * Math.tanh(gates[2 * HIDDEN + i]));
        h = c.map((cell, i) => sigmoid(gates[3 * HIDDEN + i]) * Math.tanh(cell));
        let spoken = h;
        if (kind === "dot") {
          const query = layer("attention.query", h, CHANNELS);
          alphas = softmaxOf(regions.map((region) => dot(query, region) / Math.sqrt(CHANNELS)));
          spoken = layer("attention.combine", [...h, ...meanUnder(alphas)], HIDDEN).map(Math.tanh);
        }
        if (next === IGNORED) continue;
        asked++;
        words -= Math.log(softmaxOf(layer("fc", spoken, VOCABULARY))[next]);
        alphas.forEach((alpha, r) => (looked[r] += alpha));
      }
      looks += looked.reduce((sum, look) => sum + (1 - look) ** 2, 0) / BATCH;
    }
    return words / asked + coverage * looks;
  }

  test.each<AttentionOptions>([{ kind: "dot" }, { kind: "dot", coverage: 0.5 }, { kind: "additive" }, ADDITIVE])("%o: loss and every gradient", async (options) => {
    using _scope = device().scope();
    const config: RecurrentDecoderConfig = { cell: "lstm", vocabulary: VOCABULARY, embedding: EMBEDDING, hidden: HIDDEN, attention: { ...options, regions: REGIONS, channels: CHANNELS } };
    const decoder = new RecurrentDecoder({ device: device(), generator: new Generator(4) }, config);
    const state = decoder.start(tensor(device(), PICTURE, [BATCH, HIDDEN]), tensor(device(), MAPS, [BATCH, REGIONS, CHANNELS]));
    const outputs = decoder.forward(tensor(device(), Int32Array.from(WORDS), [BATCH, LENGTH]), state);
    const loss = recurrentLoss(outputs, tensor(device(), Int32Array.from(NEXT), [BATCH, LENGTH]), options.coverage);
    loss.backward();
    const weights = new Map([...(await decoder.stateDict())].map(([name, { data }]) => [name, Float64Array.from(data)]));
    expect(await loss.item()).toBeCloseTo(reference(weights, options), 5);
    const step = 1e-4; // of central differences: their own error is about its square
    for (const [name, { grad }] of decoder.namedParameters()) {
      const values = weights.get(name)!;
      const expected = Array.from(values, (value, i) => {
        const at = (shifted: number): number => {
          values[i] = shifted;
          return reference(weights, options);
        };
        const slope = (at(value + step) - at(value - step)) / (2 * step);
        values[i] = value;
        return slope;
      });
      const found = await grad!.read();
      const size = Math.max(...expected.map(Math.abs));
      expected.forEach((slope, i) => expect(Math.abs(found[i] - slope), `${name}[${i}]`).toBeLessThan(1e-5 + 1e-5 * size));
    }
    decoder.dispose();
  });

  test("refuses to begin without regions", () => {
    const decoder = new RecurrentDecoder({ device: device(), generator: new Generator(4) }, { cell: "gru", vocabulary: 5, embedding: 3, hidden: 4, attention: { kind: "additive", regions: 4, channels: 3 } });
    expect(() => decoder.start(tensor(device(), numbers(4, 1), [1, 4]), null)).toThrow("RecurrentDecoder: a decoder with attention needs the picture's regions [B, R, C]; got none");
    decoder.dispose();
  });
});

describe("captioners with attention", () => {
  const RESNET: ResNetConfig = { block: "basic", layers: [1, 0, 0, 0], width: 4, stem: "small", classes: 0 };
  const PICTURES = { shape: [2, 3, 8, 8], data: numbers(2 * 3 * 64, 3) };
  const VOCABULARY = 9;
  const [START, END] = [1, 2];
  const WORDS = [[START, 5, 3, 8], [START, 4, 4, 7]];

  function make(system: "storyteller" | "encdec", cell: RecurrentDecoderConfig["cell"], attention: AttentionChoice | null): Storyteller | EncDec {
    const builder = { device: device(), generator: new Generator(7) };
    const decoder = { cell, vocabulary: VOCABULARY, embedding: 6, hidden: 8 };
    const model = system === "encdec" ? new EncDec(builder, { encoder: RESNET, grid: 2, attention, decoder }) : new Storyteller(builder, { backbone: RESNET, grid: 2, features: 0, attention, decoder });
    return model.eval();
  }

  const look = (model: CaptionModel): readonly Tensor[] => noGrad(() => model.see(tensor(device(), PICTURES.data, PICTURES.shape)));

  test.each([
    ["storyteller", "lstm", ADDITIVE],
    ["storyteller", "rnn", "dot"],
    ["encdec", "gru", "additive"],
    ["encdec", "lstm", "dot"],
    ["encdec", "lstm", null],
  ] as const)("%s, %s, %o: gives word by word what it gives all at once", async (system, cell, attention) => {
    using _scope = device().scope();
    const model: CaptionModel = make(system, cell, attention);
    const seen = look(model);
    const column = (t: number): Tensor => tensor(device(), Int32Array.from(WORDS, (words) => words[t]), [2, 1]);
    const wordByWord = noGrad(() => {
      const text = model.text(4);
      let { logits, state } = text.begin(...seen, column(0));
      return [logits, ...[1, 2, 3].map((t) => ({ logits, state } = text.next(reshape(column(t), [2]), state)).logits)];
    });
    const atOnce = noGrad(() => model.logits(seen, tensor(device(), Int32Array.from(WORDS.flat()), [2, 4])));
    const [expected, found] = await Promise.all([atOnce.read(), noGrad(() => stack(wordByWord, 1)).read()]);
    expect(Math.max(...expected) - Math.min(...expected)).toBeGreaterThan(0.1);
    found.forEach((logit, i) => expect(logit).toBeCloseTo(expected[i], 5));
    model.dispose();
  });

  test("additive attention in a beam search: each text's score is the sum of its log p", async () => {
    const model = make("encdec", "lstm", ADDITIVE);
    const decoder = beamDecoder(device(), fromPictures(model, 4, [START]), { maxLength: 4, end: END, width: 3, alpha: 0, rule: "full" });
    const texts = await decoder.decode(PICTURES);
    using _scope = device().scope();
    const seen = look(model);
    for (const [row, hypotheses] of texts.entries()) {
      expect(new Set(hypotheses.map(({ ids }) => ids.join())).size).toBe(3);
      for (const { ids, score } of hypotheses) {
        const said = [START, ...ids].slice(0, 4);
        const logProbs = await noGrad(() => logSoftmax(model.logits(seen, tensor(device(), Int32Array.from([...said, ...said]), [2, said.length])))).read();
        const expected = said.reduce((sum, _, t) => sum + logProbs[(row * said.length + t) * VOCABULARY + (t < ids.length ? ids[t] : END)], 0);
        expect(score, ids.join()).toBeCloseTo(expected, 4);
      }
    }
    decoder.dispose();
    model.dispose();
  });

  test("a published encdec has the tensors that it had", () => {
    const builder = { device: device(), generator: new Generator(7) };
    const model = new EncDec(builder, { encoder: RESNET, decoder: { cell: "gru", vocabulary: VOCABULARY, embedding: 6, hidden: 8 } });
    const own = model.namedTensors().filter(([name]) => !name.startsWith("body.")).map(([name, { shape }]) => `${name} ${shape.join("x")}`);
    expect(own).toEqual([
      "linear.weight 6x4", "linear.bias 6", "bn.weight 6", "bn.bias 6", "bn.running_mean 6", "bn.running_var 6",
      "decoder.embedding.weight 9x6", "decoder.gru.weight_ih_l0 24x6", "decoder.gru.weight_hh_l0 24x8", "decoder.gru.bias_ih_l0 24", "decoder.gru.bias_hh_l0 24", "decoder.fc.weight 9x8", "decoder.fc.bias 9",
    ]);
    model.dispose();
  });
});

/** Each word asks for the content of a region, which is to be said one word later: whoever looks elsewhere cannot know it. */
test("additive attention learns where to look", async () => {
  const [BATCH, LENGTH, REGIONS, CONTENTS, HIDDEN, STEPS] = [32, 2, 4, 4, 24, 100];
  const attention = { kind: "additive", regions: REGIONS, channels: CONTENTS } as const;
  const decoder = new RecurrentDecoder({ device: device(), generator: new Generator(2) }, { cell: "lstm", vocabulary: Math.max(CONTENTS, REGIONS), embedding: 8, hidden: HIDDEN, attention });
  const optimizer = new AdamW([{ params: decoder.parameters() }], { lr: 0.03 });
  const train = recorded(device(), "step", (maps, words, next) => {
    const outputs = decoder.forward(words, decoder.start(zeros(device(), [BATCH, HIDDEN]), maps));
    recurrentLoss(outputs, next).backward();
    optimizer.step();
    return { logits: outputs.logits, weights: outputs.weights! };
  });
  const random = new Generator(3);
  const draw = (size: number, below: number): Int32Array<ArrayBuffer> => Int32Array.from({ length: size }, () => random.integer(below));
  const most = (row: ArrayLike<number>): number => Array.from(row).indexOf(Math.max(...Array.from(row)));
  let right = 0;
  let there = 0;
  for (let step = 1; step <= STEPS; step++) {
    const contents = draw(BATCH * REGIONS, CONTENTS);
    const maps = Float32Array.from({ length: contents.length * CONTENTS }, (_, i) => (i % CONTENTS === contents[Math.floor(i / CONTENTS)] ? 2 : 0));
    const words = draw(BATCH * LENGTH, REGIONS);
    const next = words.map((_, i) => (i % LENGTH === 0 ? IGNORED : contents[Math.floor(i / LENGTH) * REGIONS + words[i - 1]]));
    const { logits, weights } = await train.run({ shape: [BATCH, REGIONS, CONTENTS], data: maps }, { shape: [BATCH, LENGTH], data: words }, { shape: [BATCH, LENGTH], data: next });
    if (step < STEPS) continue;
    const [said, looks] = await Promise.all([logits.read(), weights.read()]);
    for (let i = 1; i < next.length; i += LENGTH) {
      if (most(said.slice(i * CONTENTS, (i + 1) * CONTENTS)) === next[i]) right++;
      if (most(looks.slice(i * REGIONS, (i + 1) * REGIONS)) === words[i - 1]) there++;
    }
  }
  expect(right).toBeGreaterThan(0.9 * BATCH);
  expect(there).toBeGreaterThan(0.9 * BATCH);
  train.dispose();
});

test("configurations: kinds and options", () => {
  expect([null, "dot", "additive"].map((value) => regionAttention(value, "attention"))).toEqual([null, "dot", "additive"]);
  expect(regionAttention({ kind: "additive", gate: true, coverage: 1 }, "attention")).toEqual(ADDITIVE);
  expect(() => regionAttention("both", "attention")).toThrow('attention must be one of "dot", "additive"; got "both"');
  expect(() => regionAttention({ kind: "dot", gate: true }, "attention")).toThrow(/^attention .*kind, coverage; got "gate"/);
});
