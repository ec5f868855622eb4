import type { OpCase, Sample } from "../test/ops/op-case.ts";
import * as adaptiveAvgPool2d from "../test/ops/adaptive-avg-pool2d.ts";
import * as avgPool2d from "../test/ops/avg-pool2d.ts";
import * as batchNorm from "../test/ops/batch-norm.ts";
import * as binary from "../test/ops/binary.ts";
import * as concat from "../test/ops/concat.ts";
import * as conv2d from "../test/ops/conv2d.ts";
import * as crossEntropy from "../test/ops/cross-entropy.ts";
import * as dropout from "../test/ops/dropout.ts";
import * as embedding from "../test/ops/embedding.ts";
import * as layerNorm from "../test/ops/layer-norm.ts";
import * as linear from "../test/ops/linear.ts";
import * as lstm from "../test/ops/lstm.ts";
import * as matmul from "../test/ops/matmul.ts";
import * as maxPool2d from "../test/ops/max-pool2d.ts";
import * as mseLoss from "../test/ops/mse-loss.ts";
import * as permute from "../test/ops/permute.ts";
import * as reduce from "../test/ops/reduce.ts";
import * as reshape from "../test/ops/reshape.ts";
import * as slice from "../test/ops/slice.ts";
import * as softmax from "../test/ops/softmax.ts";
import * as unary from "../test/ops/unary.ts";
import { MODEL_SHAPES } from "./shapes.ts";

/** The files of op cases; a test sees that none is missing. */
export const MODULES: readonly Readonly<Record<string, unknown>>[] = [
  adaptiveAvgPool2d, avgPool2d, batchNorm, binary, concat, conv2d, crossEntropy, dropout, embedding, layerNorm, linear, lstm, matmul, maxPool2d,
  mseLoss, permute, reduce, reshape, slice, softmax, unary,
];

/** An op at a shape, whatever its attributes are. */
export interface BenchCase {
  readonly op: string;
  readonly sample: string;
  readonly opCase: OpCase<unknown>;
  readonly inputs: Sample<unknown>["inputs"];
  readonly attrs: unknown;
}

/** The op cases that a test file exports, alone or in lists. */
export function opCasesOf(module: Readonly<Record<string, unknown>>): OpCase<unknown>[] {
  return Object.values(module).flat().filter(isOpCase);
}

function isOpCase(value: unknown): value is OpCase<unknown> {
  return typeof value === "object" && value !== null && "reference" in value && "samples" in value;
}

/** Every op at the shapes that models use it with. */
export function benchCases(): BenchCase[] {
  return MODULES.flatMap((module) => opCasesOf(module)).flatMap((opCase) =>
    [...(opCase.bench ?? []), ...(MODEL_SHAPES[opCase.name] ?? [])].map(({ name, inputs, attrs }) => ({ op: opCase.name, sample: name, opCase, inputs, attrs })),
  );
}
