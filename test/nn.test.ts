import { describe, expect, test } from "vitest";
import { mul, sum } from "../src/autograd/ops/index.ts";
import { recorded } from "../src/autograd/recorded.ts";
import { tensor, type Tensor } from "../src/autograd/tensor.ts";
import { Generator } from "../src/core/rng.ts";
import { Conv2d, Linear } from "../src/nn/layers.ts";
import { BatchNorm1d, BatchNorm2d, freezeBatchNorm } from "../src/nn/norm.ts";
import { useDevice } from "./device.ts";

const device = useDevice({ adapter: "software", limits: { emulateF16: true } });

describe("BatchNorm1d", () => {
  // torch.nn.BatchNorm1d(2, momentum=0.01) on [[1, -2], [2, 0], [6, 5]]
  test("normalises the columns of a batch and moves its running statistics, as torch.nn.BatchNorm1d", async () => {
    const norm = new BatchNorm1d({ device: device(), generator: new Generator(1) }, 2, { momentum: 0.01 });
    const y = await norm.forward(tensor(device(), Float32Array.of(1, -2, 2, 0, 6, 5), [3, 2])).read();
    [-0.9258, -1.01905, -0.4629, -0.33968, 1.3887, 1.35873].forEach((value, i) => expect(y[i]).toBeCloseTo(value, 4));
    expect([...(await norm.running_mean.read())].map((value) => value.toFixed(6))).toEqual(["0.030000", "0.010000"]);
    expect([...(await norm.running_var.read())].map((value) => value.toFixed(6))).toEqual(["1.060000", "1.120000"]);
  });

  test("refuses pictures", () => {
    const norm = new BatchNorm1d({ device: device(), generator: new Generator(1) }, 2);
    expect(() => norm.forward(tensor(device(), new Float32Array(16), [2, 2, 2, 2]))).toThrow(/BatchNorm: x must have 2 or 3 axes; got \[2,2,2,2\]/);
  });
});

describe("freezeBatchNorm", () => {
  test("leaves statistics, weight and bias alone in training, and lets gradients through", async () => {
    const norm = new BatchNorm2d({ device: device(), generator: new Generator(1) }, 2, { eps: 0 });
    norm.running_mean.write(Float32Array.of(1, 2));
    norm.running_var.write(Float32Array.of(4, 16));
    norm.weight.write(Float32Array.of(3, 5));
    freezeBatchNorm(norm);
    const x = tensor(device(), Float32Array.of(1, 3, 2, 6), [1, 2, 1, 2]);
    x.requiresGrad = true;
    const y = norm.train().forward(x);
    expect([...(await y.read())]).toEqual([0, 3, 0, 5]);
    sum(y).backward();
    expect([...(await x.grad!.read())]).toEqual([1.5, 1.5, 1.25, 1.25]);
    expect(norm.weight.grad).toBeNull();
    expect([...(await norm.running_mean.read())]).toEqual([1, 2]);
    freezeBatchNorm(norm, false);
    expect([...(await norm.forward(x).read())]).toEqual([-3, 3, -5, 5]);
  });
});

describe("Conv2d", () => {
  test("has groups and dilation", async () => {
    const layer = new Conv2d({ device: device(), generator: new Generator(1) }, 4, 6, 3, { groups: 2, dilation: 2, padding: 2, bias: false });
    expect(layer.weight.shape).toEqual([6, 2, 3, 3]);
    expect(layer.forward(tensor(device(), new Float32Array(4 * 25), [1, 4, 5, 5])).shape).toEqual([1, 6, 5, 5]);
  });
});

describe("Module.to", () => {
  test("stores parameters in f16 for steps that were recorded before, too, and hands them out in f32", async () => {
    const layer = new Linear({ device: device(), generator: new Generator(1) }, 2, 1);
    layer.loadStateDict(new Map([["weight", { dtype: "f32", shape: [1, 2], data: Float32Array.of(1, 2049) }], ["bias", { dtype: "f32", shape: [1], data: Float32Array.of(0.5) }]]));
    const step = recorded(device(), "step", (x: Tensor) => ({ y: mul(layer.forward(x), 1) }));
    const read = async (): Promise<number> => (await step.run({ shape: [1, 2], data: Float32Array.of(1, 1) })).y.item();
    expect(await read()).toBe(2050.5);
    layer.to("f16");
    expect(layer.weight.dtype).toBe("f16");
    expect(await read()).toBe(2049.5); // 2049 has no f16: 2048
    expect((await layer.stateDict()).get("weight")).toEqual({ dtype: "f32", shape: [1, 2], data: Float32Array.of(1, 2048) });
    expect(await (layer.to("f32"), read())).toBe(2049.5);
  });
});
