import { Zip, ZipPassThrough } from "fflate";
import { InputError } from "../../core/errors.ts";
import type { ListedFile } from "../../data/file-list.ts";

const READ_BYTES = 2 ** 22; // at a time
const MOST_BYTES = 2 ** 32 - 1; // beyond it unpackers need ZIP64, which many lack

/**
 * Files as one zip file, stored as they are: pictures and weights hardly get smaller. Never more than a few megabytes are in memory; the
 * browser keeps what is written.
 * @throws InputError if they take 4 GB.
 */
export async function zip(files: readonly ListedFile[], name: string): Promise<File> {
  const total = files.reduce((sum, { content }) => sum + content.size, 0);
  if (total > MOST_BYTES) throw new InputError(`${name} must hold less than 4 GB; got ${total} bytes`, "download the checkpoints alone");
  const pieces: Blob[] = [];
  const archive = new Zip((error, chunk) => {
    if (error !== null) throw error;
    pieces.push(new Blob([chunk as Uint8Array<ArrayBuffer>]));
  });
  for (const { path, content } of files) {
    const entry = new ZipPassThrough(path);
    archive.add(entry);
    for (let begin = 0; begin < content.size; begin += READ_BYTES) entry.push(new Uint8Array(await content.slice(begin, begin + READ_BYTES).arrayBuffer()));
    entry.push(new Uint8Array(), true);
  }
  archive.end();
  return new File(pieces, name, { type: "application/zip" });
}
