import { SightlineError } from "../core/errors.ts";
import { plain } from "./terminal.ts";

/** Functions stand before what they say, for programmers: `readImage: …`. People at a terminal know no functions. */
const FUNCTION = /^[a-z]+[A-Z][A-Za-z]*: /;

/** What people read of an error: one line, and the stack behind it where it is wanted. */
export function showFailure(error: unknown, verbose: boolean): string {
  const stack = verbose && error instanceof Error ? `\n${stackOf(error)}` : "";
  return `error: ${plain(messageOf(error)).replace(/\s*\n\s*/g, " ")}${stack}`;
}

function messageOf(error: unknown): string {
  if (error instanceof SightlineError) return error.message.replace(FUNCTION, "");
  const text = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  return `${text} (this is a defect; run again with --verbose and report it)`;
}

function stackOf(error: Error): string {
  const cause = error.cause instanceof Error ? `\ncaused by ${stackOf(error.cause)}` : "";
  return `${error.stack ?? error.message}${cause}`;
}
