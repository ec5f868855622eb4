import { describe, expect, test } from "vitest";
import { autocast } from "../src/autograd/autocast.ts";
import { checkpointed } from "../src/autograd/checkpointed.ts";
import { add, dropout, gelu, matmul, mul, sub, sum, tanh } from "../src/autograd/ops/index.ts";
import { DeviceGenerator } from "../src/autograd/random.ts";
import { recorded } from "../src/autograd/recorded.ts";
import { noGrad } from "../src/autograd/tape.ts";
import { tensor, type Tensor } from "../src/autograd/tensor.ts";
import { VisionGPT2 } from "../src/caption/vision-gpt2.ts";
import { Generator } from "../src/core/rng.ts";
import { requestDevice } from "../src/device/device.ts";
import { GPT2LMHeadModel, type GPT2Config } from "../src/models/gpt2.ts";
import type { ViTConfig } from "../src/models/vit.ts";
import { Linear } from "../src/nn/layers.ts";
import { useDevice } from "./device.ts";

const device = useDevice({ adapter: "software", limits: { emulateF16: true } });

type Run = typeof checkpointed;
const plain: Run = (fn, inputs) => fn(...inputs);

const X = { shape: [3, 4], data: Float32Array.from({ length: 12 }, (_, i) => Math.sin(i + 1)) };

/** Loss and all gradients of a function of x and two layers, run after run, each with draws of its own. */
async function gradients(run: Run, fn: (x: Tensor, layers: readonly Linear[], random: DeviceGenerator, run: Run) => Tensor, { replays = 2, record = true } = {}): Promise<number[][]> {
  const builder = { device: device(), generator: new Generator(3) };
  const layers = [new Linear(builder, 4, 4), new Linear(builder, 4, 4)];
  const random = new DeviceGenerator(device(), 5);
  const trace = (start: Tensor): Record<string, Tensor> => {
    const x = mul(start, 1);
    x.requiresGrad = true;
    const loss = fn(x, layers, random, run);
    for (const layer of layers) for (const parameter of layer.parameters()) parameter.grad = null;
    loss.backward();
    return Object.fromEntries([["loss", loss], ["x", x.grad!], ...layers.flatMap((layer, i) => layer.namedParameters().map(([name, { grad }]) => [`${i}.${name}`, grad!]))]);
  };
  const step = recorded(device(), "step", trace);
  const found: number[][] = [];
  for (let i = 0; i < replays; i++) {
    const outputs = record ? await step.run(X) : trace(tensor(device(), X.data, X.shape));
    found.push((await Promise.all(Object.values(outputs).map(async (output) => [...(await output.read())]))).flat());
  }
  step.dispose();
  return found;
}

