import type { BoundCommand } from "../src/device/commands.ts";
import type { Device } from "../src/device/device.ts";

/** Queries of one set: the specification's limit. */
const MOST_QUERIES = 4096;

/**
 * Seconds that each command takes where it stands, between its neighbours and with their data: each gets a pass of
 * its own with timestamps. Alone and repeated, a kernel would find warm caches and numbers that it has spoilt itself.
 */
export async function timeInSitu(device: Device, commands: readonly BoundCommand[]): Promise<number[]> {
  const { gpu } = device;
  const bytes = 16 * commands.length;
  const perSet = MOST_QUERIES / 2;
  const sets = Array.from({ length: Math.ceil(commands.length / perSet) }, (_, i) =>
    gpu.createQuerySet({ label: "bench", type: "timestamp", count: 2 * Math.min(perSet, commands.length - i * perSet) }),
  );
  const resolved = gpu.createBuffer({ label: "bench timestamps", size: bytes, usage: GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC });
  const staging = gpu.createBuffer({ label: "bench timestamps", size: bytes, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
  const encoder = gpu.createCommandEncoder({ label: "bench" });
  commands.forEach(({ pipeline, bindGroup, x, y, z }, i) => {
    const first = 2 * (i % perSet);
    const querySet = sets[Math.floor(i / perSet)];
    const pass = encoder.beginComputePass({ label: "bench", timestampWrites: { querySet, beginningOfPassWriteIndex: first, endOfPassWriteIndex: first + 1 } });
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, bindGroup);
    pass.dispatchWorkgroups(x, y, z);
    pass.end();
  });
  sets.forEach((set, i) => encoder.resolveQuerySet(set, 0, set.count, resolved, 16 * perSet * i));
  encoder.copyBufferToBuffer(resolved, 0, staging, 0, bytes);
  gpu.queue.submit([encoder.finish()]);
  await staging.mapAsync(GPUMapMode.READ);
  const stamps = new BigUint64Array(staging.getMappedRange().slice(0));
  for (const resource of [...sets, resolved, staging]) resource.destroy();
  return commands.map((_, i) => Number(stamps[2 * i + 1] - stamps[2 * i]) / 1e9);
}
