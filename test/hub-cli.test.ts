import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { FileStore } from "../src/checkpoint/hub/files.ts";
import { PUBLISHED } from "../src/checkpoint/hub/manifest.ts";
import { useCommandLine, type Ended, type Running } from "./cli.ts";
import { HubServer, breaks, sha256Of, stalls, weights } from "./hub-server.ts";

const cli = useCommandLine();
const BYTES = weights(300_000);
const FILE = `/org/model/resolve/${"c".repeat(40)}/model.safetensors`;
const cache = join(cli.folder, "cache");
const store = new FileStore(cache);
const LOCATION = join(cache, "hf/org/model/main/model.safetensors");

let server: HubServer;
beforeAll(async () => {
  server = await HubServer.start();
});
afterAll(() => server.stop());
beforeEach(() => {
  rmSync(cache, { recursive: true, force: true });
  server.forget();
  server.putRepo("org/model", { "config.json": "{}", "model.safetensors": BYTES });
});

const start = (...args: string[]): Running => cli.start("pull", "org/model", "--endpoint", server.origin, "--cache", cache, ...args);
const run = (...args: string[]): Promise<Ended> => start(...args).ended;

/** Waits until the cache holds this much of the weights. */
async function arrived(size: number): Promise<void> {
  await expect.poll(async () => (await store.list()).find(({ key }) => key.endsWith("model.safetensors"))?.size ?? 0, { timeout: 20_000 }).toBeGreaterThanOrEqual(size);
}

