/** The folder that `sightline export` writes into: new or empty, or one that an earlier export wrote. */

import { existsSync } from "node:fs";
import { readdir, readFile, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { attempt } from "../checkpoint/files.ts";
import { InputError } from "../core/errors.ts";
import { counted } from "../core/format.ts";
import { makeFolder } from "./run-folder.ts";

/** A file to be written, directly in the folder. */
export interface ExportedFile {
  readonly name: string;
  /** Writes it, whole, at the given path. */
  readonly write: (path: string) => Promise<unknown>;
}

/** What the page reads first; it also names all that an export wrote, so that the next one can replace it. */
export const SITE = "site.json";

/** Files are written here first: those that were there before stay until all new ones are whole. */
const UNFINISHED = ".unfinished-export";

const PLAIN_NAME = /^[\w-][\w.-]*$|^\.nojekyll$/;

/**
 * Writes the files, and removes what an earlier export wrote and this one doesn't. Others in the folder, such as .git, stay.
 * @returns The size of each, in bytes.
 * @throws InputError if the folder holds something else, or cannot be written: until all new files are whole, what was there is unchanged.
 */
export async function writeExport(folder: string, files: readonly ExportedFile[], force: boolean): Promise<ReadonlyMap<string, number>> {
  const earlier = await earlierFiles(folder, force);
  const isNew = !existsSync(folder);
  await makeFolder(folder);
  const unfinished = join(folder, UNFINISHED);
  try {
    await rm(unfinished, { recursive: true, force: true });
    await makeFolder(unfinished);
    const sizes = new Map<string, number>();
    for (const { name, write } of files) {
      await write(join(unfinished, name));
      sizes.set(name, (await stat(join(unfinished, name))).size);
    }
    for (const { name } of files) await attempt("write", join(folder, name), rename(join(unfinished, name), join(folder, name)));
    for (const name of earlier.filter((name) => !sizes.has(name))) await rm(join(folder, name), { force: true });
    await rm(unfinished, { recursive: true, force: true });
    return sizes;
  } catch (error) {
    // The first error is the one to report.
    await rm(isNew ? folder : unfinished, { recursive: true, force: true }).catch(() => undefined);
    throw error;
  }
}

/** What an earlier export wrote into a folder. @throws InputError if there are files that may not be replaced. */
async function earlierFiles(folder: string, force: boolean): Promise<readonly string[]> {
  if (!existsSync(folder)) return [];
  if (!(await attempt("read", folder, stat(folder))).isDirectory()) throw new InputError(`${folder} must be a new or empty folder; got a file of that name`, "choose another name");
  const names = (await attempt("read", folder, readdir(folder))).filter((name) => !name.startsWith("."));
  if (names.length === 0) return [];
  const earlier = names.includes(SITE) ? listedIn(await readFile(join(folder, SITE), "utf8").catch(() => "")) : null;
  if (earlier === null) throw new InputError(`${folder} must be a new or empty folder; got one with ${counted(names.length, "file")} that no export wrote`, "choose another name");
  if (!force) throw new InputError(`${folder} must be a new or empty folder; got one with an exported page`, "--force replaces the page; other files stay");
  return earlier;
}

/** The files that `site.json` names, or null where it is none of an export. */
function listedIn(json: string): readonly string[] | null {
  try {
    const { files } = JSON.parse(json) as { readonly files?: unknown };
    return Array.isArray(files) ? files.filter((name): name is string => typeof name === "string" && PLAIN_NAME.test(name)) : null;
  } catch {
    return null;
  }
}
