import { DeviceError, ShapeError } from "../core/errors.ts";
import { sameShape, showShape } from "../core/shape.ts";
import type { BindingWindow } from "../device/commands.ts";
import type { Device } from "../device/device.ts";
import { withF16Storage } from "../kernels/f16-storage.ts";
import type { Kernel, Part } from "../kernels/kernel.ts";
import { isBindable } from "../kernels/windows.ts";
import { allocateTensor, deviceOf, type Tensor } from "./tensor.ts";

/**
 * Appends the dispatch of a kernel and returns its outputs; nothing is noted on the tape. Where a tensor is larger than
 * what the adapter binds, the kernel says how its work is cut into several dispatches.
 * @param into Tensors that take the results, instead of new ones.
 * @throws ShapeError if the inputs don't fit, need more storage bindings than the adapter has, or are too large to bind.
 */
export function run<Attrs>(kernel: Kernel<Attrs>, inputs: readonly Tensor[], attrs: Attrs, into?: readonly Tensor[]): Tensor[] {
  const device = deviceOf(inputs, kernel.name);
  const specs = kernel.infer(inputs, attrs);
  const outputs = into?.slice() ?? specs.map((spec) => allocateTensor(device, spec, kernel.name));
  const misfit = outputs.findIndex(({ shape }, i) => !sameShape(shape, specs[i].shape));
  if (misfit >= 0) throw new ShapeError(`${kernel.name}: output ${misfit} must be ${showShape(specs[misfit].shape)}; got ${showShape(outputs[misfit].shape)}`);
  const tensors = [...inputs, ...outputs];
  if (tensors.some(({ dtype }) => dtype === "f16")) requireF16(device);
  const { maxStorageBuffersPerShaderStage: most } = device.limits;
  if (tensors.length > most) throw new ShapeError(`${kernel.name}: needs ${tensors.length} storage buffers; this adapter allows ${most}`);
  const written = new Set(kernel.updates);
  const access = [...inputs.map((_, i) => (written.has(i) ? "w" : "r")), ...outputs.map(() => "w")].join("");
  const append = (bound: readonly Tensor[], attrs: Attrs): void => {
    const read = bound.slice(0, inputs.length);
    const program = withF16Storage(kernel.program(read, attrs, device.limits), bound, device.limits.emulateF16);
    device.sink.append({ name: kernel.name, program, storages: bound.map(({ storage }) => storage), windows: bound.map(windowOf), access, cost: kernel.cost(read, attrs) });
  };
  if (tensors.every((tensor) => isBindable(tensor, device.limits))) append(tensors, attrs);
  else for (const part of partsOf(kernel, inputs, tensors, attrs)) append(part.windows.map(({ begin, shape }, i) => tensors[i].window(begin, shape)), part.attrs);
  return outputs;
}

/** How the work is cut where a tensor is too large. @throws ShapeError if it cannot be. */
function partsOf<Attrs>(kernel: Kernel<Attrs>, inputs: readonly Tensor[], tensors: readonly Tensor[], attrs: Attrs): readonly Part<Attrs>[] {
  const { limits } = tensors[0].device;
  const parts = kernel.parts?.(inputs, attrs, limits) ?? null;
  if (parts !== null) return parts;
  const large = tensors.find((tensor) => !isBindable(tensor, limits))!;
  throw new ShapeError(
    `${kernel.name}: a tensor of shape ${showShape(large.shape)} takes ${large.bytes} bytes; this adapter binds at most ${limits.maxStorageBufferBindingSize}, and ${kernel.name} cannot be cut to that`,
    "use a smaller batch, or slice the tensor and join the results",
  );
}

/** What a dispatch binds of a tensor's storage, where that is not all of it. */
function windowOf({ storage, byteOffset, bytes }: Tensor): BindingWindow | null {
  return bytes === storage.size ? null : { offset: byteOffset, size: bytes };
}

/** @throws DeviceError if the device can neither store f16 nor was told to emulate it. */
export function requireF16({ limits }: Device): void {
  if (limits.emulateF16 || limits.features.has("shader-f16")) return;
  throw new DeviceError("f16: this adapter has no feature shader-f16", "stay with f32, or open the device with limits: { emulateF16: true } to see what f16 would do");
}
