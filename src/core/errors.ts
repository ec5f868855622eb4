/** Base of every error that this library throws on purpose: one clear line, and how to mend it. */
export class SightlineError extends Error {
  /** What to do about it, as a sentence for the user. */
  readonly hint: string | undefined;

  constructor(message: string, hint?: string, options?: ErrorOptions) {
    super(hint === undefined ? message : `${message} (${hint})`, options);
    this.name = new.target.name;
    this.hint = hint;
  }
}

/** Shapes, ranks or attributes that an op, layer or kernel cannot work with. */
export class ShapeError extends SightlineError {}

/** No usable adapter, a failed pipeline, an out-of-memory condition or a lost device. */
export class DeviceError extends SightlineError {}

/** A file, folder, flag or other input from the user that cannot be used as it is. */
export class InputError extends SightlineError {}

/** A checkpoint that is damaged, incomplete or of another model. */
export class CheckpointError extends SightlineError {}
