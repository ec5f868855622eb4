const MAX_SHOWN = 100; // characters of a value that a message shows

/** Base of every error that this library throws on purpose: one clear line, and how to mend it. */
export class SightlineError extends Error {
  override readonly name: string = "SightlineError"; // written out, as minifiers rename classes
  /** What to do about it, as a sentence for the user. */
  readonly hint: string | undefined;

  constructor(message: string, hint?: string, options?: ErrorOptions) {
    super(hint === undefined ? message : `${message} (${hint})`, options);
    this.hint = hint;
  }
}

/** Shapes, ranks or attributes that an op, layer or kernel cannot work with. */
export class ShapeError extends SightlineError {
  override readonly name: string = "ShapeError";
}

/** No usable adapter, a failed pipeline, an out-of-memory condition or a lost device. */
export class DeviceError extends SightlineError {
  override readonly name: string = "DeviceError";
}

/** A file, folder, flag or other input from the user that cannot be used as it is. */
export class InputError extends SightlineError {
  override readonly name: string = "InputError";
}

/** A checkpoint that is damaged, incomplete or of another model. */
export class CheckpointError extends SightlineError {
  override readonly name: string = "CheckpointError";
}

/** A server that cannot be reached, or whose connection keeps breaking. */
export class NetworkError extends SightlineError {
  override readonly name: string = "NetworkError";
}

/** Text from elsewhere with its line breaks and control characters spelled out, so that a message stays one line and leaves the terminal alone. */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\u2028\u2029]/gu, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

/** A value from a file as JSON of bearable length, for error messages. */
export function shown(value: unknown): string {
  const text = printable(jsonOf(typeof value === "string" ? value.slice(0, MAX_SHOWN) : value));
  return text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}…` : text;
}

function jsonOf(value: unknown): string {
  try {
    return JSON.stringify(value) ?? "nothing";
  } catch {
    return "a value that is nested too deeply to be shown"; // JSON.parse reads any depth, JSON.stringify only some thousand levels
  }
}
