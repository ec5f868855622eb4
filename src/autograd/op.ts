import { isFloat } from "../core/dtype.ts";
import { observed } from "./observe.ts";
import { isGradEnabled, type TapeNode } from "./tape.ts";
import type { Tensor } from "./tensor.ts";

/** What a backward rule sees beside the gradients of the outputs. */
export interface BackwardContext<Attrs> {
  readonly inputs: readonly Tensor[];
  readonly outputs: readonly Tensor[];
  /** What the forward rule kept. */
  readonly saved: readonly Tensor[];
  readonly attrs: Attrs;
  /** Which inputs want a gradient: skip the work for the others and return null. */
  readonly needs: readonly boolean[];
}

/** A differentiable op: what runs forward, what is kept, and what runs backward. */
export interface OpDefinition<Attrs> {
  readonly name: string;
  /** `run(kernel, …)` does the work; `saved` goes to the backward rule beside inputs and outputs. */
  forward(inputs: readonly Tensor[], attrs: Attrs): { outputs: Tensor[]; saved?: Tensor[] };
  /** One gradient an input, null where none is wanted; dys has null where nothing flows into an output. */
  backward(dys: readonly (Tensor | null)[], context: BackwardContext<Attrs>): (Tensor | null)[];
}

/** Turns a definition into a function that notes itself on the tape where an input requires a gradient. */
export function defineOp<Attrs>(definition: OpDefinition<Attrs>): (inputs: readonly Tensor[], attrs: Attrs) => Tensor[] {
  return (inputs, attrs) => {
    const { outputs, saved = [] } = definition.forward(inputs, attrs);
    observed(definition.name, outputs);
    const needs = inputs.map((input) => input.requiresGrad);
    if (isGradEnabled() && needs.includes(true)) {
      const node: TapeNode = {
        name: definition.name,
        inputs,
        outputs,
        backward: (dys) => definition.backward(dys, { inputs, outputs, saved, attrs, needs }),
      };
      for (const output of outputs) {
        if (!isFloat(output.dtype)) continue;
        output.requiresGrad = true;
        output.node = node;
      }
    }
    return outputs;
  };
}
