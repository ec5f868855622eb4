import { describe, expect, test } from "vitest";
import { recorded } from "../src/autograd/recorded.ts";
import { noGrad } from "../src/autograd/tape.ts";
import { tensor } from "../src/autograd/tensor.ts";
import { adapterState, loadAdapters } from "../src/checkpoint/adapters.ts";
import { memorySource } from "../src/checkpoint/reader.ts";
import { openSafetensorsSource, writeSafetensors } from "../src/checkpoint/safetensors.ts";
import { Generator } from "../src/core/rng.ts";
import { GPT2LMHeadModel, IGNORED } from "../src/models/gpt2.ts";
import { VisionTransformer } from "../src/models/vit.ts";
import { Conv1D, Linear, type Builder } from "../src/nn/layers.ts";
import { addLoRA, LoRALinear, mergeLoRA } from "../src/nn/lora.ts";
import { AdamW } from "../src/train/adamw.ts";
import { useDevice } from "./device.ts";
import { relativeError } from "./ops/measure.ts";

const device = useDevice({ adapter: "software" });
const builder = (seed: number): Builder => ({ device: device(), generator: new Generator(seed) });

/** What follows each word of {@link IDS}; of the last ones nothing is known. */
const NEXT = { shape: [2, 6], data: Int32Array.of(5, 9, 2, 30, 7, IGNORED, 4, 11, 3, 8, 0, IGNORED) };
const IDS = { shape: [2, 6], data: Int32Array.of(1, 5, 9, 2, 30, 7, 4, 4, 11, 3, 8, 0) };

function gpt2(seed: number): GPT2LMHeadModel {
  return new GPT2LMHeadModel(builder(seed), { vocabulary: 31, positions: 8, dim: 16, layers: 2, heads: 2, mlp: 64, eps: 1e-5, activation: "gelu_tanh", crossAttention: null });
}

async function logitsOf(model: GPT2LMHeadModel): Promise<Float32Array> {
  using _scope = device().scope();
  return (await noGrad(() => model.forward(tensor(device(), IDS.data, IDS.shape))).read()) as Float32Array;
}

/** Trains what is not frozen on IDS. */
async function train(model: GPT2LMHeadModel, steps: number): Promise<number[]> {
  const optimizer = new AdamW([{ params: model.parameters().filter(({ requiresGrad }) => requiresGrad) }], { lr: 0.02 });
  const step = recorded(device(), "step", (ids, next) => {
    const loss = model.loss(model.embed(ids), next);
    loss.backward();
    optimizer.step();
    return { loss };
  });
  const losses: number[] = [];
  for (let i = 0; i < steps; i++) losses.push(await (await step.run(IDS, NEXT)).loss.item());
  step.dispose();
  return losses;
}

test.each([Linear, Conv1D])("an adapter adds scale · B(A x), in %o", async (Layer) => {
  using _scope = device().scope();
  const [rows, inputs, outputs, rank, scale] = [3, 5, 7, 2, 1.5];
  const base = new Layer(builder(1), inputs, outputs);
  const layer = new LoRALinear(builder(2), base, rank, scale);
  const random = new Generator(3);
  const values = (length: number): Float32Array => Float32Array.from({ length }, () => random.normal());
  const [x, b] = [values(rows * inputs), values(outputs * rank)];
  layer.lora_B.weight.write(b);
  const [w, bias, a] = await Promise.all([base.weight.read(), base.bias!.read(), layer.lora_A.weight.read()]);
  const expected = Array.from({ length: rows * outputs }, (_, at) => {
    const [row, o] = [Math.floor(at / outputs), at % outputs];
    let sum = bias[o];
    for (let i = 0; i < inputs; i++) {
      const weight = Layer === Conv1D ? w[i * outputs + o] : w[o * inputs + i];
      let change = 0;
      for (let r = 0; r < rank; r++) change += b[o * rank + r] * a[r * inputs + i];
      sum += x[row * inputs + i] * (weight + scale * change);
    }
    return sum;
  });
  const given = tensor(device(), x, [rows, inputs]);
  expect(relativeError(await layer.forward(given).read(), expected)).toBeLessThan(1e-6);
  const merged = layer.merge();
  expect(merged).toBe(base);
  expect(relativeError(await merged.forward(given).read(), expected)).toBeLessThan(1e-6);
});

