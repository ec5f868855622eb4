import type { ViewProps } from "../app.tsx";

export function TrainView(_: ViewProps) {
  return <div class="wide"><h1>Train</h1></div>;
}
