import { describe, expect, test } from "vitest";
import { autocast } from "../src/autograd/autocast.ts";
import { checkpointed } from "../src/autograd/checkpointed.ts";
import { add, dropout, gelu, matmul, mul, sum, tanh } from "../src/autograd/ops/index.ts";
import { DeviceGenerator } from "../src/autograd/random.ts";
import { recorded } from "../src/autograd/recorded.ts";
import { noGrad } from "../src/autograd/tape.ts";
import { tensor, type Tensor } from "../src/autograd/tensor.ts";
import { Generator } from "../src/core/rng.ts";
import { requestDevice } from "../src/device/device.ts";
import { GPT2LMHeadModel, type GPT2Config } from "../src/models/gpt2.ts";
import { VisionTransformer } from "../src/models/vit.ts";
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
  /** Loss and all gradients of a step, and the most memory that was held. */
  async function train(checkpointing: boolean): Promise<{ numbers: number[]; peak: number }> {
    const own = await requestDevice({ adapter: "software" });
    try {
      const model = new GPT2LMHeadModel({ device: own, generator: new Generator(1), random: new DeviceGenerator(own, 2) }, GPT2).checkpointBlocks(checkpointing);
      const ids = { shape: [BATCH, LENGTH], data: Int32Array.from({ length: BATCH * LENGTH }, (_, i) => (i * 7 + (i >> 3)) % GPT2.vocabulary) };
      const parameters = model.parameters();
      const step = recorded(own, "step", (words) => {
        const loss = model.loss(model.embed(words), words);
        for (const parameter of parameters) parameter.grad = null;
        loss.backward();
        return { loss, ...Object.fromEntries(parameters.map(({ grad }, i) => [`${i}`, grad!])) };
      });
      const values = await Promise.all(Object.values(await step.run(ids)).map((output) => output.read()));
      return { numbers: values.flatMap((each) => [...each]), peak: own.memory().peakBytes };
    } finally {
      await own.close();
    }
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
  });
});

test("a ViT's gradients have the same bits", async () => {
  const run = async (checkpointing: boolean): Promise<number[]> => {
    const model = new VisionTransformer({ device: device(), generator: new Generator(1) }, { image: 16, patch: 8, dim: 16, depth: 3, heads: 2, mlp: 32, qkvBias: true, eps: 1e-6, pool: "cls", norm: true, pooler: false, classes: 3 });
    model.checkpointBlocks(checkpointing);
    using _scope = device().scope();
    const pictures = tensor(device(), Float32Array.from({ length: 2 * 3 * 256 }, (_, i) => Math.sin(i * i)), [2, 3, 16, 16]);
    const loss = sum(tanh(model.forward(pictures)));
    loss.backward();
    const numbers = [await loss.item()];
    for (const { grad } of model.parameters()) for (const value of await grad!.read()) numbers.push(value);
    return numbers;
  };
  expect(await run(true)).toEqual(await run(false));
});
