import { browserHubOptions, BrowserStore } from "../../src/checkpoint/hub/browser.ts";
import { pull } from "../../src/checkpoint/hub/pull.ts";
import { Sha256 } from "../../src/core/sha256.ts";

const SEGMENT_BYTES = 2 ** 18;

/** What the test asks the page to do. */
export interface HubPage {
  /** Bytes that have arrived of the file under way. */
  received: number;
  pull(endpoint: string, name: string): Promise<{ key: string; size: number; sha256: string; cached: boolean }[]>;
  refused(endpoint: string, name: string): Promise<string>;
  /** The hash of a stored file, read in pieces that fit no segment. */
  hashOf(key: string): Promise<string>;
  list(): Promise<{ key: string; size: number; complete: boolean }[]>;
  remove(key: string): Promise<void>;
}

const store = new BrowserStore({ segmentBytes: SEGMENT_BYTES });

export const hub: HubPage = {
  received: 0,
  async pull(endpoint, name) {
    const options = browserHubOptions({ endpoint, store });
    const connection = { ...options.connection, retrySeconds: [0.01] };
    const files = await pull(name, { ...options, connection, onProgress: ({ received }) => (hub.received = received) });
    return files.map(({ key, size, sha256, cached }) => ({ key, size, sha256, cached }));
  },
  refused: (endpoint, name) => hub.pull(endpoint, name).then(() => "nothing was refused", (error: unknown) => String(error)),
  async hashOf(key) {
    const source = (await store.open(key))!;
    const hasher = new Sha256();
    for (let begin = 0; begin < source.size; begin += 300_001) hasher.update(await source.read(begin, Math.min(source.size, begin + 300_001)));
    await source.close();
    return hasher.digest();
  },
  list: () => store.list(),
  remove: (key) => store.remove(key),
};
