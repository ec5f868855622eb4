import { ALL_CASES } from "../test/ops/index.ts";
import type { OpCase, Sample } from "../test/ops/op-case.ts";
import { MODEL_SHAPES } from "./shapes.ts";

/** An op at a shape, whatever its attributes are. */
export interface BenchCase {
  readonly op: string;
  readonly sample: string;
  readonly opCase: OpCase<unknown>;
  readonly inputs: Sample<unknown>["inputs"];
  readonly attrs: unknown;
}

/** Every op at the shapes that models use it with. */
export function benchCases(): BenchCase[] {
  return ALL_CASES.flatMap((opCase) =>
    [...(opCase.bench ?? []), ...(MODEL_SHAPES[opCase.name] ?? [])].map(({ name, inputs, attrs }) => ({ op: opCase.name, sample: name, opCase, inputs, attrs })),
  );
}
