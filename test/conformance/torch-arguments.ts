import type { Tensor } from "../../src/autograd/tensor.ts";

type Attributes = Readonly<Record<string, unknown>>;

/** Other names under which the inputs of an op go, and their place where they have none of them. */
const INPUTS: Readonly<Record<string, { readonly also: readonly string[]; readonly place?: number }>> = {
  x: { also: ["input", "self", "a", "tensor", "data", "logits"], place: 0 },
  a: { also: ["input", "self", "x", "mat1", "tensor1", "x0", "x1"], place: 0 },
  b: { also: ["other", "y", "mat2", "exponent", "tensor2", "x1", "x2"], place: 1 },
  y: { also: ["target", "other", "b", "labels"], place: 1 },
  weight: { also: ["w", "kernel", "gamma", "scale"], place: 1 },
  bias: { also: ["b", "beta"] },
  running_mean: { also: ["mean"] },
  running_var: { also: ["var", "variance"] },
  logits: { also: ["input", "x", "self", "logp", "log_probs"], place: 0 },
  target: { also: ["targets", "labels", "y"], place: 1 },
  ids: { also: ["indices", "index", "input", "x"] },
  index: { also: ["indices", "ids", "idx"], place: 1 },
  src: { also: ["source", "updates", "value"], place: 2 },
  condition: { also: ["cond", "mask"], place: 0 },
  mask: { also: ["condition"], place: 1 },
  q: { also: ["query"], place: 0 },
  k: { also: ["key"], place: 1 },
  v: { also: ["value"], place: 2 },
  key_mask: { also: ["key_padding_mask", "mask"] },
  h0: { also: ["h_0", "hx", "h"] },
  c0: { also: ["c_0", "cx", "c"] },
};

/** Other names of attributes. */
const ATTRIBUTES: Readonly<Record<string, readonly string[]>> = {
  dim: ["dims", "axis", "axes"],
  dims: ["dim", "axes", "axis", "perm"],
  perm: ["dims", "permutation", "axes"],
  keepdim: ["keepdims", "keep_dim"],
  kernel: ["kernel_size", "kernel_shape"],
  stride: ["strides"],
  padding: ["pads", "pad"],
  pad: ["padding", "pads"],
  dilation: ["dilations"],
  groups: ["group", "num_groups"],
  output: ["output_size", "size"],
  eps: ["epsilon"],
  ignore_index: ["ignoreIndex"],
  label_smoothing: ["smoothing"],
  causal: ["is_causal"],
  layers: ["num_layers"],
  shape: ["size", "sizes", "newshape"],
  p: ["ord"],
  correction: ["ddof"],
};

/** The inputs of a case by name, and its attributes, as loosely as PyTorch's callers write them: the one place that knows how. */
export class Arguments {
  private readonly tensors: ReadonlyMap<string, Tensor>;
  private readonly attrs: Attributes;

  constructor(tensors: ReadonlyMap<string, Tensor>, attrs: Attributes) {
    this.tensors = tensors;
    this.attrs = attrs;
  }

  /** The input of that name, or of one that means the same, or at its usual place. @throws Error if there is none. */
  tensor(name: string): Tensor {
    const tensor = this.optional(name) ?? this.all().at(INPUTS[name]?.place ?? Infinity);
    if (tensor === undefined) throw new Error(`the case has no input "${name}"; it has ${[...this.tensors.keys()].join(", ")}`);
    return tensor;
  }

  optional(name: string): Tensor | undefined {
    const names = [name, ...(INPUTS[name]?.also ?? [])];
    return names.map((other) => this.tensors.get(other)).find((tensor) => tensor !== undefined);
  }

  all(): Tensor[] {
    return [...this.tensors.values()];
  }

  has(name: string): boolean {
    return this.value(name) !== undefined;
  }

  /** @throws Error if it is missing and there is no default, or if it is no number. */
  number(name: string, otherwise?: number): number {
    const value = [this.value(name) ?? otherwise].flat();
    const number = value.length === 1 ? NUMBERS[String(value[0])] ?? value[0] : undefined;
    if (typeof number !== "number") throw new Error(`attribute "${name}" must be a number; got ${String(value)}`);
    return number;
  }

  /** @throws Error if it is missing and there is no default, or if it is no truth value. */
  flag(name: string, otherwise?: boolean): boolean {
    const value = this.value(name) ?? otherwise;
    const flag = { true: true, false: false, 1: true, 0: false }[String(value).toLowerCase()];
    if (flag === undefined) throw new Error(`attribute "${name}" must be true or false; got ${String(value)}`);
    return flag;
  }

  text(name: string, otherwise: string): string {
    return String(this.value(name) ?? otherwise);
  }

  /** Undefined where the case does not give it. */
  axes(name: string): number[] | undefined {
    const value = this.value(name);
    return value === undefined ? undefined : [value].flat().map(Number);
  }

  /** @throws Error if it is missing. */
  list(name: string): number[] {
    const value = this.axes(name);
    if (value === undefined) throw new Error(`attribute "${name}" must be a list of numbers; it is missing`);
    return value;
  }

  /** One number for height and width, or one each. @throws Error if it is missing and there is no default. */
  pair(name: string, otherwise?: number): number | readonly [number, number] {
    const value = this.value(name) === undefined ? [this.number(name, otherwise)] : this.list(name);
    if (value.length > 2) throw new Error(`attribute "${name}" must be one number or two; got ${value.join(", ")}`);
    return value.length === 1 ? value[0] : [value[0], value[1]];
  }

  reduction(): "mean" | "sum" | "none" {
    const value = this.text("reduction", "mean");
    if (value !== "mean" && value !== "sum" && value !== "none") throw new Error(`reduction must be mean, sum or none; got ${value}`);
    return value;
  }

  /** Factor of attention scores; undefined is 1/√d. */
  scale(): number | undefined {
    return this.text("scale", "1/sqrt(d)") === "1/sqrt(d)" ? undefined : this.number("scale");
  }

  private value(name: string): unknown {
    const value = [name, ...(ATTRIBUTES[name] ?? [])].map((other) => this.attrs[other]).find((given) => given !== undefined && given !== null);
    return Array.isArray(value) && value.length === 0 && name !== "shape" ? undefined : value;
  }
}

/** Numbers that JSON has no way to write. */
const NUMBERS: Readonly<Record<string, number>> = { inf: Infinity, "-inf": -Infinity, Infinity: Infinity, "-Infinity": -Infinity, nan: NaN, NaN: NaN };
