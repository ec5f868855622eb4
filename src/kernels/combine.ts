import { ShapeError } from "../core/errors.ts";
import { sameShape, showShape, sizeOf } from "../core/shape.ts";
import { elementwise, requireFloat } from "./elementwise.ts";
import type { Kernel } from "./kernel.ts";
import { bytesOf, commonFloat, f32, spec } from "./wgsl.ts";
import { cutElementwise } from "./windows.ts";

/**
 * A weighted sum of two or three tensors: out = Σ wᵢ·xᵢ.
 *
 * xᵢ [...] of one shape → out [...].
 * @throws ShapeError if the shapes differ, or there is not one weight a tensor.
 */
export const combine: Kernel<{ weights: readonly number[] }> = {
  name: "combine",
  parts: cutElementwise,
  infer(inputs, { weights }) {
    requireFloat("combine", ...inputs);
    const [{ shape }] = inputs;
    const other = inputs.find((input) => !sameShape(input.shape, shape));
    if (other !== undefined) throw new ShapeError(`combine: all tensors must have one shape; got ${showShape(shape)} and ${showShape(other.shape)}`);
    if (weights.length !== inputs.length) throw new ShapeError(`combine: needs one weight a tensor; got ${weights.length} for ${inputs.length}`);
    return [spec(shape, commonFloat(...inputs))];
  },
  cost(inputs) {
    return { flops: 2 * inputs.length * sizeOf(inputs[0].shape), bytes: bytesOf(...inputs, inputs[0]) };
  },
  program(inputs, { weights }, limits) {
    const names = ["x", "y", "z"].slice(0, inputs.length);
    const expression = names.map((name, i) => `${f32(weights[i])} * ${name}`).join(" + ");
    return elementwise({ shape: inputs[0].shape, inputs: inputs.map((input, i) => [names[i], input]), expression }, limits);
  },
};
