import type { Cost, Program } from "../kernels/kernel.ts";
import type { Access, PipelineCache } from "./pipelines.ts";
import type { Storage } from "./storage.ts";

/** A part of a storage, in bytes. */
export interface BindingWindow {
  /** A multiple of 256. */
  readonly offset: number;
  readonly size: number;
}

/** One dispatch to come: a program and the storages it binds, in binding order. */
export interface Command {
  readonly name: string;
  readonly program: Program;
  readonly storages: readonly Storage[];
  /** What it binds of each storage, in bytes, where that is not all of it. */
  readonly windows?: readonly (BindingWindow | null)[];
  readonly access: Access;
  /** What its work is worth, for benches. */
  readonly cost: Cost;
}

/** Where ops put their commands: the device itself, or a recording that is being traced. */
export interface CommandSink {
  /** Memory for the result of an op. */
  allocate(size: number, label: string): Storage;
  /** Memory that keeps its contents between runs, filled with `data`. */
  allocateConstant(data: ArrayBufferView, label: string): Storage;
  append(command: Command): void;
}

/** A command whose pipeline and bind group exist: encoding it is three calls. */
export interface BoundCommand {
  readonly pipeline: GPUComputePipeline;
  readonly bindGroup: GPUBindGroup;
  readonly x: number;
  readonly y: number;
  readonly z: number;
}

/** Finds the pipeline and creates the bind group of a command. */
export function bindCommand(gpu: GPUDevice, pipelines: PipelineCache, command: Command): BoundCommand {
  const { name, program, access } = command;
  const pipeline = pipelines.get({ name, wgsl: program.wgsl, access });
  const entries = command.storages.map((storage, binding): GPUBindGroupEntry => {
    const slice = storage.placed;
    if (slice === null) throw new Error(`${name}: binding ${binding} ("${storage.label}") has no memory: it was disposed, or it belongs to another recording`);
    const { offset, size } = command.windows?.[binding] ?? { offset: 0, size: slice.size };
    return { binding, resource: { buffer: slice.buffer, offset: slice.offset + offset, size } };
  });
  const bindGroup = gpu.createBindGroup({ label: name, layout: pipelines.bindGroupLayout(access), entries });
  const [x, y, z] = program.grid;
  return { pipeline, bindGroup, x, y, z };
}

/** Encodes commands into one compute pass. */
export function encodeCommands(encoder: GPUCommandEncoder, commands: readonly BoundCommand[], label: string, timestampWrites?: GPUComputePassTimestampWrites): void {
  const pass = encoder.beginComputePass({ label, timestampWrites });
  let pipeline: GPUComputePipeline | null = null;
  for (const command of commands) {
    if (command.pipeline !== pipeline) {
      pipeline = command.pipeline;
      pass.setPipeline(pipeline);
    }
    pass.setBindGroup(0, command.bindGroup);
    pass.dispatchWorkgroups(command.x, command.y, command.z);
  }
  pass.end();
}
