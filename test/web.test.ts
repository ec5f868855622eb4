import { readFileSync } from "node:fs";
import { build } from "esbuild";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Captioner } from "../src/caption/captioner.ts";
import { wordMaps } from "../src/caption/word-maps.ts";
import { openCaptioner } from "../src/cli/open-captioner.ts";
import { decodeImage, type Image } from "../src/data/image.ts";
import { preprocess } from "../src/data/preprocess.ts";
import { drawScene } from "../src/data/scene-drawing.ts";
import { sceneAt } from "../src/data/scenes.ts";
import { openModule, type ModulePage } from "./browser.ts";
import { useDevice } from "./device.ts";
import { HubServer, stalls, type Misdeed } from "./hub-server.ts";
import { withChecksums, writePng } from "./png-writer.ts";
import { PUBLISHED } from "./tiny-published.ts";

declare const exported: typeof import("./pages/web.ts");

const WEIGHTS = "/weights/cross-scenes.safetensors";
const SIZE = 64;
const device = useDevice({ adapter: "software" });
const read = (path: string): Uint8Array => readFileSync(new URL(path, import.meta.url));

const SCENES = Array.from({ length: 4 }, (_, i) => {
  const pixels = drawScene(sceneAt(5, "test", i), SIZE);
  return writePng({ width: SIZE, height: SIZE, depth: 8, colourType: 2, pixel: (x, y) => [...pixels.subarray((y * SIZE + x) * 3, (y * SIZE + x) * 3 + 3)] });
});

async function bundled(path: string): Promise<{ type: string; body: Uint8Array }> {
  const { outputFiles } = await build({ entryPoints: [new URL(path, import.meta.url).pathname], bundle: true, format: "esm", platform: "browser", minify: true, write: false });
  return { type: "text/javascript", body: outputFiles[0].contents };
}

/** Sends a picture that pages of other origins may show and not read. */
const closed: Misdeed = (response, bytes) => {
  response.removeHeader("access-control-allow-origin");
  response.writeHead(200, { "content-type": "image/png" }).end(bytes);
};

let web: ModulePage;
let hub: HubServer;
let captioner: Captioner;

beforeAll(async () => {
  hub = await HubServer.start();
  const worker = await bundled("../src/web/captioner-worker.ts");
  hub.put("/captioner-worker.mjs", worker.body, "text/javascript");
  hub.put("/scene.png", SCENES[1], "image/png");
  web = await openModule("web.ts", {
    "/captioner-worker.mjs": worker,
    "/hub-worker.mjs": await bundled("pages/web-hub-worker.ts"),
    [WEIGHTS]: { type: "application/octet-stream", body: read("../weights/cross-scenes.safetensors") },
    "/weights/page.safetensors": { type: "text/html", body: "<!doctype html><title>Nothing of that name</title>" },
    ...Object.fromEntries(SCENES.map((body, i) => [`/scene-${i}.png`, { type: "image/png", body }])),
    ...Object.fromEntries(Object.entries(PUBLISHED).map(([file, body]) => [`/published/${file}`, { type: "application/octet-stream", body }])),
    "/words.png": { type: "image/png", body: "no picture at all" },
    "/drawing.svg": { type: "image/svg+xml", body: `<svg xmlns="http://www.w3.org/2000/svg" width="${SIZE}" height="${SIZE}"><image width="${SIZE}" height="${SIZE}" href="data:image/png;base64,${Buffer.from(SCENES[1]).toString("base64")}"/></svg>` },
  });
  ({ captioner } = await openCaptioner(device(), "weights/cross-scenes.safetensors"));
});

afterAll(async () => {
  captioner.dispose();
  await web.close();
  await hub.stop();
});

const imageOf = (i: number): Image => decodeImage(SCENES[i], "scene.png");

async function nodeSays(i: number): Promise<{ text: string; score: number }> {
  const [[{ text, score }]] = await captioner.describe([imageOf(i)]);
  return { text, score };
}

