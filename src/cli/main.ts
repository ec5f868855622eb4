import { Command, CommanderError, Option } from "commander";
import { FLAVOURS, SIZES } from "../caption/recipe.ts";
import { SYSTEM, SYSTEMS } from "../caption/systems.ts";
import { LANGUAGES, SCENE_TEXTS } from "../data/scene-grammar.ts";
import { convert, FLOAT_DTYPES, type ConvertOptions } from "./convert.ts";
import { checkData, type DataCheckOptions } from "./data-check.ts";
import { decodingOptions, modelOptions } from "./decoding-options.ts";
import { doctor, probe, PROBES, type Probe } from "./doctor.ts";
import { evaluateModel, type EvalOptions } from "./eval.ts";
import { EXPORTED_DTYPES, exportPage, type ExportOptions } from "./export.ts";
import { showFailure } from "./failure.ts";
import { inspect, type InspectOptions } from "./inspect.ts";
import { adapterOption, byteCount, holdOut, languageList, positiveNumber, SPLITS, tokenizerOption, wholeNumber } from "./options.ts";
import { pullWeights, type PullVerbOptions } from "./pull.ts";
import { tell, type TellingVerb, type TellOptions } from "./tell.ts";
import { plain, surviveClosedPipes } from "./terminal.ts";
import { score, type ScoreOptions } from "./score.ts";
import { train } from "./train.ts";
import type { TrainOptions } from "./train-plan.ts";
import { VERSION } from "./version.ts";

const MOST_BEAMS = 64;

let working = false; // whether there is more to do than to print
surviveClosedPipes(() => working);

const program = new Command("sightline")
  .description("Trains image captioners on WebGPU, and captions pictures with them.")
  .version(VERSION, "-V, --version", "print the version")
  .helpOption("-h, --help", "print this help")
  .helpCommand(false)
  .option("--verbose", "show where an error comes from")
  .exitOverride()
  .configureOutput({ outputError: (text, write) => write(`${oneLine(text)}\n`) })
  .addHelpText("after", examples(["sightline train", "sightline train --data my-photos", "sightline caption picture.jpg more.png", "sightline doctor"], "In the repository, `npm run train -- --data my-photos` does the same as `sightline train --data my-photos`."));

program
  .command("train")
  .description("Train a captioner: on the embedded scenes, or on a folder of your own pictures.")
  .addOption(new Option("--system <name>", `which captioner: ${SYSTEMS.map((name) => `${name} (${SYSTEM[name].about})`).join("; ")} (default: storyteller)`).choices(SYSTEMS))
  .addOption(new Option("--size <name>", "tiny learns scenes on a processor in minutes; full is the published size, for a GPU (default: tiny)").choices(SIZES))
  .addOption(new Option("--recipe <name>", "compat does what the published project does, quirks included; fixed mends them (default: fixed)").choices(FLAVOURS))
  .option("--encoder <file|name>", "published weights for the vision network, such as vit-tiny or resnet50; it is then left as it is; none for a new one")
  .addOption(new Option("--train-encoder <part>", "what of a network from --encoder is trained: none, its top, or all of it").choices(["none", "top", "all"]))
  .option("--decoder <file|name>", "published weights for a GPT-2 decoder, such as distilgpt2; none for a new one")
  .option("--data <folder>", "a folder of captioned pictures (default: the embedded scenes); `sightline data check` says what is in it")
  .option("--config <file>", "a JSON file with all of this and more, such as the config.json of a run; flags override it")
  .option("--out <folder>", "where the run is written, a new or empty folder (default: runs/SYSTEM-DATE-TIME)")
  .option("--resume <run>", "continue a run: its folder, or a checkpoint in it")
  .option("--epochs <n>", "times that each picture is seen", wholeNumber(1, 100_000))
  .option("--reward-epochs <n>", "epochs after these in which texts are drawn, and those with a higher CIDEr-D become likelier", wholeNumber(1, 100_000))
  .option("--batch <n>", "pictures a step", wholeNumber(1, 65_536))
  .option("--accumulate <n>", "parts that a step is computed in: more of them need less memory", wholeNumber(1, 65_536))
  .option("--lr <x>", "highest learning rate of AdamW; that of Muon changes in the same proportion", positiveNumber)
  .option("--patience <n>", "end after so many validations without a better loss", wholeNumber(1))
  .addOption(new Option("--precision <type>", "f16 computes products in half precision (default: f32)").choices(["f32", "f16"]))
  .option("--checkpointing", "compute blocks again in the backward pass instead of keeping them: slower, in less memory")
  .option("--augment", "change training pictures at random: colours, and small shifts and turns")
  .option("--seed <n>", "decides weights, order and splits", wholeNumber(0, 2 ** 32 - 1))
  .option("--picture-size <n>", "side of the pictures that the model sees, pixels", wholeNumber(8, 512))
  .addOption(new Option("--vocabulary <kind>", "words, byte-pairs learned from the captions, or gpt2's tokens").choices(["words", "byte-pairs", "gpt2"]))
  .option("--scenes <n>", "embedded scenes to train on", wholeNumber(1, 10_000_000))
  .addOption(new Option("--languages <list>", `languages of the scenes' captions, of ${LANGUAGES.join(", ")}, separated by commas (default: en)`).argParser(languageList))
  .addOption(new Option("--text <kind>", "what is told of scenes: a caption, or a story in several sentences (default: caption)").choices(SCENE_TEXTS))
  .addOption(
    new Option("--hold-out <share>", 'share of a folder\'s pictures for validation, and again for testing; 0 trains on all; "published" takes the split of dataset*.json (default: 0 below 50 pictures, else published, else 0.1)').argParser(holdOut),
  )
  .option("--features <folder>", "where what a frozen vision network sees is kept between runs (default: the user's folder for caches)")
  .addOption(adapterOption())
  .addHelpText(
    "after",
    examples(
      ["sightline train", "sightline train --data my-photos --out runs/my-photos", "sightline train --system cross --encoder vit-tiny --data flickr8k", "sightline train --config runs/my-photos/config.json --epochs 20", "sightline train --resume runs/my-photos"],
      "A folder of pictures looks like this:\n  my-photos/images/dog.jpg …\n  my-photos/captions.txt     a line \"image,caption\", then a line for each caption, such as \"dog.jpg,A dog runs\"\nCtrl-C finishes the step under way and saves; the run can then be continued with --resume.",
    ),
  )
  .action((options: TrainOptions) => run(true, () => train(options, commandLine())));

