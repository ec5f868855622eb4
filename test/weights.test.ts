import { readdirSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { evaluate } from "../src/caption/evaluate.ts";
import { Captioner } from "../src/caption/captioner.ts";
import { SYSTEMS } from "../src/caption/systems.ts";
import { loadSafetensors } from "../src/checkpoint/files.ts";
import { sceneSource } from "../src/data/pictures.ts";
import { useDevice } from "./device.ts";

const device = useDevice();

/** Test scenes that each captioner is asked about: 18 with pairs of colour and shape that were trained, 6 with others. */
const SCENES = 24;

test("there is one captioner of each system, with a model card", () => {
  const files = readdirSync("weights");
  for (const system of SYSTEMS) {
    expect(files).toContain(`${system}-scenes.safetensors`);
    expect(readFileSync(`weights/${system}-scenes.md`, "utf8")).toMatch(/^# A captioner of the system .*\| command \|.*\| trained \|.*\| adapter \|.*every fact right/s);
  }
});

test.each(SYSTEMS)("%s says what is on scenes that it never saw", async (system) => {
  const name = `weights/${system}-scenes.safetensors`;
  const captioner = await Captioner.fromCheckpoint(device(), await loadSafetensors(name), name);
  expect(captioner.system).toBe(system);
  const { test: scenes } = sceneSource(1, { train: 1, validation: 1, test: SCENES }, captioner.preprocessing);
  const [{ scores }] = await evaluate(captioner, scenes, {});
  captioner.dispose();
  expect(scores.factsRight!.of).toBe(18);
  expect(scores.factsRight!.count).toBeGreaterThanOrEqual(15); // each gets more than nine tenths of all test scenes right
});
