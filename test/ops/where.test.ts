import { expect, test } from "vitest";
import { tensor } from "../../src/autograd/tensor.ts";
import { where } from "../../src/autograd/ops/where.ts";
import { useDevice } from "../device.ts";
import { testOp } from "./harness.ts";
import { maskedFillCase, maskedFillExtremesCase, whereCase, whereExtremesCase, whereIntegersCase } from "./where.ts";

testOp(whereCase);
testOp(whereExtremesCase);
testOp(whereIntegersCase);
testOp(maskedFillCase);
testOp(maskedFillExtremesCase);

const device = useDevice({ adapter: "software" });

test("what is not taken has the gradient 0, also where the gradient is not finite", async () => {
  using _scope = device().scope();
  const [a, b] = [1, 2].map((value) => tensor(device(), new Float32Array(3).fill(value), [3]));
  a.requiresGrad = b.requiresGrad = true;
  where(tensor(device(), Uint32Array.of(1, 0, 1), [3]), a, b).backward(tensor(device(), Float32Array.of(NaN, Infinity, 5), [3]));
  expect([...(await a.grad!.read())]).toEqual([NaN, 0, 5]);
  expect([...(await b.grad!.read())]).toEqual([0, Infinity, 0]);
});
