import { describe, expect, test } from "vitest";
import { attention, packedSelfAttention } from "../../src/autograd/ops/attention.ts";
import { slice } from "../../src/autograd/ops/slice.ts";
import { reshape } from "../../src/autograd/ops/reshape.ts";
import { tensor, Tensor } from "../../src/autograd/tensor.ts";
import type { TypedArray } from "../../src/core/dtype.ts";
import type { Shape } from "../../src/core/shape.ts";
import type { Device } from "../../src/device/device.ts";
import { attentionBackwardKeys, attentionBackwardQueries } from "../../src/kernels/attention-backward.ts";
import { attention as attentionKernel } from "../../src/kernels/attention.ts";
import { spec } from "../../src/kernels/wgsl.ts";
import { useDevice } from "../device.ts";
import { attentionCase, attentionExtremesCase, packedSelfAttentionCase } from "./attention.ts";
import { testOp } from "./harness.ts";
import { expectation, measureSample } from "./measure.ts";
import { valuesOf } from "./op-case.ts";

testOp(attentionCase);
testOp(packedSelfAttentionCase);
testOp(attentionExtremesCase);

function random(device: Device, shape: Shape, seed: number): Tensor {
  return tensor(device, Float32Array.from(valuesOf({ shape }, seed)), shape);
}

/** y and the gradients of q, k and v. */
async function attendTwice(device: Device): Promise<TypedArray[][]> {
  const runs: TypedArray[][] = [];
  for (let run = 0; run < 2; run++) {
    using _scope = device.scope();
    const inputs = [1, 2, 3].map((seed) => random(device, [2, 2, 40, 12], seed));
    for (const input of inputs) input.requiresGrad = true;
    const [q, k, v] = inputs;
    const y = attention(q, k, v, { causal: true });
    y.backward(random(device, y.shape, 4));
    runs.push(await Promise.all([y, q.grad!, k.grad!, v.grad!].map((result) => result.read())));
  }
  return runs;
}

describe.each([
  ["one thread", false],
  ["cooperative", true],
] as const)("attention, %s", (_variant, cooperativeWorkgroups) => {
  const device = useDevice({ adapter: "software", limits: { cooperativeWorkgroups } });

  test("gives the same bits in two runs", async () => {
    const [first, second] = await attendTwice(device());
    expect(second).toEqual(first);
  });

  test("a query with NaN makes the gradients of all keys and values NaN", async () => {
    using _scope = device().scope();
    const [q, k, v] = [[1, NaN], [1, 2, 3], [4, 5, 6]].map((values) => tensor(device(), Float32Array.from(values), [1, 1, values.length, 1]));
    for (const input of [q, k, v]) input.requiresGrad = true;
    const y = attention(q, k, v);
    y.backward(random(device(), y.shape, 1));
    expect([...(await q.grad!.read())].map(Number.isNaN)).toEqual([false, true]);
    for (const input of [k, v]) expect([...(await input.grad!.read())]).toEqual([NaN, NaN, NaN]);
  });

  test("packed gives the same bits as three tensors", async () => {
    using _scope = device().scope();
    const [batch, length, heads, headSize] = [2, 19, 3, 8];
    const qkv = random(device(), [batch, length, 3, heads, headSize], 1);
    const dy = random(device(), [batch, length, heads * headSize], 2);
    qkv.requiresGrad = true;
    const packed = packedSelfAttention(qkv, heads, { causal: true });
    packed.backward(dy);
    const dqkv = await qkv.grad!.read();

    qkv.grad = null;
    const [q, k, v] = [0, 1, 2].map((part) => reshape(slice(qkv, 2, part, part + 1), [batch, length, heads, headSize]));
    const y = attention(q, k, v, { causal: true, layout: "bthd" });
    y.backward(dy.view(y.shape));
    expect(await y.read()).toEqual(await packed.read());
    expect(await qkv.grad!.read()).toEqual(dqkv);
  });
});

describe("attention on small adapters", () => {
  const small = useDevice({ adapter: "software", limits: { cooperativeWorkgroups: true, maxComputeWorkgroupStorageSize: 16_384 } });

  test.each([0, 8])("sample %i is right where workgroup memory has 16 KiB", async (number) => {
    const sample = attentionCase.samples[number];
    const { measured } = await measureSample(small(), attentionCase, sample, expectation(attentionCase, sample));
    expect(measured.filter(({ error, tolerance }) => !(error <= tolerance))).toEqual([]);
  });

  test("heads of any size fit 16 KiB of workgroup memory", () => {
    const limits = { ...small().limits, features: new Set<string>() };
    for (let headSize = 1; headSize <= 256; headSize++) {
      for (const batch of [1, 64]) {
        const q = spec([batch, 4, 70, headSize]);
        const attrs = { layout: "bhtd", causal: true, masked: false, scale: 1 } as const;
        const backward = [q, q, q, q, spec([batch, 4, 70, 2])];
        const texts = [attentionKernel.program([q, q, q], attrs, limits), attentionBackwardQueries.program(backward, attrs, limits), attentionBackwardKeys.program(backward, attrs, limits)];
        for (const { wgsl } of texts) {
          const arrays = [...wgsl.matchAll(/var<workgroup> \w+: array<(?:vec([24])<f32>|f32), (\d+)>/g)];
          const bytes = arrays.reduce((sum, [, width = "1", length]) => sum + 4 * Number(width) * Number(length), 0);
          expect(bytes, `workgroup memory for heads of ${headSize}`).toBeLessThanOrEqual(16_384);
        }
      }
    }
  });
});

describe("memory of attention", () => {
  const nothing = useDevice({ adapter: "null" });

  test("forward and backward of 1×12×1024×64 take less than one matrix of scores", () => {
    const device = nothing();
    using _scope = device.scope();
    const shape = [1, 12, 1024, 64];
    const [q, k, v, dy] = [1, 2, 3, 4].map(() => tensor(device, new Float32Array(12 * 1024 * 64), shape));
    for (const input of [q, k, v]) input.requiresGrad = true;
    const before = device.memory().liveBytes;
    attention(q, k, v, { causal: true }).backward(dy);
    expect(v.grad).not.toBeNull();
    expect(device.memory().peakBytes - before).toBeLessThan(12 * 1024 * 1024 * 4);
  });
});
