import { describe, expect, test } from "vitest";
import { topK } from "../../src/autograd/ops/top-k.ts";
import { tensor } from "../../src/autograd/tensor.ts";
import { Generator } from "../../src/core/rng.ts";
import { useDevice } from "../device.ts";
import { testOp } from "./harness.ts";
import { sortedPlaces } from "./sort.ts";
import { topKCase, topKTiesCase } from "./top-k.ts";

testOp(topKCase);
testOp(topKTiesCase);

describe.each([true, false])("topK (cooperative workgroups %s)", (cooperativeWorkgroups) => {
  const device = useDevice({ adapter: "software", limits: { cooperativeWorkgroups } });

  test.each([[5], [128]])("the first %i of a vocabulary of 50,257, with many equals", async (k) => {
    using _scope = device().scope();
    const generator = new Generator(k);
    const data = Float32Array.from({ length: 50_257 }, () => Math.round(200 * generator.normal()) / 16);
    const { values, indices } = topK(tensor(device(), data, [1, 50_257]), k);
    const [expected] = sortedPlaces({ shape: [1, 50_257], data: Float64Array.from(data) }, true);
    expect([...(await indices.read())]).toEqual(expected.slice(0, k));
    expect([...(await values.read())]).toEqual(expected.slice(0, k).map((place) => data[place]));
  });
});
