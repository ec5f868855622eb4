import type { ViewProps } from "../app.tsx";

export function NoWebGPUView(_: ViewProps) {
  return <div class="wide"><h1>NoWebGPU</h1></div>;
}
