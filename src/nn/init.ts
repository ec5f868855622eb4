import type { Generator } from "../core/rng.ts";
import { sizeOf, type Shape } from "../core/shape.ts";
import type { Init } from "./module.ts";

export const constant = (value: number): Init => (values) => void values.fill(value);

export const uniform = (generator: Generator, bound: number): Init => (values) => {
  for (let i = 0; i < values.length; i++) values[i] = (2 * generator.uniform() - 1) * bound;
};

export const normal = (generator: Generator, deviation: number): Init => (values) => {
  for (let i = 0; i < values.length; i++) values[i] = generator.normal() * deviation;
};

/** Values that enter one output: all axes of a weight [out, in, ...] but the first. */
function fanIn(shape: Shape): number {
  return sizeOf(shape.slice(1));
}

/** PyTorch's default for linear layers and convolutions: uniform within 1/√fan_in. */
export const defaultWeight = (generator: Generator): Init => (values, shape) => uniform(generator, 1 / Math.sqrt(fanIn(shape)))(values, shape);

/** Normal with variance 2/fan_out, for convolutions before ReLU. Source: He et al. 2015, arXiv:1502.01852. */
export const kaimingFanOut = (generator: Generator): Init => (values, shape) => {
  const fanOut = shape[0] * sizeOf(shape.slice(2));
  normal(generator, Math.sqrt(2 / fanOut))(values, shape);
};