describe("describe", () => {
  test("says of scenes what Node says, in pieces that join to the text, whatever the page has of them", async () => {
    for (const i of SCENES.keys()) {
      const expected = await nodeSays(i);
      const address = `/scene-${i}.png`;
      const ways = i === 0 ? [{ address }, { image: address }, { blob: address }, { pixels: address }] : [{ blob: address }];
      for (const way of ways) {
        const { text, pieces, score } = await web.page.evaluate((what) => exported.said(what), way);
        expect(text).toBe(expected.text);
        expect(pieces.length).toBeGreaterThan(3);
        expect(pieces.join("")).toBe(text);
        expect(Math.abs(score - expected.score)).toBeLessThan(1e-4); // logits within 1e-4 of each other
      }
    }
  });

  test("an image of another server needs that server's leave; a drawing is taken as it is shown", async () => {
    const { text } = await nodeSays(1);
    expect(await web.page.evaluate((address) => exported.said({ address }), `${hub.origin}/scene.png`)).toMatchObject({ text });
    hub.next("/scene.png", closed);
    const refused = await web.page.evaluate((address) => exported.failure(exported.describe(address)), `${hub.origin}/scene.png?1`);
    expect(refused).toMatch(/^InputError: http:.*\/scene\.png: its server must allow pages of http:\/\/localhost:\d+ to read it; it does not \(.*Access-Control-Allow-Origin\)$/);
    hub.next("/scene.png", ...Array.from({ length: 4 }, () => closed)); // the element asks for it too, and has pixels that the page may not see
    expect(await web.page.evaluate((image) => exported.failure(exported.said({ image })), `${hub.origin}/scene.png?2`)).toMatch(/must allow pages of .* to read it; it does not/);
    expect(await web.page.evaluate(() => exported.said({ image: "/drawing.svg" }))).toMatchObject({ text });
  });

  test.each([
    ["a picture that is not there", "/nothing.png", {}, /^InputError: \/nothing\.png must be a file that its server has; it answered that there is none \(404\)/],
    ["a file that is no picture", "/words.png", {}, /^InputError: words\.png must be a picture that this browser reads.*; got 17 bytes that begin with 6e 6f 20 70 \(convert it to JPEG or PNG\)$/],
    ["a model that is not there", "/scene-0.png", { model: "/weights/none.safetensors" }, /^InputError: http:.*none\.safetensors must be a file that its server has/],
    ["a page in place of a model", "/scene-0.png", { model: "/weights/page.safetensors" }, /^CheckpointError: http:.*page\.safetensors: a checkpoint must be .*; got a web page/],
    ["a model whose server is not there", "/scene-0.png", { model: "http://127.0.0.1:9/model.safetensors" }, /^NetworkError: http:\/\/127\.0\.0\.1:9\/model\.safetensors: the connection failed/],
    ["a mistyped name", "/scene-0.png", { model: "vit-gtp2" }, /^InputError: "vit-gtp2" must be a name of published weights.*did you mean vit-gpt2/],
    ["a language that it does not speak", "/scene-0.png", { language: "<xx>" }, /^InputError: the language must be .*; got <xx>/],
    ["another worker", "/scene-0.png", { worker: "/other.mjs" }, /^InputError: describe: all calls share the worker of the first one; got another/],
  ])("%s is refused in one line, and the next call works", async (_, picture, options, message) => {
    expect(await web.page.evaluate((what, how) => exported.failure(exported.describe(what, how)), picture, options)).toMatch(message);
    expect((await web.page.evaluate(() => exported.said({ address: "/scene-2.png" }))).text).toBe((await nodeSays(2)).text);
  });

  test("a request is taken back: one that waits, and one whose model is under way", async () => {
    hub.put("/slow.safetensors", read("../weights/cross-scenes.safetensors"));
    hub.next("/slow.safetensors", (response, bytes) => void response.writeHead(200, { "content-length": bytes.length }).write(bytes.subarray(0, 100_000)));
    const outcomes = await web.page.evaluate(async (model) => {
      const ending = new AbortController();
      const first = exported.failure(exported.describe("/scene-0.png", { model, signal: ending.signal, onProgress: ({ received }) => received >= 100_000 && ending.abort() }));
      const second = exported.failure(exported.describe("/scene-0.png", { signal: ending.signal }));
      return [await first, await second, await exported.describe("/scene-0.png")];
    }, `${hub.origin}/slow.safetensors`);
    expect(outcomes.slice(0, 2)).toEqual([expect.stringMatching(/^AbortError/), expect.stringMatching(/^AbortError/)]);
    expect(outcomes[2]).toBe((await nodeSays(0)).text);
  });

  test("a worker that cannot start is an error; one of another server starts; a released one is followed by another", async () => {
    const { text } = await nodeSays(0);
    const results = await web.page.evaluate(async (elsewhere) => {
      const broken = await exported.failure(new exported.Describer("/nothing.mjs").describe("/scene-0.png"));
      const distant = new exported.Describer(elsewhere);
      const { captions: [{ text }] } = await distant.describe(`${location.origin}/scene-0.png`);
      distant.release();
      const waiting = exported.failure(exported.describe("/scene-0.png"));
      exported.releaseDescriber();
      return [broken, text, await waiting, await exported.describe("/scene-0.png")];
    }, `${hub.origin}/captioner-worker.mjs`);
    expect(results).toEqual([expect.stringMatching(/^InputError: the captioner's worker must run; it did not start \(check that its script/), text, expect.stringMatching(/^InputError: the describer must be there.*it was released/), text]);
  });
});

describe("pictures", () => {
  const pixels = (bytes: Uint8Array, type?: string): Promise<number[]> => web.page.evaluate((content, kind) => exported.pixelsOf(content, kind), [...bytes], type);

  test("JPEG and PNG are what they are in Node; other formats are read by the browser, over white", async () => {
    const { width, height, data } = imageOf(0);
    expect(await pixels(SCENES[0])).toEqual([width, height, ...data]);
    const lossless = await web.page.evaluate(() => exported.drawn("image/webp"));
    expect(lossless.slice(8, 12)).toEqual([0x57, 0x45, 0x42, 0x50]);
    const row = [255, 255, 255, 255, 127, 127, 255, 0, 0];
    const read = await pixels(Uint8Array.from(lossless));
    expect(read.slice(0, 2)).toEqual([3, 2]);
    read.slice(2).forEach((value, i) => expect(Math.abs(value - row[i % 9])).toBeLessThanOrEqual(2)); // half transparency is rounded twice
  });

  test("what is empty, damaged or too large is refused", async () => {
    const refused = (bytes: Uint8Array): Promise<string> => web.page.evaluate((content) => exported.failure(exported.pixelsOf(content)), [...bytes]);
    const huge = Uint8Array.from(SCENES[0]);
    new DataView(huge.buffer).setUint32(16, 10_000);
    new DataView(huge.buffer).setUint32(20, 10_000);
    expect(await refused(new Uint8Array())).toMatch(/^InputError: .*the picture must be a JPEG or PNG picture; got an empty file/);
    expect(await refused(SCENES[0].subarray(0, 300))).toMatch(/^InputError: .*truncated or damaged/);
    expect(await refused(withChecksums(huge))).toMatch(/^InputError: .*at most 42\.7 megapixels; got 10000×10000 = 100\.0/);
    expect(await refused(new TextEncoder().encode("%PDF-1.7 …"))).toMatch(/^InputError: .*; got a PDF/);
    expect(await web.page.evaluate(() => exported.refusedBitmap(8200, 8000))).toMatch(/^InputError: .*at most 64 megapixels; got 8200×8000 = 65\.6/);
  });
});

describe("the captioner's service", () => {
  test("attention maps, story and facts are those of Node", async () => {
    const address = await web.page.evaluate((path) => new URL(path, location.href).href, WEIGHTS);
    const facts = await web.page.evaluate((endpoint, at) => exported.hub.facts(endpoint, at), hub.origin, address);
    expect(facts).toEqual({ system: "cross", parameters: captioner.model.parameterCount(), vocabulary: captioner.codec.size, pictureSize: captioner.preprocessing.size, languages: captioner.codec.languages, tellsStories: false, looks: true });
    const { size } = captioner.preprocessing;
    const input = { shape: [1, 3, size, size], data: preprocess(imageOf(3), captioner.preprocessing) };
    const [[{ ids, text }]] = await captioner.describeBatch(input);
    const [expected] = (await wordMaps(captioner, input, [ids]))!;
    const { captions, words, milliseconds } = await web.page.evaluate(async (endpoint) => {
      const described = await exported.hub.describe(endpoint, "/scene-3.png", { attention: true });
      return { ...described, words: described.words!.map(({ text: word, map }) => ({ text: word, width: map.width, data: [...(map.data as Float32Array)] })) };
    }, hub.origin);
    expect(captions[0].text).toBe(text);
    expect(milliseconds).toBeGreaterThan(0);
    expect(words.map((word) => word.text)).toEqual(expected.map((word) => word.text));
    for (const [i, { width, data }] of words.entries()) {
      expect(width ** 2).toBe(data.length);
      data.forEach((weight, at) => expect(Math.abs(weight - expected[i].map.data[at])).toBeLessThan(1e-4));
    }
    const story = await web.page.evaluate((endpoint) => exported.hub.describe(endpoint, "/scene-3.png", { story: true, candidates: 2, beam: 2 }), hub.origin);
    const [told] = await captioner.describe([imageOf(3)], { maxLength: 100, noRepeatNgram: 3, candidates: 2, beam: 2 });
    expect(story.captions.map((caption) => caption.text)).toEqual(told.map((caption) => caption.text));
    expect(story.words).toBeNull();
  });

  test("a published model is downloaded, cancelled, continued, listed and deleted", async () => {
    const paths = hub.putRepo("org/tiny", PUBLISHED);
    const weights = paths.find((path) => path.includes("cccc") && path.endsWith("model.safetensors"))!;
    hub.next(weights, stalls(500_000));
    await web.page.evaluate((endpoint) => void Object.assign(globalThis, { opening: exported.hub.open(endpoint, "org/tiny") }), hub.origin);
    await web.page.waitForFunction(() => exported.hub.received === 500_000);
    const cancelled = await web.page.evaluate(() => {
      exported.hub.ending.abort();
      return (globalThis as unknown as { opening: Promise<string> }).opening;
    });
    expect(cancelled).toMatch(/^AbortError/);
    const models = await web.page.evaluate((endpoint) => exported.hub.published(endpoint), hub.origin);
    expect(models.find(({ name }) => name === "vit-gpt2")).toMatchObject({ captions: true, stored: 0, complete: false });
    const gpt2 = models.find(({ name }) => name === "gpt2")!;
    expect(gpt2).toMatchObject({ captions: false, licence: "MIT" });
    expect(gpt2.size).toBeGreaterThan(548_105_171);
    const entry = async (): Promise<unknown> => (await web.page.evaluate((endpoint) => exported.hub.published(endpoint), hub.origin)).find(({ name }) => name === "org/tiny");
    const beside = Object.entries(PUBLISHED).filter(([file]) => file !== "model.safetensors").reduce((sum, [, { length }]) => sum + length, 0);
    expect(await entry()).toMatchObject({ stored: beside + 500_000, complete: false });

    hub.forget();
    expect(await web.page.evaluate((endpoint) => exported.hub.open(endpoint, "org/tiny"), hub.origin)).toBe("nothing failed");
    expect(hub.rangesOf(weights)).toEqual(["bytes=500000-"]);
    const size = beside + PUBLISHED["model.safetensors"].length;
    expect(await entry()).toMatchObject({ stored: size, size, complete: true });

    // The same from files that were chosen together, and in Node.
    const ask = { beam: 1, maxLength: 6 };
    const pulled = await web.page.evaluate((endpoint, how) => exported.hub.describe(endpoint, "/scene-0.png", how), hub.origin, ask);
    const facts = await web.page.evaluate((endpoint, files) => exported.hub.openFiles(endpoint, files), hub.origin, ["model.safetensors", "config.json", "generation_config.json", "tokenizer.json"].map((file) => `/published/${file}`));
    expect(facts).toMatchObject({ system: "cross", pictureSize: 32, looks: true, tellsStories: false });
    const chosen = await web.page.evaluate((endpoint, how) => exported.hub.describe(endpoint, "/scene-0.png", how), hub.origin, ask);
    expect(chosen.captions).toEqual(pulled.captions);
    expect(chosen.captions[0].ids.length).toBeGreaterThan(0);
    const served = await web.page.evaluate((endpoint) => exported.hub.facts(endpoint, new URL("/published/model.safetensors?signed=a/b", location.href).href), hub.origin);
    expect(served).toEqual(facts);

    await web.page.evaluate((endpoint) => exported.hub.remove(endpoint, "org/tiny"), hub.origin);
    expect(await entry()).toBeUndefined();
  });

  test("a lost device: the call under way says so, the next one works on another device", async () => {
    const { text } = await nodeSays(0);
    const { during, ...texts } = await web.page.evaluate((model) => exported.afterLosses(model, "/scene-0.png"), WEIGHTS);
    expect(texts).toEqual({ before: text, after: text, again: text, adapter: "software", disposed: true });
    expect(during).toBe("DeviceError: the graphics device must stay while it is at work; it was lost (try again: it is opened anew, and the captioner with it)");
  });
});

describe("<sight-line>", () => {
  const told = (count: number): Promise<string[]> => web.page.waitForFunction((least) => exported.told.length >= least && [...exported.told], {}, count).then((handle) => handle.jsonValue() as Promise<string[]>);

  test("gives images their alternative text, follows what changes, and leaves alone what has one", async () => {
    const texts = await Promise.all(SCENES.map(async (_, i) => (await nodeSays(i)).text));
    await web.page.evaluate(() => {
      exported.defineSightLine();
      document.body.innerHTML = '<sight-line caption><img id="bare" src="/scene-0.png"><img id="mine" alt="mine" src="/scene-1.png"><img id="decoration" alt="" src="/scene-1.png"></sight-line>';
    });
    expect(await told(1)).toEqual([`described scene-0.png: ${texts[0]}`]);
    const state = () => web.page.evaluate(() => ({
      alts: [...document.querySelectorAll("img")].map((image) => image.getAttribute("alt")),
      lines: [...document.querySelector("sight-line")!.shadowRoot!.querySelectorAll('[part="caption"]')].map((line) => line.textContent),
      busy: document.querySelector("sight-line")!.ariaBusy,
    }));
    expect(await state()).toEqual({ alts: [texts[0], "mine", ""], lines: [texts[0]], busy: null });

    const busy = await web.page.evaluate(() => {
      document.querySelector<HTMLImageElement>("#bare")!.src = "/scene-2.png";
      document.querySelector("sight-line")!.append(Object.assign(new Image(), { src: "/scene-3.png" }));
      return new Promise((resolve) => setTimeout(() => resolve(document.querySelector("sight-line")!.ariaBusy)));
    });
    expect(busy).toBe("true");
    expect((await told(3)).slice(1)).toEqual([`described scene-2.png: ${texts[2]}`, `described scene-3.png: ${texts[3]}`]);
    expect(await state()).toEqual({ alts: [texts[2], "mine", "", texts[3]], lines: [texts[2], texts[3]], busy: null });
    await web.page.evaluate(() => document.querySelector("sight-line")!.toggleAttribute("force"));
    expect((await told(6)).slice(3)).toEqual([`described scene-2.png: ${texts[2]}`, `described scene-1.png: ${texts[1]}`, `described scene-3.png: ${texts[3]}`]);
  });

  test("an image that left stays as it is, and so does one that the author gave a text meanwhile", async () => {
    const alts = await web.page.evaluate(async () => {
      exported.told.length = 0;
      document.body.innerHTML = '<sight-line caption><img id="gone" src="/scene-0.png"><img id="named" src="/scene-1.png"><img src="/scene-2.png"></sight-line>';
      const gone = document.querySelector<HTMLImageElement>("#gone")!;
      gone.remove();
      gone.src = "/scene-3.png";
      document.querySelector<HTMLImageElement>("#named")!.alt = "mine";
      while (document.querySelector("sight-line")!.ariaBusy !== null) await new Promise((resolve) => setTimeout(resolve, 20));
      return [gone, ...document.images].map((image) => image.getAttribute("alt"));
    });
    const { text } = await nodeSays(2);
    expect(alts).toEqual([null, "mine", text]);
    expect(await told(1)).toEqual([`described scene-2.png: ${text}`]);
    expect(await web.page.evaluate(() => document.querySelector("sight-line")!.shadowRoot!.querySelectorAll('[part="caption"]').length)).toBe(1);
  });

  test("what fails is an event and a single warning; a lazy one waits until an image comes near", async () => {
    const warnings: string[] = [];
    web.page.on("console", (message) => message.type() === "warn" && warnings.push(message.text()));
    await web.page.evaluate(() => {
      exported.told.length = 0;
      document.body.innerHTML = '<sight-line><img src="/words.png"><img src="/words.png"></sight-line><div style="height: 5000px"></div><sight-line lazy><img src="/scene-0.png"></sight-line>';
    });
    const failures = await told(2);
    expect(failures).toEqual(Array.from({ length: 2 }, () => expect.stringMatching(/^failed words\.png: words\.png must be a picture/)));
    expect(warnings).toEqual([expect.stringMatching(/^<sight-line>: words\.png must be a picture/)]);
    await web.page.evaluate(() => scrollTo(0, document.body.scrollHeight));
    expect((await told(3)).at(-1)).toBe(`described scene-0.png: ${(await nodeSays(0)).text}`);
  });
});
