/** What a verb writes: results go to stdout, everything said along the way to stderr. */

// Names of files and captions come from outside: what could steer the terminal is shown as a question mark.
// eslint-disable-next-line no-control-regex
const CONTROL = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g;

/** A line of result. */
export function print(line = ""): void {
  process.stdout.write(`${plain(line)}\n`);
}

/** A line said along the way. */
export function note(line: string): void {
  process.stderr.write(`${plain(line)}\n`);
}

/** A text without control characters, on one line or more. */
export function plain(text: string): string {
  return text.replace(CONTROL, "?");
}

/**
 * Keeps a closed pipe (`… | head`) from ending in a crash: nobody reads any more, so a verb that only prints is done.
 * @param isWorking Whether the verb does more than print; then it goes on in silence.
 */
export function surviveClosedPipes(isWorking: () => boolean): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code !== "EPIPE") throw error;
      if (!isWorking()) process.exit(0);
    });
  }
}
