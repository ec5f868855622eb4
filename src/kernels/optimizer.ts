/**
 * Updates of flat arenas of parameters: one dispatch changes every parameter of a range.
 *
 * Arenas are padded with zeros to whole vectors, so that one text serves all sizes. Numbers that vary from step to
 * step (learning rate, bias corrections) come in a tensor.
 */

import { sizeOf } from "../core/shape.ts";
import type { Kernel, KernelLimits, Program } from "./kernel.ts";
import { bindings, bytesOf, ENTRY_PARAMETERS, foldGrid, workgroupNumber, type Binding } from "./wgsl.ts";
import { cutElementwise } from "./windows.ts";

const LANES = 64; // as for elementwise functions

/** How an optimiser changes a parameter. */
export interface UpdateRule {
  readonly name: string;
  /** What it keeps of earlier gradients, as PyTorch's state dicts name it; one arena each. */
  readonly moments: readonly string[];
  /** Names of the numbers in the tensor of hyper-parameters, in order. */
  readonly hyperparameters: readonly string[];
  /** WGSL that changes `parameter` and the moments, given `gradient`; all are vec4<f32> variables but `gradient`. */
  readonly body: string;
  readonly flops: number;
}

/**
 * Adam, with weight decay decoupled (decay = 1 − lr·λ, l2 = 0) or in the gradient (decay = 1, l2 = λ).
 *
 *   g += l2·p;  m += (1 − β₁)(g − m);  v = β₂v + (1 − β₂)g²;  p = decay·p − stepSize · m / (√v / √(1 − β₂ᵗ) + ε),
 *   stepSize = lr / (1 − β₁ᵗ)
 *
 * Source: Kingma and Ba 2015, arXiv:1412.6980; Loshchilov and Hutter 2019, arXiv:1711.05101; evaluated as by torch.optim.
 */
export const ADAM: UpdateRule = {
  name: "adamUpdate",
  moments: ["exp_avg", "exp_avg_sq"],
  hyperparameters: ["decay", "l2", "oneMinusBeta1", "beta2", "oneMinusBeta2", "stepSize", "rootCorrection2", "epsilon"],
  body: `let g = gradient + l2 * parameter;
  exp_avg += oneMinusBeta1 * (g - exp_avg);
  exp_avg_sq = beta2 * exp_avg_sq + oneMinusBeta2 * g * g;
  parameter = decay * parameter - stepSize * exp_avg / (sqrt(exp_avg_sq) / rootCorrection2 + epsilon);`,
  flops: 16,
};

/** Stochastic gradient descent: p −= lr · (g + λp). Source: torch.optim.SGD. */
export const SGD_PLAIN: UpdateRule = {
  name: "sgdUpdate",
  moments: [],
  hyperparameters: ["rate", "l2", "momentum"],
  body: "parameter -= rate * (gradient + l2 * parameter);",
  flops: 4,
};

/** With momentum: b = μb + g + λp, p −= lr · b. Source: torch.optim.SGD without dampening. */
export const SGD_MOMENTUM: UpdateRule = {
  name: "sgdMomentumUpdate",
  moments: ["momentum_buffer"],
  hyperparameters: ["rate", "l2", "momentum"],
  body: `momentum_buffer = momentum * momentum_buffer + gradient + l2 * parameter;
  parameter -= rate * momentum_buffer;`,
  flops: 6,
};

/** With Nesterov's momentum: b = μb + g + λp, p −= lr · (g + λp + μb). Source: torch.optim.SGD without dampening. */
export const SGD_NESTEROV: UpdateRule = {
  ...SGD_MOMENTUM,
  name: "sgdNesterovUpdate",
  body: `let g = gradient + l2 * parameter;
  momentum_buffer = momentum * momentum_buffer + g;
  parameter -= rate * (g + momentum * momentum_buffer);`,
  flops: 8,
};

/** A kernel whose threads each take four values of flat tensors that have whole vectors. */
function flatProgram(read: readonly Binding[], write: readonly string[], body: string, size: number, limits: KernelLimits): Program {
  return {
    wgsl: `${bindings([], write.map((name) => [name, "vec4<f32>"]))}
${read.map(([name, element], i) => `@group(0) @binding(${write.length + i}) var<storage, read> ${name}: array<${element}>;`).join("\n")}

@compute @workgroup_size(${LANES})
fn main(${ENTRY_PARAMETERS}) {
  let i = ${workgroupNumber()} * ${LANES}u + lane;
  if (i >= arrayLength(&${write[0]})) { return; }
  ${body}
}`,
    grid: foldGrid(Math.ceil(size / 4 / LANES), limits),
  };
}

/**
 * The kernel of a rule.
 *
 * parameters [N] and one [N] a moment (changed in place), gradients [N], hyper-parameters [n], and where `clipped`
 * the factor [1] of the gradients (negative: leave everything as it is) → no outputs. N is a multiple of four.
 */
export function updateKernel(rule: UpdateRule): Kernel<{ clipped: boolean }> {
  const state = ["parameter", ...rule.moments];
  return {
    name: rule.name,
    parts: cutElementwise,
    updates: state.map((_, i) => i),
    infer: () => [],
    cost: (inputs) => ({ flops: rule.flops * sizeOf(inputs[0].shape), bytes: bytesOf(...inputs, ...inputs.slice(0, state.length)) }),
    program([parameters], { clipped }, limits) {
      const read: Binding[] = [["gradients", "vec4<f32>"], ["hyper", "f32"], ...(clipped ? [["factor", "f32"] as const] : [])];
      const body = `${clipped ? "if (factor[0] < 0.0) { return; }" : ""}
  ${rule.hyperparameters.map((name, i) => `let ${name} = hyper[${i}];`).join("\n  ")}
  let gradient = gradients[i]${clipped ? " * factor[0]" : ""};
  ${state.map((name) => `var ${name} = ${name}s[i];`).join("\n  ")}
  ${rule.body}
  ${state.map((name) => `${name}s[i] = ${name};`).join("\n  ")}`;
      return flatProgram(read, state.map((name) => `${name}s`), body, sizeOf(parameters.shape), limits);
    },
  };
}

/** sum += term, in place. sum [...], term [...] of the same size → no output. */
export const accumulate: Kernel = {
  name: "accumulate",
  parts: cutElementwise,
  updates: [0],
  infer: () => [],
  cost: ([sum]) => ({ flops: sizeOf(sum.shape), bytes: 3 * bytesOf(sum) }),
  program([sum], _attrs, limits) {
    return {
      wgsl: `${bindings([], [["sum", "f32"]])}
@group(0) @binding(1) var<storage, read> term: array<f32>;

@compute @workgroup_size(${LANES})
fn main(${ENTRY_PARAMETERS}) {
  let i = ${workgroupNumber()} * ${LANES}u + lane;
  if (i < arrayLength(&sum)) { sum[i] += term[i]; }
}`,
      grid: foldGrid(Math.ceil(sizeOf(sum.shape) / LANES), limits),
    };
  },
};

/** Fills a flat tensor [N] with zeros, in place; N is a multiple of four. */
export const clear: Kernel = {
  name: "clear",
  parts: cutElementwise,
  updates: [0],
  infer: () => [],
  cost: ([values]) => ({ flops: 0, bytes: bytesOf(values) }),
  program: ([values], _attrs, limits) => flatProgram([], ["values"], "values[i] = vec4<f32>();", sizeOf(values.shape), limits),
};
