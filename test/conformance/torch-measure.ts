/** Measuring ops and optimisers against PyTorch's results. */

import type { HostTensor } from "../../src/core/host-tensor.ts";
import { sameShape, showShape, sizeOf } from "../../src/core/shape.ts";
import type { Device } from "../../src/device/device.ts";
import { F16_TOLERANCE, relativeError, roundToFloat16, type FloatStorage, type Measured } from "../ops/measure.ts";
import type { Loaded } from "./torch-file.ts";
import { expectedTrail, runOptimCase, type OptimCase } from "./torch-optim.ts";
import { runTorchCase, type TorchCase, type TorchResult } from "./torch-ops.ts";

/** Relative errors that are allowed against PyTorch, and why. */
export const TORCH_TOLERANCES = {
  plain: { error: 1e-5, reason: "f32 on both sides, summed in another order" },
  recurrence: { error: 1e-4, reason: "an error of one step passes through all later ones" },
  longConvolution: { error: 1e-4, reason: "each output sums more than 1,000 products" },
  optimizer: { error: 1e-5, reason: "ten steps, each in f32" },
  rates: { error: 1e-9, reason: "float64 on both sides" },
  f16: { error: F16_TOLERANCE, reason: "an f16 holds 11 bits; inputs, outputs and gradients are rounded to it" },
} as const;

const LONG_CONVOLUTION = 1000; // products that an output of a convolution sums

/** How a case is stored: in f16 if it is asked for, or if the file itself does so. */
export function storageOf({ halves }: Loaded<TorchCase>, wanted: FloatStorage): FloatStorage {
  return halves ? "f16" : wanted;
}

/** What a case may be off. */
export function torchTolerance({ op, tensors }: Loaded<TorchCase>, storage: FloatStorage): number {
  if (storage === "f16") return TORCH_TOLERANCES.f16.error;
  if (/lstm|gru|rnn/.test(op)) return TORCH_TOLERANCES.recurrence.error;
  const weight = op.startsWith("conv") ? tensors.get("in/weight") : undefined;
  const products = weight === undefined ? 0 : sizeOf(weight.shape) / weight.shape[0];
  return (products > LONG_CONVOLUTION ? TORCH_TOLERANCES.longConvolution : TORCH_TOLERANCES.plain).error;
}

/**
 * Runs a case and compares all that PyTorch's results name.
 * @throws Error if the op is not supported, or the case is incomplete.
 */
export async function measureTorchCase(device: Device, loaded: Loaded<TorchCase>, wanted: FloatStorage): Promise<Measured[]> {
  const { description, tensors } = loaded;
  if (description === null) throw new Error(loaded.reason);
  const storage = storageOf(loaded, wanted);
  const tolerance = torchTolerance(loaded, storage);
  const names = [...Array.from({ length: description.outputs }, (_, k) => `out${k}`), ...description.grads.map((name) => `grad/${name}`)];
  const found = await runTorchCase(device, description, tensors, storage);
  const measured = names.map((what) => compare(what, tensorOf(found, what), tensors.get(what), storage, tolerance));
  if (storage === "f32" || measured.every(({ error }) => error <= tolerance)) return measured;

  // Where f16 cannot hold the inputs themselves (a mean of 10⁴ leaves no digits for a spread of 1), even f32 would be as
  // far off: there, f16 is held against f32 from the same rounded inputs.
  const rounded = new Map([...tensors].map(([name, tensor]) => [name, tensor.dtype === "f32" ? { ...tensor, data: tensor.data.map(roundToFloat16) } : tensor]));
  const same = await runTorchCase(device, description, rounded, "f32");
  return measured.map((each, i) => {
    const single = tensorOf(same, names[i]);
    const bound = compare(names[i], single, tensors.get(names[i]), storage, tolerance);
    return each.error > tolerance && bound.error > tolerance ? compare(names[i], tensorOf(found, names[i]), single, storage, tolerance) : each;
  });
}

function tensorOf({ outputs, grads }: TorchResult, what: string): HostTensor | undefined {
  return what.startsWith("out") ? outputs.at(Number(what.slice(3))) : grads[what.slice("grad/".length)];
}

function compare(what: string, found: HostTensor | undefined, expected: HostTensor | undefined, storage: FloatStorage, tolerance: number): Measured {
  if (expected === undefined) return { what, error: Infinity, tolerance, problem: "the reference does not hold it" };
  if (found === undefined) return { what, error: Infinity, tolerance, problem: what.startsWith("grad") ? "no gradient reached the input" : "the op has no such output" };
  const problem = sameShape(found.shape, expected.shape) ? undefined : `the shape must be ${showShape(expected.shape)}; got ${showShape(found.shape)}`;
  return { what, error: relativeError(found.data, expected.data, storage), tolerance, problem };
}

/**
 * Runs a trail of an optimiser and compares weights, losses, learning rates and norms.
 * @throws Error if the optimiser is not supported, or the trail is incomplete.
 */
export async function measureOptimCase(device: Device, { description, reason, tensors }: Loaded<OptimCase>): Promise<Measured[]> {
  if (description === null) throw new Error(reason);
  const found = await runOptimCase(device, description, tensors);
  return [...expectedTrail(description, tensors)].map(([what, expected]) => {
    const tolerance = (what === "lrs" ? TORCH_TOLERANCES.rates : TORCH_TOLERANCES.optimizer).error;
    return { what, error: relativeError(found.get(what) ?? [], expected), tolerance };
  });
}
