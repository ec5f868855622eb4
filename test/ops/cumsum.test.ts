import { describe, expect, test } from "vitest";
import { cumsum } from "../../src/autograd/ops/cumsum.ts";
import { tensor } from "../../src/autograd/tensor.ts";
import { useDevice } from "../device.ts";
import { cumsumCase, longCumsumCase } from "./cumsum.ts";
import { testOp } from "./harness.ts";

testOp(cumsumCase);
testOp(longCumsumCase);

describe.each([true, false])("cumsum (cooperative workgroups %s)", (cooperativeWorkgroups) => {
  const device = useDevice({ adapter: "software", limits: { cooperativeWorkgroups } });

  test("the gradient of a long axis sums from its end, alike at each run", async () => {
    using _scope = device().scope();
    const size = 100_003;
    const x = tensor(device(), new Float32Array(size), [size]);
    x.requiresGrad = true;
    const run = async (dy: Float32Array): Promise<Float32Array> => {
      x.grad = null;
      cumsum(x, 0).backward(tensor(device(), dy, [size]));
      return (await x.grad!.read()) as Float32Array;
    };
    const whole = Float32Array.from({ length: size }, (_, i) => i % 7);
    const expected = Float32Array.from(whole);
    for (let i = size - 2; i >= 0; i--) expected[i] += expected[i + 1];
    expect(await run(whole)).toEqual(expected);
    const rough = whole.map((value) => value / 3);
    expect(await run(rough)).toEqual(await run(rough));
  });
});
