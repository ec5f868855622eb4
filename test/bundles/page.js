import { numbers } from "./consumer.js";

const fetched = async (address) => new Uint8Array(await (await fetch(address)).arrayBuffer());

globalThis.onPage = async (address) => numbers(await fetched(address));

globalThis.inWorker = (address) =>
  new Promise((resolve, reject) => {
    const worker = new Worker("worker.js", { type: "module" });
    worker.addEventListener("message", ({ data }) => resolve(data));
    worker.addEventListener("error", ({ message }) => reject(new Error(message)));
    fetched(address).then((weights) => worker.postMessage(weights), reject);
  });
