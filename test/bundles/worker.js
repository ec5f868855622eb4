import { numbers } from "./consumer.js";

addEventListener("message", ({ data }) => numbers(data).then(postMessage, (error) => setTimeout(() => { throw error; })));
