/** Calls into a worker and back, over Comlink: objects are copied; an argument that is a function or an abort signal stays with its owner. */

import { expose, proxy, transferHandlers, wrap, type Remote } from "comlink";

export type { Remote } from "comlink";

transferHandlers.set("abort-signal", {
  canHandle: (value): value is AbortSignal => value instanceof AbortSignal,
  serialize(signal: AbortSignal) {
    const { port1, port2 } = new MessageChannel();
    signal.addEventListener("abort", () => port1.postMessage("abort"), { once: true });
    return [{ aborted: signal.aborted, port: port2 }, [port2]];
  },
  deserialize({ aborted, port }: { readonly aborted: boolean; readonly port: MessagePort }) {
    const controller = new AbortController();
    port.addEventListener("message", () => controller.abort(), { once: true });
    port.start();
    if (aborted) controller.abort();
    return controller.signal;
  },
});

/** In a worker: offers the methods of a service to whoever started it. */
export function offer(service: object): void {
  expose(service);
}

/** On the page: the service of a worker. Every method returns a promise; errors come back with their name and message. */
export function remote<Service>(worker: Worker): Remote<Service> {
  return wrap<Service>(worker);
}

/** A callback as an argument of a remote call; it must be an argument of its own, not a field of another. */
export function callback<F extends (...args: never[]) => unknown>(f: F): F {
  return proxy(f);
}
