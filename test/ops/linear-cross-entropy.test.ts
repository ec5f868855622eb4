import { describe, expect, test } from "vitest";
import { crossEntropy } from "../../src/autograd/ops/cross-entropy.ts";
import { linearCrossEntropy } from "../../src/autograd/ops/linear-cross-entropy.ts";
import { linear } from "../../src/autograd/ops/linear.ts";
import { recorded } from "../../src/autograd/recorded.ts";
import { tensor, zeros, type Tensor } from "../../src/autograd/tensor.ts";
import { Generator } from "../../src/core/rng.ts";
import { sizeOf, type Shape } from "../../src/core/shape.ts";
import { useDevice } from "../device.ts";
import { testOp } from "./harness.ts";
import { linearCrossEntropyCase, linearCrossEntropyValuesCase } from "./linear-cross-entropy.ts";
import { relativeError } from "./measure.ts";

testOp(linearCrossEntropyCase);
testOp(linearCrossEntropyValuesCase);

const device = useDevice({ adapter: "software" });

function parameter(shape: Shape, seed: number): Tensor {
  const generator = new Generator(seed);
  const made = tensor(device(), Float32Array.from({ length: sizeOf(shape) }, () => generator.normal()), shape);
  made.requiresGrad = true;
  return made;
}

describe("linearCrossEntropy", () => {
  test("a second backward pass finds the same gradients", async () => {
    using _scope = device().scope();
    const [x, weight] = [parameter([3, 4], 1), parameter([300, 4], 2)];
    const loss = linearCrossEntropy(x, weight, tensor(device(), Int32Array.of(0, 299, 128), [3]), { chunk: 128 });
    loss.backward();
    const first = await weight.grad!.read();
    weight.grad = null;
    loss.backward();
    expect(relativeError(await weight.grad!.read(), first)).toBe(0);
  });

  test("ignored rows have the gradient 0 even where the mean has no value; a target that is no class spoils its own row alone", async () => {
    using _scope = device().scope();
    const [x, weight] = [parameter([2, 4], 1), parameter([200, 4], 2)];
    linearCrossEntropy(x, weight, tensor(device(), Int32Array.of(-100, -100), [2]), { chunk: 128 }).backward();
    expect([...(await x.grad!.read())]).toEqual(Array(8).fill(0));
    x.grad = null;
    linearCrossEntropy(x, weight, tensor(device(), Int32Array.of(200, 3), [2]), { chunk: 128 }).backward();
    const dx = await x.grad!.read();
    expect([...dx.subarray(0, 4)]).toEqual(Array(4).fill(NaN));
    expect(dx.subarray(4).every(Number.isFinite)).toBe(true);
  });

  test("is what crossEntropy of linear is, frozen weights and recordings included", async () => {
    const [x, weight] = [parameter([20, 8], 1), parameter([400, 8], 2)];
    weight.requiresGrad = false;
    const step = recorded(device(), "losses", (targets) => {
      const fused = linearCrossEntropy(x, weight, targets, { chunk: 128, labelSmoothing: 0.1 });
      fused.backward();
      const dx = x.grad!;
      x.grad = null;
      const plain = crossEntropy(linear(x, weight), targets, { labelSmoothing: 0.1 });
      plain.backward();
      const expected = x.grad!;
      x.grad = null;
      return { fused, dx, plain, expected };
    });
    for (const shift of [0, 1]) {
      const { fused, dx, plain, expected } = await step.run({ shape: [20], data: Int32Array.from({ length: 20 }, (_, i) => (i * 77 + shift) % 400) });
      const [loss, gradient] = [await fused.read(), await dx.read()];
      expect(relativeError(loss, await plain.read())).toBeLessThan(1e-6);
      expect(relativeError(gradient, await expected.read())).toBeLessThan(2e-6);
    }
    expect(weight.grad).toBeNull();
    step.dispose();
  });
});

describe("memory at 1,024 rows of 768 and GPT-2's 50,257 words, whose logits would take 196 MiB", () => {
  const [eager, compiler] = [useDevice({ adapter: "null" }), useDevice({ adapter: "null" })];
  const [rows, width, words] = [1024, 768, 50_257];
  const known = 4 * (2 * rows * width + 2 * words * width + rows); // inputs and gradients
  const MIB = 2 ** 20;

  test("a step one by one", async () => {
    const device = eager();
    using _scope = device.scope();
    const [x, weight] = [zeros(device, [rows, width]), zeros(device, [words, width])];
    x.requiresGrad = weight.requiresGrad = true;
    linearCrossEntropy(x, weight, zeros(device, [rows], "i32")).backward();
    await device.idle();
    expect((device.memory().peakBytes - known) / MIB).toBeLessThan(40);
  });

  test("a recorded step", async () => {
    const device = compiler();
    const weight = zeros(device, [words, width]).keep();
    weight.requiresGrad = true;
    const step = recorded(device, "step", (x, targets) => {
      x.requiresGrad = true;
      const loss = linearCrossEntropy(x, weight, targets);
      loss.backward();
      return { loss, dx: x.grad!, dweight: weight.grad! };
    });
    await step.run({ shape: [rows, width], data: new Float32Array(rows * width) }, { shape: [rows], data: new Int32Array(rows) });
    expect((device.memory().peakBytes - known) / MIB).toBeLessThan(40);
    step.dispose();
  });
});
