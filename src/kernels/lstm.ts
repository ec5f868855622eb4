/**
 * The recurrent half of an LSTM layer, one dispatch a time step in each direction.
 *
 *   i, f, o = σ(·), g = tanh(·) of x·W_ihᵀ + b_ih + h₋·W_hhᵀ + b_hh;   c = f·c₋ + i·g;   h = o·tanh(c)
 *
 * What does not depend on the step before (x·W_ihᵀ + b_ih forward; dW_ih, dW_hh, db, dx backward) is done for all
 * steps at once by matrix products. `position` tells a dispatch its step and layer, so that one pipeline serves all.
 * Source: Hochreiter and Schmidhuber 1997; gate order i, f, g, o and two biases as torch.nn.LSTM.
 */

import { sizeOf } from "../core/shape.ts";
import type { Kernel, KernelLimits, Program, TensorSpec } from "./kernel.ts";
import { bytesOf, ENTRY_PARAMETERS, foldGrid, spec, workgroupNumber } from "./wgsl.ts";

const GATES = 4;
const LANES = 64; // threads of a workgroup where they cooperate, and of the kernels that only move states
const SPLIT = 16; // threads that share one sum where they cooperate: a step's sums are few and long
const SPLIT_ROWS = 4; // batch rows of such a thread: with four gates of four units, 64 sums fill its registers
const QUAD = 4; // neighbours that can exchange values without memory
const QUAD_ROWS = 32; // batch rows of a thread on a CPU adapter, where a load costs as much as a dozen products

/** How a step's sums are dealt to threads: each takes `rows` batch rows × `columns` elements of `width` hidden units. */
interface Tile {
  /** Vectors pay where a load brings in all their components at once, not on a CPU adapter. */
  readonly width: 1 | 4;
  readonly rows: number;
  readonly columns: number;
  /** Threads that share one sum. */
  readonly split: number;
  /** Each thread of a quad loads every fourth batch row and gets the others from its neighbours. */
  readonly quad: boolean;
  readonly threads: number;
}

/** @param columns How many columns a thread on a CPU adapter should take. */
function tileOf(batch: number, hidden: number, columns: number, limits: KernelLimits): Tile {
  if (limits.cooperativeWorkgroups) return { width: hidden % 4 === 0 ? 4 : 1, rows: Math.min(batch, SPLIT_ROWS), columns: 1, split: SPLIT, quad: false, threads: LANES };
  const quad = batch > 2 && limits.features.has("subgroups");
  const rows = Math.ceil(batch / Math.ceil(batch / QUAD_ROWS)); // even shares
  return { width: 1, rows: quad ? Math.ceil(rows / QUAD) * QUAD : Math.min(batch, QUAD), columns: hidden % columns === 0 ? columns : 1, split: 1, quad, threads: QUAD };
}

/** `0 … n − 1`, to repeat a line of WGSL. */
function upTo(n: number): number[] {
  return [...Array(n).keys()];
}

/** What distinguishes the two step kernels, in WGSL. */
interface StepProgram {
  readonly batch: number;
  readonly steps: number;
  readonly hidden: number;
  readonly tile: Tile;
  /** Storage bindings in their order, and which of them are written. */
  readonly names: readonly string[];
  readonly written: readonly string[];
  /** Sums for each batch row and column. */
  readonly sums: number;
  /** `fn finish(row, unit, sum0, sum1, …)`. */
  readonly finish: string;
  /** The sequence whose rows are multiplied, and where its row `row` starts. */
  readonly sequence: string;
  readonly start: (row: string) => string;
  /** How many elements of the sequence a sum takes, and how many at once. */
  readonly terms: string;
  readonly unroll: number;
  /** Loads the weights for elements `k` …, and their products with the values of one row, for each sum of each column. */
  readonly loadWeights: readonly string[];
  readonly products: (values: readonly string[]) => readonly string[];
}

