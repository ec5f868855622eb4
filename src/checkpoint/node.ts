/** What `sightline/checkpoint` is in Node: files and a cache folder too. */
export * from "./index.ts";
export { loadSafetensors, openCheckpoint, saveSafetensors, saveSharded } from "./files.ts";
export { cacheFolder, FileStore, hubOptions, resolveModel, type HubSettings } from "./hub/files.ts";
