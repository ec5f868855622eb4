import { existsSync } from "node:fs";
import { copyFile, readFile, stat } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { Captioner, OPTIMIZER_PREFIX } from "../caption/captioner.ts";
import { parseChoice } from "../caption/data-choice.ts";
import { SYSTEM } from "../caption/systems.ts";
import { attempt, loadSafetensors, openCheckpoint, saveSharded, writeFileAtomically, type CheckpointContents } from "../checkpoint/files.ts";
import { isOwnCheckpoint } from "../checkpoint/training-state.ts";
import { encodeTensor, type StoredDType, type StoredTensor } from "../checkpoint/stored.ts";
import { CheckpointError, InputError } from "../core/errors.ts";
import { byteSize, counted, table } from "../core/format.ts";
import type { HostTensor } from "../core/host-tensor.ts";
import { requestDevice } from "../device/device.ts";
import { SITE, writeExport, type ExportedFile } from "./export-folder.ts";
import { briefModelCard } from "./model-card.ts";
import { pagePolicy, withPolicy } from "./page-policy.ts";
import { filesOf, findModel } from "./run-folder.ts";
import { note, print } from "./terminal.ts";
import { VERSION } from "./version.ts";

/** Floats of the weights in an exported folder: as they are, or half of it. */
export const EXPORTED_DTYPES = ["f32", "f16"] as const;

export interface ExportOptions {
  readonly model?: string;
  readonly title?: string;
  readonly license?: string;
  readonly dtype?: (typeof EXPORTED_DTYPES)[number];
  readonly force?: boolean;
}

/** The demo page, beside the bundle that this becomes part of. */
const PAGE = fileURLToPath(new URL("demo/", import.meta.url));

/** Of the page's parts, those that an exported page has not. */
const OTHER_PARTS = /^(train|bench)/;

const WEIGHTS = "captioner.safetensors";
const CARD = "README.md"; // where Hugging Face looks for a Space's settings

/** Hugging Face allows 60 characters. */
const SHORT_DESCRIPTION = "Says what pictures show, on your own device";

/** Numbers from here on are infinite in f16. */
const F16_OVERFLOW = 65520;

/** `sightline export`: a folder with a page, the weights of a captioner and its model card, for any static host. */
export async function exportPage(folder: string, { model, title, license, dtype = "f32", force = false }: ExportOptions): Promise<number> {
  const scripts = await scriptsOfPage();
  const file = await findModel(model);
  const source = await readSource(file);
  const { system } = source.captioner;
  const name = nameOf(file);
  const heading = title ?? name;
  if (heading.trim() === "") throw new InputError("--title must have a word; got none", "leave it out for the model's name");
  const html = withHeading(withPolicy(await readAsset("index.html"), pagePolicy()), heading);
  const written = await cardOf(file, source);
  const licence = license ?? written.license;
  const card = `${spaceSettings(heading, licence)}${written.text}${ABOUT_THE_FOLDER}`;

  const files: ExportedFile[] = [
    ...[...scripts, "main.css", "icon.svg", "LICENSE.txt"].map((asset) => ({ name: asset, write: (path: string) => attempt("write", path, copyFile(join(PAGE, asset), path)) })),
    { name: WEIGHTS, write: (path) => saveSharded(path, weightsOf(source, dtype, file)) },
    textFile(CARD, () => card),
    textFile(".nojekyll", () => ""), // GitHub's pages would otherwise make a page of their own of the model card
    textFile("index.html", () => html),
    textFile(SITE, async (path) => {
      const { size } = await stat(join(dirname(path), WEIGHTS));
      const captioner = { title: name, about: sentence(SYSTEM[system].about), file: WEIGHTS, system, size, card: CARD };
      return `${JSON.stringify({ title: heading, parts: [], captioners: [captioner], files: files.map((each) => each.name) }, null, 2)}\n`;
    }),
  ];
  report(folder, await writeExport(folder, files, force), licence);
  return 0;
}

/** A captioner with all that a page needs of its file. */
interface Source {
  readonly captioner: Captioner;
  readonly tensors: ReadonlyMap<string, HostTensor>;
  /** What it was trained on, where these are the embedded scenes: the page asks it for stories if it learned those. */
  readonly scenes: string | undefined;
}

/** Reads a checkpoint of this library, and holds its parts against each other. @throws CheckpointError if it is none, or damaged. */
async function readSource(file: string): Promise<Source> {
  const reader = await openCheckpoint(file);
  const own = isOwnCheckpoint(reader.metadata);
  await reader.close();
  if (!own) throw new CheckpointError(`${file}: the model must be a checkpoint that this library trained, which has its words in it; got one that others published`, "the demo page opens published models by their names: npm run demo");
  const checkpoint = await loadSafetensors(file);
  const device = await requestDevice({ adapter: "null" }); // nothing is computed
  try {
    const captioner = await Captioner.fromCheckpoint(device, checkpoint, file);
    const tensors = new Map([...checkpoint.tensors].filter(([name]) => !name.startsWith(OPTIMIZER_PREFIX)));
    const { data } = checkpoint.metadata;
    return { captioner, tensors, scenes: parseChoice(data, file)?.kind === "scenes" ? data : undefined };
  } finally {
    await device.close();
  }
}

