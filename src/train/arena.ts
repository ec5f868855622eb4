import { run } from "../autograd/run.ts";
import { deviceOf, Tensor } from "../autograd/tensor.ts";
import { ShapeError, SightlineError } from "../core/errors.ts";
import { showShape } from "../core/shape.ts";
import { alignBytes } from "../device/buffers.ts";
import type { Command } from "../device/commands.ts";
import { sliceBuffer, type Device } from "../device/device.ts";
import { Storage, type BufferSlice } from "../device/storage.ts";
import { assign } from "../kernels/assign.ts";
import { accumulate } from "../kernels/optimizer.ts";

const BYTES = Float32Array.BYTES_PER_ELEMENT;

/** One parameter in an arena: at the same place in the buffers of values, gradients and moments. */
export interface Slot {
  /** The parameter; several where they share their memory. */
  readonly parameters: readonly Tensor[];
  readonly home: BufferSlice;
  readonly gradient: Tensor;
  readonly moments: readonly Tensor[];
  /** Updates so far. */
  step: number;
  /** Whether the arena holds a gradient for the next update. */
  active: boolean;
}

/** Parameters of one group, laid one after the other into flat buffers of one layout. */
export interface Arena {
  readonly group: number;
  readonly slots: readonly Slot[];
}

/** Neighbouring slots that one dispatch updates, with their parts of the arena as flat tensors. */
export interface Range {
  readonly group: number;
  readonly slots: readonly Slot[];
  readonly name: string;
  readonly parameters: Tensor;
  readonly gradients: Tensor;
  readonly moments: readonly Tensor[];
}

/**
 * Moves the parameters that require gradients into arenas: one a group, more where the adapter binds no such size.
 * @param momentCount Arenas of zeros beside those of values and gradients.
 * @throws SightlineError if a parameter cannot be trained, or stands in two groups.
 */
export function buildArenas(groups: readonly (readonly Tensor[])[], momentCount: number): { device: Device; arenas: Arena[] } {
  const seen = new Map<Storage, number>();
  const entries = groups.map((params, group) => {
    const shared = new Map<Storage, Tensor[]>();
    for (const parameter of new Set(params)) {
      if (!parameter.requiresGrad) continue;
      checkParameter(parameter);
      const other = seen.get(parameter.storage) ?? group;
      if (other !== group) throw new SightlineError(`Optimizer: a parameter of shape ${showShape(parameter.shape)} stands in groups ${other} and ${group}`, "each parameter needs one learning rate");
      seen.set(parameter.storage, group);
      shared.set(parameter.storage, [...(shared.get(parameter.storage) ?? []), parameter]);
    }
    return [...shared.values()];
  });
  const all = entries.flat(2);
  if (all.length === 0) throw new SightlineError("Optimizer: there must be a parameter that requires a gradient; got none");
  const device = deviceOf(all, "Optimizer");
  if (device.tracing !== null) throw new SightlineError(`Optimizer: it cannot be made while "${device.tracing.name}" is being recorded`, "make it before");
  const arenas = entries.flatMap((entry, group) => chunks(entry, device.limits.maxStorageBufferBindingSize).map((chunk) => buildArena(device, chunk, group, momentCount)));
  device.relocations++;
  return { device, arenas };
}

function checkParameter({ node, dtype, shape, storage }: Tensor): void {
  if (node !== null) throw new SightlineError(`Optimizer: parameters must not be results of ops; got one of shape ${showShape(shape)} made by ${node.name}`);
  if (dtype !== "f32") throw new ShapeError(`Optimizer: parameters must be f32; got ${dtype}`);
  if (storage.placed === null) throw new SightlineError(`Optimizer: a parameter of shape ${showShape(shape)} was disposed`);
}

/** Cuts a group where its arena would pass what the adapter can bind. */
function chunks(entries: readonly Tensor[][], limit: number): Tensor[][][] {
  const result: Tensor[][][] = [];
  let bytes = Infinity;
  for (const entry of entries) {
    const size = alignBytes(entry[0].storage.size);
    if (bytes + size > limit) {
      result.push([]);
      bytes = 0;
    }
    result[result.length - 1].push(entry);
    bytes += size;
  }
  return result;
}

