import { forgetCasts } from "../autograd/autocast.ts";
import { run } from "../autograd/run.ts";
import { Tensor } from "../autograd/tensor.ts";
import { CheckpointError, SightlineError } from "../core/errors.ts";
import type { HostTensor } from "../core/host-tensor.ts";
import { sameShape, showShape, sizeOf, type Shape } from "../core/shape.ts";
import type { Device } from "../device/device.ts";
import { Storage } from "../device/storage.ts";
import { clipFactor, squareSumCount, squareSums } from "../kernels/gradient-norm.ts";
import { accumulate, clear, updateKernel, type UpdateRule } from "../kernels/optimizer.ts";
import { buildArenas, gradientsOf, placeGradients, rangesOf, releaseArena, type Arena, type Range, type Slot } from "./arena.ts";
import type { LossScaler } from "./loss-scaler.ts";

/** What every optimiser lets be set for each group, at any time. */
export interface Settings {
  lr: number;
  weightDecay: number;
}

/** Parameters that share settings; those that are left out come from the optimiser's options. */
export type ParameterGroup<S extends Settings> = { readonly params: readonly Tensor[] } & Partial<S>;

export interface StepOptions {
  /**
   * Scales all gradients together so that their norm is at most this; a norm that is not finite leaves parameters and
   * moments as they are. `Infinity` only measures.
   */
  readonly clipNorm?: number;
  /** The scaler whose `scale(loss)` the gradients come from: they are scaled back, and skipped where they overflowed. */
  readonly scaler?: LossScaler;
}

/**
 * Changes parameters by their gradients. What subclasses add is a rule in WGSL, and its numbers at each step.
 *
 * The parameters of each group are moved into one flat buffer, beside which lie their gradients and moments, so that a
 * step is one dispatch a group. In a recording, gradients are computed right where the step reads them. A parameter
 * without a gradient is left alone; frozen ones (`requiresGrad` false when the optimiser is made) take no memory.
 * Settings may change at any time: they are read at each run of a step, not when it is recorded.
 */
export abstract class Optimizer<S extends Settings> {
  /** The settings of each group. */
  readonly groups: readonly S[];

  private readonly rule: UpdateRule;
  private readonly device: Device;
  private readonly parameters: readonly Tensor[];
  private readonly arenas: readonly Arena[];
  private readonly slots: readonly Slot[];
  /** Hyper-parameters of each range, and the tensors of clipping; lasting, so that recordings can share them. */
  private readonly lasting = new Map<string, Tensor>();
  /** Whether steps use the sums of {@link accumulate}. */
  protected accumulates = false;

  /** @throws SightlineError if there is no parameter to train, one is in two groups, or a recording is being traced. */
  constructor(rule: UpdateRule, groups: readonly ParameterGroup<S>[], defaults: S) {
    this.rule = rule;
    this.groups = groups.map(({ params: _, ...own }) => ({ ...defaults, ...own }));
    this.parameters = groups.flatMap(({ params }) => [...params]);
    const { device, arenas } = buildArenas(groups.map(({ params }) => params), rule.moments.length);
    this.device = device;
    this.arenas = arenas;
    this.slots = arenas.flatMap(({ slots }) => slots);
  }

  /** The numbers of the rule at a step, counted from 1, in the order of its `hyperparameters`. */
  protected abstract hyperparameters(settings: S, step: number): readonly number[];

  /** The learning rate of the first group; setting it sets that of all groups. */
  get lr(): number {
    return this.groups[0].lr;
  }

  set lr(value: number) {
    for (const group of this.groups) group.lr = value;
  }

  /**
   * The norm of all gradients before clipping, a scalar that each step with `clipNorm` writes.
   * @throws SightlineError before the first such step.
   */
  get gradientNorm(): Tensor {
    const norm = this.lasting.get("norm");
    if (norm === undefined) throw new SightlineError("gradientNorm: it is measured by step({ clipNorm }); there was none yet", "pass clipNorm, Infinity to only measure");
    return norm;
  }

