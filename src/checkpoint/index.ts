/** Checkpoint files of all published formats: opening, loading, writing, and published weights by name. Works in Node and in browsers. */
export { adapterState, loadAdapters } from "./adapters.ts";
export { BrowserStore, browserHubOptions } from "./hub/browser.ts";
export { pull, type HubStore, type PulledFile, type PullOptions, type PullProgress } from "./hub/pull.ts";
export type { FoundLayout, Layout } from "./layout.ts";
export { recogniseLayouts } from "./layouts.ts";
export { loadInto, type LoadOptions, type LoadReport } from "./load.ts";
export { openCheckpointSource } from "./open.ts";
export { readPickle } from "./torch/pickle.ts";
export { memorySource, type ByteSource, type CheckpointReader } from "./reader.ts";
export { openSafetensorsSource, readSafetensors, writeSafetensors, type SafetensorsFile } from "./safetensors.ts";
export { openTorchSource, type TorchReader } from "./torch/file.ts";
