import { rmSync, writeFileSync } from "node:fs";

/** What SwiftShader reads in the folder where a program was started. */
const SETTINGS = "SwiftShader.ini";

/**
 * One thread for each software adapter while tests run. Two test files run at a time, and adapters that share two cores with all their threads
 * wait for each other: two files of training tests took 71 s together, with one thread each 37 s.
 */
export default function useOneThread(): () => void {
  writeFileSync(SETTINGS, "[Processor]\nThreadCount=1\n");
  return () => rmSync(SETTINGS, { force: true });
}
