import { describe, expect, test } from "vitest";
import { audit, showAudit } from "../src/autograd/audit.ts";
import { autocast } from "../src/autograd/autocast.ts";
import * as ops from "../src/autograd/ops/index.ts";
import { recorded } from "../src/autograd/recorded.ts";
import { noGrad } from "../src/autograd/tape.ts";
import { tensor, type Tensor } from "../src/autograd/tensor.ts";
import { fromFloat16Bits, toFloat16Bits } from "../src/core/float16.ts";
import { Generator } from "../src/core/rng.ts";
import type { Device } from "../src/device/device.ts";
import { Linear } from "../src/nn/layers.ts";
import { run } from "../src/autograd/run.ts";
import { assign } from "../src/kernels/assign.ts";
import { AdamW } from "../src/train/adamw.ts";
import { LossScaler } from "../src/train/loss-scaler.ts";
import { useDevice } from "./device.ts";

const emulated = useDevice({ adapter: "software", limits: { emulateF16: true } });
const plain = useDevice({ adapter: "software", limits: { features: new Set() } });
const compiler = useDevice({ adapter: "null" });

describe("float16 on the host", () => {
  test("every f16 survives the way to f32 and back", () => {
    for (let bits = 0; bits < 0x10000; bits++) {
      const value = fromFloat16Bits(bits);
      if (Number.isNaN(value)) expect(toFloat16Bits(value) & 0x7c00).toBe(0x7c00);
      else if (toFloat16Bits(value) !== bits) expect.fail(`bits ${bits}: ${value} gives ${toFloat16Bits(value)}`);
    }
  });

  test.each([
    [1 + 2 ** -11, 1], // a tie goes to the even fraction
    [1 + 3 * 2 ** -11, 1 + 2 ** -9],
    [65_519.9, 65_504],
    [65_520, Infinity],
    [-1e30, -Infinity],
    [2 ** -25, 0],
    [2 ** -25 * 1.01, 2 ** -24],
    [1e-40, 0],
    [-0, -0],
  ])("%d becomes %d", (value, rounded) => {
    expect(fromFloat16Bits(toFloat16Bits(value))).toBe(rounded);
  });
});

describe("tensors in f16", () => {
  test("hold an odd number of values, of which each is rounded to nearest", async () => {
    const values = Float32Array.of(0.1, -65_504, 1e-7, 3.14159, 70_000);
    const rounded = values.map((value) => fromFloat16Bits(toFloat16Bits(value)));
    const uploaded = tensor(emulated(), values, [5], "f16");
    const converted = ops.cast(tensor(emulated(), values, [5]), "f16");
    expect([...(await uploaded.read())]).toEqual([...rounded]);
    expect([...(await converted.read())]).toEqual([...rounded]);
    expect([...(await ops.cast(converted, "f32").read())]).toEqual([...rounded]);
  });

  test("take half the memory where the adapter has shader-f16, and none where it has not", () => {
    const half = ops.cast(tensor(compiler(), new Float32Array(6), [6]), "f16");
    expect(half.storage.size).toBe(12);
    expect(() => ops.cast(tensor(plain(), new Float32Array(6), [6]), "f16")).toThrow(/f16: this adapter has no feature shader-f16/);
  });

  test("are assigned across both types", async () => {
    const [half, whole] = [tensor(emulated(), Float32Array.of(1, 2, 0.1), [3], "f16"), tensor(emulated(), new Float32Array(3), [3])];
    run(assign, [whole, half], {});
    expect([...(await whole.read())]).toEqual([1, 2, 0.0999755859375]);
    run(assign, [half, whole], {});
    expect([...(await half.read())]).toEqual([1, 2, 0.0999755859375]);
  });

  test("refuse integers", () => {
    expect(() => ops.cast(tensor(emulated(), new Int32Array(2), [2]), "f16")).toThrow(/cast: needs f32 or f16 tensors; got i32/);
    expect(() => tensor(emulated(), new Int32Array(2), [2], "f16")).toThrow(/tensor: f16 needs values of f32; got i32/);
  });
});

/** A small network on the problem y = x², trained for some steps. */
async function train(device: Device, { mixed, steps, scale }: { mixed: boolean; steps: number; scale: number }): Promise<{ losses: number[]; scales: number[]; weights: Float32Array; dtypes: string[] }> {
  const context = { device, generator: new Generator(3) };
  const [first, second] = [new Linear(context, 1, 16), new Linear(context, 16, 1)];
  const optimizer = new AdamW([{ params: [...first.parameters(), ...second.parameters()] }], { lr: 0.02, weightDecay: 0 });
  const scaler = new LossScaler(device, { scale, interval: 10 });
  const dtypes: string[] = [];
  const model = (x: Tensor): Tensor => {
    const hidden = ops.tanh(first.forward(x));
    dtypes.push(hidden.dtype);
    return second.forward(hidden);
  };
  const step = recorded(device, "step", (x: Tensor, y: Tensor) => {
    const loss = mixed ? autocast(() => ops.mseLoss(model(x), y)) : ops.mseLoss(model(x), y);
    (mixed ? scaler.scale(loss) : loss).backward();
    dtypes.push(first.weight.grad!.dtype);
    optimizer.step(mixed ? { scaler } : {});
    if (mixed) scaler.update();
    return { loss };
  });
  const x = Float32Array.from({ length: 32 }, (_, i) => i / 16 - 1);
  const losses: number[] = [];
  const scales: number[] = [];
  for (let i = 0; i < steps; i++) {
    const { loss } = await step.run({ shape: [32, 1], data: x }, { shape: [32, 1], data: x.map((value) => value * value) });
    losses.push(await loss.item());
    scales.push(await scaler.value());
  }
  return { losses, scales, weights: (await first.weight.read()) as Float32Array, dtypes };
}

