import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import UPNG from "upng-js";
import { openCheckpoint, loadSafetensors, saveSafetensors } from "../src/checkpoint/files.ts";
import { pagePolicy, publishedServers, withPolicy } from "../src/cli/page-policy.ts";
import { drawScene } from "../src/data/scene-drawing.ts";
import { sceneAt } from "../src/data/scenes.ts";
import { openBrowser } from "./browser.ts";
import { useCommandLine, type Ended } from "./cli.ts";
import { captionAfter, giveFiles, openDemo, pagesOf } from "./demo-page.ts";

const CROSS = resolve("weights/cross-scenes.safetensors");
const PICTURE_SIZE = 96;

const cli = useCommandLine();
const read = (...names: string[]): string => readFileSync(cli.path(...names), "utf8");
const exported = (folder: string, ...more: string[]): Promise<Ended> => cli.run("export", folder, "--model", CROSS, ...more);

interface Site {
  readonly title: string;
  readonly parts: readonly string[];
  readonly captioners: readonly Readonly<Record<string, unknown>>[];
  readonly files: readonly string[];
}
const siteOf = (folder: string): Site => JSON.parse(read(folder, "site.json")) as Site;

/** The one line that a refusal is. */
async function refusal(ended: Promise<Ended>): Promise<string> {
  const { code, stderr } = await ended;
  expect(code).toBe(1);
  expect(stderr).toMatch(/^error: [^\n]+\n$/);
  return stderr.slice("error: ".length).trim();
}

/** The files of a folder with their contents, to see that nothing changed. */
function contentsOf(folder: string): Readonly<Record<string, string>> {
  return Object.fromEntries(readdirSync(cli.path(folder)).map((name) => [name, read(folder, name)]));
}

beforeAll(async () => {
  const { code, stdout, stderr } = await exported("page", "--title", 'Scenes & "more" <b>', "--license", "mit");
  expect([code, stderr]).toEqual([0, ""]);
  expect(stdout).toMatch(/page\/index\.html +\d[\d.]* [KM]B {2}the page, with \d+ files that it needs\npage\/captioner\.safetensors +88\d\.\d KB {2}the weights\npage\/README\.md/);
  expect(stdout).toContain("python3 -m http.server --directory page");
  expect(stdout).toContain("hf upload USER/NAME page . --repo-type space");
});

describe("the folder", () => {
  test("is named in site.json, with one captioner and no other parts", () => {
    const { title, parts, captioners, files } = siteOf("page");
    expect(title).toBe('Scenes & "more" <b>');
    expect(parts).toEqual([]);
    expect(captioners).toEqual([{ title: "cross-scenes", about: "ViT and GPT-2 with cross-attention in every layer.", file: "captioner.safetensors", system: "cross", size: statSync(cli.path("page", "captioner.safetensors")).size, card: "README.md" }]);
    expect(readdirSync(cli.path("page")).sort()).toEqual([...files].sort());
    expect(files).toEqual(expect.arrayContaining(["index.html", "main.js", "main.css", "captioner-worker.js", "icon.svg", "LICENSE.txt", ".nojekyll"]));
    expect(files.filter((name) => /^(train|bench)|^weights/.test(name))).toEqual([]);
  });

  test("has a page with its title and the strict policy", () => {
    const html = read("page", "index.html");
    expect(html).toContain('<title>Scenes &#38; "more" &#60;b&#62;</title>');
    expect(html).toContain('<meta name="description" content="Says what pictures show, on your own device. No picture leaves it.">');
    expect(html).toContain(`<meta http-equiv="Content-Security-Policy" content="${pagePolicy()}">`);
  });

  test("has a model card that Hugging Face takes for a static Space", () => {
    const card = read("page", "README.md");
    const [, settings, text] = /^---\n([^]*?)\n---\n\n([^]*)$/.exec(card)!;
    expect(settings.split("\n")).toEqual(expect.arrayContaining(['title: "Scenes & \\"more\\" <b>"', "sdk: static", "app_file: index.html", 'license: "mit"']));
    expect(/short_description: (.*)/.exec(settings)![1].length).toBeLessThanOrEqual(60);
    expect(text.startsWith(readFileSync("weights/cross-scenes.md", "utf8").trim())).toBe(true);
  });

  test("has the weights, bit for bit, and nothing of the training", async () => {
    const [before, after] = await Promise.all([loadSafetensors(CROSS), loadSafetensors(cli.path("page", "captioner.safetensors"))]);
    expect([...after.tensors.keys()].sort()).toEqual([...before.tensors.keys()].sort());
    for (const [name, { data }] of before.tensors) expect(after.tensors.get(name)!.data).toEqual(data);
    expect(Object.keys(after.metadata).sort()).toEqual(["config", "data", "fingerprint", "format", "preprocessing", "system", "version", "vocabulary"]);
  });
});

