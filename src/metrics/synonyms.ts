import { InputError } from "../core/errors.ts";

/** For a Porter stem the stems of its synonyms, a set for each of its meanings. */
export type Synonyms = ReadonlyMap<string, readonly ReadonlySet<string>[]>;

const MAX_BYTES = 1 << 24; // unpacked: fifty times what the table has

/**
 * Reads the table of synonyms that METEOR needs, `wordnet-synonyms.gz`: the bytes as they come from a file or a server.
 *
 * Unpacked it is a line for each synset of WordNet 3.0: the stems that it consists of, with spaces between, then
 * behind a bar those that only lead to it (`man|men`).
 * @throws InputError if the bytes are not such a table.
 * Source: WordNet 3.0, whose licence is in WORDNET-LICENSE.
 */
export async function loadSynonyms(bytes: Uint8Array<ArrayBuffer>, name = "wordnet-synonyms.gz"): Promise<Synonyms> {
  const synonyms = new Map<string, ReadonlySet<string>[]>();
  for (const line of (await unpack(bytes, name)).split("\n")) {
    if (line === "") continue;
    const [found, leading] = line.split("|").map((part) => part.split(" "));
    const synset = new Set(found);
    for (const stem of [...found, ...(leading ?? [])]) {
      const meanings = synonyms.get(stem);
      if (meanings === undefined) synonyms.set(stem, [synset]);
      else meanings.push(synset);
    }
  }
  return synonyms;
}

async function unpack(bytes: Uint8Array<ArrayBuffer>, name: string): Promise<string> {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  let [text, length] = ["", 0];
  try {
    const reader = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip")).getReader();
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      length += part.value.length;
      if (length > MAX_BYTES) throw new RangeError(`more than ${MAX_BYTES} bytes`);
      text += decoder.decode(part.value, { stream: true });
    }
    return text + decoder.decode();
  } catch (cause) {
    const hint = "the package has the table as wordnet-synonyms.gz; hand over its bytes as they are";
    throw new InputError(`loadSynonyms: ${name} must be the table of synonyms, a gzip file; got ${bytes.length} other or damaged bytes`, hint, { cause });
  }
}
