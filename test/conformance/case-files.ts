import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { InputError } from "../../src/core/errors.ts";
import { expectedClasses, type CaseFile, type ModelFolder } from "./findings.ts";

/**
 * Reads an index of cases, `CASES.json`, and the tensors beside it, `CASES.safetensors`.
 * @throws InputError if one of the files cannot be read or is not what it should be.
 */
export function readCaseFile(file: string): CaseFile {
  if (!file.endsWith(".json")) throw new InputError(`${file}: must be a .json file`, "its tensors lie beside it in the .safetensors file of the same name");
  return { name: basename(file), index: readJson(file), tensors: readBytes(file.replace(/\.json$/, ".safetensors")) };
}

/**
 * Reads a folder of a model, or all folders of models in it.
 * @param images Where the pictures lie whose classes an `expected.json` tells.
 * @param note Told of folders that are left out.
 * @throws InputError if there is none, or a file cannot be read.
 */
export function readModelFolders(folder: string, images?: string, note: (line: string) => void = () => undefined): ModelFolder[] {
  if (!existsSync(folder)) throw new InputError(`${folder}: there is no such folder`);
  if (!statSync(folder).isDirectory()) throw new InputError(`${folder}: must be a folder; got a file`, "give the folder that it lies in");
  const folders = [folder, ...readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isDirectory()).map(({ name }) => join(folder, name)).toSorted()];
  const found = folders.filter((path) => existsSync(join(path, "io.safetensors")));
  if (found.length === 0) throw new InputError(`${folder}: must hold io.safetensors and weights, or folders that do; got neither`);
  for (const path of folders.slice(1).filter((each) => !found.includes(each))) note(`${path}: left out, as it holds no io.safetensors`);
  return found.map((path) => {
    const names = readdirSync(path, { withFileTypes: true }).filter((entry) => entry.isFile()).map(({ name }) => name);
    const [json, files] = [names.filter((name) => name.endsWith(".json")), names.filter((name) => !name.endsWith(".json"))];
    const folder = { name: basename(resolve(path)), json: Object.fromEntries(json.map((name) => [name, readJson(join(path, name))])) };
    const pictures = Object.keys(expectedClasses(folder)).map((name) => [name, readBytes(join(images ?? path, name))] as const);
    return { ...folder, files: Object.fromEntries([...files.map((name) => [name, readBytes(join(path, name))] as const), ...pictures]) };
  });
}

function readJson(file: string): unknown {
  try {
    return JSON.parse(readBytes(file).toString("utf8"));
  } catch (error) {
    if (error instanceof SyntaxError) throw new InputError(`${file}: must be JSON; got: ${error.message}`);
    throw error;
  }
}

function readBytes(file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    throw new InputError(`${file}: ${code === "ENOENT" ? "there is no such file" : `cannot be read (${code ?? String(error)})`}`);
  }
}
