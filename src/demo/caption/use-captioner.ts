import { useEffect, useRef, useState } from "preact/hooks";
import { callback, remote, type Remote } from "../../web/remote.ts";
import type { CaptionerFacts, CaptionerSource, CaptionService, LoadProgress } from "../../web/service.ts";
import { messageOf } from "../message.ts";
import type { SiteCaptioner } from "../site.ts";
import { startWorker } from "../start-worker.ts";

/** A captioner that can be chosen. */
export interface Choice {
  readonly title: string;
  readonly about: string;
  readonly source: CaptionerSource;
  /** The address of its model card; null where there is none. */
  readonly card: string | null;
  /** Whether it knows drawn scenes alone. */
  readonly scenes: boolean;
}

export interface OpenCaptioner {
  readonly choice: Choice;
  readonly facts: CaptionerFacts;
}

export interface CaptionerState {
  readonly service: Remote<CaptionService>;
  /** The one that describes; null before the first is there. */
  readonly opened: OpenCaptioner | null;
  /** The one on its way. */
  readonly opening: { readonly choice: Choice; readonly progress: LoadProgress | null } | null;
  /** Why the last one did not open; the one before stays. */
  readonly error: string | null;
  open(choice: Choice): void;
  cancel(): void;
  /** The error was read. */
  dismiss(): void;
}

export function siteChoice({ title, about, file, card, scenes = false }: SiteCaptioner): Choice {
  return { title, about, source: { kind: "address", address: new URL(file, document.baseURI).href }, card, scenes };
}

/**
 * The captioner at work, in a worker of its own.
 * @param first Opened with the page.
 * @param hub A mirror of the Hugging Face hub.
 */
export function useCaptioner(first: Choice | null, hub?: string): CaptionerState {
  const [opened, setOpened] = useState<OpenCaptioner | null>(null);
  const [opening, setOpening] = useState<CaptionerState["opening"]>(first && { choice: first, progress: null });
  const [error, setError] = useState<string | null>(null);
  const controller = useRef<AbortController | null>(null);
  const [{ worker, service }] = useState(() => {
    const started = startWorker(`captioner-worker.js${hub === undefined ? "" : `?hub=${encodeURIComponent(hub)}`}`);
    return { worker: started, service: remote<CaptionService>(started) };
  });

  const open = (choice: Choice): void => {
    controller.current?.abort();
    const mine = new AbortController();
    controller.current = mine;
    setError(null);
    setOpening({ choice, progress: null });
    const onProgress = (progress: LoadProgress): void => {
      if (!mine.signal.aborted) setOpening({ choice, progress });
    };
    service.open(choice.source, callback(onProgress), mine.signal).then(
      (facts) => {
        setOpened({ choice, facts }); // also where another one was asked for meanwhile: until that is there, the worker has this one
        if (controller.current === mine) setOpening(null);
      },
      (reason: unknown) => {
        if (controller.current !== mine) return;
        setOpening(null);
        if (!mine.signal.aborted) setError(messageOf(reason));
      },
    );
  };

  useEffect(() => {
    worker.onerror = () => {
      setOpening(null);
      setError("The part of this page that computes has stopped. Reload the page.");
    };
    if (first !== null) open(first);
    return () => worker.terminate();
  }, []);

  return { service, opened, opening, error, open, cancel: () => controller.current?.abort(), dismiss: () => setError(null) };
}
