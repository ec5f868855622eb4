import { DeviceError } from "../core/errors.ts";
import type { Guard } from "./buffers.ts";

/** How each binding is used, in order: `r` read-only, `w` read-write. */
export type Access = string;

/** WGSL and what a pipeline needs to know beside it. */
export interface PipelineRequest {
  readonly name: string;
  readonly wgsl: string;
  readonly access: Access;
}

/** Called while pipelines compile, with how many are done. */
export type CompileProgress = (done: number, total: number) => void;

/** Compiled pipelines, keyed by the WGSL text itself: a stale hit is impossible. */
export class PipelineCache {
  private readonly gpu: GPUDevice;
  private readonly guard: Guard;
  private readonly ready = new Map<string, GPUComputePipeline>();
  private readonly layouts = new Map<Access, GPUBindGroupLayout>();

  constructor(gpu: GPUDevice, guard: Guard) {
    this.gpu = gpu;
    this.guard = guard;
  }

  get size(): number {
    return this.ready.size;
  }

  /** The pipeline, compiled on the spot where {@link prepare} has not compiled it yet. */
  get(request: PipelineRequest): GPUComputePipeline {
    const key = keyOf(request);
    let pipeline = this.ready.get(key);
    if (pipeline === undefined) {
      pipeline = this.guard(`pipeline of ${request.name}`, () => this.gpu.createComputePipeline(this.descriptor(request)));
      this.ready.set(key, pipeline);
    }
    return pipeline;
  }

  /**
   * Compiles what is missing, side by side and without blocking.
   * @throws DeviceError with line, column and source for a WGSL error.
   */
  async prepare(requests: readonly PipelineRequest[], onProgress?: CompileProgress): Promise<void> {
    const missing = new Map(requests.filter((request) => !this.ready.has(keyOf(request))).map((request) => [keyOf(request), request]));
    let done = 0;
    await Promise.all(
      [...missing].map(async ([key, request]) => {
        this.ready.set(key, await this.compile(request));
        onProgress?.(++done, missing.size);
      }),
    );
  }

  bindGroupLayout(access: Access): GPUBindGroupLayout {
    let layout = this.layouts.get(access);
    if (layout === undefined) {
      const entries = [...access].map((use, binding): GPUBindGroupLayoutEntry => ({
        binding,
        visibility: GPUShaderStage.COMPUTE,
        buffer: { type: use === "r" ? "read-only-storage" : "storage" },
      }));
      layout = this.guard(`bind group layout ${access}`, () => this.gpu.createBindGroupLayout({ label: `layout ${access}`, entries }));
      this.layouts.set(access, layout);
    }
    return layout;
  }

  private descriptor(request: PipelineRequest): GPUComputePipelineDescriptor & { compute: { module: GPUShaderModule } } {
    return {
      label: request.name,
      layout: this.gpu.createPipelineLayout({ label: request.name, bindGroupLayouts: [this.bindGroupLayout(request.access)] }),
      compute: { module: this.gpu.createShaderModule({ label: request.name, code: request.wgsl }), entryPoint: "main" },
    };
  }

  private async compile(request: PipelineRequest): Promise<GPUComputePipeline> {
    this.gpu.pushErrorScope("validation");
    const descriptor = this.descriptor(request);
    const moduleError = this.gpu.popErrorScope();
    try {
      const [pipeline] = await Promise.all([this.gpu.createComputePipelineAsync(descriptor), moduleError]);
      return pipeline;
    } catch (error) {
      const info = await descriptor.compute.module.getCompilationInfo();
      throw new DeviceError(`pipeline of ${request.name}: ${showCompilationErrors(info, request.wgsl) ?? (error as Error).message}`);
    }
  }
}

function keyOf(request: PipelineRequest): string {
  return `${request.access}\n${request.wgsl}`;
}

/** The first error of a WGSL compilation with the source around it, or undefined where there is none. */
export function showCompilationErrors(info: GPUCompilationInfo, wgsl: string): string | undefined {
  const error = info.messages.find((message) => message.type === "error");
  if (error === undefined) return undefined;
  const lines = wgsl.split("\n");
  const first = Math.max(0, error.lineNum - 3);
  const excerpt = lines.slice(first, error.lineNum + 2).flatMap((line, i) => {
    const number = first + i + 1;
    const shown = `${String(number).padStart(5)} | ${line}`;
    return number === error.lineNum ? [shown, `${" ".repeat(7 + error.linePos)}^`] : [shown];
  });
  return `WGSL error at line ${error.lineNum}, column ${error.linePos}: ${error.message}\n${excerpt.join("\n")}`;
}
