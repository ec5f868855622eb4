import { describe, expect, test } from "vitest";
import { CheckpointError } from "../src/core/errors.ts";
import { FILE_KINDS, FileFuzzer, tryFile, type FileTrial } from "./fuzz/files.ts";

const COUNT = 400; // inputs of each kind

describe("damaged files", () => {
  test.each(FILE_KINDS)("%s: read rightly or refused by one line, in time and within honest memory", async (kind) => {
    const fuzzer = new FileFuzzer(1, [kind]);
    const outcomes = { read: 0, refused: 0 };
    for (let index = 0; index < COUNT; index++) {
      const { outcome, problem } = await fuzzer.tryInput(index);
      expect(problem, `npm run fuzz -- --files ${COUNT} --kind ${kind} --only ${index}`).toBeUndefined();
      if (outcome !== "wrong") outcomes[outcome]++;
    }
    // Damage that stops every reader at the first byte would test nothing, nor would none at all.
    expect(outcomes.read).toBeGreaterThan(COUNT / 10);
    expect(outcomes.refused).toBeGreaterThan(COUNT / 3);
  });

  test("are the same for a seed, whatever was tried before", () => {
    const [a, b, other] = [new FileFuzzer(3), new FileFuzzer(3), new FileFuzzer(4)];
    const later = a.bytesOf(100);
    for (let index = 0; index < 100; index++) b.bytesOf(index);
    expect(b.bytesOf(100)).toEqual(later);
    const isSame = Array.from({ length: 40 }, (_, index) => a.bytesOf(index).join() === other.bytesOf(index).join());
    expect(isSame).toContain(false);
  });
});

describe("what counts as wrong", () => {
  const trial = (read: () => Promise<string | undefined>): Promise<Omit<FileTrial, "kind">> => tryFile(read, "input 1", 0);
  const kept: unknown[] = [];

  test.each<[string, () => Promise<string | undefined>, RegExp]>([
    ["an error that nobody meant", () => Promise.reject(new TypeError("x is undefined")), /TypeError: x is undefined/],
    ["an error without the file's name", () => Promise.reject(new CheckpointError("it is damaged")), /does not name the file/],
    ["an error of two lines", () => Promise.reject(new CheckpointError("input 1: it is\ndamaged")), /has line breaks or control characters/],
    ["an error that drives the terminal", () => Promise.reject(new CheckpointError("input 1: \u001b[2J")), /has line breaks or control characters/],
    ["an error of a page", () => Promise.reject(new CheckpointError(`input 1: ${"x".repeat(3000)}`)), /has 3009 characters/],
    ["a wrong answer", async () => "2 is 3", /2 is 3/],
    ["a great array", async () => void kept.push(new Uint8Array(40_000_000)), /took (3|4)\d\.\d MB of memory, honest would be 12\.0/],
    ["a great heap", async () => void kept.push(Array.from({ length: 5_000_000 }, (_, i) => i)), /took \d+\.\d MB of memory/],
    ["a long time", async () => {
      for (const end = performance.now() + 2100; performance.now() < end; );
      return undefined;
    }, /took 2\d\d\d ms/],
  ])("%s", async (_name, read, problem) => {
    expect(await trial(read)).toMatchObject({ outcome: "wrong", problem: expect.stringMatching(problem) as string });
  });

  test("a refusal in one line is right", async () => {
    expect(await trial(() => Promise.reject(new CheckpointError("input 1: it is damaged")))).toEqual({ outcome: "refused" });
  });
});
