import { fork, type ChildProcess } from "node:child_process";
import { summarize, type Summary } from "../measure.ts";
import { describeWorkload, workOf, type Workload } from "./contender.ts";
import { CONTENDERS, type Answer, type ContenderName, type Request } from "./worker.ts";

/** Samples of each contender, taken in turn: what else the machine does then slows all of them alike. */
const ROUNDS = 7;

/** A contender with longer runs than this, in seconds, takes part in every third round only. */
const SLOW = 5;

/** Mean magnitudes of results may differ by so much: f32 sums of thousands of terms in another order. */
const AGREEMENT = 1e-3;

/** Where the other libraries are met; products first, since there is a ratio to reach. */
export const WORKLOADS: readonly Workload[] = [
  ...[256, 512, 1024].map((n) => ({ kind: "matmul", a: [n, n], b: [n, n] }) as const),
  { kind: "conv2d", x: [32, 16, 48, 48], weight: [16, 16, 3, 3], stride: 1, padding: 1 },
  { kind: "conv2d", x: [32, 64, 12, 12], weight: [64, 64, 3, 3], stride: 1, padding: 1 },
  { kind: "conv2d", x: [1, 64, 56, 56], weight: [64, 64, 1, 1], stride: 1, padding: 0 },
  { kind: "softmax", x: [2048, 512] },
  { kind: "layerNorm", x: [1024, 768] },
];

/** What each contender took for a workload; null where it lacks the op, a text where it failed. */
export interface PeerTime {
  readonly workload: string;
  readonly flops: number;
  readonly times: Readonly<Partial<Record<ContenderName, Summary | string | null>>>;
}

/** Contenders in processes of their own, so that none disturbs another's memory, compiler or pools. */
export class Arena implements Disposable {
  private readonly members: readonly Member[];

  private constructor(members: readonly Member[]) {
    this.members = members;
  }

  /** Starts the processes one after the other; a contender that cannot start is left out and said. */
  static async open(say: (line: string) => void): Promise<Arena> {
    const members: Member[] = [];
    for (const name of CONTENDERS) {
      const member = new Member(name);
      const answer = await member.next();
      if (answer.answer === "ready") {
        members.push(member);
        say(`${name} ${answer.version} on ${answer.adapter}`);
      } else {
        member.end();
        say(`${name} is left out: ${answer.answer === "failed" ? answer.message : "it did not start"}`);
      }
    }
    return new Arena(members);
  }

  /** Measures all contenders on one workload, in turns; `seconds` is the length of a sample. */
  async compare(workload: Workload, seconds: number): Promise<PeerTime> {
    const times: Partial<Record<ContenderName, Summary | string | null>> = {};
    const ready: { member: Member; samples: number[] }[] = [];
    let expected: number | null = null;
    for (const member of this.members) {
      const answer = await member.ask({ ask: "prepare", workload, seconds });
      if (answer.answer === "prepared") {
        expected ??= answer.meanMagnitude;
        if (Math.abs(answer.meanMagnitude - expected) <= AGREEMENT * expected) ready.push({ member, samples: [] });
        else times[member.name] = `wrong: mean |y| is ${answer.meanMagnitude}, not ${expected}`;
      } else times[member.name] = answer.answer === "failed" ? answer.message : null;
    }
    for (let round = 0; round < ROUNDS; round++) {
      for (const { member, samples } of round % 2 === 0 ? ready : ready.toReversed()) {
        if (samples[0] > SLOW && round % 3 !== 0) continue;
        const answer = await member.ask({ ask: "sample" });
        if (answer.answer === "sample") samples.push(answer.seconds);
        else times[member.name] = answer.answer === "failed" ? answer.message : null;
      }
    }
    for (const { member, samples } of ready) {
      times[member.name] ??= summarize(samples);
      await member.ask({ ask: "release" });
    }
    return { workload: describeWorkload(workload), flops: workOf(workload).flops, times };
  }

  [Symbol.dispose](): void {
    for (const member of this.members) member.end();
  }
}

/** A contender's process, asked one thing at a time. */
class Member {
  readonly name: ContenderName;
  private readonly child: ChildProcess;
  private errors = "";

  constructor(name: ContenderName) {
    this.name = name;
    this.child = fork(process.argv[1], ["contender", name], { stdio: ["ignore", "ignore", "pipe", "ipc"] });
    this.child.stderr!.on("data", (text: Buffer) => (this.errors = `${this.errors}${text.toString()}`.slice(-2000)));
  }

  ask(request: Request): Promise<Answer> {
    const answer = this.next();
    this.child.send(request, () => undefined); // a process that has ended is noticed by next()
    return answer;
  }

  next(): Promise<Answer> {
    return new Promise((resolve) => {
      const onMessage = (answer: Answer): void => finish(answer);
      const onExit = (code: number | null): void => finish({ answer: "failed", message: `its process ended with ${code ?? "a signal"}: ${lastLine(this.errors)}` });
      const finish = (answer: Answer): void => {
        this.child.off("message", onMessage).off("exit", onExit);
        resolve(answer);
      };
      if (this.child.exitCode !== null || this.child.signalCode !== null) return finish({ answer: "failed", message: "its process has ended" });
      this.child.on("message", onMessage).on("exit", onExit);
    });
  }

  end(): void {
    if (this.child.connected) this.child.disconnect();
  }
}

function lastLine(text: string): string {
  return text.trim().split("\n").at(-1) ?? "";
}