describe("mixed precision", () => {
  test("trains like f32, with f32 weights and f16 activations", async () => {
    const mixed = await train(emulated(), { mixed: true, steps: 60, scale: 1024 });
    const full = await train(emulated(), { mixed: false, steps: 60, scale: 1 });
    expect(mixed.dtypes).toEqual(["f16", "f32"]);
    expect(full.dtypes).toEqual(["f32", "f32"]);
    expect(full.losses.at(-1)).toBeLessThan(0.1 * full.losses[0]);
    mixed.losses.forEach((loss, i) => expect(Math.abs(loss - full.losses[i])).toBeLessThan(2e-3 * full.losses[0]));
    expect(mixed.scales.at(-1)).toBe(1024 * 2 ** 6); // doubled after each ten steps without overflow
  });

  test("a scale that overflows is halved, and the weights stay as they are until it fits", async () => {
    const start = await train(emulated(), { mixed: false, steps: 0, scale: 1 });
    const overflowing = await train(emulated(), { mixed: true, steps: 1, scale: 2 ** 24 });
    expect(overflowing.weights).toEqual(start.weights);
    expect(overflowing.scales).toEqual([2 ** 23]);
    const recovered = await train(emulated(), { mixed: true, steps: 40, scale: 2 ** 24 });
    expect(Math.min(...recovered.scales)).toBeLessThan(2 ** 20);
    expect(recovered.losses.at(-1)).toBeLessThan(recovered.losses[0]);
    expect(recovered.losses.every(Number.isFinite)).toBe(true);
  });

  test("the steps compile for an adapter with shader-f16", async () => {
    await train(compiler(), { mixed: true, steps: 1, scale: 1024 });
  });

  test("bad settings of the scaler are refused", () => {
    expect(() => new LossScaler(emulated(), { scale: 0 })).toThrow(/LossScaler: needs scale > 0.*got 0/);
  });
});

describe("audit", () => {
  const tiny = (values: readonly number[], shape: readonly number[]): Tensor => {
    const result = tensor(emulated(), Float32Array.from(values), shape);
    result.requiresGrad = true;
    return result;
  };

  test("finds what overflows, vanishes and drifts, and leaves gradients alone", async () => {
    const [x, weight] = [tiny([300, 1e-3], [1, 2]), tiny([300, 0, 0, 1e-5], [2, 2])];
    const earlier = tiny([1, 2, 3, 4], [2, 2]);
    weight.grad = earlier;
    const rows = await audit(emulated(), () => ops.sum(ops.square(ops.linear(x, weight))), { lossScale: 2 });
    expect(weight.grad).toBe(earlier);
    expect(x.grad).toBeNull();
    expect(rows.map(({ op }) => op)).toEqual(["linear", "unary", "sum", "sum backward", "unary backward", "linear backward", "linear backward"]);
    const [product, , , , , dx, dweight] = rows;
    expect(product).toMatchObject({ dtype: "f16", largest: 90_000, overflows: 1, underflows: 1 }); // 300 · 300, and 1e-3 · 1e-5
    expect(dx).toMatchObject({ dtype: "f16", overflows: 2 }); // Inf · 300, and Inf · 0
    expect(dweight.dtype).toBe("f32");
    expect(showAudit(rows).split("\n")[1]).toMatch(/^! +linear +\[1,2\] +f16 +9\.00e\+4 +1 +1 /);
  });

  test("says so where the step is another one at each call", async () => {
    let calls = 0;
    const x = tiny([1, 2], [1, 2]);
    await expect(audit(emulated(), () => ops.sum(calls++ === 0 ? x : ops.square(x)))).rejects.toThrow(/audit: the step must be made of the same ops/);
  });
});

describe("autocast", () => {
  const leaf = (values: readonly number[], shape: readonly number[]): Tensor => {
    const result = tensor(emulated(), Float32Array.from(values), shape);
    result.requiresGrad = true;
    return result;
  };

  test("casts a weight anew where gradients are off, a scope has ended, or an optimiser has changed it", async () => {
    const weight = leaf([2], [1, 1]);
    const x = tensor(emulated(), Float32Array.of(3), [1, 1]);
    const optimizer = new AdamW([{ params: [weight] }], { lr: 1, weightDecay: 0 });
    const results = autocast(() => {
      noGrad(() => ops.linear(x, weight));
      {
        using _scope = emulated().scope();
        ops.linear(x, weight);
      }
      const before = ops.linear(x, weight);
      ops.sum(before).backward();
      optimizer.step();
      return [before, ops.linear(x, weight)];
    });
    expect(await results[0].item()).toBe(6);
    expect(await results[1].item()).toBe(3); // Adam's first step is the learning rate
  });

  test("joins what is f16 with what is f32, and refuses asynchronous functions", async () => {
    const x = leaf([1, 2], [1, 2]);
    const joined = autocast(() => ops.concat([ops.linear(x, leaf([1, 1], [1, 2])), x], 1));
    expect(joined.dtype).toBe("f32");
    expect([...(await joined.read())]).toEqual([3, 1, 2]);
    expect(() => autocast(async () => undefined)).toThrow(/autocast: the function must not be asynchronous/);
  });
});
