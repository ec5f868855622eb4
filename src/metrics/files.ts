/** The table of synonyms on disk (Node only). */

import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { InputError } from "../core/errors.ts";
import { loadSynonyms, type Synonyms } from "./synonyms.ts";

/** Beside this file, and in the package beside the bundle that this file is part of. */
const TABLE = fileURLToPath(new URL("wordnet-synonyms.gz", import.meta.url));

let table: Promise<Synonyms> | undefined;

/** The synonyms that METEOR needs; read once. @throws InputError if the installation lacks the table. */
export function readSynonyms(): Promise<Synonyms> {
  table ??= readTable();
  return table;
}

async function readTable(): Promise<Synonyms> {
  const bytes = await readFile(TABLE).catch((cause: unknown) => {
    throw new InputError(`readSynonyms: the table of synonyms must be at ${TABLE}; got no readable file`, "install the package again, or build it again", { cause });
  });
  return loadSynonyms(new Uint8Array(bytes), TABLE);
}
