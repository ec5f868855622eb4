import { ShapeError } from "../../core/errors.ts";
import { sameShape, showShape } from "../../core/shape.ts";
import type { BinaryFunction } from "../../kernels/binary.ts";
import { scalarLike } from "../constant.ts";
import type { Tensor } from "../tensor.ts";
import { notEqual } from "./compare.ts";
import { binaryOf, div, mul, sub } from "./binary.ts";
import { gather } from "./gather.ts";
import { squeeze, unsqueeze } from "./layout.ts";
import { mean, sum } from "./reduce.ts";
import { reshape } from "./reshape.ts";
import { abs, affine, huber, neg, square } from "./unary.ts";
import { where } from "./where.ts";

/** What becomes of the losses of single elements. */
export type LossReduction = "mean" | "sum" | "none";

function reduced(losses: Tensor, reduction: LossReduction): Tensor {
  if (reduction === "none") return losses;
  return reduction === "sum" ? sum(losses) : mean(losses);
}

/** @throws ShapeError if the shapes differ: broadcasting a target is nearly always a mistake. */
function checkShapes(what: string, x: Tensor, y: Tensor): void {
  if (!sameShape(x.shape, y.shape)) throw new ShapeError(`${what}: both tensors must have one shape; got ${showShape(x.shape)} and ${showShape(y.shape)}`);
}

/** The difference of two tensors of one shape. */
function difference(what: string, x: Tensor, y: Tensor): Tensor {
  checkShapes(what, x, y);
  return sub(x, y);
}

function pairLoss(fn: BinaryFunction, x: Tensor, y: Tensor, reduction: LossReduction): Tensor {
  checkShapes(fn, x, y);
  return reduced(binaryOf(fn, x, y), reduction);
}

/** (x − y)², by default its mean over all elements. @throws ShapeError if the shapes differ. */
export function mseLoss(x: Tensor, y: Tensor, reduction: LossReduction = "mean"): Tensor {
  return reduced(square(difference("mseLoss", x, y)), reduction);
}

/** |x − y|, by default its mean over all elements. @throws ShapeError if the shapes differ. */
export function l1Loss(x: Tensor, y: Tensor, reduction: LossReduction = "mean"): Tensor {
  return reduced(abs(difference("l1Loss", x, y)), reduction);
}

/** (x − y)²/2 where |x − y| < δ, otherwise δ (|x − y| − δ/2); by default the mean. @throws ShapeError if the shapes differ. */
export function huberLoss(x: Tensor, y: Tensor, delta = 1, reduction: LossReduction = "mean"): Tensor {
  return reduced(huber(difference("huberLoss", x, y), delta), reduction);
}

/** {@link huberLoss} / β: the slope of its linear part is 1. @throws ShapeError if the shapes differ. */
export function smoothL1Loss(x: Tensor, y: Tensor, beta = 1, reduction: LossReduction = "mean"): Tensor {
  const d = difference("smoothL1Loss", x, y);
  return reduced(beta === 0 ? abs(d) : affine(huber(d, beta), 1 / beta, 0), reduction);
}

/**
 * Cross entropy of σ(x) with targets t in 0..1: −t log σ(x) − (1 − t) log(1 − σ(x)), by default its mean.
 * @throws ShapeError if the shapes differ.
 */
export function bceWithLogitsLoss(x: Tensor, targets: Tensor, reduction: LossReduction = "mean"): Tensor {
  return pairLoss("bceWithLogits", x, targets, reduction);
}

/**
 * Kullback-Leibler divergence of probabilities q = exp(logQ) from p: p (log p − log q), by default its mean over all elements
 * (PyTorch's "batchmean" is the sum over the size of the batch).
 * @throws ShapeError if the shapes differ.
 */
export function klDivLoss(logQ: Tensor, p: Tensor, reduction: LossReduction = "mean"): Tensor {
  return pairLoss("klDiv", logQ, p, reduction);
}

export interface NllLossOptions {
  /** How much each class counts, [C]. */
  readonly weight?: Tensor;
  /** Elements with this target count for nothing. Default −100. */
  readonly ignoreIndex?: number;
  /** The mean is weighted by what each element counts. Default mean. */
  readonly reduction?: LossReduction;
}

/**
 * Negative log-likelihood: −logP[target], times the class's weight.
 *
 * logP [N, C, ...] (as logSoftmax gives them), targets i32 [N, ...] → a scalar, or [N, ...] without reduction. A target that
 * is no class makes the loss NaN.
 * @throws ShapeError if the targets don't fit.
 * Source: the same result as torch.nn.functional.nll_loss.
 */
export function nllLoss(logP: Tensor, targets: Tensor, { weight, ignoreIndex = -100, reduction = "mean" }: NllLossOptions = {}): Tensor {
  if (logP.shape.length < 2 || !sameShape(targets.shape, logP.shape.toSpliced(1, 1))) {
    throw new ShapeError(`nllLoss: targets must be [N,...] for [N,C,...]; got ${showShape(targets.shape)} for ${showShape(logP.shape)}`);
  }
  const counts = notEqual(targets, ignoreIndex);
  const [none, one] = [scalarLike(logP, 0, "nllLoss"), scalarLike(logP, 1, "nllLoss")];
  const ofTarget = weight === undefined ? one : reshape(gather(weight, 0, reshape(targets, [-1])), targets.shape);
  const chosen = neg(squeeze(gather(logP, 1, unsqueeze(targets, 1)), 1));
  const losses = where(counts, mul(chosen, ofTarget), none);
  return reduction === "mean" ? div(sum(losses), sum(where(counts, ofTarget, none))) : reduced(losses, reduction);
}
