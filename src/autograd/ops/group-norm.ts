import { ShapeError } from "../../core/errors.ts";
import { showShape } from "../../core/shape.ts";
import { full, type Tensor } from "../tensor.ts";
import { add, mul } from "./binary.ts";
import { layerNorm } from "./layer-norm.ts";
import { mean } from "./reduce.ts";
import { reshape } from "./reshape.ts";
import { affine, rsqrt, square } from "./unary.ts";

/** A factor and a summand for each channel. */
export interface ChannelAffine {
  readonly weight?: Tensor;
  readonly bias?: Tensor;
}

/**
 * Group normalisation: each group of channels of an image less its mean, over its standard deviation, times the channel's
 * weight, plus its bias. One group for all channels is a layer normalisation, one for each an instance normalisation.
 *
 * x [N, C, ...], weight, bias [C] (each optional) → [N, C, ...].
 * @throws ShapeError if x has not two axes at least, the groups do not divide C, or weight or bias is not [C].
 * Source: Wu and He 2018, arXiv:1803.08494; the same result as torch.nn.functional.group_norm.
 */
export function groupNorm(x: Tensor, groups: number, { weight, bias }: ChannelAffine = {}, eps = 1e-5): Tensor {
  const [n, channels] = x.shape;
  if (x.shape.length < 2 || !(Number.isInteger(groups) && groups >= 1) || channels % groups !== 0) {
    throw new ShapeError(`groupNorm: x must be [N,C,...] and the groups divide C; got ${showShape(x.shape)} and ${groups} groups`);
  }
  for (const tensor of [weight, bias]) {
    if (tensor !== undefined && (tensor.shape.length !== 1 || tensor.shape[0] !== channels)) throw new ShapeError(`groupNorm: weight and bias must be [${channels}]; got ${showShape(tensor.shape)}`);
  }
  const size = x.size / (n * groups);
  const [ones, zeros] = [full(x.device, [size], 1), full(x.device, [size], 0)];
  const normal = reshape(layerNorm(reshape(x, [n * groups, size]), ones, zeros, eps), x.shape);
  const channel = [channels, ...x.shape.slice(2).fill(1)];
  const scaled = weight === undefined ? normal : mul(normal, reshape(weight, channel));
  return bias === undefined ? scaled : add(scaled, reshape(bias, channel));
}

/** {@link groupNorm} with a group for each channel. @throws ShapeError as there. Source: Ulyanov et al. 2016, arXiv:1607.08022. */
export function instanceNorm(x: Tensor, affineOf: ChannelAffine = {}, eps = 1e-5): Tensor {
  return groupNorm(x, x.shape[1] ?? 1, affineOf, eps);
}

/**
 * x / √(mean(x²) + eps) · weight over the last axis.
 *
 * x [..., C], weight [C] (optional) → [..., C].
 * Source: Zhang and Sennrich 2019, arXiv:1910.07467.
 */
export function rmsNorm(x: Tensor, weight?: Tensor, eps = 1e-5): Tensor {
  const normal = mul(x, rsqrt(affine(mean(square(x), -1, true), 1, eps)));
  return weight === undefined ? normal : mul(normal, weight);
}