const TELLING: Readonly<Record<TellingVerb, { readonly description: string; readonly examples: readonly string[]; readonly more: string }>> = {
  caption: {
    description: "Say what is on pictures: a line for each.",
    examples: ["sightline caption picture.jpg", "sightline caption photos --model runs/my-photos", "sightline caption photos/*.jpg --beam 4 --n 3", "sightline caption photos --json | jq .caption", "sightline caption - --model vit-gpt2 < picture.jpg", "sightline caption photos --model storyteller/best_model.pth --encoder resnet50-0676ba61.pth"],
    more: "Without options, texts are made as the model's own settings say.",
  },
  story: {
    description: "Tell a story of each picture: longer texts, no three words twice where the model did not learn to end.",
    examples: ["sightline story picture.jpg", "sightline story photos --model vlm_model.pt --csv > stories.csv", "sightline story picture.jpg --temperature 0.8 --top-p 0.95 --seed 3"],
    more: "Any captioner tells; those that learned captions alone tell short stories.",
  },
};

for (const [verb, { description, examples: lines, more }] of Object.entries(TELLING) as [TellingVerb, (typeof TELLING)[TellingVerb]][]) {
  const telling = program
    .command(verb)
    .description(description)
    .argument("<pictures...>", "JPEG or PNG files, folders of them, patterns in quotes, or - for one on standard input")
    .option("--recursive", "also look into the folders in a folder");
  for (const option of [...modelOptions(), ...decodingOptions()]) telling.addOption(option);
  telling
    .option("--n <n>", "texts for each picture, the best first, with their scores", wholeNumber(1, MOST_BEAMS), 1)
    .option("--json", "print an object a line: file, caption, score, ended, model, system, and candidates where there are several")
    .option("--csv", "print a table of file, caption, score")
    .addOption(adapterOption())
    .addHelpText("after", examples(lines, `${more}\nA score is the sum of the words' log p; with a beam it is divided by the length to the power of --length-penalty.\nA picture that cannot be read is named on stderr; the others are told of, and the exit code is 1.\nFor programs call \`npx sightline\` or \`npm run -s ${verb}\`: npm's own lines would stand before the JSON.`))
    .action((pictures: string[], options: TellOptions) => run(false, () => tell(verb, pictures, { ...options, verbose: isVerbose() })));
}

const evalVerb = program
  .command("eval")
  .description("Score a model's captions against the references.")
  .option("--data <folder>", "a folder of captioned pictures (default: the pictures that the model was trained with)")
  .addOption(new Option("--split <name>", "which of the pictures (default: test, or all with --data)").choices(SPLITS))
  .addOption(tokenizerOption("as the model's recipe says, mostly words"));
