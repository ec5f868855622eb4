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
  return withGrad(false, action);
}

/** Runs `action` with its ops noted on the tape, also inside {@link noGrad}: for backward rules that compute something anew. */
export function enableGrad<T>(action: () => T): T {
  return withGrad(true, action);
}

function withGrad<T>(enabled: boolean, action: () => T): T {
  const before = gradEnabled;
  gradEnabled = enabled;
  try {
    return action();
  } finally {
    gradEnabled = before;
  }
}

/** Walks the tape back from `root` and adds the gradients of the leaves to their `grad`. */
export function backward(root: Tensor, gradient: Tensor): void {
  noGrad(() => {
    for (const [leaf, dx] of gradientsOf([[root, gradient]])) {
      if (leaf.node === null && leaf.requiresGrad) leaf.grad = add(leaf.grad ?? undefined, widen(dx));
    }
  });
}

/** Walks the tape back from tensors whose gradients are given, to those of the leaves. No gradient flows through the walk itself. */
export function gradientsOf(roots: readonly (readonly [Tensor, Tensor])[]): Map<Tensor, Tensor> {
  const gradients = new Map<Tensor, Tensor>();
  const give = (to: Tensor, dx: Tensor): unknown => gradients.set(to, add(gradients.get(to), dx));
  noGrad(() => {
    for (const [root, gradient] of roots) give(root, gradient);
    for (const node of sortNodes(roots.map(([root]) => root))) {
      const dys = node.outputs.map((output) => gradients.get(output) ?? null);
      if (dys.every((dy) => dy === null)) continue;
      const dxs = node.backward(dys);
      observed(`${node.name} backward`, dxs.filter((dx) => dx !== null));
      dxs.forEach((dx, i) => {
        const input = node.inputs[i];
        if (dx !== null && input.requiresGrad) give(input, dx);
      });
      for (const output of node.outputs) gradients.delete(output);
    }
  });
  return gradients;
}

/** What tensors were computed from that requires a gradient. */
export function leavesOf(roots: readonly Tensor[]): Tensor[] {
  const seen = new Set(roots);
  for (const tensor of seen) for (const input of tensor.node?.inputs ?? []) seen.add(input);
  return [...seen].filter(({ node, requiresGrad }) => node === null && requiresGrad);
}

function add(sum: Tensor | undefined, term: Tensor): Tensor {
  return sum === undefined ? term : run(binary, [sum, term], { fn: "add" })[0];
}

/** Gradients of leaves are f32: optimisers add small steps to great numbers. */
function widen(dx: Tensor): Tensor {
  return dx.dtype === "f32" ? dx : run(cast, [dx], { dtype: "f32" })[0];
}

/** All nodes behind `roots`, each before those that it depends on. Iterative: deep models would overflow the stack. */
function sortNodes(roots: readonly Tensor[]): TapeNode[] {
  const sorted: TapeNode[] = [];
  const seen = new Set<TapeNode>();
  const stack: { node: TapeNode; next: number }[] = [];
  const enter = (node: TapeNode | null): void => {
    if (node === null || seen.has(node)) return;
    seen.add(node);
    stack.push({ node, next: 0 });
  };
  for (const root of roots) {
    enter(root.node);
    while (stack.length > 0) {
      const top = stack[stack.length - 1];
      if (top.next < top.node.inputs.length) enter(top.node.inputs[top.next++].node);
      else sorted.push(stack.pop()!.node);
    }
  }
  return sorted.reverse();
}
