import type { GeneratorState } from "../core/rng.ts";
import type { Device } from "../device/device.ts";
import { Tensor, tensor } from "./tensor.ts";

/**
 * Random numbers for kernels: each draw is a tensor that says which part of a Threefry sequence a kernel may use.
 *
 * A draw is u32 [4]: seed, stream, and a 64-bit counter, low word first. Draw n has the counter n · 2³²: up to 2³²
 * pairs of numbers that no other draw has. In a recording the draw is written anew before each replay, so that each
 * step has other numbers; the state stands in checkpoints, and a generator that goes on from it draws the same.
 */
export class DeviceGenerator {
  readonly device: Device;
  private seed: number;
  private stream: number;
  private counter = 0;

  /** @param stream Separates independent sequences of one seed. */
  constructor(device: Device, seed: number, stream = 0) {
    this.device = device;
    this.seed = seed >>> 0;
    this.stream = stream >>> 0;
  }

  /** Seed, stream and the number of draws so far. */
  get state(): GeneratorState {
    return { seed: this.seed, stream: this.stream, counter: this.counter };
  }

  set state({ seed, stream, counter }: GeneratorState) {
    this.seed = seed >>> 0;
    this.stream = stream >>> 0;
    this.counter = counter;
  }

  /** The next draw; inside a recording, the next one at each replay. */
  draw(): Tensor {
    const { tracing } = this.device;
    if (tracing === null) return tensor(this.device, this.next(), [4]);
    const draw = new Tensor(this.device, [4], "u32", tracing.allocateConstant(new Uint32Array(4), "random draw"));
    tracing.onReplay(() => draw.write(this.next()));
    return draw;
  }

  private next(): Uint32Array {
    return Uint32Array.of(this.seed, this.stream, 0, this.counter++);
  }
}
