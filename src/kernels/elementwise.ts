/**
 * The one generator of elementwise kernels: out[i] = f(x[i], y[i], …), with NumPy's broadcasting.
 *
 * One thread does one element, or four where memory allows it. Where no input is stretched the text does not depend on
 * sizes, so that one pipeline serves every shape.
 */

import { isFloat, type DType } from "../core/dtype.ts";
import { ShapeError } from "../core/errors.ts";
import { sizeOf, type Shape } from "../core/shape.ts";
import type { KernelLimits, Program, TensorSpec } from "./kernel.ts";
import { bindings, ENTRY_PARAMETERS, foldGrid, wgslType, workgroupNumber, type Binding } from "./wgsl.ts";

const LANES = 64; // one wavefront on AMD, two warps on NVIDIA; small enough to spread over every adapter

export interface Elementwise {
  /** Shape of the output, which every input broadcasts to. */
  readonly shape: Shape;
  /** Names under which the expression finds the inputs' elements. */
  readonly inputs: readonly (readonly [name: string, spec: TensorSpec])[];
  /** WGSL functions that the expression calls, over the type `T`: the output's, or a vector of it where four elements go at once; `Bits` is as many u32. */
  readonly functions?: string;
  /** WGSL of type `T`. */
  readonly expression: string;
  /** The output's element type; default f32. */
  readonly dtype?: DType;
}

/** WGSL and grid of an elementwise function. */
export function elementwise({ shape, inputs, functions = "", expression, dtype = "f32" }: Elementwise, limits: KernelLimits): Program {
  const size = sizeOf(shape);
  const last = shape.at(-1) ?? 1;
  const whole = (input: TensorSpec): boolean => sizeOf(input.shape) === size;
  const stretchedAlongLast = (input: TensorSpec): boolean => (input.shape.at(-1) ?? 1) === 1;
  const packed = size % 4 === 0 && inputs.every(([, input]) => whole(input) || sizeOf(input.shape) === 1 || last % 4 === 0);
  const pack = (of: Shape): Shape => (packed && last % 4 === 0 && of.at(-1) === last ? [...of.slice(0, -1), last / 4] : of);
  const element = (of: DType): string => (packed ? `vec4<${wgslType(of)}>` : wgslType(of));
  const read = inputs.map(([name, input]): Binding => [`${name}Values`, whole(input) || !stretchedAlongLast(input) ? element(input.dtype) : wgslType(input.dtype)]);
  const loads = inputs.map(([name, input]) => `let ${name} = ${element(input.dtype)}(${name}Values[${whole(input) ? "i" : broadcastIndex("i", pack(shape), pack(input.shape))}]);`);
  return {
    wgsl: `alias T = ${element(dtype)};
alias Bits = ${element("u32")};
${bindings(read, [["out", element(dtype)]])}
${functions}
@compute @workgroup_size(${LANES})
fn main(${ENTRY_PARAMETERS}) {
  let i = ${workgroupNumber()} * ${LANES}u + lane;
  if (i >= arrayLength(&out)) { return; }
  ${loads.join("\n  ")}
  out[i] = ${expression};
}`,
    grid: foldGrid(Math.ceil(size / (packed ? 4 : 1) / LANES), limits),
  };
}

/** WGSL for the index into a tensor of shape `from`, broadcast to `to`, of the flat index `i` into `to`. */
export function broadcastIndex(i: string, to: Shape, from: Shape): string {
  // Neighbouring axes that are both stretched, or both not, count as one: divisions are dear.
  const groups: { size: number; stride: number; kept: boolean }[] = [];
  let stride = 1;
  for (let axis = to.length - 1; axis >= 0; axis--) {
    const size = to[axis];
    if (size === 1) continue;
    const kept = (from[axis - to.length + from.length] ?? 1) === size;
    const inner = groups.at(-1);
    if (inner?.kept === kept) inner.size *= size;
    else groups.push({ size, stride, kept });
    stride *= size;
  }
  const total = stride;
  let step = 1;
  const terms: string[] = [];
  for (const group of groups) {
    if (!group.kept) continue;
    const along = group.stride === 1 ? i : `${i} / ${group.stride}u`;
    const wrapped = group.stride * group.size === total ? along : `${along} % ${group.size}u`;
    terms.push(step === 1 ? wrapped : `${wrapped} * ${step}u`);
    step *= group.size;
  }
  return terms.length === 0 ? "0u" : terms.join(" + ");
}

/** @throws ShapeError unless every tensor is f32 or f16. */
export function requireFloat(what: string, ...tensors: readonly TensorSpec[]): void {
  const other = tensors.find(({ dtype }) => !isFloat(dtype));
  if (other !== undefined) throw new ShapeError(`${what}: needs f32 or f16 tensors; got ${other.dtype}`);
}
