/**
 * The recurrent half of a layer, for any cell: one dispatch a time step in each direction, or one for all of them.
 *
 *   h, c = cell(x·W_ihᵀ + b_ih, h₋·W_hhᵀ + b_hh, h₋, c₋)
 *
 * What does not depend on the step before (x·W_ihᵀ + b_ih forward; dW_ih, dW_hh, db, dx backward) is done for all
 * steps at once by matrix products. `position` tells a dispatch its step and layer, so that one pipeline serves all.
 */

import { sizeOf } from "../core/shape.ts";
import { elementaryFunctions } from "./elementary.ts";
import type { Kernel, KernelLimits, Program, TensorSpec } from "./kernel.ts";
import { recurrentProgram, type LayerSize, type Pass } from "./recurrent-step.ts";
import { bindings, bytesOf, ENTRY_PARAMETERS, foldGrid, spec, workgroupNumber, upTo, type Binding } from "./wgsl.ts";

/**
 * The equations of a cell, as WGSL over the type `T` of one or four hidden units of one batch row.
 *
 * Forward they find `x0`, `x1` … (what comes from the input, for each gate), `s0`, `s1` … (what comes from the state before,
 * with its bias) and `before`. Backward they find what was kept, by its names, `before`, and `dh` and `dc`, the gradients of
 * h and c.
 */
export interface Cell {
  readonly name: string;
  /** Rows of each weight for a hidden unit. */
  readonly gates: number;
  /** The state of the step before that the equations need beside the products; a cell that needs c has a memory. */
  readonly before: "c" | "h" | null;
  /** Statements that define `h`, with a memory `c`, and what is kept. */
  readonly forward: string;
  /** What the backward pass needs of each unit, by its names in `forward`. */
  readonly kept: readonly string[];
  /** Where that lies: over the projected input, in a tensor of its own, or it is the output itself. */
  readonly keptIn: "input" | "own" | "output";
  /** Statements before the expressions of the gradients. */
  readonly backward: string;
  /** Gradients of x0, x1 …; and of s0, s1 … where they differ. */
  readonly dx: readonly string[];
  readonly ds?: readonly string[];
  /** The gradient of h₋ that does not pass through the products, and that of c₋. */
  readonly dhBefore?: string;
  readonly dcBefore?: string;
  /** Operations for a unit beside the products, about. */
  readonly flops: number;
}

/** Which steps a dispatch does: one, which is the first or has one before it, or all of them. */
export type Steps = "first" | "later" | "all";

/** Which gradients flow into a layer from outside; where one does not, its tensor is not read. */
export interface BackwardAttrs {
  readonly dy: boolean;
  readonly dhn: boolean;
  readonly dcn: boolean;
  /** All steps at once, down to that which leaves the gradient of the first states, or to the one before. */
  readonly all: "states" | "steps" | null;
}

/** Names and WGSL element types of bindings, in the order of a kernel's inputs. */
interface Bindings {
  readonly read: readonly string[];
  /** Changed in place. */
  readonly write: readonly string[];
}

/** Names of the bindings of a forward step. */
function forwardBindings({ before, keptIn }: Cell): Bindings {
  const memory = before === "c";
  return {
    read: ["weight", "bias", "position", "h0", ...(memory ? ["c0"] : []), ...(keptIn === "input" ? [] : ["projected"])],
    write: ["y", ...(memory ? ["memory"] : []), ...(keptIn === "output" ? [] : ["kept"])],
  };
}

/** Names of the bindings of a backward step. */
function backwardBindings({ before, ds }: Cell): Bindings {
  return {
    read: ["weight", "position", "kept", ...(before === null ? [] : ["earlier"]), "dy"],
    write: ["dprojected", ...(ds === undefined ? [] : ["dsums"]), "dhidden", ...(before === "c" ? ["dmemory"] : [])],
  };
}

function declare({ read, write }: Bindings, element: string): string {
  const typed = (names: readonly string[]): Binding[] => names.map((name) => [name, name === "position" ? "u32" : element]);
  return bindings(typed(read), typed(write));
}

/** Indices of what is changed in place. */
function updatesOf({ read, write }: Bindings): number[] {
  return write.map((_, i) => read.length + i);
}

/** Batch, steps and hidden units, from the binding `sequence` [B,T,values·H]. */
function sizesOf({ read, write }: Bindings, inputs: readonly TensorSpec[], sequence: string, values: number): LayerSize {
  const [batch, steps, width] = inputs[[...read, ...write].indexOf(sequence)].shape;
  return { batch, steps, hidden: width / values };
}

/** A value for each of `count` gates: element `unit` of each in the row `step` of [B·T, count·H]. */
const gate = (tensor: string, count: number, n: number): string => `${tensor}[(step * ${count}u + ${n}u) * UNITS + unit]`;

