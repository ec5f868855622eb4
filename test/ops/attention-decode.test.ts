import { describe, expect, test } from "vitest";
import { packedSelfAttention } from "../../src/autograd/ops/attention.ts";
import { keyValueCache, packedCachedAttention } from "../../src/autograd/ops/attention-decode.ts";
import { recorded } from "../../src/autograd/recorded.ts";
import { tensor } from "../../src/autograd/tensor.ts";
import { useDevice } from "../device.ts";
import { appendToCacheCase, cachedAttentionCase, packedCachedAttentionCase } from "./attention-decode.ts";
import { testOp } from "./harness.ts";
import { relativeError } from "./measure.ts";
import { valuesOf } from "./op-case.ts";

testOp(cachedAttentionCase);
testOp(appendToCacheCase);
testOp(packedCachedAttentionCase);

describe.each([
  ["one thread", false],
  ["cooperative", true],
] as const)("one recording for every word, %s", (_variant, cooperativeWorkgroups) => {
  const device = useDevice({ adapter: "software", limits: { cooperativeWorkgroups } });

  test.each([20, 140])("each word gives what causal attention to all of %i gives", async (length) => {
    const [batch, heads, headSize] = [2, 2, 8];
    const width = heads * headSize;
    using _scope = device().scope();
    const words = Float32Array.from(valuesOf({ shape: [length, batch, 3 * width], low: -1.5, high: 1.5 }, 5));
    const word = (t: number, b: number): Float32Array => words.subarray((t * batch + b) * 3 * width, (t * batch + b + 1) * 3 * width);
    const whole = new Float32Array(words.length);
    for (let b = 0; b < batch; b++) for (let t = 0; t < length; t++) whole.set(word(t, b), (b * length + t) * 3 * width);
    const expected = await packedSelfAttention(tensor(device(), whole, [batch, length, 3 * width]), heads, { causal: true }).read();

    const shape = [batch, heads, length, headSize] as const;
    const cache = keyValueCache(device(), shape);
    const step = recorded(device(), "decode", (qkv, position) => ({ y: packedCachedAttention(qkv, cache, position) }));
    for (let t = 0; t < length; t++) {
      const { y } = await step.run({ shape: [batch, 1, 3 * width], data: words.slice(t * batch * 3 * width, (t + 1) * batch * 3 * width) }, { shape: [1], data: Uint32Array.of(t) });
      if (![0, 1, 7, 63, 64, 127, length - 1].includes(t)) continue;
      const found = await y.read();
      const row = (b: number): Float32Array => expected.subarray((b * length + t) * width, (b * length + t + 1) * width) as Float32Array;
      expect(relativeError(found, [...row(0), ...row(1)]), `word ${t}`).toBeLessThanOrEqual(2e-6);
    }
    expect(step.recording!.dispatches, "append and attend; put the parts together where there are several").toBe(length <= 64 ? 2 : 3);
    step.dispose();
  });
});
