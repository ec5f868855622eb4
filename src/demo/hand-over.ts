/** Hands a checkpoint from one view to another: what was trained in the tab captions pictures at once. */

let waiting: File | null = null;
let receiver: ((checkpoint: File) => void) | null = null;

/** Opens the caption view with this checkpoint. */
export function openInCaptionView(checkpoint: File): void {
  waiting = checkpoint;
  location.hash = "caption";
  deliver();
}

/** The caption view takes what is handed over, also what came before it was there. */
export function receiveCheckpoints(take: (checkpoint: File) => void): void {
  receiver = take;
  deliver();
}

function deliver(): void {
  if (waiting === null || receiver === null) return;
  const checkpoint = waiting;
  waiting = null;
  receiver(checkpoint);
}
