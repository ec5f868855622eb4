import type { ViewProps } from "../app.tsx";

export function CaptionView(_: ViewProps) {
  return <div class="wide"><h1>Caption</h1></div>;
}
