/**
 * Pickles, Python's format for any data, read without running anything in them.
 *
 * A pickle is a program for a small stack machine. The opcodes that only make data are carried out; one that calls a class
 * or function may only call those of `pickle-globals.ts`, and an instance of any other class becomes an inert record.
 * Source: Python's Lib/pickletools.py, which describes each opcode.
 */

import { CheckpointError, shown } from "../../core/errors.ts";
import { safeCallable } from "./pickle-globals.ts";
import { OPCODES, REFUSED_OPCODES } from "./pickle-opcodes.ts";
import { requireTree } from "./pickle-tree.ts";
import { describeValue, isSequence, PickleGlobal, PickleRecord, requireKey, type PickleValue, type Refuse } from "./pickle-values.ts";
import { NumpyArray, NumpyDType } from "./numpy.ts";

/** Most bytes of a pickle that only describes tensors, whose values lie outside of it: a length that is damaged must not make a reader allocate gigabytes. */
export const MAX_DESCRIPTION_BYTES = 2 ** 28;

const MAX_PROTOCOL = 5;
const MAX_NAME = 512; // characters of a module, class or function
const MAX_CONTAINERS = 2_000_000; // of one byte in the file and some 200 in memory each
const FREE_WORK = 1_000_000; // elements that calls may go over, beyond one for each byte of the pickle
const DAMAGED = "the file is damaged or is no pickle; download it or write it again";
const UNSAFE = "nothing was executed; save plain data (numbers, strings, lists, dicts, tensors) instead, such as a model's state_dict()";

/** What a pickle's end gives back. */
export interface Unpickled {
  readonly value: PickleValue;
  /** The first byte after it. */
  readonly end: number;
}

/** Gives what a persistent id stands for, which depends on the file around the pickle. */
export type PersistentLoad = (id: PickleValue, refuse: Refuse) => PickleValue;

/** A pickle that goes on where the bytes at hand end. */
export class TruncatedPickle extends CheckpointError {}

/** The stack machine. The opcodes' actions (`pickle-opcodes.ts`) work on it through its methods. */
export class Unpickler {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #file: string;
  readonly #persistentLoad: PersistentLoad | undefined;
  readonly #stack: PickleValue[] = [];
  /** Heights of the stack at the marks that are open. */
  readonly #marks: number[] = [];
  readonly #memo = new Map<number, PickleValue>();
  readonly #utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  readonly #refusal: Refuse = (rule, got) => this.refuse(rule, got);
  #at: number;
  #opcodeAt: number;
  #stopped = false;
  #containers = 0;
  #work: number;

