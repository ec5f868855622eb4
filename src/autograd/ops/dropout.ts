import { dropout as dropoutKernel } from "../../kernels/dropout.ts";
import { defineOp } from "../op.ts";
import type { DeviceGenerator } from "../random.ts";
import { run } from "../run.ts";
import type { Tensor } from "../tensor.ts";

const apply = defineOp<{ p: number }>({
  name: "dropout",
  forward(inputs, attrs) {
    return { outputs: run(dropoutKernel, inputs, attrs) };
  },
  backward([dy], { inputs: [, draw], attrs }) {
    return [run(dropoutKernel, [dy!, draw], attrs)[0], null];
  },
});

/**
 * Sets each element to 0 with probability p and scales the others by 1 / (1 − p); x itself where p is 0.
 * Each call takes one draw of the generator.
 * @throws ShapeError unless 0 ≤ p < 1.
 */
export function dropout(x: Tensor, p: number, generator: DeviceGenerator): Tensor {
  return p === 0 ? x : apply([x, generator.draw()], { p })[0];
}
