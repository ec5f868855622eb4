import { distance } from "./distance.ts";
import { InputError, shown } from "./errors.ts";

/**
 * Readers of JSON: each takes a value and gives it back with a type, or says which field is wrong. `at` is where the value
 * stands, such as `training.epochs`.
 */
export type Reader<T> = (value: unknown, at: string) => T;

/** What a reader gives. */
export type Read<R> = R extends Reader<infer T> ? T : never;

/** A field that is not as it must be. */
export class FieldError extends InputError {
  /** Names and places of the fields that lead to it, such as `training.epochs`; empty for the whole. */
  readonly field: string;

  constructor(field: string, message: string, hint?: string) {
    super(message, hint);
    this.field = field;
  }
}

/** A parser that names what is wrong by itself, as a reader. */
export function readBy<T>(parse: (value: unknown) => T): Reader<T> {
  return (value, at) => {
    try {
      return parse(value);
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
      throw new FieldError(at, `${at}: ${error.message}`);
    }
  };
}

export const flag: Reader<boolean> = (value, at) => (typeof value === "boolean" ? value : refuse(at, "true or false", value));

export const text: Reader<string> = (value, at) => (typeof value === "string" && value !== "" ? value : refuse(at, "a text", value));

export function whole(least: number, most = Number.MAX_SAFE_INTEGER): Reader<number> {
  const range = most === Number.MAX_SAFE_INTEGER ? `of at least ${least}` : `from ${least} to ${most}`;
  return (value, at) => (Number.isInteger(value) && (value as number) >= least && (value as number) <= most ? (value as number) : refuse(at, `a whole number ${range}`, value));
}

/** Any number from `least` to `most`, both included. */
export function number(least = -Infinity, most = Infinity): Reader<number> {
  const range = most === Infinity ? (least === -Infinity ? "a number" : `a number of at least ${least}`) : `a number from ${least} to ${most}`;
  return (value, at) => (typeof value === "number" && Number.isFinite(value) && value >= least && value <= most ? value : refuse(at, range, value));
}

export function oneOf<const T extends readonly string[]>(...names: T): Reader<T[number]> {
  return (value, at) => (names.includes(value as string) ? (value as T[number]) : refuse(at, `one of ${names.map((name) => `"${name}"`).join(", ")}`, value));
}

export function nullable<T>(reader: Reader<T>): Reader<T | null> {
  return (value, at) => (value === null ? null : reader(value, at));
}

/** What stands for a field that is not there. */
export function withDefault<T>(reader: Reader<T>, absent: T): Reader<T> {
  return (value, at) => (value === undefined ? absent : reader(value, at));
}

export function listOf<T>(reader: Reader<T>, { least = 0, most = Infinity } = {}): Reader<readonly T[]> {
  const count = least === most ? `a list of ${least}` : least > 0 ? `a list of at least ${least}` : "a list";
  return (value, at) => {
    if (!Array.isArray(value) || value.length < least || value.length > most) return refuse(at, count, value);
    return value.map((item, i) => reader(item, `${at}[${i}]`));
  };
}

/** Values by names that are not known before. */
export function dictionaryOf<T>(reader: Reader<T>): Reader<Readonly<Record<string, T>>> {
  return (value, at) => Object.fromEntries(Object.entries(objectOf(value, at)).map(([name, entry]) => [name, reader(entry, inside(at, name))]));
}

/** An object of exactly these fields. */
export function record<T extends object>(readers: { readonly [Name in keyof T]-?: Reader<T[Name]> }): Reader<T> {
  const known = Object.keys(readers);
  return (value, at) => {
    const given = objectOf(value, at);
    const stranger = Object.keys(given).find((name) => !known.includes(name));
    if (stranger !== undefined) throw new FieldError(inside(at, stranger), `${at === "" ? "the value" : at} may have the fields ${known.join(", ")}; got ${shown(stranger)}`, nearest(stranger, known));
    const read = known.map((name) => [name, readers[name as keyof T](given[name], inside(at, name))] as const);
    return Object.fromEntries(read.filter(([, entry]) => entry !== undefined)) as T;
  };
}

/** An object whose `kind` says by which reader it is read; the reader sees `kind` too. */
export function variantOf<T>(kind: string, readers: Readonly<Record<string, Reader<T>>>): Reader<T> {
  const which = oneOf(...Object.keys(readers));
  return (value, at) => readers[which(objectOf(value, at)[kind], inside(at, kind))](value, at);
}

function objectOf(value: unknown, at: string): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Readonly<Record<string, unknown>>) : refuse(at, "an object", value);
}

function inside(at: string, name: string): string {
  return at === "" ? name : `${at}.${name}`;
}

function refuse(at: string, expected: string, got: unknown): never {
  throw new FieldError(at, `${at === "" ? "the value" : at} must be ${expected}; got ${got === undefined ? "nothing" : shown(got)}`);
}

/** A hint for a mistyped name, where one is near enough. */
function nearest(typed: string, known: readonly string[]): string | undefined {
  const near = known.map((name) => [distance(typed.toLowerCase(), name.toLowerCase()), name] as const).sort(([a], [b]) => a - b)[0];
  return near !== undefined && near[0] <= 2 ? `did you mean ${near[1]}?` : undefined;
}
