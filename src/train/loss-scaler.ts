import { mul, slice } from "../autograd/ops/index.ts";
import { run } from "../autograd/run.ts";
import { Tensor } from "../autograd/tensor.ts";
import { CheckpointError, SightlineError } from "../core/errors.ts";
import type { HostTensor } from "../core/host-tensor.ts";
import type { Device } from "../device/device.ts";
import { updateLossScale, type LossScaleAttrs } from "../kernels/loss-scale.ts";

export interface LossScalerOptions extends Partial<LossScaleAttrs> {
  /** The first scale; default 65,536. */
  readonly scale?: number;
}

/**
 * Dynamic loss scaling, for training in f16: gradients too small for f16 are computed from a loss that is multiplied by
 * a great number, and divided by it before the optimiser uses them. A step in which one overflows is skipped and the
 * number halved; after 2,000 steps without overflow it is doubled. All of it happens on the device, in recordings too.
 *
 * @example
 * const loss = autocast(() => model.loss(images, ids));
 * scaler.scale(loss).backward();
 * optimizer.step({ clipNorm: 1, scaler });
 * scaler.update();
 */
export class LossScaler {
  /** Scale, steps since it changed, and whether a gradient of the step under way overflowed; [3]. */
  readonly state: Tensor;
  private readonly attrs: LossScaleAttrs;

  /** @throws SightlineError unless scale > 0, growth ≥ 1, 0 < backoff ≤ 1 and interval ≥ 1. */
  constructor(device: Device, { scale = 65_536, growth = 2, backoff = 0.5, interval = 2000 }: LossScalerOptions = {}) {
    if (!(scale > 0 && growth >= 1 && backoff > 0 && backoff <= 1 && interval >= 1)) {
      throw new SightlineError(`LossScaler: needs scale > 0, growth ≥ 1, 0 < backoff ≤ 1 and interval ≥ 1; got ${scale}, ${growth}, ${backoff}, ${interval}`);
    }
    this.attrs = { growth, backoff, interval };
    this.state = new Tensor(device, [3], "f32", device.allocatePersistent(12, "loss scale", true));
    this.state.write(Float32Array.of(scale, 0, 0));
  }

  /** The loss times the scale; loss [] → []. */
  scale(loss: Tensor): Tensor {
    return mul(loss, slice(this.state, 0, 0, 1).view(loss.shape));
  }

  /** Moves the scale, after the steps of all optimisers that used it. */
  update(): void {
    run(updateLossScale, [this.state], this.attrs);
  }

  /** The scale at this moment. */
  async value(): Promise<number> {
    return (await this.state.read())[0];
  }

  async stateDict(): Promise<Map<string, HostTensor>> {
    return new Map([["scale", { dtype: "f32", shape: [3], data: await this.state.read() }]]);
  }

  /** @throws CheckpointError if the state is not that of a scaler. */
  loadStateDict(state: ReadonlyMap<string, HostTensor>): void {
    const found = state.get("scale");
    if (found === undefined || found.dtype !== "f32" || found.data.length !== 3) {
      throw new CheckpointError('loadStateDict: "scale" must be f32 [3]', "the state belongs to something else than a loss scaler");
    }
    this.state.write(found.data);
  }

  dispose(): void {
    this.state.dispose();
  }
}