function stepProgram(step: StepProgram, limits: KernelLimits): Program {
  const { batch, steps, hidden, tile, sums, unroll } = step;
  const { width, rows, columns, split, quad, threads } = tile;
  const units = hidden / width;
  const side = threads / split; // threads side by side in a workgroup
  const across = Math.ceil(units / columns / side);
  const total = across * Math.ceil(batch / rows);
  const value = width === 4 ? "vec4<f32>" : "f32";
  const slots = quad ? rows / QUAD : rows; // rows that a thread loads
  const load = (r: number, q: number): string => {
    if (!quad) return `${step.sequence}[from${r} + k + ${q}u]`;
    const own = `v${r - (r % QUAD)}_${q}`;
    return [`${step.sequence}[from${r / QUAD} + k + ${q}u]`, `quadSwapX(${own})`, `quadSwapY(${own})`, `quadSwapDiagonal(${own})`][r % QUAD];
  };
  const products = upTo(rows).flatMap((r) => [
    ...upTo(unroll).map((q) => `let v${r}_${q} = ${load(r, q)};`),
    ...step.products(upTo(unroll).map((q) => `v${r}_${q}`)).map((product, n) => `sum${r}_${n} += ${product};`),
  ]);
  const finish = (row: string, unit: string, sum: (n: number) => string): string => `if (${row} < BATCH && ${unit} < UNITS) { finish(${row}, ${unit}, ${upTo(sums).map(sum).join(", ")}); }`;
  // In the loop each sum is a variable of its own: an array that is indexed by a variable stays in memory.
  const all = upTo(rows).flatMap((r) => upTo(columns * sums).map((n) => `sum${r}_${n}`));
  const alone = `var sums = array<Value, ${all.length}>(${all.join(", ")});
  for (var i = 0u; i < ${rows * columns}u; i++) {
    let r = i / ${columns}u;
    let row = firstRow + ${quad ? "(r ^ (subgroupLane & 3u))" : "r"};
    let column = unit + i % ${columns}u;
    ${finish("row", "column", (n) => `sums[i * ${sums}u + ${n}u]`)}
  }`;
  const together = `${all.map((sum, n) => `partial[${n * threads}u + lane] = ${sum};`).join("\n  ")}
  workgroupBarrier();
  for (var r = share; r < ${rows}u; r += ${split}u) {
    ${upTo(sums).map((n) => `var sum${n} = Value();`).join(" ")}
    for (var other = lane - share; other < lane - share + ${split}u; other++) {
      ${upTo(sums).map((n) => `sum${n} += partial[(r * ${sums}u + ${n}u) * ${threads}u + other];`).join("\n      ")}
    }
    ${finish("firstRow + r", "unit", (n) => `sum${n}`)}
  }`;
  return {
    wgsl: `${quad ? "enable subgroups;\n" : ""}alias Value = ${value};
const BATCH = ${batch}u;
const STEPS = ${steps}u;
const UNITS = ${units}u; // hidden units, in ${value}
${declare(step.names, step.written, value)}
${split > 1 ? `var<workgroup> partial: array<Value, ${threads * all.length}>;` : ""}

fn hyperbolic(x: Value) -> Value { // exp of what is never positive cannot overflow, as tanh does on some adapters
  let e = exp(-2.0 * abs(x));
  let y = (Value(1.0) - e) / (Value(1.0) + e);
  return select(-y, y, x >= Value(0.0));
}

${step.finish}

@compute @workgroup_size(${threads})
fn main(${ENTRY_PARAMETERS}${quad ? ", @builtin(subgroup_invocation_id) subgroupLane: u32" : ""}) {
  let tile = ${workgroupNumber()};
  if (tile >= ${total}u) { return; } // uniform
  let share = ${split > 1 ? `lane % ${split}u` : "0u"};
  let unit = (tile % ${across}u * ${side}u + lane / ${split}u) * ${columns}u;
  let firstRow = tile / ${across}u * ${rows}u;
  let u = min(unit, UNITS - ${columns}u);
  ${upTo(slots).map((slot) => `let from${slot} = ${step.start(`min(firstRow + ${quad ? `${slot * QUAD}u + (subgroupLane & 3u)` : `${slot}u`}, BATCH - 1u)`)};`).join("\n  ")}
  let terms = ${step.terms};
  ${all.map((sum) => `var ${sum} = Value();`).join(" ")}
  for (var k = share * ${unroll}u; k < terms; k += ${split * unroll}u) {
    ${[...step.loadWeights, ...products].join("\n    ")}
  }
  ${split > 1 ? together : alone}
}`,
    grid: foldGrid(total, limits),
  };
}

