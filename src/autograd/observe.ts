import type { Tensor } from "./tensor.ts";

/** Called with an op's name and its outputs, or with the name of a backward rule and the gradients that it gave. */
export type Observer = (name: string, tensors: readonly Tensor[]) => void;

let observer: Observer | null = null;

/** Runs an action and shows every op in it, forward and backward, to an observer. */
export function observeOps<T>(watch: Observer, action: () => T): T {
  const before = observer;
  observer = watch;
  try {
    return action();
  } finally {
    observer = before;
  }
}

/** Tells the observer, where there is one, what an op gave. */
export function observed(name: string, tensors: readonly Tensor[]): void {
  observer?.(name, tensors);
}