for (const option of [...modelOptions(), ...decodingOptions()]) evalVerb.addOption(option);
evalVerb
  .option("--json", "print the scores as one JSON object")
  .option("--per-image", "with --json: also each image's caption, references and scores")
  .option("--csv <file>", "also write the scores of each image, as CSV")
  .option("--out <file>", "also write a report.html with the pictures and captions")
  .addOption(adapterOption())
  .addHelpText(
    "after",
    examples(
      ["sightline eval", "sightline eval --model runs/my-photos --beam 3 --no-repeat-ngram 2", "sightline eval --data other-photos --out report.html", "sightline eval --split train --json", "sightline eval --csv scores.csv --tokenizer coco"],
      "A model that knows several languages is asked for each of those that the pictures have captions in, and each is scored on its own.",
    ),
  )
  .action((options: EvalOptions) => run(false, () => evaluateModel(options, commandLine())));

const data = program
  .command("data")
  .description("Look into data sets.")
  .helpCommand(false);

data
  .command("check")
  .description("Say what a folder of captioned pictures holds, what was repaired and what is left out.")
  .argument("<folder>", "a folder with pictures and captions")
  .option("--pictures", "also decode every picture")
  .option("--captions <file>", "read this caption file, where there are several")
  .option("--json", "print one JSON object")
  .addHelpText("after", examples(["sightline data check my-photos", "sightline data check coco --pictures", "sightline data check flickr8k --json | jq .dropped"], "Reads captions.txt (CSV), stories.txt, dataset*.json (Karpathy), COCO's captions_*.json, and Flickr's *.token.txt and results.csv.\nThe exit code is 1 when nothing can be used."))
  .action((folder: string, options: DataCheckOptions) => run(false, () => checkData(folder, options)));

program
  .command("score")
  .description("Score captions that any program made against references.")
  .requiredOption("--refs <file>", "the references")
  .requiredOption("--hyps <file>", "the captions, one an image")
  .addOption(tokenizerOption("words"))
  .option("--per-image <file>", "also write the scores of each image, as CSV")
  .option("--json", "print the scores as one JSON object")
  .addHelpText(
    "after",
    examples(
      ["sightline score --refs captions.txt --hyps captions.jsonl", "sightline score --refs captions_val2014.json --hyps results.json --tokenizer coco", "sightline score --refs refs.txt --hyps hyps.txt --per-image scores.csv"],
      "Reads CSV (image,caption), Flickr's *.token and results.csv, COCO's annotations and results, Karpathy JSON, {image: caption} and {image: [captions]},\nJSON lines as `sightline caption --json` prints them, lines of image, tab, caption, or plain lines in both files, with tabs between an image's references.\nImages are matched by name or number; those that only one of the files has are named and not scored.",
    ),
  )
  .action((options: ScoreOptions) => run(false, () => score(options)));

program
  .command("inspect")
  .description("Say what a checkpoint holds: a safetensors or PyTorch file, an index of several, or a folder with one.")
  .argument("<file>", "the file or folder")
  .option("--values", "also read the values: least, greatest and mean of each tensor, and how many are no number")
  .option("--json", "print one JSON object")
  .addHelpText("after", examples(["sightline inspect model.safetensors", "sightline inspect pytorch_model.bin --values", "sightline inspect model.safetensors --json | jq .layouts"], "Nothing in a PyTorch file is executed: what is no tensor and no plain value is only named."))
  .action((file: string, options: InspectOptions) => run(false, () => inspect(file, options)));

program
  .command("convert")
  .description("Write a checkpoint of any format as safetensors, without having all of it in memory.")
  .argument("<in>", "a safetensors or PyTorch file, an index of several, or a folder with one")
  .argument("<out>", "the file to write, ending in .safetensors")
  .addOption(new Option("--dtype <type>", "store all floats as this type (default: as they are)").choices(FLOAT_DTYPES))
  .option("--max-shard <size>", "most data in a file, such as 2GB: then several files and an index are written", byteCount)
  .option("--force", "overwrite files that exist")
  .addHelpText(
    "after",
    examples(
      ["sightline convert pytorch_model.bin model.safetensors", "sightline convert model.safetensors half.safetensors --dtype f16", "sightline convert big.pt model.safetensors --max-shard 2GB"],
      "Names stay as they are, but for the module. of a data-parallel wrapper. Integers keep their type; 64-bit ones must fit into 32 bits.\nF64 becomes F32. What lies beyond the range of f16 or bf16 becomes infinite, and is counted. The metadata says where the file came from.",
    ),
  )
  .action((input: string, output: string, options: ConvertOptions) => run(true, () => convert(input, output, options)));