describe("sightline pull", () => {
  test("--help shows examples", async () => {
    const { code, stdout } = await cli.run("pull", "--help");
    expect(code).toBe(0);
    expect(stdout).toContain("Examples:\n  sightline pull\n");
    expect(stdout).toMatch(/--offline.*SIGHTLINE_OFFLINE=1/s);
  });

  test("lists what there is by name", async () => {
    const { code, stdout, stderr } = await cli.run("pull", "--cache", cache);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    const lines = stdout.split("\n");
    expect(lines[0]).toMatch(/^name +size +licence +cached +what it is$/);
    expect(lines.slice(1, PUBLISHED.length + 1).map((line) => line.split(" ")[0])).toEqual(PUBLISHED.map(({ name }) => name));
    expect(stdout).toMatch(/\ngpt2 +549\.6 MB +MIT +GPT-2 small/);
    expect(stdout).toContain(`\ncache: ${cache}\n`);
    const json = JSON.parse((await cli.run("pull", "--cache", cache, "--json")).stdout) as { models: unknown[] };
    expect(json.models[0]).toEqual({ name: "resnet18", about: expect.any(String) as string, licence: "BSD-3-Clause", fits: ["resnet"], source: "https://download.pytorch.org/models/", size: 46_830_571, cached: "no" });
  });

  test.each([[["--file", "config.json", "gpt2"], "--file config.json gpt2"], [["--revision", "main"], "--revision main"], [["--force"], "--force"]])("%j without a name lists nothing", async (args, typed) => {
    const { code, stdout, stderr } = await cli.run("pull", "--cache", cache, ...args);
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    expect(stderr).toBe(`error: ${typed} must come with the name of weights; got no name (put the name first: sightline pull NAME --file PATH; without options sightline pull lists the names)\n`);
  });

  test("downloads, prints the paths, and finds them in the cache afterwards, offline too", async () => {
    const paths = ["config.json", "model.safetensors"].map((path) => join(cache, "hf/org/model/main", path));
    expect(await run()).toEqual({ code: 0, stdout: `${paths.join("\n")}\n`, stderr: "org/model: 2 files, 300.0 KB, downloaded\n" });
    expect(sha256Of(readFileSync(LOCATION))).toBe(sha256Of(BYTES));
    expect((await run()).stderr).toBe("org/model: 2 files, 300.0 KB, in the cache already\n");
    server.forget();
    const { stdout } = await run("--offline", "--json");
    expect(JSON.parse(stdout)).toEqual({ name: "org/model", files: [{ file: "config.json", path: paths[0], size: 2, sha256: sha256Of(new TextEncoder().encode("{}")), cached: true }, { file: "model.safetensors", path: LOCATION, size: BYTES.length, sha256: sha256Of(BYTES), cached: true }] });
    expect(server.requests).toEqual([]);
    expect((await cli.run("pull", "--cache", cache)).stdout).toContain("also cached: hf/org/model/main/model.safetensors, 300.0 KB");
    expect((await run("--force", "--file", "model.safetensors")).stderr).toBe("org/model: 1 file, 300.0 KB, downloaded\n");
  });

  test("the environment names endpoint, cache and offline use", async () => {
    const { code, stdout } = await cli.shell(`HF_ENDPOINT=${server.origin} SIGHTLINE_HOME=${cli.folder}/home $sightline pull org/model/config.json`);
    expect({ code, stdout }).toEqual({ code: 0, stdout: `${cli.folder}/home/hub/hf/org/model/main/config.json\n` });
    const offline = await cli.shell(`SIGHTLINE_OFFLINE=1 SIGHTLINE_HOME=${cli.folder}/home $sightline pull org/model/config.json`);
    expect(offline.stdout).toBe(stdout);
  });

  test("Ctrl-C keeps what has arrived and says how to go on", async () => {
    server.next(FILE, stalls(100_000));
    const { child, ended } = start();
    await arrived(100_000);
    child.kill("SIGINT");
    const { code, stdout, stderr } = await ended;
    expect({ code, stdout }).toEqual({ code: 130, stdout: "" });
    expect(stderr).toBe(`stopping; what has arrived is kept (press Ctrl-C again to end at once)\nstopped at 100.0 KB of 300.0 KB of model.safetensors; go on with: sightline pull org/model --endpoint ${server.origin} --cache ${cache}\n`);
    expect((await cli.run("pull", "--cache", cache)).stdout).toContain("begun: hf/org/model/main/model.safetensors, 100.0 KB");
    server.forget();
    expect((await run()).code).toBe(0);
    expect(server.rangesOf(FILE)).toEqual(["bytes=100000-"]);
    expect(sha256Of(readFileSync(LOCATION))).toBe(sha256Of(BYTES));
  });

  test("two processes at once, one of them killed, leave a whole file", async () => {
    server.next(FILE, stalls(120_000));
    const first = start();
    await arrived(120_000);
    server.next(FILE, breaks(50_000));
    const second = start();
    expect((await second.ended).code).toBe(0);
    expect(sha256Of(readFileSync(LOCATION))).toBe(sha256Of(BYTES));
    first.child.kill("SIGKILL");
    expect((await first.ended).code).toBeNull();
    server.forget();
    expect((await run("--force", "--file", "model.safetensors")).code).toBe(0);
    expect(sha256Of(readFileSync(LOCATION))).toBe(sha256Of(BYTES));
    expect((await store.list()).filter(({ complete }) => !complete)).toEqual([]);
  });

  test.each([
    [["resnt50"], /^error: "resnt50" must be a name of published weights.*did you mean resnet50/],
    [["org/none", "--endpoint", "ENDPOINT"], /^error: org\/none: .* has no such repository, or it holds no weights/],
    [["org/none", "--offline"], /^error: org\/none: .* must be in the cache to be used offline/],
    [["gpt2", "--endpoint", "hub.test"], /^error: the endpoint must be a web address/],
    [["resnet50", "--revision", "main"], /^error: --revision main: resnet50 is no repository/],
    [["org/model", "--file", "../../x"], /^error: org\/model: a file's name must be a plain path below its folder; got "\.\.\/\.\.\/x"/],
    [["org/\u001b[2J"], /^error: "org\/.*" must be a name/],
  ])("%j is refused in one line", async (args, message) => {
    const { code, stdout, stderr } = await cli.run("pull", ...args.map((arg) => arg.replace("ENDPOINT", server.origin)), "--cache", cache);
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    expect(stderr).toMatch(message);
    expect(stderr.trimEnd().split("\n")).toHaveLength(1);
    expect(stderr).not.toContain("\u001b");
  });
});