/** The weights alone: what training goes on from, and whose folder the pictures were in, stays at home. */
function weightsOf({ captioner, tensors, scenes }: Source, dtype: (typeof EXPORTED_DTYPES)[number], file: string): CheckpointContents {
  const stored = new Map([...tensors].map(([name, { dtype: held, shape, data }]): [string, StoredTensor] => {
    if (held !== "f32" || dtype === "f32") return [name, { dtype: held.toUpperCase() as StoredDType, shape }];
    const large = data.find((value) => Math.abs(value) >= F16_OVERFLOW);
    if (large !== undefined) throw new InputError(`${file}: --dtype f16 holds numbers below ${F16_OVERFLOW}; got ${large} in ${name}`, "leave --dtype out");
    return [name, { dtype: "F16", shape }];
  }));
  const metadata = { ...captioner.metadata(), ...(scenes !== undefined && { data: scenes }) };
  return { tensors: stored, metadata, bytesOf: (name) => [encodeTensor(tensors.get(name)!.data, stored.get(name)!.dtype)] };
}

/** The scripts of the page: those that it names, its workers among them. @throws InputError if the page is not beside the program. */
async function scriptsOfPage(): Promise<readonly string[]> {
  const found = new Set(["main.js"]);
  for (const name of found) {
    for (const [named] of (await readAsset(name)).matchAll(/[\w-]+\.m?js\b/g)) if (!OTHER_PARTS.test(named) && existsSync(join(PAGE, named))) found.add(named);
  }
  return [...found];
}

function readAsset(name: string): Promise<string> {
  return readFile(join(PAGE, name), "utf8").catch((cause: unknown) => {
    throw new InputError(`the page's ${name} must lie in ${PAGE}; it cannot be read`, "install the package again; in the repository: npm run build", { cause });
  });
}

/** What people call a model: its file's name, or its run's. */
function nameOf(file: string): string {
  const { best, last } = filesOf("");
  return [best, last].includes(basename(file)) ? basename(dirname(resolve(file))) : basename(file, ".safetensors");
}

/** The model card that lies beside a checkpoint, without settings of its own; otherwise a short one. */
async function cardOf(file: string, { captioner, scenes }: Source): Promise<{ readonly text: string; readonly license?: string }> {
  const written = [file.replace(/\.safetensors$/, ".md"), filesOf(dirname(file)).card].find((path) => path !== file && existsSync(path));
  if (written === undefined) return { text: briefModelCard(captioner, scenes !== undefined) };
  const text = await attempt("read", written, readFile(written, "utf8"));
  const [settings = ""] = /^---\r?\n[^]*?\r?\n---\r?\n/.exec(text) ?? [];
  return { text: `${text.slice(settings.length).trim()}\n`, license: /^license: *"?([\w.+-]+)"? *$/m.exec(settings)?.[1] };
}

/** What Hugging Face reads at the top of a README.md. Source: huggingface.co/docs/hub/spaces-config-reference. */
function spaceSettings(title: string, license: string | undefined): string {
  const settings = {
    title: JSON.stringify(title),
    emoji: "🖼️",
    colorFrom: "blue",
    colorTo: "indigo",
    sdk: "static",
    app_file: "index.html",
    pinned: "false",
    short_description: SHORT_DESCRIPTION,
    ...(license !== undefined && { license: JSON.stringify(license) }),
  };
  return `---\n${Object.entries(settings).map(([name, value]) => `${name}: ${value}\n`).join("")}---\n\n`;
}

const ABOUT_THE_FOLDER = `
## The page

\`index.html\` is a page that says what pictures show, with these weights and on the graphics processor of whoever opens it. No picture leaves the device: the page's
Content-Security-Policy lets it fetch nothing but the files beside it. Any static host serves this folder, over https. Written by \`sightline export\` ${VERSION}.
`;

/** The page under a title of its own; it captions, and does not train as the demo does. */
function withHeading(html: string, title: string): string {
  const text = title.replace(/[&<>]/g, (sign) => `&#${sign.charCodeAt(0)};`);
  return html.replace(/<title>[^<]*<\/title>/, () => `<title>${text}</title>`).replace(/(<meta name="description" content=")[^"]*/, `$1${SHORT_DESCRIPTION}. No picture leaves it.`);
}

function textFile(name: string, text: (path: string) => string | Promise<string>): ExportedFile {
  return { name, write: async (path) => writeFileAtomically(path, [Buffer.from(await text(path))]) };
}

function sentence(text: string): string {
  return `${text[0].toUpperCase()}${text.slice(1)}.`;
}

function report(folder: string, sizes: ReadonlyMap<string, number>, license: string | undefined): void {
  const sum = (names: readonly string[]): string => byteSize(names.reduce((total, name) => total + sizes.get(name)!, 0));
  const page = [...sizes.keys()].filter((name) => name !== WEIGHTS && name !== CARD);
  const rows = [
    [join(folder, "index.html"), sum(page), `the page, with ${counted(page.length - 1, "file")} that it needs`],
    [join(folder, WEIGHTS), sum([WEIGHTS]), "the weights"],
    [join(folder, CARD), sum([CARD]), "the model card, and the settings of a Hugging Face Space"],
  ];
  for (const line of table(rows, [1])) print(line);
  print();
  const shown = /^[\w./-]+$/.test(folder) ? folder : `"${folder}"`;
  print(`look at it:           python3 -m http.server --directory ${shown}   (then open http://localhost:8000)`);
  print("any static host:      copy the folder to it; it must serve over https");
  print(`Hugging Face Space:   hf upload USER/NAME ${shown} . --repo-type space`);
  if (license === undefined) note("note: the model card names no licence; --license mit would name one");
}
