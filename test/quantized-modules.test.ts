import { describe, expect, test } from "vitest";
import { relu } from "../src/autograd/ops/index.ts";
import { noGrad } from "../src/autograd/tape.ts";
import { recorded } from "../src/autograd/recorded.ts";
import { tensor, type Tensor } from "../src/autograd/tensor.ts";
import { wordByWordDecoder } from "../src/caption/decode.ts";
import { gpt2Text } from "../src/caption/gpt2-text.ts";
import { readSafetensors, writeSafetensors } from "../src/checkpoint/safetensors.ts";
import { Generator } from "../src/core/rng.ts";
import { GPT2LMHeadModel } from "../src/models/gpt2.ts";
import { Embedding, Linear, type Builder } from "../src/nn/layers.ts";
import { Module } from "../src/nn/module.ts";
import { LayerNorm } from "../src/nn/norm.ts";
import { QuantizedLinear, quantizeModule } from "../src/nn/quantized.ts";
import { useDevice } from "./device.ts";
import { relativeError } from "./ops/measure.ts";

const device = useDevice({ adapter: "software" });

/** Words → two layers → logits by the words' own table. */
class Tied extends Module {
  readonly words: Embedding;
  readonly layers: readonly Linear[];
  readonly norm: LayerNorm;
  readonly head: Linear;

  constructor(builder: Builder) {
    super();
    this.words = new Embedding(builder, 200, 64);
    this.layers = [new Linear(builder, 64, 130), new Linear(builder, 130, 64)];
    this.norm = new LayerNorm(builder, 64);
    this.head = new Linear(builder, 64, 3, { bias: false });
  }

  forward(ids: Tensor): { logits: Tensor; head: Tensor } {
    const [up, down] = this.layers;
    const h = this.norm.forward(down.forward(relu(up.forward(this.words.forward(ids)))));
    return { logits: this.words.project(h), head: this.head.forward(h) };
  }
}

function build(seed: number): Tied {
  return new Tied({ device: device(), generator: new Generator(seed) });
}

async function logitsOf(model: Tied, words: readonly number[]): Promise<Float32Array> {
  using _scope = device().scope();
  return (await model.forward(tensor(device(), Int32Array.from(words), [words.length])).logits.read()) as Float32Array;
}

const WORDS = [3, 199, 0, 77, 77, 12];

describe("quantizeModule", () => {
  test("keeps the outputs near, takes a quarter of the memory, and says so", async () => {
    const model = build(1);
    const expected = await logitsOf(model, WORDS);
    const live = device().memory().liveBytes;
    const report = quantizeModule(model, { keep: ["head"] });
    expect(report.layers).toEqual(["words", "layers.0", "layers.1"]);
    const weights = 4 * (200 * 64 + 2 * 64 * 130);
    const scales = 4 * (200 + 130 + 64);
    expect(report.before - report.after).toBe(weights - scales - (200 * 64 + 130 * 64 + 64 * 132)); // 130 numbers take 33 words
    expect(report.after / report.before).toBeLessThan(0.3);
    expect(live - device().memory().liveBytes).toBeGreaterThan(0.7 * weights);
    const error = relativeError(await logitsOf(model, WORDS), expected);
    expect(error).toBeGreaterThan(1e-4);
    expect(error).toBeLessThan(0.02);
    expect(model.head).toBeInstanceOf(Linear);
    expect(model.training).toBe(false);
    expect(model.parameters().every(({ requiresGrad }) => !requiresGrad)).toBe(true);
  });

  test("the state dict goes through a file into another quantised model", async () => {
    const [model, other] = [build(1), build(2)];
    quantizeModule(model);
    quantizeModule(other);
    const state = await model.stateDict();
    expect([...state.keys()].slice(0, 4)).toEqual(["words.weight_packed", "words.weight_scales", "layers.0.weight_packed", "layers.0.weight_scales"]);
    expect(state.get("layers.1.weight_packed")).toMatchObject({ dtype: "u32", shape: [64, 33] });
    other.loadStateDict(readSafetensors(Buffer.concat(writeSafetensors(state)), "int8.safetensors").tensors);
    expect([...(await logitsOf(other, WORDS))]).toEqual([...(await logitsOf(model, WORDS))]);
  });

  test("weights that are shared stay shared, and recordings are made again", async () => {
    const model = build(3);
    Reflect.set(model, "head", Object.assign(new Linear({ device: device(), generator: new Generator(1) }, 64, 200, { bias: false }), { weight: model.words.weight }));
    const step = recorded(device(), "infer", (ids) => ({ logits: model.forward(ids).head }));
    const input = { shape: [6], data: Int32Array.from(WORDS) };
    const before = await (await step.run(input)).logits.read();
    quantizeModule(model);
    expect(model.head).toBeInstanceOf(QuantizedLinear);
    const { words, head } = model as unknown as { words: QuantizedLinear; head: QuantizedLinear };
    expect(head.weight_packed).toBe(words.weight_packed);
    const after = await (await step.run(input)).logits.read();
    expect(relativeError(after, before)).toBeLessThan(0.02);
    expect([...after]).toEqual([...(await logitsOf(model, WORDS))]);
    step.dispose();
  });

  test("refuses names of nothing", () => {
    expect(() => quantizeModule(build(1), { keep: ["fc"] })).toThrow(/quantizeModule: "keep" must name linear layers or embeddings; got "fc" \(there are words, layers\.0, layers\.1, head\)/);
  });
});

test("a GPT-2, whose weights lie the other way round, keeps its logits near and decodes from its cache", async () => {
  const builder = { device: device(), generator: new Generator(5) };
  const model = new GPT2LMHeadModel(builder, { vocabulary: 120, positions: 16, dim: 64, layers: 2, heads: 4, mlp: 256, eps: 1e-5, activation: "gelu_tanh", crossAttention: null });
  const ids = { shape: [1, 6], data: Int32Array.of(3, 119, 0, 77, 77, 12) };
  const logits = async (): Promise<Float32Array> => {
    using _scope = device().scope();
    return (await noGrad(() => model.forward(tensor(device(), ids.data, ids.shape))).read()) as Float32Array;
  };
  const expected = await logits();
  const { layers, before, after } = quantizeModule(model, { keep: ["transformer.wpe"] });
  expect(layers).toContain("transformer.h.1.mlp.c_fc");
  expect(after / before).toBeLessThan(0.35);
  expect(relativeError(await logits(), expected)).toBeLessThan(0.03);
  const decoder = wordByWordDecoder(device(), gpt2Text(model, 12, (given) => ({ x: model.embed(given), said: given })), { maxLength: 4, end: -1 });
  const [[{ ids: said }]] = await decoder.decode(ids);
  const last = (await logits()).slice(5 * 120);
  expect(said[0]).toBe(last.indexOf(Math.max(...last)));
  decoder.dispose();
});
