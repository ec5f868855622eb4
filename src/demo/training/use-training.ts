import { useEffect, useRef, useState } from "preact/hooks";
import { callback, remote, type Remote } from "../../web/remote.ts";
import { messageOf } from "../message.ts";
import { startWorker } from "../start-worker.ts";
import { AT_FIRST, ended, followed, type Course } from "./course.ts";
import type { RunEnd, RunEvent, RunRequest, RunSummary, TrainingService } from "./service.ts";

export interface TrainingState {
  readonly service: Remote<TrainingService>;
  /** The run at work, or the last one; null before there is one. */
  readonly course: Course | null;
  readonly isAtWork: boolean;
  /** Runs that are kept on this device, the newest first. */
  readonly runs: readonly RunSummary[];
  /** Why the list or something in it is not to be had. */
  readonly error: string | null;
  start(request: RunRequest): void;
  resume(name: string): void;
  pause(): void;
  /** Does something with the stored runs, says what went wrong, and lists them anew. */
  change(action: (service: Remote<TrainingService>) => Promise<unknown>): void;
}

/** The run at work, in a worker of its own. */
export function useTraining(): TrainingState {
  const [course, setCourse] = useState<Course | null>(null);
  const [runs, setRuns] = useState<readonly RunSummary[]>([]);
  const [error, setError] = useState<string | null>(null);
  const pausing = useRef<AbortController | null>(null);
  const [{ worker, service }] = useState(() => {
    const started = startWorker("training-worker.js");
    return { worker: started, service: remote<TrainingService>(started) };
  });

  const list = async (): Promise<void> => {
    const now = await service.runs();
    setRuns(now);
    setCourse((before) => (before === null || isAtWork(before) || before.run === null || now.some(({ name }) => name === before.run!.name) ? before : null)); // else it was deleted
  };
  const failed = (reason: unknown): void => setCourse((before) => ({ ...(before ?? AT_FIRST), status: "failed", preparing: null, error: messageOf(reason) }));

  const train = (begin: (onEvent: (event: RunEvent) => void, signal: AbortSignal) => Promise<RunEnd>): void => {
    const controller = new AbortController();
    pausing.current = controller;
    setError(null);
    setCourse(AT_FIRST);
    const onEvent = (event: RunEvent): void => {
      setCourse((before) => followed(before ?? AT_FIRST, event));
      if (event.kind === "begun") void list().catch(() => undefined); // it is listed again at the end
    };
    void begin(callback(onEvent), controller.signal)
      .finally(() => list().catch((reason: unknown) => setError(messageOf(reason)))) // first, so that nobody sees an end beside what the run was before
      .then((end) => setCourse((before) => ended(before ?? AT_FIRST, end)), failed);
  };

  useEffect(() => {
    worker.onerror = () => failed(new Error("the part of this page that trains has stopped; all up to the last checkpoint is saved. Reload the page and resume the run"));
    const look = (): void => void list().catch((reason: unknown) => setError(messageOf(reason)));
    look();
    addEventListener("focus", look); // another tab may have trained or deleted some meanwhile
    return () => {
      removeEventListener("focus", look);
      worker.terminate();
    };
  }, []);

  return {
    service,
    course,
    isAtWork: course !== null && isAtWork(course),
    runs,
    error,
    start: (request) => train((onEvent, signal) => service.start(request, onEvent, signal)),
    resume: (name) => train((onEvent, signal) => service.resume(name, onEvent, signal)),
    pause() {
      pausing.current?.abort();
      setCourse((before) => before && { ...before, status: "pausing" });
    },
    change(action) {
      setError(null);
      action(service).then(list, async (reason: unknown) => {
        setError(messageOf(reason));
        await list();
      }).catch((reason: unknown) => setError(messageOf(reason)));
    },
  };
}

function isAtWork({ status }: Course): boolean {
  return status === "preparing" || status === "training" || status === "pausing";
}
