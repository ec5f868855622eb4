import type { Captioner } from "../caption/captioner.ts";
import type { Evaluation } from "../caption/evaluate.ts";
import type { Recipe } from "../caption/recipe.ts";
import { SYSTEM } from "../caption/systems.ts";
import { writeFileAtomically } from "../checkpoint/files.ts";
import type { Device } from "../device/device.ts";
import { duration, thousands } from "../core/format.ts";
import { scoreTable } from "./evaluations.ts";

/** What a model card tells. */
export interface ModelCard {
  readonly captioner: Captioner;
  readonly recipe: Recipe;
  readonly device: Device;
  /** What was typed to train it. */
  readonly command: string;
  /** Of training, validation included. */
  readonly seconds: number;
  readonly steps: number;
  /** The pictures, in a line. */
  readonly data: string;
  /** Whether these are the embedded scenes. */
  readonly scenes: boolean;
  readonly evaluations: readonly Evaluation[];
  /** How the scores were made, see `evaluationTerms`. */
  readonly terms: string;
}

/** Writes a model card: what a captioner is, how it was made, what it scores, and what it cannot do. @throws InputError if the file cannot be written. */
export async function writeModelCard(path: string, card: ModelCard): Promise<void> {
  await writeFileAtomically(path, [Buffer.from(renderModelCard(card))]);
}

/** What can be told of a captioner that nobody has written a model card for. */
export function briefModelCard(captioner: Captioner, scenes: boolean): string {
  return `${introduction(captioner, scenes, [["system", systemOf(captioner)], ...sizesOf(captioner)]).join("\n")}\n`;
}

function renderModelCard({ captioner, recipe, device, command, seconds, steps, data, scenes, evaluations, terms }: ModelCard): string {
  const { headings, rows: scores } = scoreTable(evaluations);
  const { adapter } = device;
  return [
    ...introduction(captioner, scenes, [
      ["system", systemOf(captioner)],
      ["recipe", `${recipe.recipe}, ${recipe.size}, seed ${recipe.seed}`],
      ["command", `\`${command}\``],
      ["trained", `${thousands(steps)} steps of ${recipe.training.batchSize} pictures in ${duration(seconds)}`],
      ["adapter", `${adapter.description || adapter.vendor} (${adapter.kind})`],
      ...sizesOf(captioner),
      ["trained on", data],
    ]),
    "",
    "## Scores",
    "",
    `${terms}.`,
    "",
    `| score | ${headings.join(" | ")} | what it means |`,
    `|---|${headings.map(() => "---|").join("")}---|`,
    ...scores.map(({ name, values, definition }) => `| ${name} | ${values.join(" | ")} | ${cell(definition)} |`),
    "",
  ].join("\n");
}

type Row = readonly [name: string, value: string];

/** The heading, what to expect of the captioner, and a table. */
function introduction({ system }: Captioner, scenes: boolean, rows: readonly Row[]): string[] {
  return [
    `# A captioner of the system ${system}`,
    "",
    scenes ? "It says what is on scenes drawn by code: one to three objects, each with a shape, a colour and a size, in relation to each other. It knows nothing else: whatever a photograph shows, it will speak of such objects." : "It says what is on pictures like those that it was trained on; of others it may say anything.",
    "",
    "| | |",
    "|---|---|",
    ...rows.map(([name, value]) => `| ${name} | ${cell(value)} |`),
  ];
}

function systemOf({ system }: Captioner): string {
  return `\`${system}\`: ${SYSTEM[system].about}`;
}

function sizesOf({ codec, preprocessing, model }: Captioner): readonly Row[] {
  return [
    ["weights", thousands(model.parameterCount())],
    ["vocabulary", `${thousands(codec.size)} entries${codec.languages.length === 0 ? "" : `; languages ${codec.languages.join(" ")}`}`],
    ["pictures", `${preprocessing.size} × ${preprocessing.size} pixels`],
  ];
}

/** Text within a table of Markdown. */
function cell(text: string): string {
  return text.replaceAll("|", "\\|").replaceAll("\n", " ");
}
