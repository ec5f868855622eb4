import { describe, expect, test } from "vitest";
import { concat } from "../../src/autograd/ops/concat.ts";
import { gru } from "../../src/autograd/ops/gru.ts";
import { lstm } from "../../src/autograd/ops/lstm.ts";
import type { RecurrentWeights } from "../../src/autograd/ops/recurrent.ts";
import { rnn } from "../../src/autograd/ops/rnn.ts";
import { slice } from "../../src/autograd/ops/slice.ts";
import { recorded } from "../../src/autograd/recorded.ts";
import { tensor, type Tensor } from "../../src/autograd/tensor.ts";
import { Generator } from "../../src/core/rng.ts";
import { sizeOf, type Shape } from "../../src/core/shape.ts";
import type { Builder } from "../../src/nn/layers.ts";
import { GRU, LSTM, RNN, type Recurrent, type RecurrentState } from "../../src/nn/recurrent.ts";
import { useDevice } from "../device.ts";
import { relativeError } from "./measure.ts";
import { valuesOf } from "./op-case.ts";

const device = useDevice({ adapter: "software" });
const [BATCH, STEPS, SIZE, HIDDEN] = [3, 4, 2, 5];

function random(shape: Shape, seed: number): Tensor {
  const made = tensor(device(), Float32Array.from(valuesOf({ shape, low: -0.5, high: 0.5 }, seed)), shape);
  made.requiresGrad = true;
  return made;
}

function layer(gates: number, seed = 10): RecurrentWeights {
  const rows = gates * HIDDEN;
  return { weightIh: random([rows, SIZE], seed), weightHh: random([rows, HIDDEN], seed + 1), biasIh: random([rows], seed + 2), biasHh: random([rows], seed + 3) };
}

const cells: Readonly<Record<string, (x: Tensor, h0: Tensor) => { y: Tensor; hn: Tensor; weights: RecurrentWeights }>> = {
  lstm(x, h0) {
    const weights = layer(4);
    return { ...lstm(x, h0, random([1, BATCH, HIDDEN], 3), [weights]), weights };
  },
  gru(x, h0) {
    const weights = layer(3);
    return { ...gru(x, h0, [weights]), weights };
  },
  rnnTanh(x, h0) {
    const weights = layer(1);
    return { ...rnn(x, h0, [weights]), weights };
  },
  rnnRelu(x, h0) {
    const weights = layer(1);
    return { ...rnn(x, h0, [weights], "relu"), weights };
  },
};

const names = Object.keys(cells);
const inputs = (): [Tensor, Tensor] => [random([BATCH, STEPS, SIZE], 1), random([1, BATCH, HIDDEN], 2)];

describe("recurrent networks", () => {
  test.each(names)("%s: a NaN stays in its sequence and spoils it from its step on", async (name) => {
    using _scope = device().scope();
    const [x, h0] = inputs();
    const values = Float32Array.from(await x.read());
    values[(1 * STEPS + 2) * SIZE] = NaN; // sequence 1, step 2
    x.write(values);
    const y = await cells[name](x, h0).y.read();
    const spoilt = Array.from(y, (value, i) => (Number.isNaN(value) ? Math.floor(i / HIDDEN) : -1)).filter((row) => row >= 0);
    expect(new Set(spoilt)).toEqual(new Set([1 * STEPS + 2, 1 * STEPS + 3]));
    expect(spoilt.length).toBe(2 * HIDDEN);
  });

  test.each(names)("%s: gradients are the same whichever of them are asked for", async (name) => {
    using _scope = device().scope();
    const run = async (wanted: (index: number) => boolean): Promise<(number[] | null)[]> => {
      const [x, h0] = inputs();
      [x, h0].forEach((input, i) => (input.requiresGrad = wanted(i)));
      const { hn, weights } = cells[name](x, h0);
      hn.backward(random([1, BATCH, HIDDEN], 4));
      const all = [x, h0, weights.weightIh, weights.weightHh, weights.biasIh, weights.biasHh];
      return Promise.all(all.map(async ({ grad }) => grad && Array.from(await grad.read())));
    };
    const whole = await run(() => true);
    expect(whole.every((gradient) => gradient !== null)).toBe(true);
    const [dx, dh0, ...dweights] = await run((index) => index === 0);
    expect([dx, dh0]).toEqual([whole[0], null]);
    expect(dweights).toEqual(whole.slice(2));
    const [none, ...rest] = await run((index) => index === 1);
    expect(none).toBeNull();
    expect(rest).toEqual(whole.slice(1));
  });

  test("a recorded step gives the same gradients at each replay", async () => {
    const weights = layer(4);
    const state = random([1, BATCH, HIDDEN], 2);
    const x = valuesOf({ shape: [BATCH, STEPS, SIZE] }, 1);
    const step = recorded(device(), "gradients", (given) => {
      weights.weightHh.grad = null;
      state.grad = null;
      const { y, cn } = lstm(given, state, state, [weights]);
      y.backward(random(y.shape, 5));
      cn.backward(random(cn.shape, 6));
      return { dweight: weights.weightHh.grad!, dstate: state.grad! };
    });
    const gradients = async (): Promise<number[]> => {
      const { dweight, dstate } = await step.run({ shape: [BATCH, STEPS, SIZE], data: Float32Array.from(x) });
      return [...(await dweight.read()), ...(await dstate.read())];
    };
    const first = await gradients();
    expect(first.length).toBe(4 * HIDDEN * HIDDEN + sizeOf(state.shape));
    expect(first.some((value) => value !== 0)).toBe(true);
    expect(await gradients()).toEqual(first);
    step.dispose();
  });

  test("decoding one word with one layer takes two dispatches", async () => {
    using _scope = device().scope();
    await device().idle();
    const before = device().dispatched;
    const state = random([1, 1, HIDDEN], 2);
    const { y, cn } = lstm(random([1, 1, SIZE], 1), state, state, [layer(4)]);
    await Promise.all([y.read(), cn.read()]);
    expect(device().dispatched - before).toBe(2);
  });
});

describe("modules", () => {
  const modules: Readonly<Record<string, (builder: Builder) => Recurrent<RecurrentState>>> = {
    LSTM: (builder) => new LSTM(builder, SIZE, HIDDEN, { layers: 2 }) as Recurrent<RecurrentState>,
    GRU: (builder) => new GRU(builder, SIZE, HIDDEN, { layers: 2 }),
    RNN: (builder) => new RNN(builder, SIZE, HIDDEN, { layers: 2, nonlinearity: "relu" }),
  };

  test.each(Object.keys(modules))("%s: a sequence in two parts gives what it gives as a whole", async (name) => {
    using _scope = device().scope();
    const network = modules[name]({ device: device(), generator: new Generator(3) });
    const expected = [0, 1].flatMap((layer) => ["weight_ih", "weight_hh", "bias_ih", "bias_hh"].map((part) => `${part}_l${layer}`));
    expect(network.namedParameters().map(([key]) => key)).toEqual(expected);
    const x = random([BATCH, STEPS, SIZE], 1);
    const begin = network.start(random([2, BATCH, HIDDEN], 2));
    const whole = network.forward(x, begin);
    const first = network.forward(slice(x, 1, 0, 1), begin);
    const second = network.forward(slice(x, 1, 1, STEPS), first.state);
    expect(relativeError(await concat([first.y, second.y], 1).read(), await whole.y.read())).toBeLessThan(1e-6);
    expect(relativeError(await second.state.h.read(), await whole.state.h.read())).toBeLessThan(1e-6);
    network.dispose();
  });
});
