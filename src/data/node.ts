/** What `sightline/data` is in Node: files and folders too. */
export * from "./index.ts";
export { openDataset, readImage, readTokenizer } from "./files.ts";
