/** The engine: device, tensors, ops with gradients, recorded steps. Works in Node and in browsers. */
export { CheckpointError, DeviceError, InputError, NetworkError, ShapeError, SightlineError } from "./core/errors.ts";
export { Generator, threefry, type GeneratorState } from "./core/rng.ts";
export type { DType, HostDType, TypedArray } from "./core/dtype.ts";
export type { HostInput, HostTensor } from "./core/host-tensor.ts";
export type { Shape } from "./core/shape.ts";
export { requestDevice, type Device, type DeviceOptions } from "./device/device.ts";
export type { AdapterPreference, AdapterSummary } from "./device/adapter.ts";
export type { MemoryReport } from "./device/buffers.ts";
export { full, tensor, Tensor, zeros } from "./autograd/tensor.ts";
export { autocast } from "./autograd/autocast.ts";
export { checkpointed } from "./autograd/checkpointed.ts";
export { noGrad } from "./autograd/tape.ts";
export { defineOp, type BackwardContext, type OpDefinition } from "./autograd/op.ts";
export { run } from "./autograd/run.ts";
export type { Kernel, KernelLimits, TensorSpec } from "./kernels/kernel.ts";
export { recorded, type RecordedOptions, type RecordedStep } from "./autograd/recorded.ts";
export { DeviceGenerator } from "./autograd/random.ts";
export * from "./autograd/ops/index.ts";
