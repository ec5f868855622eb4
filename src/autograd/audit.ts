import { FLOAT16_MAX } from "../core/float16.ts";
import { isFloat, type DType } from "../core/dtype.ts";
import { SightlineError } from "../core/errors.ts";
import { showShape, type Shape } from "../core/shape.ts";
import type { Device } from "../device/device.ts";
import { comparePrecision } from "../kernels/compare-precision.ts";
import { autocast } from "./autocast.ts";
import { observeOps } from "./observe.ts";
import { run } from "./run.ts";
import { leavesOf } from "./tape.ts";
import { full, type Tensor } from "./tensor.ts";

/** What f16 does to one result of one op. */
export interface AuditRow {
  /** The op's name; `… backward` for a gradient. */
  readonly op: string;
  readonly shape: Shape;
  /** How mixed precision stores it. */
  readonly dtype: DType;
  /** Largest magnitude in f32; f16 holds numbers up to 65,504. */
  readonly largest: number;
  /** Numbers that are finite in f32 and infinite or NaN in mixed precision. */
  readonly overflows: number;
  /** Numbers that became 0. */
  readonly underflows: number;
  /** ‖mixed − f32‖ / ‖f32‖ over what is finite. */
  readonly drift: number;
}

export interface AuditOptions {
  /** What the loss is multiplied by, as a `LossScaler` does; gradients are shown with it. Default 1. */
  readonly lossScale?: number;
}

/**
 * Runs a step twice, in f32 and under {@link autocast}, forward and backward, and says for each op what f16 changed.
 * Nothing is trained: gradients that parameters had are given back to them. Random ops (dropout) would draw other numbers
 * in the second run, so use the model without them; batch norm in training moves its running statistics twice.
 *
 * @param loss Computes the loss, a scalar, from the same inputs at each call.
 * @throws SightlineError if the two runs are not made of the same ops. @throws DeviceError without `shader-f16`.
 *
 * @example
 * console.log(showAudit(await audit(device, () => model.loss(images, ids), { lossScale: 1024 })));
 */
export async function audit(device: Device, loss: () => Tensor, { lossScale = 1 }: AuditOptions = {}): Promise<AuditRow[]> {
  using _scope = device.scope();
  const exact = watch(loss, lossScale);
  const mixed = watch(() => autocast(loss), lossScale);
  const names = (results: readonly Result[]): string => results.map(({ op, tensor }) => `${op} ${showShape(tensor.shape)}`).join();
  if (names(exact) !== names(mixed)) throw new SightlineError("audit: the step must be made of the same ops at each call", "compute the loss from the same inputs, and let nothing in it depend on a counter");
  const rows = exact.map(async ({ op, tensor }, i): Promise<AuditRow> => {
    const lowered = mixed[i].tensor;
    const [statistics] = run(comparePrecision, [tensor, lowered], {});
    const [largest, overflows, underflows, difference, norm] = await statistics.read();
    return { op, shape: tensor.shape, dtype: lowered.dtype, largest, overflows, underflows, drift: Math.sqrt(difference / Math.max(norm, 1e-30)) };
  });
  return await Promise.all(rows); // before the scope ends
}

interface Result {
  readonly op: string;
  readonly tensor: Tensor;
}

/** Float results of all ops of a step forward and backward, in order, without the conversions between f32 and f16. */
function watch(loss: () => Tensor, lossScale: number): Result[] {
  const results: Result[] = [];
  const gradients = new Map<Tensor, Tensor | null>();
  try {
    observeOps(
      (op, tensors) => {
        if (op.startsWith("cast")) return;
        for (const tensor of tensors) if (isFloat(tensor.dtype)) results.push({ op, tensor });
      },
      () => {
        const total = loss();
        for (const leaf of leavesOf([total])) gradients.set(leaf, leaf.grad);
        total.backward(full(total.device, total.shape, lossScale));
      },
    );
  } finally {
    gradients.forEach((gradient, leaf) => (leaf.grad = gradient));
  }
  return results;
}

/** A table of an audit, one line an op in the order of the step; what needs a look is marked with `!`. */
export function showAudit(rows: readonly AuditRow[]): string {
  const header = ["", "op", "shape", "stored", "largest", "overflows", "underflows", "drift"];
  const lines = rows.map(({ op, shape, dtype, largest, overflows, underflows, drift }) => {
    const alarming = overflows > 0 || (dtype === "f16" && largest > FLOAT16_MAX / 4) || drift > 0.05;
    return [alarming ? "!" : "", op, showShape(shape), dtype, largest.toPrecision(3), String(overflows), String(underflows), drift.toExponential(1)];
  });
  const widths = header.map((_, column) => Math.max(...[header, ...lines].map((line) => line[column].length)));
  return [header, ...lines].map((line) => line.map((cell, column) => (column > 3 ? cell.padStart(widths[column]) : cell.padEnd(widths[column]))).join("  ").trimEnd()).join("\n");
}