function buildArena(device: Device, entries: readonly Tensor[][], group: number, momentCount: number): Arena {
  const sizes = entries.map(([{ storage }]) => storage.size);
  const homes = sliceBuffer(device, sizes, "parameters").map(({ placed }) => placed!);
  const [gradients, ...moments] = ["gradients", ...Array<string>(momentCount).fill("moments")].map((label) => sliceBuffer(device, sizes, label));
  device.flush(); // what waits refers to the old places
  const encoder = device.gpu.createCommandEncoder({ label: "gather parameters" });
  entries.forEach(([{ storage }], i) => {
    const old = storage.placed!;
    encoder.copyBufferToBuffer(old.buffer, old.offset, homes[i].buffer, homes[i].offset, old.size);
  });
  device.gpu.queue.submit([encoder.finish()]);
  const slots = entries.map((parameters, i): Slot => {
    const [{ shape, storage }] = parameters;
    device.keep(storage);
    device.buffers.release(storage.placed!.buffer);
    storage.place(homes[i]);
    const tensorOf = (slice: Storage): Tensor => new Tensor(device, shape, "f32", slice);
    return { parameters, home: homes[i], gradient: tensorOf(gradients[i]), moments: moments.map((slices) => tensorOf(slices[i])), step: 0, active: false };
  });
  return { group, slots };
}

/** The longest runs of active slots that have seen as many updates. */
export function rangesOf(device: Device, arenas: readonly Arena[]): Range[] {
  return arenas.flatMap(({ group, slots }, arena) => {
    const runs: Slot[][] = [];
    let previous: Slot | null = null;
    for (const slot of slots) {
      if (slot.active && previous?.step === slot.step) runs[runs.length - 1].push(slot);
      else if (slot.active) runs.push([slot]);
      previous = slot.active ? slot : null;
    }
    return runs.map((members): Range => {
      const first = members[0];
      const last = members[members.length - 1].home;
      const bytes = alignBytes(last.offset + last.size) - first.home.offset;
      const part = ({ buffer }: BufferSlice): Tensor => new Tensor(device, [bytes / BYTES], "f32", new Storage(bytes, "arena", { buffer, offset: first.home.offset, size: bytes }));
      return {
        group,
        slots: members,
        name: `${arena} ${first.home.offset} ${bytes}`,
        parameters: part(first.home),
        gradients: part(first.gradient.storage.placed!),
        moments: first.moments.map(({ storage }) => part(storage.placed!)),
      };
    });
  });
}

/**
 * Brings the gradients of this step into the arenas. In a recording most are not copied: a gradient that has no memory
 * yet is given its slot, so that the backward pass computes it there.
 */
export function placeGradients(device: Device, slots: readonly Slot[]): void {
  const commands = new Map<Storage, Command[]>();
  for (const command of device.tracing?.list ?? []) {
    for (const storage of new Set(command.storages)) commands.set(storage, [...(commands.get(storage) ?? []), command]);
  }
  const uses = new Map<Storage, number>();
  for (const { storage } of slots.flatMap(gradientsOf)) uses.set(storage, (uses.get(storage) ?? 0) + 1);

  for (const slot of slots) {
    const [first, ...others] = gradientsOf(slot);
    slot.active = first !== undefined;
    if (first === undefined) continue;
    const target = slot.gradient.storage.placed!;
    const { storage } = first;
    const free = device.tracing !== null && storage.placed === null && uses.get(storage) === 1 && storage.size === target.size;
    if (free && (commands.get(storage) ?? []).every((command) => oneAccess(command, storage, target.buffer))) storage.place(target);
    else run(assign, [slot.gradient, first.view(slot.gradient.shape)], {});
    for (const other of others) run(accumulate, [slot.gradient, other], {});
  }
}

/** Gradients that wait to be used by a slot's parameters. */
export function gradientsOf({ parameters }: Slot): Tensor[] {
  return parameters.flatMap(({ grad }) => (grad === null ? [] : [grad]));
}

/** WebGPU lets a dispatch either read a buffer or write it: whether that holds once a storage lies in that buffer. */
function oneAccess({ storages, access }: Command, moved: Storage, buffer: GPUBuffer): boolean {
  return new Set([...access].filter((_, i) => storages[i] === moved || storages[i].placed?.buffer === buffer)).size === 1;
}

/** Gives back gradients and moments; the values stay with their parameters. */
export function releaseArena({ slots }: Arena): void {
  for (const { gradient, moments } of slots) for (const tensor of [gradient, ...moments]) tensor.dispose();
}