describe("checkpointed", () => {
  const cases: Record<string, Parameters<typeof gradients>[1]> = {
    "a function with parameters and dropout": (x, [a, b], random, run) => sum(tanh(run((y) => [dropout(gelu(b.forward(dropout(a.forward(y), 0.3, random))), 0.5, random)], [x])[0])),
    "several inputs and outputs, of which one is not used": (x, [a, b], _random, run) => {
      const [p, q] = run((y, z) => [a.forward(mul(y, z)), b.forward(y), gelu(z)], [x, tanh(x)]);
      return sum(mul(p, q));
    },
    "an input that comes out as it is": (x, [a, b], _random, run) => {
      const [same, other] = run((y) => [y, b.forward(a.forward(y))], [x]);
      return sum(mul(same, other));
    },
    "calls in calls": (x, [a, b], random, run) => {
      const inner = (y: Tensor): readonly Tensor[] => run((z) => [dropout(tanh(a.forward(z)), 0.5, random)], [y]);
      const outer = (y: Tensor): readonly Tensor[] => run((z) => [add(z, dropout(b.forward(inner(z)[0]), 0.25, random))], [y]);
      return sum(outer(outer(x)[0])[0]);
    },
    "something captured that has a past": (x, [a, b], _random, run) => {
      const past = tanh(a.forward(x));
      return sum(run((y) => [matmul(y, b.forward(past), { transposeB: true })], [x])[0]);
    },
    "half precision": (x, [a, b], random, run) => autocast(() => sum(run((y) => [dropout(b.forward(gelu(a.forward(y))), 0.5, random)], [x])[0])),
  };

  test.each(Object.entries(cases))("%s: the same bits as without, recorded and not", async (_name, fn) => {
    const expected = await gradients(plain, fn);
    expect(expected[0].some((value) => value !== 0 && Number.isFinite(value))).toBe(true);
    expect(await gradients(checkpointed, fn)).toEqual(expected);
    expect((await gradients(checkpointed, fn, { record: false }))[0]).toEqual((await gradients(plain, fn, { record: false }))[0]);
  });

  test("draws other numbers at each replay", async () => {
    const [first, second] = await gradients(checkpointed, cases["a function with parameters and dropout"]);
    expect(second).not.toEqual(first);
  });

  test("keeps no tape where there is none to keep", () => {
    using _scope = device().scope();
    const x = tensor(device(), X.data, X.shape);
    expect(checkpointed((y) => [tanh(y)], [x])[0].node).toBeNull();
    x.requiresGrad = true;
    expect(noGrad(() => checkpointed((y) => [tanh(y)], [x]))[0].node).toBeNull();
    expect(checkpointed((y) => [tanh(y)], [x])[0].node!.name).toBe("checkpointed");
  });

  test("refuses a function that draws differently the second time", () => {
    using _scope = device().scope();
    const random = new DeviceGenerator(device(), 5);
    const x = tensor(device(), X.data, X.shape);
    x.requiresGrad = true;
    let runs = 0;
    const [more] = checkpointed((y) => [runs++ === 0 ? dropout(y, 0.5, random) : dropout(dropout(y, 0.5, random), 0.5, random)], [x]);
    expect(() => sum(more).backward()).toThrow("repeatingDraws: a function that runs twice must draw random numbers as often both times; got 1 draws, then 2");
    let again = 0;
    const [fewer] = checkpointed((y) => [again++ === 0 ? dropout(y, 0.5, random) : tanh(y)], [x]);
    expect(() => sum(fewer).backward()).toThrow("got 1 draws, then 0");
    expect(random.state.counter).toBe(2); // and draws are new again after that
    random.draw();
    expect(random.state.counter).toBe(3);
  });
});

const LAYERS = 8;
const BATCH = 8;
const LENGTH = 64;
const GPT2: GPT2Config = { vocabulary: 64, positions: LENGTH, dim: 32, layers: LAYERS, heads: 2, mlp: 128, eps: 1e-5, activation: "gelu_tanh", crossAttention: null, dropout: 0.1 };

describe("models whose blocks are checkpointed", () => {
  /** Loss and all gradients of a step on a device of its own, and the most memory that was held. */
  async function train(checkpointing: boolean): Promise<{ numbers: number[]; peak: number }> {
    const own = await requestDevice({ adapter: "software" });
    const model = new GPT2LMHeadModel({ device: own, generator: new Generator(1), random: new DeviceGenerator(own, 2) }, GPT2).checkpointBlocks(checkpointing);
    const ids = { shape: [BATCH, LENGTH], data: Int32Array.from({ length: BATCH * LENGTH }, (_, i) => (i * 7 + (i >> 3)) % GPT2.vocabulary) };
    const parameters = model.parameters();
    const step = recorded(own, "step", (words) => {
      const loss = model.loss(model.embed(words), words);
      loss.backward();
      return { loss, ...Object.fromEntries(parameters.map(({ grad }, i) => [`${i}`, grad!])) };
    });
    const values = await Promise.all(Object.values(await step.run(ids)).map((output) => output.read()));
    const { peakBytes: peak } = own.memory();
    await own.close();
    return { numbers: values.flatMap((each) => [...each]), peak };
  }

  /*
   * Per token and block, the backward pass of a GPT-2 needs 16 · dim numbers: what goes in, its norm, q, k and v, what was attended, the sum,
   * its norm, and twice 4 · dim in the MLP (of dropout nothing: masks are drawn again). With checkpointing it needs one such block, and
   * what goes into each, dim. Beside these, both hold what the backward pass of a block has under way, about 12 · dim, and weights and
   * gradients. So 9.99 MB should become 3.18 MB, a factor of 3.1. It is 4.37 MB, and 2.3: what a block needs anew finds fewer scratch
   * buffers of a fitting size than what many blocks need side by side.
   */
  test("a GPT-2 of 8 layers: the same bits in less than half the memory", async () => {
    const whole = await train(false);
    const checkpointing = await train(true);
    expect(checkpointing.numbers).toEqual(whole.numbers);
    const state = BATCH * LENGTH * GPT2.dim * 4;
    const weights = 2 * 4 * (GPT2.vocabulary * GPT2.dim + LENGTH * GPT2.dim + LAYERS * 12 * GPT2.dim ** 2);
    expect(whole.peak / (weights + state * (16 * LAYERS + 12))).toBeCloseTo(1, 1);
    expect(checkpointing.peak / (weights + state * (LAYERS + 16 + 12))).toBeLessThan(1.45);
    expect(whole.peak / checkpointing.peak).toBeGreaterThan(2.2);
  }, 180_000); // two devices compile two large steps: seconds on an idle machine, minutes on a busy one
});

