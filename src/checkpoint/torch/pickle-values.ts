/** What the pickles of Python become here: plain data, and inert records in place of everything else. */

import { shown } from "../../core/errors.ts";
import type { NumpyArray, NumpyDType } from "./numpy.ts";
import type { TorchStorage, TorchTensor } from "./tensor.ts";

const MAX_SHOWN = 100; // characters of a wrong value in an error message

/** A class or function of Python by its full name, such as `torch.FloatStorage`. It is a name only, never looked up. */
export class PickleGlobal {
  readonly name: string;

  constructor(name: string) {
    this.name = name;
  }
}

/** An instance of a class that is not known here: what the file says about it, without any behaviour. */
export class PickleRecord {
  /** Full name, such as `__main__.Vocabulary`. */
  readonly class: string;
  /** What the class would have been made from; mostly nothing. */
  readonly args: readonly PickleValue[];
  /** Mostly a dict of the attributes; null if there are none. */
  state: PickleValue = null;
  /** Entries, if the class is a kind of dict. */
  readonly entries = new Map<PickleValue, PickleValue>();
  /** Elements, if the class is a kind of list. */
  readonly elements: PickleValue[] = [];

  constructor(name: string, args: readonly PickleValue[]) {
    this.class = name;
    this.args = args;
  }
}

/**
 * A value from a pickle. A dict is a Map, a set is a Set, a list is an array and a tuple is a frozen array. An int is a
 * number, or a bigint above 2^53. Parts may be shared, but nothing contains itself: a recursive walk comes to its end.
 */
export type PickleValue =
  | null
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | readonly PickleValue[]
  | ReadonlyMap<PickleValue, PickleValue>
  | ReadonlySet<PickleValue>
  | PickleGlobal
  | PickleRecord
  | NumpyDType
  | NumpyArray
  | TorchStorage
  | TorchTensor;

/** A dict of Python. */
export type PickleDict = ReadonlyMap<PickleValue, PickleValue>;

/** Throws the error that something in a file is not as it must be. `got` is text for people, as {@link describeValue} makes it. */
export type Refuse = (rule: string, got: string) => never;

/** Whether a value is a list or tuple. */
export function isSequence(value: PickleValue | undefined): value is readonly PickleValue[] {
  return Array.isArray(value);
}

/** What a value is, in a few words, for error messages. */
export function describeValue(value: PickleValue | undefined): string {
  if (value === undefined) return "nothing";
  if (value === null) return "None";
  if (typeof value === "string") return shown(value);
  if (typeof value !== "object") return String(value).slice(0, MAX_SHOWN);
  if (value instanceof Uint8Array) return `${value.length} bytes`;
  if (isSequence(value)) return Object.isFrozen(value) ? `a tuple of ${value.length}` : `a list of ${value.length}`;
  if (value instanceof Map) return `a dict of ${value.size}`;
  if (value instanceof Set) return `a set of ${value.size}`;
  if (value instanceof PickleGlobal) return `the name ${shown(value.name)}`;
  if (value instanceof PickleRecord) return `an object of class ${shown(value.class)}`;
  return value.toString();
}

/** A key of a dict or member of a set. Engines hash a bigint by its lowest 64 bits, so that longer ones could all collide. */
export function requireKey(value: PickleValue, refuse: Refuse): PickleValue {
  const isLong = typeof value === "bigint" && BigInt.asIntN(64, value) !== value;
  return isLong ? refuse("an int that is a key must fit into 64 bits", describeValue(value)) : value;
}
