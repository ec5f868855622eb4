/**
 * The classes and functions of Python that a pickle may call, as functions that only make data. Everything else stays a
 * name, and a pickle that calls it is refused.
 */

import { NumpyArray, NumpyDType, numpyScalar } from "./numpy.ts";
import { describeValue, isSequence, PickleGlobal, requireKey, type PickleDict, type PickleValue, type Refuse } from "./pickle-values.ts";
import { rebuildTensor, requireShape, TorchTensor } from "./tensor.ts";

/** What stands for a callable of Python: arguments in, data out. */
export type SafeCallable = (args: readonly PickleValue[], refuse: Refuse) => PickleValue;

/** Modules that have or had another name. */
const RENAMED: readonly (readonly [RegExp, string])[] = [
  [/^__builtin__\./, "builtins."],
  [/^numpy\._core\./, "numpy.core."],
];

const ordered: SafeCallable = ([items = []], refuse) => {
  if (items instanceof Map) return new Map(items as PickleDict);
  if (!isSequence(items) || !items.every((item) => isSequence(item) && item.length === 2)) {
    return refuse("a dict must be made from a dict or a list of pairs", describeValue(items));
  }
  return new Map((items as readonly (readonly [PickleValue, PickleValue])[]).map(([key, value]) => [requireKey(key, refuse), value]));
};

const set: SafeCallable = ([items = []], refuse) =>
  isSequence(items) ? new Set(items.map((item) => requireKey(item, refuse))) : refuse("a set must be made from a list", describeValue(items));

/** Python 3 writes bytes into protocol 2 as text whose characters are the bytes. */
const latin1: SafeCallable = ([text = "", encoding = "latin1"], refuse) => {
  if (text instanceof Uint8Array) return text;
  if (typeof text !== "string") return refuse("bytes must be made from text or bytes", describeValue(text));
  if (encoding !== "latin1" && encoding !== "latin-1") return refuse("bytes must be stored as latin1", describeValue(encoding));
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code > 255) return refuse("a character that stands for a byte must have a code below 256", String(code));
    bytes[i] = code;
  }
  return bytes;
};

const parameter: SafeCallable = ([tensor], refuse) =>
  tensor instanceof TorchTensor ? tensor : refuse("a parameter must be made from a tensor", describeValue(tensor));

const CALLABLES: ReadonlyMap<string, SafeCallable> = new Map<string, SafeCallable>([
  ["collections.OrderedDict", ordered],
  ["collections.Counter", ordered],
  ["builtins.set", set],
  ["builtins.bytearray", latin1],
  ["builtins.bytes", latin1], // of empty bytes, in protocol 2
  ["_codecs.encode", latin1],
  ["torch.Size", ([sizes = []], refuse) => requireShape(sizes, refuse)],
  ["torch.device", ([type, index], refuse) => (typeof type === "string" ? (typeof index === "number" ? `${type}:${index}` : type) : refuse("a device must be a string", describeValue(type)))],
  ["torch._utils._rebuild_tensor", (args, refuse) => rebuildTensor(args, undefined, refuse)],
  ["torch._utils._rebuild_tensor_v2", (args, refuse) => rebuildTensor(args, undefined, refuse)],
  ["torch._utils._rebuild_tensor_v3", (args, refuse) => rebuildTensor(args, args[6] ?? null, refuse)],
  ["torch._utils._rebuild_parameter", parameter],
  ["torch._utils._rebuild_parameter_with_state", parameter],
  ["torch.nn.parameter.Parameter", parameter],
  ["numpy.dtype", ([code], refuse) => NumpyDType.fromCode(code, refuse)],
  ["numpy.core.multiarray.scalar", ([type, bytes], refuse) => numpyScalar(type, bytes, refuse)],
  ["numpy.core.multiarray._reconstruct", ([type], refuse) => {
    if (type instanceof PickleGlobal && type.name === "numpy.ndarray") return new NumpyArray();
    return refuse("a NumPy array must be of class numpy.ndarray", describeValue(type));
  }],
  ["numpy.core.numeric._frombuffer", ([bytes, type, shape, order], refuse) => {
    const array = new NumpyArray();
    array.fill(type, shape, bytes, order === "F", refuse);
    return array;
  }],
]);

/** The stand-in for a callable of Python, if it is on the list. */
export function safeCallable(name: string): SafeCallable | undefined {
  return CALLABLES.get(RENAMED.reduce((renamed, [pattern, module]) => renamed.replace(pattern, module), name));
}