test("a captioner of a ViT, whose blocks are looked at one by one, and GPT-2: the same bits", async () => {
  const encoder: ViTConfig = { image: 16, patch: 8, dim: 16, depth: 2, heads: 2, mlp: 32, qkvBias: true, eps: 1e-6, pool: "cls", norm: false, pooler: false, classes: 0 };
  const run = async (checkpointing: boolean): Promise<number[]> => {
    const random = new DeviceGenerator(device(), 2);
    const decoder = { ...GPT2, vocabulary: 9, positions: 4, dim: 16, mlp: 32, layers: 2, crossAttention: 16 };
    const model = new VisionGPT2({ device: device(), generator: new Generator(1), random }, { encoder, decoder, looksAt: "each" }).checkpointBlocks(checkpointing);
    using _scope = device().scope();
    const words = tensor(device(), Int32Array.of(1, 5, 3, 1, 4, 8), [2, 3]);
    const pictures = tensor(device(), Float32Array.from({ length: 2 * 3 * 256 }, (_, i) => Math.sin(i * i)), [2, 3, 16, 16]);
    const loss = model.loss(model.see(pictures), words, words);
    loss.backward();
    const values = await Promise.all([loss, ...model.parameters().flatMap(({ grad }) => grad ?? [])].map((each) => each.read()));
    expect(values.length).toBeGreaterThan(60);
    model.dispose();
    return values.flatMap((each) => [...each]);
  };
  expect(await run(true)).toEqual(await run(false));
});

describe("dropout in a GPT-2", () => {
  const P = 0.5;
  const SMALL = { ...GPT2, layers: 1, dropout: P };
  const embedded = Float32Array.from({ length: 8 * 16 * 32 }, (_, i) => Math.sin(i + 1));

  test("drops from the embeddings and from each part that a block adds, in training alone", async () => {
    using _scope = device().scope();
    const states = async (config: GPT2Config, training: boolean): Promise<Float32Array[]> => {
      const model = new GPT2LMHeadModel({ device: device(), generator: new Generator(1), random: new DeviceGenerator(device(), 2) }, config).train(training).transformer;
      const x = tensor(device(), embedded, [8, 16, 32]);
      const [first] = noGrad(() => model.hidden(x));
      const added = noGrad(() => sub(model.h[0].forward(first, (normed) => model.h[0].attn.forward(normed)), first));
      return (await Promise.all([first.read(), added.read()])) as Float32Array[];
    };
    const whole = await states({ ...SMALL, dropout: 0 }, true);
    expect(await states(SMALL, false)).toEqual(whole);
    const [first, added] = await states(SMALL, true);
    first.forEach((value, i) => expect(value === 0 || value === whole[0][i] / (1 - P)).toBe(true));
    const zeros = (values: Float32Array): number => values.filter((value) => value === 0).length / values.length;
    expect(Math.abs(zeros(first) - P)).toBeLessThan(0.04); // 5 standard deviations of 4096 draws
    expect(Math.abs(zeros(added) - P ** 2)).toBeLessThan(0.035); // what attention and MLP add, both dropped
  });

  test("needs something that draws", () => {
    expect(() => new GPT2LMHeadModel({ device: device(), generator: new Generator(1) }, SMALL)).toThrow("GPT2Model: dropout 0.5 needs something that draws what is dropped; got none (pass `random`, a DeviceGenerator, with the builder)");
  });
});
