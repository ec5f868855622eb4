import { crc32 } from "../../core/crc32.ts";
import { InputError } from "../../core/errors.ts";
import type { ListedFile } from "../../data/file-list.ts";

const LOCAL = { signature: 0x04034b50, bytes: 30 };
const CENTRAL = { signature: 0x02014b50, bytes: 46 };
const END = { signature: 0x06054b50, bytes: 22 };
const VERSION = 20; // that is needed to unpack: folders
const UTF8 = 1 << 11; // flag: how names are written
const NEW_YEAR_1980 = 0x0021; // the earliest day there is
const MOST_BYTES = 0xffffffff;
const MOST_FILES = 0xffff;
const READ_BYTES = 1 << 22; // at a time

/**
 * Files as one zip file, stored as they are: pictures and weights hardly get smaller. Their contents stay where they are.
 * @throws InputError if they take 4 GB, or are more than 65,535.
 * Source: PKWARE's APPNOTE.TXT 6.3.10, sections 4.3 and 4.4.
 */
export async function zip(files: readonly ListedFile[], name: string): Promise<File> {
  const parts: BlobPart[] = [];
  const directory: Uint8Array<ArrayBuffer>[] = [];
  let at = 0;
  for (const { path, content } of files) {
    const title = new TextEncoder().encode(path);
    const common = [VERSION, UTF8, 0, 0, NEW_YEAR_1980] as const;
    const numbers = [await checksum(content), content.size, content.size] as const;
    const local = header(LOCAL, title, [[LOCAL.signature], common, numbers, [title.length, 0]]);
    directory.push(header(CENTRAL, title, [[CENTRAL.signature], [VERSION, ...common], numbers, [title.length, 0, 0, 0, 0], [0, at]]));
    parts.push(local, content);
    at += local.length + content.size;
  }
  const bytes = directory.reduce((sum, entry) => sum + entry.length, 0);
  if (at + bytes > MOST_BYTES || files.length > MOST_FILES) throw new InputError(`${name} must hold less than 4 GB in at most ${MOST_FILES} files; got ${at + bytes} bytes in ${files.length}`, "download the checkpoints alone");
  const end = header(END, new Uint8Array(), [[END.signature], [0, 0, files.length, files.length], [bytes, at], [0]]);
  return new File([...parts, ...directory, end], name, { type: "application/zip" });
}

/** Numbers of 4 and 2 bytes by turns, then a name. */
function header({ bytes }: { readonly bytes: number }, title: Uint8Array, numbers: readonly (readonly number[])[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(bytes + title.length);
  const view = new DataView(whole.buffer);
  let at = 0;
  for (const [i, group] of numbers.entries()) {
    for (const value of group) {
      if (i % 2 === 0) view.setUint32(at, value, true);
      else view.setUint16(at, value, true);
      at += i % 2 === 0 ? 4 : 2;
    }
  }
  whole.set(title, bytes);
  return whole;
}

async function checksum(content: Blob): Promise<number> {
  let crc = 0;
  for (let begin = 0; begin < content.size; begin += READ_BYTES) crc = crc32(new Uint8Array(await content.slice(begin, begin + READ_BYTES).arrayBuffer()), crc);
  return crc;
}
