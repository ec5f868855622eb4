import { createServer } from "node:http";
import { basename } from "node:path";
import { InputError, requestDevice } from "sightline";
import { Captioner } from "sightline/caption";
import { loadSafetensors } from "sightline/checkpoint";
import { decodeImage } from "sightline/data";

const MAX_BYTES = 10 * 2 ** 20; // of an upload
const MAX_MEGAPIXELS = 24; // of the picture in it
const MAX_WAITING = 16; // pictures; the captioner takes one after the other

/** What the sender can mend, with the status that says so. */
class Refusal extends Error {
  constructor(status, message, headers = {}) {
    super(message);
    Object.assign(this, { status, headers });
  }
}

const [file] = process.argv.slice(2);
if (file === undefined) {
  console.error("usage: node server.mjs CHECKPOINT.safetensors");
  process.exit(2);
}
const device = await requestDevice();
const captioner = await Captioner.fromCheckpoint(device, await loadSafetensors(file), basename(file));
let waiting = 0;

const server = createServer(async (request, response) => {
  try {
    answer(response, 200, await caption(request));
  } catch (error) {
    request.resume(); // what still comes is thrown away, so that the sender gets to read the answer
    if (error instanceof Refusal) answer(response, error.status, { error: error.message }, error.headers);
    else if (error instanceof InputError) answer(response, 400, { error: error.message });
    else if (!request.readableAborted) {
      console.error(error);
      answer(response, 500, { error: "the picture could not be captioned; the server's log says why" });
    }
  }
});

async function caption(request) {
  const [path] = request.url.split("?");
  if (path !== "/caption") throw new Refusal(404, `pictures go to /caption; got ${path}`);
  if (request.method !== "POST") throw new Refusal(405, `pictures are sent with POST; got ${request.method}`, { allow: "POST" });
  if (waiting >= MAX_WAITING) throw new Refusal(503, `at most ${MAX_WAITING} pictures may wait; try again in a few seconds`, { "retry-after": "5" });
  waiting++;
  try {
    const image = decodeImage(await bytesOf(request), "the upload", { maxMegapixels: MAX_MEGAPIXELS });
    const [[{ text, score }]] = await captioner.describe([image]);
    return { caption: text, score };
  } finally {
    waiting--;
  }
}

async function bytesOf(request) {
  const tooLarge = (size) => new Refusal(413, `a picture may have at most ${MAX_BYTES} bytes; got ${size}`);
  const announced = Number(request.headers["content-length"] ?? 0);
  if (announced > MAX_BYTES) throw tooLarge(announced);
  const chunks = [];
  let size = 0;
  for await (const chunk of request.iterator({ destroyOnReturn: false })) {
    size += chunk.length;
    if (size > MAX_BYTES) throw tooLarge(`more than ${MAX_BYTES}`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function answer(response, status, body, headers = {}) {
  response.writeHead(status, { "content-type": "application/json", ...headers }).end(`${JSON.stringify(body)}\n`);
}

server.requestTimeout = 30_000; // ms: slow senders hold no memory for longer
server.listen(Number(process.env.PORT ?? 8080), "127.0.0.1", () => console.log(`POST pictures to http://localhost:${server.address().port}/caption`));

/** Answers what has come in, and then ends; asked twice, it ends at once. */
for (const signal of ["SIGINT", "SIGTERM"]) {
  process.once(signal, () => {
    server.close(async () => {
      captioner.dispose();
      await device.close();
    });
  });
}
