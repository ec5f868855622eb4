import "../style/train.css";
import type { ViewProps } from "../app.tsx";
import { AtWork } from "../training/at-work.tsx";
import { RunsList } from "../training/runs-list.tsx";
import { Setup } from "../training/setup.tsx";
import { useTraining } from "../training/use-training.ts";

/** Training in the tab: what and on what, the run at work, and the runs that are kept. */
export function TrainView({ adapter }: ViewProps) {
  const training = useTraining();
  return (
    <div class="wide train">
      <div>
        <h1>Teach it to see, in this tab</h1>
        <p class="lead">A captioner learns from nothing, on this device: press start, and watch it go from noise to sentences. Close the page whenever you like; it goes on from the last checkpoint.</p>
      </div>
      {training.course !== null && <AtWork training={training} course={training.course} />}
      <div hidden={training.isAtWork}><Setup training={training} adapter={adapter} /></div>
      <RunsList training={training} />
    </div>
  );
}
