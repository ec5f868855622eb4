/** Opening a checkpoint whose format is told from its first bytes, not from its name. */

import { CheckpointError, shown } from "../core/errors.ts";
import type { ByteSource, CheckpointReader } from "./reader.ts";
import { isSafetensors, openSafetensorsSource } from "./safetensors.ts";
import { openSharded } from "./sharded.ts";
import { isTorchFile, openTorchSource, type TorchReader } from "./torch/file.ts";

const SNIFFED_BYTES = 512;

/** The names under which weights are published, those to prefer first. */
export const USUAL_WEIGHTS: readonly string[] = ["model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json"];

/** Opens another file by its path relative to the one at hand. */
export type OpenBeside = (file: string) => Promise<ByteSource>;

interface Foreign {
  readonly is: (head: Uint8Array, text: string) => boolean;
  readonly what: string;
  readonly hint: string;
}

const CONVERT = "convert it to safetensors where it was made";

/** Files that people take for checkpoints, or get instead of them. */
const FOREIGN: readonly Foreign[] = [
  { is: (_, text) => text.startsWith("version https://git-lfs"), what: "a Git LFS pointer, not the file it stands for", hint: "run git lfs pull, or download the file itself" },
  { is: (_, text) => /^\s*<(!doctype|html|\?xml|!--)/i.test(text), what: "a web page", hint: "the download gave a page instead of the file, often a login or an error; download it again" },
  { is: (_, text) => text.startsWith("GGUF"), what: "a GGUF file", hint: CONVERT },
  { is: (_, text) => text.startsWith("\x89HDF\r\n"), what: "an HDF5 file, as Keras writes them", hint: CONVERT },
  { is: (_, text) => text.startsWith("\x93NUMPY"), what: "a NumPy array", hint: CONVERT },
  { is: (head, text) => text.startsWith("PK\x03\x04") && /^.{26}/s.test(text) && text.slice(30, 30 + head[26] + 256 * head[27]).endsWith(".npy"), what: "a NumPy archive (.npz)", hint: CONVERT },
  { is: (head) => head[0] === 0x08 && head[1] > 0 && head[1] < 32 && (head[2] === 0x12 || head[2] === 0x1a || head[2] === 0x3a), what: "an ONNX model", hint: CONVERT },
  { is: (head) => head[0] === 0xff && head[1] === 0xd8, what: "a JPEG picture", hint: "give the file with the weights" },
  { is: (_, text) => text.startsWith("\x89PNG"), what: "a PNG picture", hint: "give the file with the weights" },
  { is: (_, text) => text.startsWith("\x1f\x8b"), what: "a file compressed by gzip", hint: "unpack it first" },
];

/** Bytes as characters 0 … 255, in which magic numbers are easy to write. */
function latin1(bytes: Uint8Array): string {
  return String.fromCharCode(...bytes);
}

/**
 * Opens a safetensors file, a PyTorch file (zip or legacy) or the index of a checkpoint in several files.
 *
 * @param name File name for error messages.
 * @param openBeside Opens the files that an index names; without it an index is refused.
 * @throws CheckpointError if the file is none of these, with what it seems to be, or is damaged.
 */
export async function openCheckpointSource(source: ByteSource, name: string, openBeside?: OpenBeside): Promise<CheckpointReader | TorchReader> {
  const head = await source.read(0, Math.min(SNIFFED_BYTES, source.size));
  const text = latin1(head);
  const refuse = (what: string, hint: string): never => {
    throw new CheckpointError(`${name}: a checkpoint must be a safetensors or PyTorch file, or the index of one in several files; got ${what}`, hint);
  };
  if (head.length === 0) return refuse("an empty file", "download it or write it again");
  if (isSafetensors(head, source.size)) return openSafetensorsSource(source, name);
  const foreign = FOREIGN.find(({ is }) => is(head, text));
  if (foreign !== undefined) return refuse(foreign.what, foreign.hint);
  if (isTorchFile(head)) return openTorchSource(source, name);
  if (/^\s*\{/.test(text)) {
    if (openBeside === undefined) return refuse("an index alone", "open it where the files that it names lie beside it");
    return openSharded(source, name, async (file) => openShard(await openBeside(file), file));
  }
  if (name.endsWith(".safetensors")) return openSafetensorsSource(source, name); // says what is wrong with it
  const [line] = text.split(/\r?\n/);
  if (/^[\t\x20-\x7e]{4,}$/.test(line)) return refuse(`text that begins with ${shown(line)}`, "give the file with the weights, such as model.safetensors");
  return refuse(`bytes ${[...head.subarray(0, 4)].map((byte) => byte.toString(16).padStart(2, "0")).join(" ")} at its start`, "check that it is the file with the weights, and download it again");
}

/** One file of a checkpoint in several; it cannot be an index again. */
async function openShard(source: ByteSource, name: string): Promise<CheckpointReader> {
  try {
    return await openCheckpointSource(source, name);
  } catch (error) {
    await source.close();
    throw error;
  }
}
