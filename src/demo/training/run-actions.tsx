import { openInCaptionView } from "../hand-over.ts";
import { saveFile } from "./save-file.ts";
import type { RunSummary } from "./service.ts";
import type { TrainingState } from "./use-training.ts";

/** What can be done with a run's checkpoints. */
export function RunActions({ run: { name, checkpoints }, training }: { readonly run: RunSummary; readonly training: TrainingState }) {
  if (checkpoints.length === 0) return null;
  const [forCaptions] = checkpoints;
  return (
    <div class="row">
      <button type="button" onClick={() => training.change(async (service) => openInCaptionView(await service.checkpoint(name, forCaptions)))}>Caption with it</button>
      {checkpoints.map((kind) => <button key={kind} type="button" class="plain" onClick={() => training.change(async (service) => saveFile(await service.checkpoint(name, kind)))}>Download {kind}</button>)}
      <button type="button" class="plain" onClick={() => training.change(async (service) => saveFile(await service.archive(name)))}>Download all (zip)</button>
    </div>
  );
}
