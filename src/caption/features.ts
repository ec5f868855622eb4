import { recorded } from "../autograd/recorded.ts";
import { noGrad } from "../autograd/tape.ts";
import type { Tensor } from "../autograd/tensor.ts";
import type { HostInput, HostTensor } from "../core/host-tensor.ts";
import { Sha256 } from "../core/sha256.ts";
import { sizeOf } from "../core/shape.ts";
import type { PictureSet } from "../data/pictures.ts";
import { pictureBatch, type Look } from "../train/batches.ts";
import type { Captioner } from "./captioner.ts";
import { checkpointFingerprint } from "./fingerprint.ts";
import { seeingOf } from "./systems.ts";

/** Pictures that are looked at at a time. */
const BATCH = 16;

/** Keeps what a frozen vision network made of pictures, by a name for network, preprocessing and pixels together. */
export interface FeatureStore {
  has(key: string): boolean;
  /** One picture's tensors, without the batch axis. */
  read(key: string): Promise<readonly HostTensor[]>;
  write(key: string, features: readonly HostTensor[]): Promise<void>;
  /** Makes sure that all that was written lasts. */
  flush(): Promise<void>;
}

/** Features in memory, for pages and small sets. */
export class MemoryFeatures implements FeatureStore {
  private readonly features = new Map<string, readonly HostTensor[]>();

  has(key: string): boolean {
    return this.features.has(key);
  }

  async read(key: string): Promise<readonly HostTensor[]> {
    return this.features.get(key)!;
  }

  async write(key: string, features: readonly HostTensor[]): Promise<void> {
    this.features.set(key, features);
  }

  async flush(): Promise<void> {
    // nothing outlives the memory
  }
}

/** What changes with any weight of the vision network, with what of it the decoder is given, or with the preprocessing: the name of a folder of features. */
export async function featureKey({ model, config, preprocessing }: Captioner): Promise<string> {
  const hash = new Sha256();
  for (const [name, { data }] of await model.vision!.stateDict()) {
    hash.update(new TextEncoder().encode(name));
    hash.update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  }
  return checkpointFingerprint(hash.digest(), seeingOf(config.model), preprocessing);
}

export interface LookHooks {
  readonly onLook?: (done: number, total: number) => void;
  /** Ends the looking early, with all that was seen in the store. */
  readonly signal?: AbortSignal;
}

/**
 * Looks at all pictures of a set once, those that the store knows excepted; from then on features come from there.
 *
 * Pictures are known by the pixels that the network sees, so names and places of files may change.
 */
export async function lookOnce(captioner: Captioner, set: PictureSet, store: FeatureStore, { onLook, signal }: LookHooks = {}): Promise<Look> {
  const { device, model, preprocessing } = captioner;
  const keys: string[] = [];
  const missing = new Map<string, number>();
  for (let index = 0; index < set.length && !(signal?.aborted ?? false); index++) {
    const { width, height, data } = await set.fitted(index);
    const hash = new Sha256();
    hash.update(new TextEncoder().encode(`${width}x${height}`));
    hash.update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    keys.push(hash.digest().slice(0, 32));
    if (!store.has(keys[index])) missing.set(keys[index], index);
  }
  const look = recorded(device, "features", (pictures) => {
    model.eval();
    return noGrad(() => named(model.see(pictures)));
  });
  const unseen = [...missing];
  try {
    for (let first = 0; first < unseen.length && !(signal?.aborted ?? false); first += BATCH) {
      const batch = unseen.slice(first, first + BATCH);
      const seen = Object.values(await look.run(await pictureBatch(set, batch.map(([, index]) => index), preprocessing)));
      const values = await Promise.all(seen.map((tensor) => tensor.read()));
      for (const [row, [key]] of batch.entries()) {
        await store.write(key, seen.map(({ shape: [rows, ...shape] }, i) => ({ dtype: "f32", shape, data: values[i].slice((row * values[i].length) / rows, ((row + 1) * values[i].length) / rows) })));
      }
      onLook?.(first + batch.length, unseen.length);
    }
  } finally {
    await store.flush();
    look.dispose();
  }
  return async (indices) => stack(await Promise.all(indices.map((index) => store.read(keys[index]))));
}

function named(tensors: readonly Tensor[]): Record<string, Tensor> {
  return Object.fromEntries(tensors.map((tensor, i) => [`seen ${i}`, tensor]));
}

/** Features of several pictures, each tensor with a batch axis. */
function stack(pictures: readonly (readonly HostTensor[])[]): HostInput[] {
  return pictures[0].map(({ shape }, i) => {
    const data = new Float32Array(pictures.length * sizeOf(shape));
    pictures.forEach((features, row) => data.set(features[i].data, row * sizeOf(shape)));
    return { shape: [pictures.length, ...shape], data };
  });
}