  constructor(bytes: Uint8Array, begin: number, file: string, persistentLoad?: PersistentLoad) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    this.#at = begin;
    this.#opcodeAt = begin;
    this.#file = file;
    this.#persistentLoad = persistentLoad;
    this.#work = bytes.length - begin + FREE_WORK;
  }

  /** Carries out the pickle. @throws CheckpointError if it is damaged or would have to run code. */
  run(): Unpickled {
    const begin = this.#at;
    while (!this.#stopped) {
      this.#opcodeAt = this.#at;
      const code = this.byte();
      const action = OPCODES.get(code);
      if (action === undefined) return this.#refuseOpcode(code);
      action(this);
    }
    const value = this.pop();
    if (this.#stack.length > 0) this.refuse("a pickle must leave one value", String(this.#stack.length + 1));
    requireTree(value, this.#at - begin, this.#refusal);
    return { value, end: this.#at };
  }

  stop(): void {
    this.#stopped = true;
  }

  // What the file holds after an opcode.

  /** The next `length` bytes. */
  take(length: number): Uint8Array {
    const left = this.#bytes.length - this.#at;
    if (length > left) {
      throw new TruncatedPickle(`${this.#file}: the pickle must go on for ${length} bytes at byte ${this.#at}; got ${left}`, DAMAGED);
    }
    this.#at += length;
    return this.#bytes.subarray(this.#at - length, this.#at);
  }

  byte(): number {
    return this.take(1)[0];
  }

  uint16(): number {
    this.take(2);
    return this.#view.getUint16(this.#at - 2, true);
  }

  uint32(): number {
    this.take(4);
    return this.#view.getUint32(this.#at - 4, true);
  }

  /** Inexact above 2^53, where no file reaches. */
  uint64(): number {
    const low = this.uint32();
    return low + this.uint32() * 2 ** 32;
  }

  int32(): number {
    return this.uint32() | 0;
  }

  /** Big-endian, as floats are in every pickle. */
  float64(): number {
    this.take(8);
    return this.#view.getFloat64(this.#at - 8, false);
  }

  text(length: number): string {
    const bytes = this.take(length);
    try {
      return this.#utf8.decode(bytes);
    } catch {
      return this.refuse("text must be UTF-8", describeValue(bytes));
    }
  }

  /** A name up to the end of its line. */
  line(): string {
    const end = this.#bytes.subarray(this.#at, this.#at + MAX_NAME + 1).indexOf(0x0a);
    if (end < 0 && this.#bytes.length - this.#at > MAX_NAME) return this.refuse(`a name must have at most ${MAX_NAME} bytes`, "more");
    const name = this.text(end < 0 ? MAX_NAME + 1 : end);
    this.#at++;
    return name;
  }

  // The stack and the memo.

  push(value: PickleValue): void {
    this.#stack.push(value);
  }

  /** Pushes a list, tuple, dict, set or record. */
  pushContainer(value: PickleValue): void {
    if (++this.#containers > MAX_CONTAINERS) {
      this.refuse(`a pickle must hold at most ${MAX_CONTAINERS} lists, tuples, dicts and objects`, "more");
    }
    this.#stack.push(value);
  }

  mark(): void {
    this.#marks.push(this.#stack.length);
  }

  pop(): PickleValue {
    this.#requireValue();
    return this.#stack.pop() as PickleValue;
  }

  top(): PickleValue {
    this.#requireValue();
    return this.#stack[this.#stack.length - 1];
  }

  /** All that was pushed after the last mark, which goes too. */
  popToMark(): PickleValue[] {
    const mark = this.#marks.pop();
    return mark === undefined ? this.refuse("there must be a mark on the stack", "none") : this.#stack.splice(mark);
  }

  remember(index: number): void {
    this.#memo.set(index, this.top());
  }

  /** The index that is free if values were remembered one after another. */
  get memoSize(): number {
    return this.#memo.size;
  }

  recall(index: number): void {
    const value = this.#memo.get(index);
    this.push(value === undefined ? this.refuse("a value that is fetched must have been stored", `number ${index}`) : value);
  }

  // What opcodes do with values.

  append(values: readonly PickleValue[]): void {
    const list = this.top();
    const elements = list instanceof PickleRecord ? list.elements : list;
    if (!Array.isArray(elements) || Object.isFrozen(elements)) return this.refuse("elements must be added to a list", describeValue(list));
    for (const value of values) elements.push(value);
  }

  addToSet(values: readonly PickleValue[]): void {
    const set = this.top();
    if (!(set instanceof Set)) return this.refuse("members must be added to a set", describeValue(set));
    for (const value of values) set.add(requireKey(value, this.#refusal));
  }

  setItems(keysAndValues: readonly PickleValue[]): void {
    const dict = this.top();
    const entries = dict instanceof PickleRecord ? dict.entries : dict;
    if (!(entries instanceof Map)) return this.refuse("entries must be added to a dict", describeValue(dict));
    if (keysAndValues.length % 2 !== 0) this.refuse("entries must be keys and values in turn", String(keysAndValues.length));
    for (let i = 0; i < keysAndValues.length; i += 2) entries.set(requireKey(keysAndValues[i], this.#refusal), keysAndValues[i + 1]);
  }

  pushGlobal(module: PickleValue, name: PickleValue): void {
    if (typeof module !== "string" || typeof name !== "string") return this.refuse("a class must be named by two strings", describeValue(module));
    if (module.length > MAX_NAME || name.length > MAX_NAME) return this.refuse(`a name must have at most ${MAX_NAME} characters`, "more");
    this.push(new PickleGlobal(`${module}.${name}`));
  }

  /** Calls a function on the list. */
  reduce(): void {
    const args = this.#arguments();
    const callable = this.pop();
    if (!(callable instanceof PickleGlobal)) return this.refuse("only a class or function can be called", describeValue(callable));
    if (!this.#call(callable, args)) {
      throw this.#error(`only data may be made, not a call of ${shown(callable.name)}`, undefined, UNSAFE);
    }
  }

  /** Makes an instance: of a class on the list by a call, of any other as an inert record. */
  newObject(): void {
    const args = this.#arguments();
    const type = this.pop();
    if (!(type instanceof PickleGlobal)) return this.refuse("only a class can have instances", describeValue(type));
    if (!this.#call(type, args)) this.pushContainer(new PickleRecord(type.name, args));
  }

  /** Gives an object its state. */
  build(): void {
    const state = this.pop();
    const object = this.top();
    if (object instanceof PickleRecord) object.state = state;
    else if (object instanceof NumpyArray || object instanceof NumpyDType) object.build(state, this.#refusal);
    // Attributes of a dict are notes of its writer's (PyTorch keeps versions of modules there); its entries are all that is asked for.
    else if (!(object instanceof Map)) this.refuse("only an object can be given a state", describeValue(object));
  }

  loadPersistent(): void {
    const id = this.pop();
    if (this.#persistentLoad === undefined) {
      throw this.#error("all values must be in the pickle itself", "a persistent id", "it is a part of another file, such as a PyTorch checkpoint; open that one");
    }
    this.push(this.#persistentLoad(id, this.#refusal));
  }

  protocol(version: number): void {
    if (version > MAX_PROTOCOL) this.refuse(`the protocol must be at most ${MAX_PROTOCOL}`, String(version));
  }

  /** @throws CheckpointError that says what must hold, and what stands there instead. */
  refuse(rule: string, got: string): never {
    throw this.#error(rule, got, DAMAGED);
  }

  #error(rule: string, got: string | undefined, hint: string): CheckpointError {
    const ending = got === undefined ? "" : `; got ${got}`;
    return new CheckpointError(`${this.#file}: pickle at byte ${this.#opcodeAt}: ${rule}${ending}`, hint);
  }

  #refuseOpcode(code: number): never {
    const hex = `0x${code.toString(16).padStart(2, "0")}`;
    const name = REFUSED_OPCODES.get(code);
    if (name === undefined) return this.refuse("there must be an opcode", `byte ${hex}`);
    throw this.#error("the opcode must be one that makes data in protocols 2 to 5", `${name} (${hex})`, "save the file again with Python 3 and protocol 2 or higher");
  }

  #requireValue(): void {
    const mark = this.#marks[this.#marks.length - 1] ?? 0;
    if (this.#stack.length <= mark) this.refuse("there must be a value on the stack", "none");
  }

  #arguments(): readonly PickleValue[] {
    const args = this.pop();
    return isSequence(args) ? args : this.refuse("arguments must be a tuple", describeValue(args));
  }

  /** Whether the callable is on the list; if so, its result is on the stack. */
  #call({ name }: PickleGlobal, args: readonly PickleValue[]): boolean {
    const callable = safeCallable(name);
    if (callable === undefined) return false;
    // Values in the memo can be passed again and again, so that few bytes could make much work.
    for (const value of args) this.#work -= lengthOf(value);
    if (this.#work < 0) this.refuse("calls must not copy the same values over and over", shown(name));
    this.pushContainer(callable(args, this.#refusal));
    return true;
  }
}

function lengthOf(value: PickleValue): number {
  if (typeof value === "string" || value instanceof Uint8Array || isSequence(value)) return value.length;
  return value instanceof Map || value instanceof Set ? value.size : 1;
}

/**
 * Reads one pickle that is part of something larger.
 *
 * @param begin Its first byte.
 * @param file Name for error messages.
 * @throws TruncatedPickle if it goes on after the last byte.
 * @throws CheckpointError if it is damaged or would have to run code.
 */
export function unpickle(bytes: Uint8Array, begin: number, file: string, persistentLoad?: PersistentLoad): Unpickled {
  return new Unpickler(bytes, begin, file, persistentLoad).run();
}

/**
 * Reads a pickle file: plain data, NumPy arrays, and instances of unknown classes as inert records. Nothing is executed.
 *
 * Bytes in the result are views of `bytes`, not copies.
 * @param name File name for error messages.
 * @throws CheckpointError that names an opcode that only old protocols have, or a function that the file wants to call.
 */
export function readPickle(bytes: Uint8Array, name: string): PickleValue {
  const { value, end } = unpickle(bytes, 0, name);
  if (end !== bytes.length) {
    throw new CheckpointError(`${name}: must end with its pickle, after ${end} bytes; got ${bytes.length}`, "store one value in a file; several pickles in a row are not read");
  }
  return value;
}
