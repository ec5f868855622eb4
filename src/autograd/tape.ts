import { binary } from "../kernels/binary.ts";
import { cast } from "../kernels/cast.ts";
import { observed } from "./observe.ts";
import { run } from "./run.ts";
import type { Tensor } from "./tensor.ts";

/** How an op's outputs came from its inputs: what a backward pass needs. */
export interface TapeNode {
  readonly name: string;
  readonly inputs: readonly Tensor[];
  readonly outputs: readonly Tensor[];
  /** Gradients of the inputs, given those of the outputs (null: nothing flows there). */
  backward(dys: readonly (Tensor | null)[]): readonly (Tensor | null)[];
}

let gradEnabled = true;

/** Whether ops are noted on the tape at this moment. */
export function isGradEnabled(): boolean {
  return gradEnabled;
}

/** Runs `action` without noting ops on the tape: for inference, and for updates of parameters. */
export function noGrad<T>(action: () => T): T {
  const before = gradEnabled;
  gradEnabled = false;
  try {
    return action();
  } finally {
    gradEnabled = before;
  }
}

/** Walks the tape back from `root` and adds the gradients of the leaves to their `grad`. */
export function backward(root: Tensor, gradient: Tensor): void {
  const gradients = new Map<Tensor, Tensor>([[root, gradient]]);
  noGrad(() => {
    for (const node of sortNodes(root)) {
      const dys = node.outputs.map((output) => gradients.get(output) ?? null);
      if (dys.every((dy) => dy === null)) continue;
      const dxs = node.backward(dys);
      observed(`${node.name} backward`, dxs.filter((dx) => dx !== null));
      dxs.forEach((dx, i) => {
        const input = node.inputs[i];
        if (dx !== null && input.requiresGrad) gradients.set(input, add(gradients.get(input), dx));
      });
      for (const output of node.outputs) gradients.delete(output);
    }
    for (const [leaf, dx] of gradients) {
      if (leaf.node === null && leaf.requiresGrad) leaf.grad = add(leaf.grad ?? undefined, widen(dx));
    }
  });
}

function add(sum: Tensor | undefined, term: Tensor): Tensor {
  return sum === undefined ? term : run(binary, [sum, term], { fn: "add" })[0];
}

/** Gradients of leaves are f32: optimisers add small steps to great numbers. */
function widen(dx: Tensor): Tensor {
  return dx.dtype === "f32" ? dx : run(cast, [dx], { dtype: "f32" })[0];
}

/** All nodes behind `root`, each before those that it depends on. Iterative: deep models would overflow the stack. */
function sortNodes(root: Tensor): TapeNode[] {
  const sorted: TapeNode[] = [];
  const seen = new Set<TapeNode>();
  const stack: { node: TapeNode; next: number }[] = [];
  const enter = (node: TapeNode | null): void => {
    if (node === null || seen.has(node)) return;
    seen.add(node);
    stack.push({ node, next: 0 });
  };
  enter(root.node);
  while (stack.length > 0) {
    const top = stack[stack.length - 1];
    if (top.next < top.node.inputs.length) enter(top.node.inputs[top.next++].node);
    else sorted.push(stack.pop()!.node);
  }
  return sorted.reverse();
}
