import { byteSize } from "../../core/format.ts";
import type { Choice } from "./use-captioner.ts";

/** How the names of checkpoints end. */
export const CHECKPOINTS: readonly string[] = [".safetensors", ".pt", ".pth", ".bin", ".ckpt"];

function isCheckpoint({ name }: File): boolean {
  return CHECKPOINTS.some((ending) => name.toLowerCase().endsWith(ending));
}

/** The checkpoint among files as a choice, with what came beside it: published ones have their words and settings there. Null where there is none. */
export function checkpointChoice(files: readonly File[]): Choice | null {
  const file = files.find(isCheckpoint);
  if (file === undefined) return null;
  const beside = files.filter((other) => other !== file);
  return { title: file.name.replace(/\.\w+$/, ""), about: `${file.name}, ${byteSize(file.size)}, from this device.`, source: { kind: "file", file, beside }, card: null, scenes: false };
}
