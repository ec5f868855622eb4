/** What `sightline/metrics` is in Node: METEOR's table from the package too. */
export * from "./index.ts";
export { readSynonyms } from "./files.ts";
