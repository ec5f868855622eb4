/** A check that lets everyone else walk over the values of a pickle recursively, without a thought about malice. */

import { describeValue, isSequence, PickleRecord, type PickleValue, type Refuse } from "./pickle-values.ts";

const MAX_DEPTH = 1000; // Python itself gives up there
const FREE_VALUES = 1_000_000; // that sharing may add to the at most one value for each byte

type Container = readonly PickleValue[] | ReadonlyMap<PickleValue, PickleValue> | ReadonlySet<PickleValue> | PickleRecord;

interface Visit {
  readonly container: Container;
  readonly children: Iterator<PickleValue>;
  height: number;
  values: number;
}

function isContainer(value: PickleValue): value is Container {
  return isSequence(value) || value instanceof Map || value instanceof Set || value instanceof PickleRecord;
}

function* childrenOf(value: Container): Generator<PickleValue> {
  if (value instanceof PickleRecord) yield* [value.state, value.args, value.elements, value.entries];
  else if (value instanceof Map) for (const entry of value) yield* entry;
  else yield* value as Iterable<PickleValue>;
}

/**
 * Refuses a value that contains itself, is nested too deeply, or holds the same parts so often that a walk over it would
 * never end: lists of ten times the same list of ten times the same list …
 *
 * @param bytes Length of the pickle, in proportion to which the walk may take time.
 */
export function requireTree(root: PickleValue, bytes: number, refuse: Refuse): void {
  const done = new Map<Container, { height: number; values: number } | undefined>();
  const path: Visit[] = [];
  const enter = (container: Container): void => {
    done.set(container, undefined);
    path.push({ container, children: childrenOf(container), height: 1, values: 1 });
    if (path.length > MAX_DEPTH) refuse(`values must be nested at most ${MAX_DEPTH} deep`, "more");
  };
  if (isContainer(root)) enter(root);
  while (path.length > 0) {
    const visit = path[path.length - 1];
    const { value, done: finished } = visit.children.next();
    if (finished) {
      path.pop();
      done.set(visit.container, visit);
      const parent = path[path.length - 1];
      if (parent !== undefined) count(parent, visit);
    } else if (!isContainer(value)) {
      visit.values++;
    } else if (!done.has(value)) {
      enter(value);
    } else {
      const seen = done.get(value);
      if (seen === undefined) return refuse("a value must not contain itself", describeValue(value));
      count(visit, seen);
    }
  }

  function count(parent: Visit, child: { height: number; values: number }): void {
    parent.values += child.values;
    parent.height = Math.max(parent.height, child.height + 1);
    if (parent.height > MAX_DEPTH) refuse(`values must be nested at most ${MAX_DEPTH} deep`, "more");
    if (parent.values > bytes + FREE_VALUES) refuse(`values must hold at most ${bytes + FREE_VALUES} parts, shared ones counted each time`, "more");
  }
}
