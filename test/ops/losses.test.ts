import { describe, expect, test } from "vitest";
import { bceWithLogitsLoss, klDivLoss, smoothL1Loss } from "../../src/autograd/ops/losses.ts";
import { tensor, type Tensor } from "../../src/autograd/tensor.ts";
import { useDevice } from "../device.ts";
import { testOp } from "./harness.ts";
import { nllLossCase, pairLossCases } from "./losses.ts";

for (const pairLossCase of pairLossCases) testOp(pairLossCase);
testOp(nllLossCase);

describe("losses at the ends of their range", () => {
  const device = useDevice({ adapter: "software" });
  const of = (...values: readonly number[]): Tensor => tensor(device(), Float32Array.from(values), [values.length]);

  test("a logit that is surely right costs exp(−|x|), one that is surely wrong |x|", async () => {
    using _scope = device().scope();
    const losses = await bceWithLogitsLoss(of(30, -30, 30, -30, 200), of(1, 0, 0, 1, 1), "none").read();
    expect([...losses].map((loss) => loss.toPrecision(4))).toEqual(["9.358e-14", "9.358e-14", "30.00", "30.00", "0.000"]);
  });

  test("an event without probability adds nothing to a divergence", async () => {
    using _scope = device().scope();
    expect([...(await klDivLoss(of(-1, -Infinity, -2), of(0, 0, 1), "none").read())]).toEqual([0, 0, 2]);
  });

  test("without a square part the smooth loss is the distance", async () => {
    using _scope = device().scope();
    expect([...(await smoothL1Loss(of(1, -3), of(2, 2), 0, "none").read())]).toEqual([1, 5]);
  });
});
