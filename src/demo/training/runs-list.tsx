import { useState } from "preact/hooks";
import { byteSize, percent, thousands } from "../../core/format.ts";
import type { ListedFile } from "../../data/file-list.ts";
import { FileButton } from "../caption/file-button.tsx";
import { Dialog } from "../parts/dialog.tsx";
import { Notice } from "../parts/notice.tsx";
import { FolderButton } from "./folder-button.tsx";
import { RunActions } from "./run-actions.tsx";
import type { RunSummary } from "./service.ts";
import type { TrainingState } from "./use-training.ts";

/** Runs that are kept on this device, and a way in for those from elsewhere. */
export function RunsList({ training }: { readonly training: TrainingState }) {
  const { runs, error } = training;
  const atWorkHere = training.isAtWork ? training.course?.run?.name : undefined;
  const others = runs.filter(({ name }) => name !== atWorkHere);
  const [leaving, setLeaving] = useState<RunSummary | null>(null);
  return (
    <section class="train-runs" aria-labelledby="train-runs-heading">
      <h2 id="train-runs-heading">Runs on this device</h2>
      {error !== null && <Notice kind="error">{error}</Notice>}
      {others.length === 0 && <p class="quiet">{runs.length === 0 ? "None yet." : "No other yet."} They stay in this browser until you delete them.</p>}
      <ul>
        {others.map((run) => (
          <li key={run.name} class="card">
            <div class="train-run-top">
              <div>
                <h3>{run.about}</h3>
                <p class="quiet small">{run.system}, {run.size}, {new Date(run.created).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" })}, {byteSize(run.bytes)}</p>
              </div>
              <p class="numbers small train-run-state">{stateOf(run)}</p>
            </div>
            <div class="row">
              {!run.complete && !run.atWork && <button type="button" disabled={training.isAtWork} onClick={() => training.resume(run.name)}>Resume</button>}
              <RunActions run={run} training={training} />
              {!run.atWork && <button type="button" class="plain" onClick={() => setLeaving(run)}>Delete</button>}
            </div>
          </li>
        ))}
      </ul>
      <Adopt training={training} />
      <Dialog title="Delete this run?" open={leaving !== null} onClose={() => setLeaving(null)}>
        <p>{leaving?.about}: its checkpoints, {leaving === null ? "" : byteSize(leaving.bytes)}, will be gone from this device.</p>
        <div class="row">
          <button type="button" class="primary" onClick={() => {
            const { name } = leaving!;
            setLeaving(null);
            training.change((service) => service.remove(name));
          }}>Delete</button>
          <button type="button" onClick={() => setLeaving(null)}>Keep</button>
        </div>
      </Dialog>
    </section>
  );
}

function stateOf({ atWork, complete, step, steps, bestLoss }: RunSummary): string {
  const state = atWork ? "training now" : complete ? "complete" : step === 0 ? "nothing saved yet" : steps === 0 ? `at step ${thousands(step)}` : `${percent(step / steps)} done`;
  return bestLoss === null ? state : `${state}, best loss ${bestLoss.toFixed(3)}`;
}

/** Takes in a checkpoint from the command line, or from another device. */
function Adopt({ training }: { readonly training: TrainingState }) {
  const [waiting, setWaiting] = useState<{ readonly checkpoint: File; readonly folder: string } | null>(null);
  const adopt = (checkpoint: File, pictures?: readonly ListedFile[]): void => {
    setWaiting(null);
    training.change(async (service) => {
      const adopted = await service.adopt(checkpoint, pictures);
      if (adopted.kind === "needs pictures") setWaiting({ checkpoint, folder: adopted.folder });
    });
  };
  return (
    <div class="train-adopt">
      <h3>Go on with a run from elsewhere</h3>
      <p class="quiet small">Open the <code>last.safetensors</code> of a run, from the command line or another device. The other way round, a download goes on with <code>npm run train -- --resume FILE</code>, and an unpacked zip with its folder in place of the file.</p>
      <FileButton label="Open last.safetensors" accept=".safetensors" onFiles={([file]) => adopt(file)} />
      {waiting !== null && (
        <div role="status">
          <p>This run learned from the pictures in {waiting.folder}. Choose that folder too: the same pictures, the same captions.</p>
          <FolderButton label="Choose the folder" onFolder={({ files }) => adopt(waiting.checkpoint, files)} />
        </div>
      )}
    </div>
  );
}
