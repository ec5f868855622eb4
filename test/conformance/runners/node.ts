import { createRequire } from "node:module";
import { requestDevice } from "../../../src/device/device.ts";
import { runSuite } from "../suite.ts";
import type { Runner } from "./runner.ts";

/** Dawn in this very process; SIGHTLINE_ADAPTER chooses the adapter, as everywhere. */
export const node: Runner = {
  name: "node",
  title: "Node (Dawn)",
  missing: () => null,
  async run({ job, files }, emit) {
    await runSuite(job, files, requestDevice, emit);
    const { version } = createRequire(import.meta.url)("webgpu/package.json") as { version: string };
    return `Node ${process.versions.node}, webgpu ${version}`;
  },
};
