import { describe, expect, test } from "vitest";
import * as ops from "../src/autograd/ops/index.ts";
import { recorded } from "../src/autograd/recorded.ts";
import { full, tensor, Tensor, zeros } from "../src/autograd/tensor.ts";
import { useDevice } from "./device.ts";

/** Empty tensors and batches are refused wherever one could come about, and the message says so. */
describe("empty tensors", () => {
  const device = useDevice({ adapter: "software" });
  const EMPTY = /every size must be a whole number of at least 1; got \[.*\] \(empty tensors are not supported\)/;

  test("from values, filled, and around memory", () => {
    expect(() => tensor(device(), new Float32Array(0), [0])).toThrow(EMPTY);
    expect(() => tensor(device(), new Int32Array(0), [2, 0, 3])).toThrow(/^tensor: .* got \[2,0,3\]/);
    expect(() => zeros(device(), [0])).toThrow(EMPTY);
    expect(() => full(device(), [-1], 2)).toThrow(/^full: .* got \[-1\]/);
    expect(() => full(device(), [1.5], 2)).toThrow(/got \[1\.5\]/);
    const { storage } = zeros(device(), [4]);
    expect(() => new Tensor(device(), [4, 0], "f32", storage)).toThrow(/^Tensor: .* got \[4,0\]/);
  });

  test("as a batch of a recorded step", async () => {
    const step = recorded(device(), "double", (x) => ({ y: ops.mul(x, 2) }));
    await expect(step.run({ shape: [0, 3], data: new Float32Array(0) })).rejects.toThrow(/^double: .* got \[0,3\]/);
  });

  test("as the result of an op", () => {
    using _scope = device().scope();
    const x = zeros(device(), [4, 6]);
    const image = zeros(device(), [1, 1, 4, 4]);
    expect(() => ops.reshape(x, [0, 24])).toThrow(/reshape/);
    expect(() => ops.reshape(x, [0, -1])).toThrow(/reshape/);
    expect(() => x.view([0])).toThrow(/view/);
    expect(() => ops.slice(x, 0, 2, 2)).toThrow(/slice: start and end must be whole numbers with 0 ≤ start < end/);
    expect(() => ops.split(x, [4, 0], 0)).toThrow(/slice/);
    expect(() => ops.expand(zeros(device(), [1, 6]), [0, 6])).toThrow(EMPTY);
    expect(() => ops.repeat(x, [0, 1])).toThrow(/repeat: there must be a whole number of at least 1/);
    expect(() => ops.pad(x, [[-3, -3]])).toThrow(/pad: .* leave something of axis 1/);
    expect(() => ops.concat([], 0)).toThrow(/concat: needs at least one tensor/);
    expect(() => ops.stack([], 0)).toThrow(/concat: needs at least one tensor/);
    expect(() => ops.conv2d(image, zeros(device(), [1, 1, 5, 5]))).toThrow(/at least as large/);
    expect(() => ops.maxPool2d(image, { kernel: 5 })).toThrow(/at least as large/);
    expect(() => ops.adaptiveAvgPool2d(image, [0, 1])).toThrow(/at least 1/);
    expect(() => ops.convTranspose2d(image, zeros(device(), [1, 1, 1, 1]), undefined, { padding: 2 })).toThrow(/convTranspose2d: the output must have at least one pixel; got \[0,0\]/);
  });
});
