import { requestDevice } from "../../src/device/device.ts";
import { findAdapter, onExit } from "../../src/device/gpu-node.ts";
import { calibrate, timed } from "../measure.ts";
import type { Contender, Prepared, Workload } from "./contender.ts";
import { ownVersion } from "./install.ts";
import { jax } from "./jax.ts";
import { ours } from "./ours.ts";
import { tfjs } from "./tfjs.ts";

export const CONTENDERS = ["sightline", "jax-js", "tfjs-webgpu"] as const;
export type ContenderName = (typeof CONTENDERS)[number];

/** What the bench asks of a contender's process. */
export type Request =
  | { readonly ask: "prepare"; readonly workload: Workload; readonly seconds: number }
  | { readonly ask: "sample" }
  | { readonly ask: "release" };

/** What it answers. */
export type Answer =
  | { readonly answer: "ready"; readonly version: string; readonly adapter: string }
  | { readonly answer: "prepared"; readonly times: number; readonly meanMagnitude: number }
  | { readonly answer: "missing" }
  | { readonly answer: "sample"; readonly seconds: number }
  | { readonly answer: "released" }
  | { readonly answer: "failed"; readonly message: string };

/** Serves one contender to the process that started this one, until that ends the connection. */
export async function serveContender(name: ContenderName): Promise<void> {
  const reply = (answer: Answer): void => void process.send!(answer);
  let contender: Contender;
  try {
    const { loaded, adapter } = await load(name);
    contender = loaded;
    reply({ answer: "ready", version: contender.version, adapter });
  } catch (error) {
    reply({ answer: "failed", message: String(error) });
    return;
  }
  let current: { prepared: Prepared; times: number } | null = null;
  const answer = async (request: Request): Promise<Answer> => {
    switch (request.ask) {
      case "prepare": {
        const prepared = await contender.prepare(request.workload);
        if (prepared === null) return { answer: "missing" };
        const meanMagnitude = magnitude(await prepared.values());
        const times = await calibrate((runs) => timed(() => prepared.run(runs)), request.seconds);
        current = { prepared, times };
        return { answer: "prepared", times, meanMagnitude };
      }
      case "sample": {
        const { prepared, times } = current!;
        return { answer: "sample", seconds: (await timed(() => prepared.run(times))) / times };
      }
      case "release":
        current?.prepared.dispose();
        current = null;
        return { answer: "released" };
      default:
        return request satisfies never;
    }
  };
  process.on("message", (request: Request) => {
    answer(request).then(reply, (error: unknown) => reply({ answer: "failed", message: String(error) }));
  });
  process.on("disconnect", () => process.exit(0));
}

async function load(name: ContenderName): Promise<{ loaded: Contender; adapter: string }> {
  if (name === "sightline") {
    const device = await requestDevice();
    return { loaded: ours(device, ownVersion()), adapter: device.adapter.description };
  }
  const adapter = await provideWebGpu();
  return { loaded: name === "jax-js" ? await jax() : await tfjs(), adapter };
}

/** Gives libraries that look for `navigator.gpu` the adapter that this one would use, with the same Dawn settings. */
async function provideWebGpu(): Promise<string> {
  const { kind, adapter } = await findAdapter("auto");
  const gpu = {
    wgslLanguageFeatures: new Set<string>(),
    getPreferredCanvasFormat: () => "bgra8unorm",
    /** A fresh one each time: an adapter gives one device only. */
    async requestAdapter(): Promise<GPUAdapter> {
      const found = (await findAdapter(kind === "hardware" ? "hardware" : "software")).adapter;
      const request = found.requestDevice.bind(found);
      found.requestDevice = async (descriptor) => {
        const device = await request(descriptor);
        onExit(() => device.destroy());
        return device;
      };
      return found;
    },
  };
  const navigator = { gpu, userAgent: "Node.js", hardwareConcurrency: 2 };
  Object.defineProperty(globalThis, "navigator", { value: navigator, configurable: true, writable: true });
  return adapter.info.description || adapter.info.device;
}

function magnitude(values: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += Math.abs(values[i]);
  return sum / values.length;
}
