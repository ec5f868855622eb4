/** The exit code of a program that was stopped with Ctrl-C. */
export const STOPPED = 130;

/** Ctrl-C: once, the step under way is finished and the run saved; twice, or when nothing is trained, it ends at once. */
export class Interruption {
  private readonly say: (line: string) => void;
  private readonly stopping: string;
  private controller: AbortController | null = null;
  private readonly onSignal = (): void => {
    if (this.controller === null || this.controller.signal.aborted) process.exit(STOPPED);
    this.controller.abort();
    this.say(this.stopping);
  };

  /**
   * @param say Prints a line to the user.
   * @param stopping What is said when the task is asked to stop.
   */
  constructor(say: (line: string) => void, stopping = "stopping after this step, then saving (press Ctrl-C again to end at once)") {
    this.say = say;
    this.stopping = stopping;
    process.on("SIGINT", this.onSignal);
    process.on("SIGTERM", this.onSignal);
  }

  /** From here on there is something to save. */
  begin(): AbortSignal {
    this.controller = new AbortController();
    return this.controller.signal;
  }

  /** All is saved. */
  end(): void {
    this.controller = null;
  }

  /** Leaves the signals to the system again. */
  stop(): void {
    process.off("SIGINT", this.onSignal);
    process.off("SIGTERM", this.onSignal);
  }
}