/** Batch, steps and hidden units of a tensor of gates [B, T, 4H]. */
function sizesOf(gates: TensorSpec): { batch: number; steps: number; hidden: number } {
  const [batch, steps, all] = gates.shape;
  return { batch, steps, hidden: all / GATES };
}

/**
 * One time step forward.
 *
 * gates [B,T,4H] (holds x·W_ihᵀ + b_ih; its step becomes the activations i, f, g, o), weightHh [4H,H], biasHh [4H],
 * position [2] u32 (step, layer), y [B,T,H] and c [B,T,H] (their step is written), and for the `first` step
 * h0 [L,B,H], c0 [L,B,H]; no outputs of its own.
 */
export const lstmStep: Kernel<{ first: boolean }> = {
  name: "lstmStep",
  updates: [0, 4, 5],
  infer: () => [],
  cost([gates, weightHh, biasHh]) {
    const { batch, hidden } = sizesOf(gates);
    return { flops: 2 * batch * GATES * hidden * hidden, bytes: bytesOf(weightHh, biasHh) + 4 * batch * hidden * (2 * GATES + 4) };
  },
  program([gates], { first }, limits) {
    const { batch, steps, hidden } = sizesOf(gates);
    const tile = tileOf(batch, hidden, 1, limits);
    const wide = tile.width === 4;
    const unroll = !wide && hidden % 2 === 0 && tile.split === 1 ? 2 : 1;
    const initial = (row: string): string => `(position[1] * BATCH + ${row}) * UNITS`;
    const previous = (row: string): string => `(${row} * STEPS + position[0] - 1u) * UNITS`;
    // Weights of gate g: of four units for one vector of k, or of one unit for `unroll` numbers k.
    const weight = (g: number, q: number): string => (wide ? `weight[(${g * hidden}u + u * 4u + ${q}u) * UNITS + k]` : `weight[(${g * hidden}u + u) * UNITS + k + ${q}u]`);
    return stepProgram(
      {
        batch,
        steps,
        hidden,
        tile,
        unroll,
        sums: GATES,
        names: ["gates", "weight", "bias", "position", "y", "c", ...(first ? ["h0", "c0"] : [])],
        written: ["gates", "y", "c"],
        finish: `fn sigmoid(x: Value) -> Value {
  let e = exp(-abs(x));
  return select(e, Value(1.0), x >= Value(0.0)) / (Value(1.0) + e);
}

fn finish(row: u32, unit: u32, sum0: Value, sum1: Value, sum2: Value, sum3: Value) {
  let here = row * STEPS + position[0];
  let at = here * ${GATES}u * UNITS + unit;
  let i = sigmoid(gates[at] + bias[unit] + sum0);
  let f = sigmoid(gates[at + UNITS] + bias[unit + UNITS] + sum1);
  let g = hyperbolic(gates[at + 2u * UNITS] + bias[unit + 2u * UNITS] + sum2);
  let o = sigmoid(gates[at + 3u * UNITS] + bias[unit + 3u * UNITS] + sum3);
  let cell = f * ${first ? `c0[${initial("row")} + unit]` : `c[${previous("row")} + unit]`} + i * g;
  gates[at] = i;
  gates[at + UNITS] = f;
  gates[at + 2u * UNITS] = g;
  gates[at + 3u * UNITS] = o;
  c[here * UNITS + unit] = cell;
  y[here * UNITS + unit] = o * hyperbolic(cell);
}`,
        sequence: first ? "h0" : "y",
        start: first ? initial : previous,
        terms: "UNITS",
        loadWeights: upTo(GATES).flatMap((g) => upTo(wide ? 4 : unroll).map((q) => `let w${g}_${q} = ${weight(g, q)};`)),
        products: (values) => upTo(GATES).map((g) => (wide ? `Value(${upTo(4).map((q) => `dot(w${g}_${q}, ${values[0]})`).join(", ")})` : values.map((v, q) => `${v} * w${g}_${q}`).join(" + "))),
      },
      limits,
    );
  },
};