program
  .command("export")
  .description("Write a folder with a page that captions pictures, its weights and its model card, for any static host.")
  .argument("<folder>", "a new or empty folder")
  .addOption(new Option("--model <run|file|name>", "the captioner: a run's folder, a checkpoint, or the name of weights that come along (default: the newest run, else cross-scenes)"))
  .option("--title <text>", "what stands on top of the page (default: the model's name)")
  .option("--license <name>", "the licence that the model card names, such as mit or cc-by-4.0")
  .addOption(new Option("--dtype <type>", "f16 halves the download; numbers change by up to 0.05 %, and now and then a word (default: f32)").choices(EXPORTED_DTYPES))
  .option("--force", "replace a page that was exported into the folder before; other files stay")
  .addHelpText("after", examples(["sightline export my-page", 'sightline export my-page --model runs/my-photos --title "What my photos show"', "sightline export my-page --model cross-scenes --license mit --force"], "The folder needs no server code and no headers. It is what a static Space of Hugging Face is made of; its README.md has the settings.\nOptimiser states are left out, and so is the folder that the pictures of the training were in; the model card is taken as it is."))
  .action((folder: string, options: ExportOptions) => run(true, () => exportPage(folder, options)));

program
  .command("pull")
  .description("Download published weights by name, or list what there is.")
  .argument("[name]", "a name of the list, or org/repo[@revision][/file] of the Hugging Face hub")
  .option("--revision <name>", "a branch, a tag or a commit of a repository")
  .option("--file <path...>", "these files alone; stands behind the name")
  .option("--endpoint <url>", "the hub or a mirror of it (default: HF_ENDPOINT, else https://huggingface.co)")
  .option("--cache <folder>", "where files are kept (default: hub/ in SIGHTLINE_HOME, else in the user's folder for caches)")
  .option("--offline", "take what the cache has and ask no server; the same as SIGHTLINE_OFFLINE=1")
  .option("--force", "download again what the cache has")
  .option("--json", "print one JSON object")
  .addHelpText("after", examples(["sightline pull", "sightline pull gpt2", "sightline pull timm/vit_tiny_patch16_224.augreg_in21k_ft_in1k", "sightline pull openai-community/gpt2@main/config.json", "HF_ENDPOINT=https://mirror.example sightline pull vit-base"], "Prints the path of each file. A download that breaks or is stopped with Ctrl-C goes on the next time.\nFor private and gated repositories set HF_TOKEN; it is sent to the endpoint alone."))
  .action((name: string | undefined, options: PullVerbOptions) => run(true, () => pullWeights(name, options, commandLine())));

program
  .command("doctor")
  .description("Say what there is to compute on, whether it works, and what to install.")
  .option("--json", "print the findings as one JSON object")
  .addOption(new Option("--probe <kind>", "look at one adapter").choices(PROBES).hideHelp())
  .addHelpText("after", examples(["sightline doctor", "SIGHTLINE_ADAPTER=software sightline doctor", "sightline doctor --json"]))
  .action((options: { json?: boolean; probe?: Probe }) => run(false, () => (options.probe === undefined ? doctor(options) : probe(options.probe))));

for (const command of [...program.commands, ...data.commands]) command.option("--verbose", "show where an error comes from").helpOption("-h, --help", "print this help");

try {
  await program.parseAsync();
} catch (error) {
  // Commander has said what is wrong, or printed the help that was asked for.
  process.exitCode = error instanceof CommanderError ? error.exitCode : fail(error);
}

/** Runs a verb; what it throws becomes one line. */
async function run(works: boolean, verb: () => Promise<number>): Promise<void> {
  working = works;
  try {
    process.exitCode = await verb();
  } catch (error) {
    process.exitCode = fail(error);
  } finally {
    working = false;
  }
}

function fail(error: unknown): number {
  process.stderr.write(`${showFailure(error, isVerbose())}\n`);
  return 1;
}

function isVerbose(): boolean {
  return process.argv.includes("--verbose");
}

/** What was typed, as it can be typed again. */
function commandLine(): string {
  const quoted = process.argv.slice(2).map((word) => (/^[\w./:=@%+,-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`));
  return ["sightline", ...quoted].join(" ");
}

/** Commander's message and its suggestion on one line. */
function oneLine(text: string): string {
  const [message, ...more] = plain(text.trim()).split("\n");
  const verb = program.commands.find((command) => command.name() === process.argv[2]);
  const help = `sightline ${verb === undefined ? "" : `${verb.name()} `}--help shows what there is`;
  return `${message} (${[...more.map((line) => line.replace(/^\((.*)\)$/, "$1").replace(/^Did/, "did")), help].join("; ")})`;
}

function examples(commands: readonly string[], more = ""): string {
  return `\nExamples:\n${commands.map((command) => `  ${command}`).join("\n")}${more === "" ? "" : `\n\n${more}`}`;
}
