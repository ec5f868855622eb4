import type { ViewProps } from "../app.tsx";

export function BenchView(_: ViewProps) {
  return <div class="wide"><h1>Bench</h1></div>;
}