/** Declares bindings of one element type in their order, `written` ones read-write; `position` holds u32. */
function declare(names: readonly string[], written: readonly string[], value: string): string {
  return names
    .map((name, i) => `@group(0) @binding(${i}) var<storage, ${written.includes(name) ? "read_write" : "read"}> ${name}: array<${name === "position" ? "u32" : value}>;`)
    .join("\n");
}

/**
 * One time step backward: position s = step + 1, from T down to 0, takes the gradient from step s to step s − 1.
 *
 * dgates [B,T,4H] (step s is read, step s − 1 written; before the activations), weightHh [4H,H], gates [B,T,4H] (the
 * activations), c [B,T,H], c0 [L,B,H], carry [2,B,H] (dc, and dh from outside the sequence), position [2] u32
 * (s, layer), dy [B,T,H] where a gradient flows into y. At s = 0 carry becomes dc0 and dh0.
 */
export const lstmStepBackward: Kernel = {
  name: "lstmStepBackward",
  updates: [0, 5],
  infer: () => [],
  cost([dgates, weightHh]) {
    const { batch, hidden } = sizesOf(dgates);
    return { flops: 2 * batch * GATES * hidden * hidden, bytes: bytesOf(weightHh) + 4 * batch * hidden * (3 * GATES + 5) };
  },
  program([dgates, , , , , , , dy], _attrs, limits) {
    const { batch, steps, hidden } = sizesOf(dgates);
    const tile = tileOf(batch, hidden, 4, limits); // as many weights as the four gates of a unit
    const wide = tile.width === 4;
    const unroll = !wide && tile.split === 1 ? 2 : 1;
    const columns = upTo(tile.columns);
    return stepProgram(
      {
        batch,
        steps,
        hidden,
        tile,
        unroll,
        sums: 1,
        names: ["dgates", "weight", "gates", "c", "c0", "carry", "position", ...(dy === undefined ? [] : ["dy"])],
        written: ["dgates", "carry"],
        finish: `fn finish(row: u32, unit: u32, sum: Value) {
  let s = position[0];
  let state = row * UNITS + unit;
  let outside = BATCH * UNITS + state;
  var recurrent = sum;
  if (s == STEPS) { recurrent = carry[outside]; }
  if (s == 0u) {
    carry[outside] = recurrent;
    return;
  }
  let here = (row * STEPS + s - 1u) * UNITS + unit;
  let at = (row * STEPS + s - 1u) * ${GATES}u * UNITS + unit;
  let i = gates[at];
  let f = gates[at + UNITS];
  let g = gates[at + 2u * UNITS];
  let o = gates[at + 3u * UNITS];
  var before: Value;
  if (s == 1u) { before = c0[position[1] * BATCH * UNITS + state]; } else { before = c[here - UNITS]; }
  let cell = hyperbolic(c[here]);
  let dh = recurrent${dy === undefined ? "" : " + dy[here]"};
  let dc = carry[state] + dh * o * (Value(1.0) - cell * cell);
  carry[state] = dc * f;
  dgates[at] = dc * g * i * (Value(1.0) - i);
  dgates[at + UNITS] = dc * before * f * (Value(1.0) - f);
  dgates[at + 2u * UNITS] = dc * i * (Value(1.0) - g * g);
  dgates[at + 3u * UNITS] = dh * cell * o * (Value(1.0) - o);
}`,
        sequence: "dgates",
        start: (row) => `(${row} * STEPS + position[0]) * ${GATES}u * UNITS`,
        terms: `select(${GATES}u * UNITS, 0u, position[0] == STEPS)`, // nothing comes from behind the last step
        loadWeights: columns.flatMap((n) => upTo(wide ? 4 : unroll).map((q) => `let w${n}_${q} = weight[(k * ${tile.width}u + ${q}u) * UNITS + u + ${n}u];`)),
        products: (values) => columns.map((n) => (wide ? upTo(4).map((q) => `${values[0]}[${q}] * w${n}_${q}`) : values.map((v, q) => `${v} * w${n}_${q}`)).join(" + ")),
      },
      limits,
    );
  },
};