describe("LoRA on GPT-2", () => {
  test("begins by changing nothing, trains the adapters alone, and merges into the same model", async () => {
    const model = gpt2(1);
    const names = model.namedTensors().map(([name]) => name);
    const before = await model.stateDict();
    const untrained = await logitsOf(model);
    const { layers, trained } = addLoRA(model, builder(2), { rank: 4 });
    expect(layers).toEqual(["transformer.h.0.attn.c_attn", "transformer.h.1.attn.c_attn"]);
    expect(trained).toBe(2 * 4 * (16 + 48));
    expect(relativeError(await logitsOf(model), untrained)).toBeLessThan(1e-7);

    const losses = await train(model, 12);
    expect(losses.at(-1)!).toBeLessThan(losses[0] - 0.05); // attention alone, of a model that knows nothing
    const after = await model.stateDict();
    for (const [name, { data }] of before) expect(after.get(name)!.data, name).toEqual(data);

    const adapted = await logitsOf(model);
    expect(relativeError(adapted, untrained)).toBeGreaterThan(0.01);
    mergeLoRA(model);
    expect(model.namedTensors().map(([name]) => name)).toEqual(names);
    expect(relativeError(await logitsOf(model), adapted)).toBeLessThan(2e-6); // one sum instead of two
    model.dispose();
  });

  test("adapters are saved alone, with PEFT's names, and load into the same base", async () => {
    const model = gpt2(1);
    addLoRA(model, builder(2), { rank: 2, alpha: 6 });
    await train(model, 3);
    const { tensors, metadata } = await adapterState(model);
    expect(tensors.map(([name]) => name).slice(0, 2)).toEqual(["base_model.model.transformer.h.0.attn.c_attn.lora_A.weight", "base_model.model.transformer.h.0.attn.c_attn.lora_B.weight"]);
    const chunks = writeSafetensors(tensors, metadata);
    const bytes = new Uint8Array(await new Blob(chunks as Uint8Array<ArrayBuffer>[]).arrayBuffer());

    const other = gpt2(1);
    addLoRA(other, builder(9), { rank: 2, alpha: 6 });
    await loadAdapters(other, await openSafetensorsSource(memorySource(bytes), "adapters.safetensors"));
    expect(await logitsOf(other)).toEqual(await logitsOf(model));

    const another = gpt2(1);
    addLoRA(another, builder(9), { rank: 2 });
    await expect(loadAdapters(another, await openSafetensorsSource(memorySource(bytes), "a.safetensors"))).rejects.toThrow("trained with alpha 6; the model's have 4");
    const wider = gpt2(1);
    addLoRA(wider, builder(9), { rank: 3 });
    await expect(loadAdapters(wider, await openSafetensorsSource(memorySource(bytes), "a.safetensors"))).rejects.toThrow(/misshapen/);
    const before = await logitsOf(other);
    const integers = tensors.map(([name, tensor], i) => [name, i === tensors.length - 1 ? { ...tensor, dtype: "i32", data: new Int32Array(tensor.data.length) } : { ...tensor, data: tensor.data.map((value) => 2 * value) }] as (typeof tensors)[number]);
    const mixed = await openSafetensorsSource(memorySource(new Uint8Array(await new Blob(writeSafetensors(integers) as Uint8Array<ArrayBuffer>[]).arrayBuffer())), "a.safetensors");
    await expect(loadAdapters(other, mixed)).rejects.toThrow(/must be stored as floats for .*lora_B\.weight; got I32/);
    expect(await logitsOf(other)).toEqual(before);
    await expect(loadAdapters(gpt2(1), await openSafetensorsSource(memorySource(bytes), "a.safetensors"))).rejects.toThrow("must have adapters");
  });

  test("what makes no sense is refused", () => {
    const model = gpt2(1);
    expect(() => addLoRA(model, builder(2), { rank: 0 })).toThrow("rank must be a whole number of at least 1; got 0");
    expect(() => addLoRA(model, builder(2), { layers: /nothing/ })).toThrow(/must fit the name of a linear layer; got none.*transformer\.h\.0/s);
  });
});

test("LoRA on a ViT adapts the attention of every block", async () => {
  const model = new VisionTransformer(builder(1), { image: 16, patch: 8, dim: 16, depth: 2, heads: 2, mlp: 32, qkvBias: true, eps: 1e-6, pool: "cls", norm: true, pooler: false, classes: 3 });
  const { layers } = addLoRA(model, builder(2));
  expect(layers).toEqual(["blocks.0.attn.qkv", "blocks.1.attn.qkv"]);
  const random = new Generator(4);
  model.forward(tensor(device(), Float32Array.from({ length: 768 }, () => random.normal()), [1, 3, 16, 16])).backward(tensor(device(), Float32Array.of(1, -1, 0.5), [1, 3]));
  const reached = model.namedParameters().filter(([, { grad }]) => grad !== null).map(([name]) => name);
  expect(reached).toEqual(layers.flatMap((name) => [`${name}.lora_A.weight`, `${name}.lora_B.weight`]));
});
