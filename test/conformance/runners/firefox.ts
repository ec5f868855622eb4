import { missingForFirefox, openFirefox } from "../../firefox.ts";
import { visitWith } from "./page.ts";
import { serveSuite, type Runner } from "./runner.ts";

/** Debian's Firefox, whose WebGPU is wgpu, on lavapipe. */
export const firefox: Runner = {
  name: "firefox",
  title: "Firefox (wgpu), lavapipe",
  missing: missingForFirefox,
  run: (work, emit) => serveSuite(work, emit, visitWith(openFirefox)),
};