describe("what stays at home", () => {
  test("the optimiser's state, where training stood, and the folder of the pictures", async () => {
    const { tensors, metadata } = await loadSafetensors(CROSS);
    const moments = { dtype: "f32", shape: [4], data: new Float32Array(4) } as const;
    const data = JSON.stringify({ kind: "folder", folder: "/home/ada/private", holdOut: 0, seed: 1, fingerprint: "0" });
    const training = { trainer: JSON.stringify({ epoch: 1, step: 2 }), random: JSON.stringify([{ seed: 1, stream: 1, counter: 1 }]), data };
    mkdirSync(cli.path("run"));
    await saveSafetensors(cli.path("run", "last.safetensors"), [...tensors, ["optimizer.moments", moments]], { ...metadata, ...training });
    expect((await cli.run("export", "from-run", "--model", "run")).code).toBe(0);
    const after = await loadSafetensors(cli.path("from-run", "captioner.safetensors"));
    expect([...after.tensors.keys()].filter((name) => !tensors.has(name))).toEqual([]);
    expect(Object.keys(after.metadata).filter((name) => ["trainer", "random", "recipe", "data"].includes(name))).toEqual([]);
    expect(siteOf("from-run").title).toBe("run");
    const card = read("from-run", "README.md");
    expect(card).toContain("| weights | 218,496 |"); // no model card lay beside it
    expect(card).not.toContain("license:");
    expect(Object.values(contentsOf("from-run")).filter((text) => text.includes("/home/ada"))).toEqual([]);
  });

  test("the licence of settings that a model card already had on top, and nothing else of them", async () => {
    mkdirSync(cli.path("carded"));
    writeFileSync(cli.path("carded", "birds.safetensors"), readFileSync(CROSS));
    writeFileSync(cli.path("carded", "birds.md"), "---\nlicense: cc-by-4.0\ntags: [birds]\n---\n# Birds\n");
    expect((await cli.run("export", "birds", "--model", "carded/birds.safetensors")).code).toBe(0);
    expect(read("birds", "README.md")).toMatch(/^---\ntitle: "birds"\n(?:[a-z_A-Z]+: .*\n)*---\n\n# Birds\n/);
    expect(read("birds", "README.md")).toContain('license: "cc-by-4.0"\n');
    expect(read("birds", "README.md")).not.toContain("tags");
    expect((await cli.run("export", "birds", "--model", "carded/birds.safetensors", "--license", "mit", "--force")).code).toBe(0);
    expect(read("birds", "README.md")).toContain('license: "mit"\n');
  });
});

describe("--dtype f16", () => {
  test("halves the download; each number is the nearest of f16", async () => {
    expect((await exported("half", "--dtype", "f16")).code).toBe(0);
    const [full, half] = ["page", "half"].map((folder) => statSync(cli.path(folder, "captioner.safetensors")).size);
    expect(half / full).toBeLessThan(0.52);
    const reader = await openCheckpoint(cli.path("half", "captioner.safetensors"));
    expect(new Set([...reader.tensors.values()].map(({ dtype }) => dtype))).toEqual(new Set(["F16"]));
    await reader.close();
    const [before, after] = await Promise.all([loadSafetensors(CROSS), loadSafetensors(cli.path("half", "captioner.safetensors"))]);
    for (const [name, { data }] of before.tensors) {
      // Half of the last of 11 bits, and half of the smallest step there is.
      const wrong = after.tensors.get(name)!.data.findIndex((value, i) => Math.abs(value - data[i]) > Math.abs(data[i]) * 2 ** -11 + 2 ** -25);
      expect([name, wrong]).toEqual([name, -1]);
    }
  });

  test("refuses numbers that it would make infinite", async () => {
    const { tensors, metadata } = await loadSafetensors(CROSS);
    const [name, first] = [...tensors][0];
    const large = { ...first, data: first.data.map((value, i) => (i === 1 ? 70_000 : value)) };
    await saveSafetensors(cli.path("large.safetensors"), new Map([...tensors, [name, large]]), metadata);
    expect(await refusal(cli.run("export", "infinite", "--model", "large.safetensors", "--dtype", "f16"))).toBe(`large.safetensors: --dtype f16 holds numbers below 65520; got 70000 in ${name} (leave --dtype out)`);
    expect(existsSync(cli.path("infinite"))).toBe(false);
  });
});

describe("refusals, each in a line", () => {
  test("a folder with an exported page, without --force", async () => {
    const before = contentsOf("page");
    expect(await refusal(exported("page"))).toBe("page must be a new or empty folder; got one with an exported page (--force replaces the page; other files stay)");
    expect(contentsOf("page")).toEqual(before);
  });

  test("a folder with anything else, --force or not", async () => {
    mkdirSync(cli.path("thesis"));
    writeFileSync(cli.path("thesis", "index.html"), "years of work");
    writeFileSync(cli.path("thesis", "site.json"), "[]");
    for (const more of [[], ["--force"]]) expect(await refusal(exported("thesis", ...more))).toBe("thesis must be a new or empty folder; got one with 2 files that no export wrote (choose another name)");
    expect(contentsOf("thesis")).toEqual({ "index.html": "years of work", "site.json": "[]" });
  });

  test("a file in the folder's place, and a place where none can be", async () => {
    writeFileSync(cli.path("taken"), "");
    expect(await refusal(exported("taken"))).toBe("taken must be a new or empty folder; got a file of that name (choose another name)");
    expect(await refusal(exported("taken/below"))).toBe("cannot write taken/below: a part of the path is a file, not a folder (check the path)");
  });

  test("a title without a word", async () => {
    expect(await refusal(exported("untitled", "--title", " "))).toBe("--title must have a word; got none (leave it out for the model's name)");
    expect(existsSync(cli.path("untitled"))).toBe(false);
  });

  test("a model that is not there, is none, or is not ours", async () => {
    expect(await refusal(cli.run("export", "none", "--model", "no-such"))).toMatch(/^--model no-such must be the folder of a run, a file of weights, .*; got nothing of that name /);
    writeFileSync(cli.path("note.txt"), "hello, world\n");
    expect(await refusal(cli.run("export", "none", "--model", "note.txt"))).toMatch(/^note\.txt: a checkpoint must be a safetensors or PyTorch file, .* got text that begins with "hello, world"/);
    await saveSafetensors(cli.path("foreign.safetensors"), [["fc.weight", { dtype: "f32", shape: [1], data: new Float32Array(1) }]]);
    expect(await refusal(cli.run("export", "none", "--model", "foreign.safetensors"))).toMatch(/^foreign\.safetensors: the model must be a checkpoint that this library trained, .* got one that others published /);
    const { tensors, metadata } = await loadSafetensors(CROSS);
    await saveSafetensors(cli.path("torn.safetensors"), [...tensors].slice(1), metadata);
    expect(await refusal(cli.run("export", "none", "--model", "torn.safetensors"))).toMatch(/^torn\.safetensors: /);
    expect(existsSync(cli.path("none"))).toBe(false);
  });

  test("a full disk loses nothing of what was there", async () => {
    expect((await exported("kept")).code).toBe(0);
    const before = contentsOf("kept");
    // The shell's limit on file sizes (blocks of 1024 bytes) stands for a full disk.
    const { code, stderr } = await cli.shell(`ulimit -f 750; trap '' XFSZ; $sightline export kept --force --model ${CROSS}`);
    expect(code).toBe(1);
    expect(stderr).toMatch(/^error: cannot write \S*captioner\.safetensors: the file grew past what the disk or the process allows /);
    expect(contentsOf("kept")).toEqual(before);
  });
});

test("--force replaces what an export wrote, and nothing else", async () => {
  mkdirSync(cli.path("again", ".git"), { recursive: true });
  expect((await exported("again")).code).toBe(0);
  const site = siteOf("again");
  writeFileSync(cli.path("again", "chunk-OLD.js"), "of an older version");
  writeFileSync(cli.path("again", "site.json"), JSON.stringify({ ...site, files: [...site.files, "chunk-OLD.js", "../note.txt"] }));
  writeFileSync(cli.path("again", "CNAME"), "pictures.example");
  writeFileSync(cli.path("note.txt"), "outside");
  expect((await exported("again", "--force", "--title", "New")).code).toBe(0);
  expect(siteOf("again")).toEqual({ ...site, title: "New" });
  expect(readdirSync(cli.path("again")).sort()).toEqual([...site.files, ".git", "CNAME"].sort());
  expect(read("note.txt")).toBe("outside");
});

describe("the policy", () => {
  test("lets the demo reach published weights, and neither page anything inline", () => {
    const [own, demo] = [pagePolicy(), pagePolicy(publishedServers())];
    expect(own).toContain("connect-src 'self';");
    expect(demo).toMatch(/connect-src 'self' (https:\/\/[\w.*-]+ ?)+;/);
    expect(demo).toContain("https://huggingface.co");
    for (const policy of [own, demo]) {
      expect(policy.startsWith("default-src 'none'; script-src 'self'; style-src 'self';")).toBe(true);
      expect(policy).not.toContain("unsafe");
    }
  });

  test("takes the place of another, in a page that has one", () => {
    const html = readFileSync("src/demo/index.html", "utf8");
    const strict = withPolicy(withPolicy(html, pagePolicy(publishedServers())), pagePolicy());
    expect(strict).toBe(html.replace("%CSP%", pagePolicy()));
    expect(() => withPolicy("<title>none</title>", "x")).toThrow("Content-Security-Policy");
  });
});

test("the page in Chromium: Node's caption, no error, and what the policy forbids does not happen", async () => {
  const picture = cli.path("scene.png");
  const pixels = drawScene(sceneAt(1, "test", 0), PICTURE_SIZE);
  writeFileSync(picture, Buffer.from(UPNG.encode([pixels.buffer as ArrayBuffer], PICTURE_SIZE, PICTURE_SIZE, 0)));
  const said = (await cli.run("caption", picture, "--model", CROSS, "--json", "--adapter", "software")).stdout;
  const probe = `addEventListener("securitypolicyviolation", ({ effectiveDirective }) => postMessage(effectiveDirective)); fetch(location.origin.replace("localhost", "127.0.0.1")).catch(() => undefined);`;
  const demo = await openDemo({ ...pagesOf(cli.path("page")), "/probe.js": { type: "text/javascript", body: probe } }, "Chromium", openBrowser);
  try {
    const { page, problems } = demo;
    await page.waitForSelector(".spoken [role=status]");
    const text = await captionAfter(page, () => giveFiles(page, "Choose a picture", picture));
    expect(text).toBe((JSON.parse(said) as { caption: string }).caption);
    expect(await page.$eval("h1", (heading) => heading.textContent)).toBe('Scenes & "more" <b>');
    expect(await page.$$eval("nav a", (links) => links.length)).toBe(0);
    expect(problems).toEqual([]);

    const forbidden = await page.evaluate(async () => {
      const refused: string[] = [];
      document.addEventListener("securitypolicyviolation", ({ effectiveDirective }) => refused.push(effectiveDirective));
      const script = document.createElement("script");
      script.textContent = "globalThis.ran = true";
      document.body.append(script);
      await fetch(location.origin.replace("localhost", "127.0.0.1")).catch(() => undefined);
      // Begun as the page begins its workers.
      const start = new Blob([`import ${JSON.stringify(`${location.origin}/probe.js`)};`], { type: "text/javascript" });
      const worker = new Worker(URL.createObjectURL(start), { type: "module" });
      const inWorker = await new Promise<string>((done) => worker.addEventListener("message", ({ data }) => done(data as string)));
      return { refused, inWorker, ran: "ran" in globalThis };
    });
    expect(forbidden).toEqual({ refused: ["script-src-elem", "connect-src"], inWorker: "connect-src", ran: false });
  } finally {
    await demo.close();
  }
});
