// Runs a backbone off the page's own thread. The page sends
//   { id, open: model, webgpu }  loads a model of page.json; the reply is { id, runtime, threads }
//   { id, source }               a picture file; the reply is { id, embedding }
// or { id, error }; while a model loads, { progress } comes, 0..1. `webgpu` is whether it may be
// used. Where it cannot be, or no longer, { refused } says why, in words; then the page starts a new
// worker without it, as what is left of a lost graphics card may never answer.

import { rgb } from "./picture.js";
import { hasCard, noise, objection } from "./webgpu.js";

let ort;
let usesCard = false;
let running; // { model, square, session }
let last = Promise.resolve(); // one after another: a runtime with WebGPU takes no second question

onmessage = ({ data }) => (last = last.then(() => reply(data)));

async function reply({ id, open, webgpu, source }) {
  try {
    postMessage({ id, ...(open ? await load(open, webgpu) : await embedded(source)) });
  } catch (error) {
    if (error instanceof Refused) postMessage({ refused: error.message });
    else postMessage({ id, error: error.message });
  }
}

class Refused extends Error {}

// Does something with the graphics card, which may fail in any way.
async function onCard(act) {
  try {
    return await act();
  } catch (error) {
    if (!usesCard || error instanceof Refused) throw error;
    throw new Refused(error.message || String(error));
  }
}

async function load(model, webgpu) {
  const first = !ort; // a second model finds the runtime there
  if (first) usesCard = webgpu && (await hasCard());
  const name = usesCard ? "runtime/ort.webgpu" : "runtime/ort";
  const files = { [model.file]: 0, ...(first ? { [`${name}.wasm`]: 0 } : {}) };
  await onCard(async () => {
    const [network, wasm] = await Promise.all(Object.keys(files).map((one) => bytes(one, files)));
    if (first) await start(name, wasm);
    const { square } = await import(new URL(model.square, import.meta.url));
    const before = running?.session;
    running = { model, square, session: await sessionOf(network, model) };
    await before?.release(); // last, as the card is given up with its last network
  });
  return { runtime: usesCard ? "WebGPU" : "wasm", threads: ort.env.wasm.numThreads };
}

async function start(name, wasm) {
  ort = await import(new URL(`${name}.js`, import.meta.url));
  ort.env.wasm.wasmBinary = wasm.buffer;
  // Threads share memory, which a browser allows only where the server sends COOP and COEP.
  ort.env.wasm.numThreads = self.crossOriginIsolated
    ? Math.min(4, navigator.hardwareConcurrency)
    : 1;
  ort.env.logLevel = "error";
}

async function sessionOf(network, model) {
  const wasm = await create(network, "wasm");
  if (!usesCard) return wasm;
  const card = await create(network, "webgpu");
  const device = await ort.env.webgpu.device;
  device.lost.then(({ message }) => postMessage({ refused: message || "the card was lost" }));
  const [one, other] = [card, wasm].map((session) => (pixels) => run(session, model, pixels));
  const against = await objection(one, other, noise(3 * model.size ** 2));
  if (against) throw new Refused(against);
  await wasm.release();
  return card;
}

const create = (network, provider) =>
  ort.InferenceSession.create(network, { executionProviders: [provider] });

async function run(session, { dtype, size }, pixels) {
  const values = dtype === "uint8" ? Uint8Array.from(pixels) : Float32Array.from(pixels);
  const image = new ort.Tensor(dtype, values, [1, size, size, 3]);
  const { embedding } = await session.run({ image });
  return Float32Array.from(embedding.data);
}

async function embedded(source) {
  if (!running) throw new Error("The network could not be loaded. Load the page again.");
  const { model, square, session } = running;
  const pixels = square(await rgb(source));
  return { embedding: await onCard(() => run(session, model, pixels)) };
}

// A file's bytes; meanwhile reports how much of all files has loaded.
async function bytes(name, files) {
  const response = await fetch(name);
  if (!response.ok) throw new Error(`${name} cannot be loaded: ${response.status}`);
  const total = Number(response.headers.get("Content-Length"));
  const parts = [];
  let there = 0;
  for (const reader = response.body.getReader(); ;) {
    const { done, value } = await reader.read();
    if (done) break;
    parts.push(value);
    there += value.length;
    files[name] = total ? Math.min(1, there / total) : 0; // a compressing server may not know
    const shares = Object.values(files);
    postMessage({ progress: shares.reduce((sum, share) => sum + share, 0) / shares.length });
  }
  return new Uint8Array(await new Blob(parts).arrayBuffer());
}