  /**
   * Changes the parameters that have gradients, and takes the gradients away. The step number advances at each run, of
   * a recording too, even where a norm that is not finite leaves everything else as it is.
   */
  step({ scaler, clipNorm = scaler === undefined ? undefined : Infinity }: StepOptions = {}): void {
    if (clipNorm !== undefined && !(clipNorm > 0)) throw new SightlineError(`step: clipNorm must be above 0; got ${clipNorm}`);
    this.requireHome("step");
    if (this.accumulates) this.accumulate();
    else placeGradients(this.device, this.slots);
    const ranges = rangesOf(this.device, this.arenas);
    const hyper = ranges.map(({ name }) => this.lastingTensor(`hyper ${name}`, [this.rule.hyperparameters.length]));
    const limit = clipNorm === undefined ? null : this.lastingTensor("limit", [1]);

    const prepare = (): void => {
      limit?.write(Float32Array.of(clipNorm!));
      ranges.forEach(({ group, slots }, i) => {
        for (const slot of slots) slot.step++;
        hyper[i].write(Float32Array.from(this.hyperparameters(this.groups[group], slots[0].step)));
      });
    };
    if (this.device.tracing === null) prepare();
    else this.device.tracing.onReplay(prepare);

    const factor = limit === null ? [] : [this.measure(ranges, limit, scaler)];
    const kernel = updateKernel(this.rule);
    ranges.forEach(({ parameters, gradients, moments }, i) => {
      run(kernel, [parameters, ...moments, gradients, hyper[i], ...factor], { clipped: limit !== null });
      if (this.accumulates) run(clear, [gradients], {});
    });
    this.dropGradients();
    forgetCasts();
  }

  /**
   * Adds the gradients to sums that the next {@link step} uses, and takes them away: for batches in several parts.
   * A parameter that ever had a gradient here counts as having one in each later step.
   */
  accumulate(): void {
    this.requireHome("accumulate");
    if (!this.accumulates) {
      this.accumulates = true;
      this.device.relocations++; // steps recorded so far would overwrite the sums
      for (const slot of this.slots) slot.active = false;
      this.clearGradientArenas();
    }
    for (const slot of this.slots) {
      for (const gradient of gradientsOf(slot)) {
        run(accumulate, [slot.gradient, gradient], {});
        if (slot.active) continue;
        slot.active = true;
        this.device.relocations++; // … or leave this parameter out
      }
    }
    this.dropGradients();
  }

  /** Forgets gradients, and sums of {@link accumulate}; outside of a recording also which parameters ever had one there. */
  zeroGrad(): void {
    this.dropGradients();
    if (!this.accumulates) return;
    for (const { gradients } of rangesOf(this.device, this.arenas)) run(clear, [gradients], {});
    if (this.device.tracing !== null) return;
    for (const slot of this.slots) slot.active = false;
    this.device.relocations++;
  }

  /** The sum of a parameter's gradients for the next step; null where nothing is accumulated for it. */
  protected sumOf(parameter: Tensor): Tensor | null {
    const slot = this.slots.find(({ parameters }) => parameters.includes(parameter));
    return this.accumulates && slot?.active ? slot.gradient : null;
  }

  /** Moments and step number of each parameter, named `<index>.<moment>` and `<index>.step`, in order. */
  async stateDict(): Promise<Map<string, HostTensor>> {
    const state = new Map<string, HostTensor>();
    const steps = this.slots.map(({ step }) => step);
    const values = await Promise.all(this.slots.map(({ moments }) => Promise.all(moments.map((moment) => moment.read()))));
    this.slots.forEach(({ gradient: { shape } }, index) => {
      this.rule.moments.forEach((name, i) => state.set(`${index}.${name}`, { dtype: "f32", shape, data: values[index][i] }));
      state.set(`${index}.step`, { dtype: "i32", shape: [1], data: Int32Array.of(steps[index]) });
    });
    return state;
  }

