/** Plain values of a PyTorch file, beside its tensors, as people and programs read them. */

import { describeValue, isSequence, PickleGlobal, PickleRecord, type PickleValue } from "../checkpoint/torch/pickle-values.ts";

const MAX_ROWS = 40; // an optimiser's state has hundreds of entries
const MAX_ELEMENTS = 8; // of a list that are shown one by one

/** Names and values, nested dicts as dotted names; what there are too many of is counted. */
export function showValue(value: PickleValue): (readonly [name: string, value: string])[] {
  const rows = leaves("", value);
  return rows.length > MAX_ROWS ? [...rows.slice(0, MAX_ROWS), ["…", `and ${rows.length - MAX_ROWS} more`]] : rows;
}

/** A dict's key as a name: `torch.float32`, `(0, 1)`. */
function keyText(key: PickleValue): string {
  if (key instanceof PickleGlobal) return key.name;
  if (isSequence(key)) return `(${key.map(keyText).join(", ")})`;
  return key !== null && typeof key === "object" ? describeValue(key) : String(key);
}

function leaves(name: string, value: PickleValue): (readonly [string, string])[] {
  const below = (key: PickleValue, entry: PickleValue): (readonly [string, string])[] => leaves(name === "" ? keyText(key) : `${name}.${keyText(key)}`, entry);
  if (value instanceof PickleRecord && value.state instanceof Map) return leaves(name, value.state);
  if (value instanceof Map && value.size > 0) return [...(value as ReadonlyMap<PickleValue, PickleValue>)].flatMap(([key, entry]) => below(key, entry));
  if (isSequence(value) && value.length <= MAX_ELEMENTS) {
    if (value.some((entry) => entry instanceof Map)) return value.flatMap((entry, i) => below(i, entry));
    return [[name, `[${value.map(describeValue).join(", ")}]`]];
  }
  return name === "" ? [] : [[name, describeValue(value)]];
}

/** The same as JSON: a dict is an object, an object of an unknown class says its name, anything else is described. */
export function plainJson(value: PickleValue): unknown {
  if (value === null || typeof value === "boolean" || typeof value === "string") return value;
  if (typeof value === "number") return Number.isFinite(value) ? value : String(value);
  if (isSequence(value)) return value.map(plainJson);
  if (value instanceof Map) return Object.fromEntries([...(value as ReadonlyMap<PickleValue, PickleValue>)].map(([key, entry]) => [keyText(key), plainJson(entry)]));
  if (value instanceof Set) return [...(value as ReadonlySet<PickleValue>)].map(plainJson);
  if (value instanceof PickleRecord) return { class: value.class, state: plainJson(value.state) };
  return describeValue(value);
}
