import { ShapeError } from "../core/errors.ts";
import { showShape } from "../core/shape.ts";
import type { Kernel } from "../kernels/kernel.ts";
import { allocateTensor, deviceOf, type Tensor } from "./tensor.ts";

/**
 * Appends one dispatch of a kernel and returns its outputs; nothing is noted on the tape.
 * @throws ShapeError if the inputs don't fit, or need more storage bindings than the adapter has.
 */
export function run<Attrs>(kernel: Kernel<Attrs>, inputs: readonly Tensor[], attrs: Attrs): Tensor[] {
  const device = deviceOf(inputs, kernel.name);
  const outputs = kernel.infer(inputs, attrs).map((spec) => allocateTensor(device, spec, kernel.name));
  const storages = [...inputs, ...outputs].map((tensor) => tensor.storage);
  const { maxStorageBuffersPerShaderStage: most, maxStorageBufferBindingSize: largest } = device.limits;
  if (storages.length > most) throw new ShapeError(`${kernel.name}: needs ${storages.length} storage buffers; this adapter allows ${most}`);
  for (const tensor of [...inputs, ...outputs]) {
    if (tensor.storage.size > largest) {
      throw new ShapeError(`${kernel.name}: a tensor of shape ${showShape(tensor.shape)} takes ${tensor.storage.size} bytes; this adapter binds at most ${largest}`);
    }
  }
  const written = new Set(kernel.updates);
  const access = [...inputs.map((_, i) => (written.has(i) ? "w" : "r")), ...outputs.map(() => "w")].join("");
  device.sink.append({ name: kernel.name, program: kernel.program(inputs, attrs, device.limits), storages, access, cost: kernel.cost(inputs, attrs) });
  return outputs;
}
