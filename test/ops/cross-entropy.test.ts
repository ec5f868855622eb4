import { expect, test } from "vitest";
import { crossEntropy } from "../../src/autograd/ops/cross-entropy.ts";
import { tensor } from "../../src/autograd/tensor.ts";
import { useDevice } from "../device.ts";
import { crossEntropyCase, crossEntropyValuesCase } from "./cross-entropy.ts";
import { testOp } from "./harness.ts";

testOp(crossEntropyCase);
testOp(crossEntropyValuesCase);

const device = useDevice({ adapter: "software" });

async function gradientOf(targets: readonly number[]): Promise<number[]> {
  using _scope = device().scope();
  const logits = tensor(device(), new Float32Array([1, 2, 200, 0, 0, 0]), [2, 3]);
  logits.requiresGrad = true;
  crossEntropy(logits, tensor(device(), new Int32Array(targets), [2])).backward();
  return [...(await logits.grad!.read())];
}

test("ignored rows have the gradient 0, even where the mean has no value and exp(logit) overflows", async () => {
  expect(await gradientOf([-100, -100])).toEqual([0, 0, 0, 0, 0, 0]);
});

test("a target that is no class makes NaN of its own row alone", async () => {
  const gradient = await gradientOf([3, 0]);
  expect(gradient.slice(0, 3)).toEqual([NaN, NaN, NaN]);
  expect(gradient[3]).toBeCloseTo((1 / 3 - 1) / 2, 6);
});
