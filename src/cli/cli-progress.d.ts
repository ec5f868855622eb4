declare module "cli-progress" {
  /** The part of the package that is used here. */
  export class SingleBar {
    constructor(options: {
      readonly format: string;
      readonly stream: NodeJS.WriteStream;
      readonly barsize: number;
      readonly barCompleteChar: string;
      readonly barIncompleteChar: string;
      readonly clearOnComplete: boolean;
      /** true: lines are cut at the terminal's width; false: the terminal is told not to wrap. */
      readonly linewrap: boolean;
      /** Whether it takes over SIGINT and SIGTERM. */
      readonly gracefulExit: boolean;
    });
    start(total: number, value: number, payload: Readonly<Record<string, string>>): void;
    update(value: number, payload: Readonly<Record<string, string>>): void;
    setTotal(total: number): void;
    stop(): void;
  }
}