/**
 * One time step forward, or all of them.
 *
 * weight [G·H, H], bias [G·H], position [2] u32 (step, layer), h0 [L,B,H], c0 [L,B,H] (with a memory), projected [B,T,G·H] (x·W_ihᵀ + b_ih,
 * unless it is changed in place), y [B,T,H], memory [B,T,H] (c), kept [B,T,K·H] (over the projected input, or of its own):
 * the step of these three is written. No outputs of its own.
 */
export function recurrentForward(cell: Cell): Kernel<{ steps: Steps }> {
  const { name, gates, before, kept, keptIn } = cell;
  const bound = forwardBindings(cell);
  const input = keptIn === "input" ? "kept" : "projected";
  const start = (first: boolean) => (row: string): string => (first ? `(position[1] * BATCH + ${row}) * UNITS` : `(${row} * STEPS + t - 1u) * UNITS`);
  const source = (first: boolean) => (first ? { h: "h0", c: "c0" } : { h: "y", c: "memory" });
  const pass = (first: boolean, times: number): Pass => {
    return { times, number: first ? "n" : "n + 1u", sequence: source(first).h, start: start(first), count: "UNITS", finish: first ? "finishFirst" : "finish" };
  };
  const finish = (first: boolean): string => `fn ${pass(first, 1).finish}(t: u32, row: u32, unit: u32, ${upTo(gates).map((g) => `sum${g}: T`).join(", ")}) {
  let step = row * STEPS + t;
  ${upTo(gates).map((g) => `let x${g} = ${gate(input, gates, g)};`).join("\n  ")}
  ${upTo(gates).map((g) => `let s${g} = sum${g} + bias[${g}u * UNITS + unit];`).join("\n  ")}
  ${before === null ? "" : `let before = ${source(first)[before]}[${start(first)("row")} + unit];`}
  ${cell.forward}
  ${keptIn === "output" ? "" : kept.map((value, n) => `${gate("kept", kept.length, n)} = ${value};`).join("\n  ")}
  ${before === "c" ? "memory[step * UNITS + unit] = c;" : ""}
  y[step * UNITS + unit] = h;
}`;
  return {
    name: `${name}Forward`,
    updates: updatesOf(bound),
    infer: () => [],
    cost(inputs, { steps }) {
      const { batch, steps: all, hidden } = sizesOf(bound, inputs, "y", 1);
      const touched = gates + (keptIn === "output" ? 0 : kept.length) + (before === "c" ? 4 : 2);
      const times = steps === "all" ? all : 1;
      return { flops: times * batch * hidden * (2 * gates * hidden + cell.flops), bytes: bytesOf(inputs[0], inputs[1]) + 4 * times * batch * hidden * touched };
    },
    program(inputs, { steps }, limits) {
      const size = sizesOf(bound, inputs, "y", 1);
      const passes = [...(steps === "later" ? [] : [pass(true, 1)]), ...(steps === "first" ? [] : [pass(false, size.steps - 1)])];
      return recurrentProgram(
        {
          ...size,
          sums: gates,
          bindings: (element) => declare(bound, element),
          terms: 1,
          weightRows: "outputs",
          functions: `${elementaryFunctions(cell.forward)}\n${passes.map(({ sequence }) => finish(sequence === "h0")).join("\n\n")}`,
          whole: steps === "all",
          passes,
        },
        limits,
      );
    },
  };
}

/**
 * One time step backward, or all of them: number s = step + 1, from T down to 0, takes the gradient from step s to step s − 1.
 *
 * weight [G·H, H], position [2] u32 (s, layer), kept [B,T,K·H], earlier [B,T,H] (h or c before each step, where the cell needs it),
 * dy [B,T,H], dprojected [B,T,G·H] and dsums [B,T,G·H] (where the gradients of both halves differ; step s of the last is read,
 * step s − 1 written), dhidden [L,B,H] and dmemory [L,B,H] (at first the gradients of the last states, in the end of the first ones).
 */