  /**
   * Goes on from what {@link stateDict} gave, to the same bits.
   * @throws CheckpointError if an entry is missing, left over, or of another shape; nothing is changed then.
   */
  loadStateDict(state: ReadonlyMap<string, HostTensor>): void {
    const writes: (() => void)[] = [];
    const names = new Set(state.keys());
    const take = (name: string, shape: readonly number[], dtype: string): HostTensor => {
      const entry = state.get(name);
      names.delete(name);
      if (entry === undefined || entry.dtype !== dtype || !sameShape(entry.shape, shape)) {
        const got = entry === undefined ? "nothing" : `${entry.dtype} ${showShape(entry.shape)}`;
        throw new CheckpointError(`loadStateDict: "${name}" must be ${dtype} ${showShape(shape)}; got ${got}`, "the state belongs to another optimiser or model");
      }
      return entry;
    };
    this.slots.forEach((slot, index) => {
      this.rule.moments.forEach((name, i) => {
        const { data } = take(`${index}.${name}`, slot.gradient.shape, "f32");
        writes.push(() => slot.moments[i].write(data));
      });
      const step = take(`${index}.step`, [1], "i32").data[0];
      writes.push(() => (slot.step = step));
    });
    if (names.size > 0) throw new CheckpointError(`loadStateDict: ${names.size} entries belong to no parameter, among them "${[...names][0]}"`, "the state belongs to another optimiser or model");
    for (const write of writes) write();
    this.device.relocations++; // recorded ranges are cut where step numbers differ
  }

  /** Gives back the memory of gradients and moments. The parameters stay where they are. */
  dispose(): void {
    for (const arena of this.arenas) releaseArena(arena);
    for (const tensor of this.lasting.values()) tensor.dispose();
    this.lasting.clear();
  }

  /** Norm of the gradients of all ranges; returns the factor that clips them. */
  private measure(ranges: readonly Range[], limit: Tensor, scaler?: LossScaler): Tensor {
    const counts = ranges.map(({ gradients }) => squareSumCount(gradients.size, this.device.limits));
    const total = counts.reduce((sum, count) => sum + count, 0);
    const norm = this.lastingTensor("norm", []);
    const factor = this.lastingTensor("factor", [1]);
    const sums = this.lastingTensor(`sums ${total}`, [Math.max(1, total)]);
    const { buffer } = sums.storage.placed!;
    let offset = 0;
    ranges.forEach(({ gradients }, i) => {
      const size = counts[i] * Float32Array.BYTES_PER_ELEMENT;
      run(squareSums, [new Tensor(this.device, [counts[i]], "f32", new Storage(size, "square sums", { buffer, offset, size })), gradients], {});
      offset += size;
    });
    run(clipFactor, [norm, factor, sums, limit, ...(scaler === undefined ? [] : [scaler.state])], {});
    return factor;
  }

  private lastingTensor(name: string, shape: Shape): Tensor {
    let tensor = this.lasting.get(name);
    if (tensor === undefined) {
      tensor = new Tensor(this.device, shape, "f32", this.device.allocatePersistent(4 * sizeOf(shape), `optimizer ${name}`, true));
      this.lasting.set(name, tensor);
    }
    return tensor;
  }

  private dropGradients(): void {
    for (const parameter of this.parameters) parameter.grad = null;
  }

  /** At once, even while a recording is traced: the sums must start at zero, but not anew at each replay. */
  private clearGradientArenas(): void {
    this.device.flush();
    const encoder = this.device.gpu.createCommandEncoder({ label: "clear gradients" });
    for (const buffer of new Set(this.slots.map(({ gradient }) => gradient.storage.placed!.buffer))) encoder.clearBuffer(buffer);
    this.device.gpu.queue.submit([encoder.finish()]);
  }

  private requireHome(what: string): void {
    for (const { parameters, home } of this.slots) {
      const { placed } = parameters[0].storage;
      if (placed?.buffer !== home.buffer || placed.offset !== home.offset) {
        throw new SightlineError(`${what}: a parameter of shape ${showShape(parameters[0].shape)} was disposed, or moved by a later optimiser`, "make a new optimiser");
      }
    }
    const trained = new Set(this.slots.flatMap(({ parameters }) => parameters));
    const late = this.parameters.find((parameter) => parameter.grad !== null && !trained.has(parameter));
    if (late !== undefined) {
      throw new SightlineError(`${what}: a parameter of shape ${showShape(late.shape)} has a gradient, but was frozen when the optimiser was made`, "unfreeze parameters before that");
    }
  }
}
