import { describe, expect, test } from "vitest";
import { mseLoss } from "../src/autograd/ops/index.ts";
import { recorded } from "../src/autograd/recorded.ts";
import { tensor, type Tensor } from "../src/autograd/tensor.ts";
import { LossScaler } from "../src/train/loss-scaler.ts";
import { Muon, orthogonalise } from "../src/train/muon.ts";
import { Parameter } from "../src/nn/module.ts";
import type { Device } from "../src/device/device.ts";
import { relativeError } from "./ops/measure.ts";
import { valuesOf } from "./ops/op-case.ts";
import { useDevice } from "./device.ts";

type Matrix = number[][];

const multiply = (a: Matrix, b: Matrix): Matrix => a.map((row) => b[0].map((_, j) => row.reduce((sum, value, k) => sum + value * b[k][j], 0)));
const transpose = (a: Matrix): Matrix => a[0].map((_, j) => a.map((row) => row[j]));
const toMatrix = (values: ArrayLike<number>, columns: number): Matrix => Array.from({ length: values.length / columns }, (_, i) => Array.from({ length: columns }, (_, j) => values[i * columns + j]));

/** Five Newton-Schulz steps of the quintic polynomial, in float64. */
function orthogonal(x: Matrix): Matrix {
  const norm = Math.sqrt(x.flat().reduce((sum, value) => sum + value * value, 0));
  let result = x.map((row) => row.map((value) => value / (norm + 1e-7)));
  for (let i = 0; i < 5; i++) {
    const gram = multiply(result, transpose(result));
    const cubed = multiply(gram, result);
    const fifth = multiply(gram, cubed);
    result = result.map((row, r) => row.map((value, c) => 3.4445 * value - 4.775 * cubed[r][c] + 2.0315 * fifth[r][c]));
  }
  return result;
}

describe("Muon", () => {
  const device = useDevice({ adapter: "software" });

  test.each([[6, 9], [9, 6], [1, 5], [16, 27]])("orthogonalises %d × %d as float64 does", async (rows, columns) => {
    const values = valuesOf({ shape: [rows, columns] }, 3);
    using _scope = device().scope();
    const found = await orthogonalise(tensor(device(), Float32Array.from(values), [rows, columns]), 1.5).read();
    const expected = orthogonal(toMatrix(values, columns)).flat().map((value) => 1.5 * value);
    // Fifteen chained products in f32, which the polynomial's steep slope at zero spreads.
    expect(relativeError(found, expected)).toBeLessThanOrEqual(1e-4);
  });

  const problem = (on: Device): { weight: Parameter; target: Tensor } => ({
    weight: new Parameter(on, [4, 2, 1, 3], (values) => values.set(valuesOf({ shape: [24] }, 1))),
    target: tensor(on, Float32Array.from(valuesOf({ shape: [24] }, 2)), [4, 2, 1, 3]),
  });

  test("moves a convolution by its orthogonal direction: two steps against float64", async () => {
    const { weight, target } = problem(device());
    const optimizer = new Muon([{ params: [weight] }], { lr: 0.1, weightDecay: 0.05 });
    let expected = toMatrix(valuesOf({ shape: [24] }, 1), 6);
    const wanted = toMatrix(valuesOf({ shape: [24] }, 2), 6);
    let mean = expected.map((row) => row.map(() => 0));
    for (let step = 0; step < 2; step++) {
      mseLoss(weight, target).backward();
      optimizer.step();
      const gradient = expected.map((row, r) => row.map((value, c) => (2 * (value - wanted[r][c])) / 24));
      mean = mean.map((row, r) => row.map((value, c) => 0.9 * value + 0.1 * gradient[r][c]));
      const direction = orthogonal(mean.map((row, r) => row.map((value, c) => 0.9 * value + 0.1 * gradient[r][c])));
      expected = expected.map((row, r) => row.map((value, c) => value - 0.1 * (direction[r][c] + 0.05 * value)));
    }
    expect(relativeError(await weight.read(), expected.flat())).toBeLessThanOrEqual(1e-5);
  });

  test("goes on from its state to the same bits, in a recording", async () => {
    const run = async (interrupted: boolean): Promise<number[]> => {
      const { weight, target } = problem(device());
      let optimizer = new Muon([{ params: [weight] }], { lr: 0.05 });
      const makeStep = (current: Muon) =>
        recorded(device(), "muon step", (wanted) => {
          const loss = mseLoss(weight, wanted);
          loss.backward();
          current.step();
          return { loss };
        });
      const input = { shape: target.shape, data: await target.read() };
      let step = makeStep(optimizer);
      for (let i = 0; i < 4; i++) {
        if (interrupted && i === 2) {
          const state = await optimizer.stateDict();
          optimizer.dispose();
          optimizer = new Muon([{ params: [weight] }], { lr: 0.05 });
          optimizer.loadStateDict(state);
          step = makeStep(optimizer);
        }
        await step.run(input);
      }
      return Array.from(await weight.read());
    };
    expect(await run(true)).toEqual(await run(false));
  });

  test("refuses vectors, and a scaled loss", () => {
    const { weight } = problem(device());
    const bias = new Parameter(device(), [4], (values) => values.fill(0));
    expect(() => new Muon([{ params: [bias] }])).toThrow("Muon: every parameter must be a matrix or a convolution; got shape [4] (give it to AdamW)");
    expect(() => new Muon([{ params: [weight] }]).step({ scaler: new LossScaler(device()) })).toThrow("Muon: a scaled loss is not supported");
  });
});