/** One thread an element: the frame of the small kernels that only move states. */
function elementwise(names: readonly string[], body: string, size: number, limits: KernelLimits): Program {
  return {
    wgsl: `${declare([...names, "out"], ["out"], "f32")}

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
 * Gathers the states of all layers: out[l, b, h] = layer_l[start + b·stride + h].
 *
 * L tensors of equal shape → out [L, B, H].
 */
export const lstmStates: Kernel<{ batch: number; hidden: number; start: number; stride: number }> = {
  name: "lstmStates",
  infer: (layers, { batch, hidden }) => [spec([layers.length, batch, hidden])],
  cost: (layers, { batch, hidden }) => ({ flops: 0, bytes: 8 * layers.length * batch * hidden }),
  program(layers, { batch, hidden, start, stride }, limits) {
    const state = batch * hidden;
    const names = layers.map((_, l) => `layer${l}`);
    const branches = names.map((name, l) => `if (i < ${(l + 1) * state}u) { out[i] = ${name}[source]; }`);
    const body = `let j = i % ${state}u;
  let source = ${start}u + j / ${hidden}u * ${stride}u + j % ${hidden}u;
  ${branches.join(" else ")}`;
    return elementwise(names, body, layers.length * state, limits);
  },
};

/** Where a gradient that flows into the last states starts: carry [2,B,H] = (dcn, dhn) of one layer, 0 where nothing flows. */
export const lstmCarry: Kernel<{ batch: number; hidden: number; dhn: boolean; dcn: boolean }> = {
  name: "lstmCarry",
  infer: (_inputs, { batch, hidden }) => [spec([2, batch, hidden])],
  cost: (_inputs, { batch, hidden }) => ({ flops: 0, bytes: 16 * batch * hidden }),
  program(_inputs, { batch, hidden, dhn, dcn }, limits) {
    const state = batch * hidden;
    const names = ["position", ...(dhn ? ["dhn"] : []), ...(dcn ? ["dcn"] : [])];
    const value = (name: string, exists: boolean): string => (exists ? `${name}[position[1] * ${state}u + i % ${state}u]` : "0.0");
    const body = `if (i < ${state}u) { out[i] = ${value("dcn", dcn)}; } else { out[i] = ${value("dhn", dhn)}; }`;
    return elementwise(names, body, 2 * state, limits);
  },
};

/** The hidden state before each step: y [B,T,H], h0 [L,B,H], position [2] u32 → out [B,T,H]. */
export const lstmBefore: Kernel = {
  name: "lstmBefore",
  infer: ([y]) => [spec(y.shape)],
  cost: ([y]) => ({ flops: 0, bytes: 2 * bytesOf(y) }),
  program([y], _attrs, limits) {
    const [batch, steps, hidden] = y.shape;
    const body = `let row = i / ${steps * hidden}u;
  let within = i % ${steps * hidden}u;
  if (within < ${hidden}u) { out[i] = h0[(position[1] * ${batch}u + row) * ${hidden}u + within]; } else { out[i] = y[i - ${hidden}u]; }`;
    return elementwise(["y", "h0", "position"], body, sizeOf(y.shape), limits);
  },
};