export function recurrentBackward(cell: Cell): Kernel<BackwardAttrs> {
  const { name, gates, before, kept } = cell;
  const bound = backwardBindings(cell);
  const sequence = cell.ds === undefined ? "dprojected" : "dsums";
  const memory = before === "c";
  return {
    name: `${name}Backward`,
    updates: updatesOf(bound),
    infer: () => [],
    cost(inputs, { dy, all }) {
      const { batch, steps, hidden } = sizesOf(bound, inputs, "kept", kept.length);
      const touched = kept.length + gates * (cell.ds === undefined ? 2 : 3) + 2 + (dy ? 1 : 0) + (before === null ? 0 : 1) + (memory ? 2 : 0);
      const times = all === null ? 1 : steps;
      return { flops: times * batch * hidden * (2 * gates * hidden + 2 * cell.flops), bytes: bytesOf(inputs[0]) + 4 * times * batch * hidden * touched };
    },
    program(inputs, { dy, dhn, dcn, all }, limits) {
      const size = sizesOf(bound, inputs, "kept", kept.length);
      // Where no gradient flows into the last states, nothing is there at first.
      const carried = (tensor: string, given: boolean): string => (given ? `${tensor}[state]` : `select(${tensor}[state], T(), t == STEPS)`);
      const write = (tensor: string, gradients: readonly string[]): string => gradients.map((gradient, g) => `${gate(tensor, gates, g)} = ${gradient};`).join("\n  ");
      const pass: Pass = {
        times: all === "states" ? size.steps + 1 : size.steps,
        number: "STEPS - n",
        sequence,
        start: (row) => `(${row} * STEPS + t) * ${gates}u * UNITS`,
        count: `select(${gates}u * UNITS, 0u, t == STEPS)`, // nothing comes from behind the last step
        finish: "finish",
      };
      return recurrentProgram(
        {
          ...size,
          sums: 1,
          bindings: (element) => declare(bound, element),
          terms: gates,
          weightRows: "terms",
          functions: `${elementaryFunctions(cell.backward)}
fn finish(t: u32, row: u32, unit: u32, sum: T) {
  let state = (position[1] * BATCH + row) * UNITS + unit;
  let recurrent = ${carried("dhidden", dhn)} + sum;
  if (t == 0u) {
    dhidden[state] = recurrent;
    return;
  }
  let step = row * STEPS + t - 1u;
  let dh = recurrent${dy ? " + dy[step * UNITS + unit]" : ""};
  ${memory ? `let dc = ${carried("dmemory", dcn)};` : ""}
  ${kept.map((value, n) => `let ${value} = ${gate("kept", kept.length, n)};`).join("\n  ")}
  ${before === null ? "" : "let before = earlier[step * UNITS + unit];"}
  ${cell.backward}
  ${write("dprojected", cell.dx)}
  ${write("dsums", cell.ds ?? [])}
  dhidden[state] = ${cell.dhBefore ?? "T()"};
  ${memory ? `dmemory[state] = ${cell.dcBefore};` : ""}
}`,
          whole: all !== null,
          passes: [pass],
        },
        limits,
      );
    },
  };
}

const LANES = 64; // threads of a workgroup of the kernels that only move states

/** One thread an element: the frame of the kernels that only move states. */
function moving(bound: Bindings, body: string, size: number, limits: KernelLimits): Program {
  return {
    wgsl: `${declare(bound, "f32")}

@compute @workgroup_size(${LANES})
fn main(${ENTRY_PARAMETERS}) {
  let i = ${workgroupNumber()} * ${LANES}u + lane;
  if (i >= ${size}u) { return; }
  ${body}
}`,
    grid: foldGrid(Math.ceil(size / LANES), limits),
  };
}

/**
 * Takes the state after the last step out of a sequence: states[layer, b, h] = sequence[b, T − 1, h].
 *
 * sequence [B,T,H], position [2] u32 (any, layer), states [L,B,H] (changed in place) → no output.
 */
export const lastState: Kernel = {
  name: "lastState",
  updates: [2],
  infer: () => [],
  cost: ([{ shape: [batch, , hidden] }]) => ({ flops: 0, bytes: 8 * batch * hidden }),
  program([{ shape: [batch, steps, hidden] }], _attrs, limits) {
    const body = `states[position[1] * ${batch * hidden}u + i] = sequence[(i / ${hidden}u * ${steps}u + ${steps - 1}u) * ${hidden}u + i % ${hidden}u];`;
    return moving({ read: ["sequence", "position"], write: ["states"] }, body, batch * hidden, limits);
  },
};

/** The state before each step: sequence [B,T,H], first [L,B,H], position [2] u32 (any, layer) → out [B,T,H]. */
export const statesBefore: Kernel = {
  name: "statesBefore",
  infer: ([{ shape, dtype }]) => [spec(shape, dtype)],
  cost: ([sequence]) => ({ flops: 0, bytes: 2 * bytesOf(sequence) }),
  program([{ shape }], _attrs, limits) {
    const [batch, steps, hidden] = shape;
    const body = `let row = i / ${steps * hidden}u;
  let within = i % ${steps * hidden}u;
  if (within < ${hidden}u) { out[i] = first[(position[1] * ${batch}u + row) * ${hidden}u + within]; } else { out[i] = sequence[i - ${hidden}u]; }`;
    return moving({ read: ["sequence", "first", "position"], write: ["out"] }, body, sizeOf(shape), limits);
  },
};
