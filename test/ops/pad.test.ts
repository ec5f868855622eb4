import { describe, expect, test } from "vitest";
import { pad } from "../../src/autograd/ops/index.ts";
import { tensor } from "../../src/autograd/tensor.ts";
import { useDevice } from "../device.ts";
import { testOp } from "./harness.ts";
import { padCase } from "./pad.ts";

testOp(padCase);

describe("pad", () => {
  const device = useDevice({ adapter: "software" });

  test.each([-Infinity, Infinity, NaN])("fills with %d, one by one and four at once", async (value) => {
    expect([...(await pad(tensor(device(), Float32Array.of(1, 2), [2]), [[1, 2]], "constant", value).read())]).toEqual([value, 1, 2, value, value]);
    expect([...(await pad(tensor(device(), Float32Array.of(1, 2, 3, 4), [1, 4]), [[1, 0], [0, 0]], "constant", value).read())]).toEqual([value, value, value, value, 1, 2, 3, 4]);
  });
});
