import { readFileSync } from "node:fs";
import { findNodeAtLocation, parseTree, printParseErrorCode, type JSONPath, type Node, type ParseError } from "jsonc-parser";
import type { HoldOut } from "../caption/data-choice.ts";
import { readRecipe, type Recipe } from "../caption/recipe.ts";
import { fileError } from "../checkpoint/files.ts";
import { InputError } from "../core/errors.ts";
import { FieldError, listOf, nullable, oneOf, record, text, variantOf, whole, withDefault, type Reader } from "../core/schema.ts";
import { LANGUAGES, SCENE_TEXTS, type Language, type SceneText } from "../data/scene-grammar.ts";

/** Which pictures a run asks for. */
export type DataRequest =
  | { readonly kind: "scenes"; readonly train: number; readonly languages: readonly Language[]; readonly text: SceneText }
  | { readonly kind: "folder"; readonly folder: string; /** null: what is usual for so many pictures. */ readonly holdOut: HoldOut | null };

/** All that a training run can be told: a recipe, and the pictures. */
export interface RunConfig extends Recipe {
  readonly data: DataRequest;
}

const holdOut: Reader<HoldOut> = (value, at) => {
  if (value === "published" || (typeof value === "number" && value >= 0 && value <= 0.4)) return value;
  throw new FieldError(at, `${at} must be a share from 0 to 0.4, such as 0.1, or "published"; got ${JSON.stringify(value)}`);
};

export const dataRequest: Reader<DataRequest> = variantOf<DataRequest>("kind", {
  scenes: record({ kind: oneOf("scenes"), train: whole(1, 10_000_000), languages: listOf(oneOf(...LANGUAGES), { least: 1 }), text: oneOf(...SCENE_TEXTS) }),
  folder: record({ kind: oneOf("folder"), folder: text, holdOut: withDefault(nullable(holdOut), null) }),
});

/** Settings from a file, of any depth, and where they stand in it. */
export interface ConfigFile {
  readonly path: string;
  readonly value: Readonly<Record<string, unknown>>;
  /** The line of a field, such as `training.epochs`, counted from 1; of the nearest one around it where it is not there. */
  lineOf(field: string): number;
}

/** No settings. */
export const NO_CONFIG: ConfigFile = { path: "", value: {}, lineOf: () => 1 };

/**
 * Reads a configuration file: JSON, comments and trailing commas allowed.
 * @throws InputError with line and column if it is no JSON object.
 */
export function readConfigFile(path: string): ConfigFile {
  let source: string;
  try {
    source = readFileSync(path, "utf8").replace(/^\uFEFF/, "");
  } catch (cause) {
    throw fileError("read", path, cause);
  }
  const errors: ParseError[] = [];
  const tree = parseTree(source, errors, { allowTrailingComma: true });
  const lineAt = (offset: number): number => source.slice(0, offset).split("\n").length;
  if (errors.length > 0) {
    const [{ error, offset }] = errors;
    const column = offset - source.lastIndexOf("\n", offset - 1);
    throw new InputError(`${path}, line ${lineAt(offset)}, column ${column}: the file must be JSON; got an error, ${inWords(printParseErrorCode(error))}`, "correct it there");
  }
  if (tree === undefined || tree.type !== "object") throw new InputError(`${path}: the file must be a JSON object of settings; got ${tree?.type ?? "nothing"}`, 'such as {"training": {"epochs": 5}}');
  const lineOf = (field: string): number => {
    const steps: JSONPath = field.split(/[.[\]]+/).filter((step) => step !== "").map((step) => (/^\d+$/.test(step) ? Number(step) : step));
    for (let length = steps.length; length > 0; length--) {
      const node = findNodeAtLocation(tree, steps.slice(0, length));
      if (node !== undefined) return lineAt((node.parent?.type === "property" ? node.parent : node).offset);
    }
    return 1;
  };
  return { path, value: valueOf(tree) as Readonly<Record<string, unknown>>, lineOf };
}

/** `CommaExpected` → `comma expected`. */
function inWords(code: string): string {
  return code.replace(/(?!^)([A-Z])/g, " $1").toLowerCase();
}

/** The values of a tree; fields named `__proto__` are fields like others. */
function valueOf(node: Node): unknown {
  if (node.type === "array") return (node.children ?? []).map(valueOf);
  if (node.type !== "object") return node.value as unknown;
  const object: Record<string, unknown> = Object.create(null) as Record<string, unknown>;
  for (const { children } of node.children ?? []) object[String(children![0].value)] = valueOf(children![1]);
  return object;
}

/** One object over another, field by field; lists, and objects of another kind, are replaced whole. */
export function overlay(base: unknown, over: unknown): unknown {
  if (!isPlain(base) || !isPlain(over)) return over;
  if (kindOf(over) !== undefined && kindOf(over) !== kindOf(base)) return over;
  const merged = Object.assign(Object.create(null) as Record<string, unknown>, base);
  for (const [name, value] of Object.entries(over)) merged[name] = Object.hasOwn(base, name) ? overlay(base[name], value) : value;
  return merged;
}

/**
 * A run's settings, checked.
 * @param value Of a recipe with `data`, a file's settings laid over it.
 * @throws InputError that names the field, and the file's line where it stands.
 */
export function checkConfig(value: unknown, file: ConfigFile): RunConfig {
  const { data, ...rest } = value as Record<string, unknown>;
  return located(file, () => ({ ...readRecipe(rest, ""), data: dataRequest(data, "data") }));
}

/** What a reader gives; its refusals say in which line of the file the field stands. */
export function located<T>(file: ConfigFile, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof FieldError) || file.path === "") throw error;
    throw new InputError(`${file.path}, line ${file.lineOf(error.field)}: ${error.message}`, undefined, { cause: error });
  }
}

function isPlain(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Fields that say what an object is: those of another kind share no settings. */
function kindOf(value: Readonly<Record<string, unknown>>): unknown {
  return value.kind ?? value.system;
}
