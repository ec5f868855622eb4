import { memorySource, type CheckpointReader } from "../src/checkpoint/reader.ts";
import { openSafetensorsSource, writeSafetensors } from "../src/checkpoint/safetensors.ts";
import type { HostTensor } from "../src/core/host-tensor.ts";
import { Generator } from "../src/core/rng.ts";
import { sizeOf } from "../src/core/shape.ts";

/** A tensor of random values, which differ from seed to seed. */
export function randomTensor(shape: readonly number[], seed: number): HostTensor {
  const generator = new Generator(seed);
  return { dtype: "f32", shape, data: Float32Array.from({ length: sizeOf(shape) }, () => generator.normal()) };
}

/** A safetensors file in memory, opened. */
export async function memoryCheckpoint(tensors: Iterable<readonly [string, HostTensor]>, name = "model.safetensors"): Promise<CheckpointReader> {
  return openSafetensorsSource(memorySource(new Uint8Array(Buffer.concat(writeSafetensors(tensors)))), name);
}
