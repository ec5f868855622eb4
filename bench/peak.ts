import type { Command } from "../src/device/commands.ts";
import type { Device } from "../src/device/device.ts";
import type { Storage } from "../src/device/storage.ts";
import type { Cost } from "../src/kernels/kernel.ts";
import { bindings, ENTRY_PARAMETERS, foldGrid, workgroupNumber } from "../src/kernels/wgsl.ts";
import { measureCommands, type Summary } from "./measure.ts";

/** A dispatch shall take at least this long, in seconds: it is made larger until it does. */
const LONG_ENOUGH = 0.002;

/** Seconds for trying one form of a loop at one size; the best form is then measured with the whole budget. */
const TRIAL = 0.1;

/** Products of each sum in a thread, of which so many are written out in the loop's body. */
const PRODUCTS = 1024;
const UNROLLED = 16;

/** Most bytes of one buffer that is copied. */
const MOST_COPIED = 2 ** 30;

/** What an adapter can do, by measurement: the rates of the fastest quarter of the runs. */
export interface Peak {
  /** Floating-point operations a second; a product and its sum count as two. */
  readonly flops: number;
  readonly flopsTime: Summary;
  /** Bytes a second that a shader reads and writes together. */
  readonly bandwidth: number;
  readonly bandwidthTime: Summary;
}

/** The two rates that a time is held against. */
export type Rates = Pick<Peak, "flops" | "bandwidth">;

/** The least time that a cost can take: whichever of arithmetic and memory takes longer. */
export function idealSeconds(cost: Cost, peak: Rates): number {
  return Math.max(cost.flops / peak.flops, cost.bytes / peak.bandwidth);
}

/** A way to write a loop; `size` is what grows until a dispatch takes long enough. */
interface Form {
  /** Work of one dispatch: operations, or bytes. */
  work(size: number): number;
  /** Sizes of the buffers that it binds; the last one is written. */
  buffers(size: number): readonly number[];
  /** Threads of a workgroup. */
  readonly lanes: number;
  threads(size: number): number;
  readonly element: string;
  /** WGSL for thread `i` of `threads`. */
  readonly body: string;
}

/** Independent sums hide the latency of one; written as `a * b + c`, since `fma()` may be computed in software. */
function fmaForm(lanes: number, element: "f32" | "vec4<f32>", sums: number): Form {
  const width = element === "f32" ? 1 : 4;
  const numbers = Array.from({ length: sums }, (_, i) => i);
  const round = numbers.map((i) => `sum${i} = sum${i} * factor + term;`).join(" ");
  return {
    work: (threads) => threads * PRODUCTS * sums * width * 2,
    buffers: (threads) => [threads * 4 * width],
    lanes,
    threads: (threads) => threads,
    element,
    body: `let factor = ${element}(1.0 - f32(lane) * 1e-6);
  let term = ${element}(f32(i) * 1e-9);
  ${numbers.map((n) => `var sum${n} = ${element}(f32(lane) + ${n}.5);`).join(" ")}
  for (var round = 0u; round < ${PRODUCTS / UNROLLED}u; round++) {
    ${Array.from({ length: UNROLLED }, () => round).join("\n    ")}
  }
  out[i] = ${numbers.map((n) => `sum${n}`).join(" + ")};`,
  };
}

/** A thread copies `each` elements, as far apart as there are threads: neighbours copy neighbouring elements. */
function copyForm(lanes: number, element: "f32" | "vec4<f32>", each: number): Form {
  const width = element === "f32" ? 4 : 16;
  const threads = (bytes: number): number => bytes / width / each;
  return {
    work: (bytes) => 2 * bytes,
    buffers: (bytes) => [bytes, bytes],
    lanes,
    threads,
    element,
    body: Array.from({ length: each }, (_, n) => `out[i + ${n}u * threads] = x[i + ${n}u * threads];`).join("\n  "),
  };
}

/** Small workgroups suit adapters that run four threads at once, large ones GPUs. */
const FMA_FORMS = [fmaForm(4, "f32", 8), fmaForm(64, "f32", 8), fmaForm(64, "f32", 16), fmaForm(64, "vec4<f32>", 4)];
const COPY_FORMS = [copyForm(4, "f32", 8), copyForm(4, "vec4<f32>", 8), copyForm(64, "vec4<f32>", 8), copyForm(64, "vec4<f32>", 1)];

/** Measures an FMA loop and a copy, each in several forms, of which the fastest counts; `budget` in seconds for each. */
export async function measurePeak(device: Device, budget: number): Promise<Peak> {
  const largest = Math.min(device.limits.maxStorageBufferBindingSize, MOST_COPIED);
  const fma = await measureForms(device, FMA_FORMS, { first: 4096, largest: largest / 16, budget });
  const copy = await measureForms(device, COPY_FORMS, { first: 8 * 2 ** 20, largest, budget });
  return { flops: fma.rate, flopsTime: fma.time, bandwidth: copy.rate, bandwidthTime: copy.time };
}

interface Sizes {
  readonly first: number;
  readonly largest: number;
  readonly budget: number;
}

async function measureForms(device: Device, forms: readonly Form[], { first, largest, budget }: Sizes): Promise<{ rate: number; time: Summary }> {
  let best = { form: forms[0], size: first, rate: 0 };
  for (const form of forms) {
    let size = first;
    let time = await measureForm(device, form, size, TRIAL);
    while (time.median < LONG_ENOUGH && size * 4 <= largest) time = await measureForm(device, form, (size *= 4), TRIAL);
    const rate = form.work(size) / time.q1;
    if (rate > best.rate) best = { form, size, rate };
  }
  const time = await measureForm(device, best.form, best.size, budget);
  return { rate: Math.max(best.rate, best.form.work(best.size) / time.q1), time };
}

async function measureForm(device: Device, form: Form, size: number, budget: number): Promise<Summary> {
  const storages = form.buffers(size).map((bytes) => device.allocatePersistent(bytes, "peak"));
  try {
    return (await measureCommands(device, [command(device, form, size, storages)], budget)) as Summary; // no patience given
  } finally {
    for (const storage of storages) device.release(storage);
    device.buffers.trim();
  }
}

function command(device: Device, { lanes, threads, element, body }: Form, size: number, storages: readonly Storage[]): Command {
  const last = storages.length - 1;
  const wgsl = `${bindings(last === 0 ? [] : [["x", element]], [["out", element]])}
@compute @workgroup_size(${lanes})
fn main(${ENTRY_PARAMETERS}) {
  let i = ${workgroupNumber()} * ${lanes}u + lane;
  let threads = ${threads(size)}u;
  if (i >= threads) { return; }
  ${body}
}`;
  const grid = foldGrid(Math.ceil(threads(size) / lanes), device.limits);
  return { name: "peak", program: { wgsl, grid }, storages, access: storages.map((_, i) => (i === last ? "w" : "r")).join(""), cost: { flops: 0, bytes: 0 } };
}
