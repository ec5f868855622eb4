import { readFileSync } from "node:fs";
import { basename } from "node:path";
import { InputError } from "../../src/core/errors.ts";
import type { CaseFile } from "./findings.ts";

/**
 * Reads an index of cases, `CASES.json`, and the tensors beside it, `CASES.safetensors`.
 * @throws InputError if one of the files cannot be read or is not what it should be.
 */
export function readCaseFile(file: string): CaseFile {
  if (!file.endsWith(".json")) throw new InputError(`${file}: must be a .json file`, "its tensors lie beside it in the .safetensors file of the same name");
  let index: unknown;
  try {
    index = JSON.parse(readBytes(file).toString("utf8"));
  } catch (error) {
    if (error instanceof SyntaxError) throw new InputError(`${file}: must be JSON; got: ${error.message}`);
    throw error;
  }
  return { name: basename(file), index, tensors: readBytes(file.replace(/\.json$/, ".safetensors")) };
}

function readBytes(file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    throw new InputError(`${file}: ${code === "ENOENT" ? "there is no such file" : `cannot be read (${code ?? String(error)})`}`);
  }
}
