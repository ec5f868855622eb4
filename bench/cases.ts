import type { OpCase, Sample } from "../test/ops/op-case.ts";
import * as adaptiveAvgPool2d from "../test/ops/adaptive-avg-pool2d.ts";
import * as avgPool2d from "../test/ops/avg-pool2d.ts";
import * as batchNorm from "../test/ops/batch-norm.ts";
import * as binary from "../test/ops/binary.ts";
import * as conv2d from "../test/ops/conv2d.ts";
import * as crossEntropy from "../test/ops/cross-entropy.ts";
import * as linear from "../test/ops/linear.ts";
import * as lstm from "../test/ops/lstm.ts";
import * as matmul from "../test/ops/matmul.ts";
import * as maxPool2d from "../test/ops/max-pool2d.ts";
import * as reduce from "../test/ops/reduce.ts";
import * as unary from "../test/ops/unary.ts";

/** The files of op cases; a test sees that none is missing. */
const MODULES = [adaptiveAvgPool2d, avgPool2d, batchNorm, binary, conv2d, crossEntropy, linear, lstm, matmul, maxPool2d, reduce, unary];

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
    (opCase.bench ?? []).map(({ name, inputs, attrs }) => ({ op: opCase.name, sample: name, opCase, inputs, attrs })),
  );
}
