// Runs a backbone off the page's own thread. The page sends
//   { id, open: model }   loads a model of page.json; the reply is { id, threads }
//   { id, source }        a picture file; the reply is { id, embedding }
// or { id, error }; while a model loads, { progress } comes, 0..1.

import * as ort from "./runtime/ort.js";
import { rgb } from "./picture.js";

let running; // { model, square, session }

onmessage = async ({ data: { id, open, source } }) => {
  try {
    postMessage({ id, ...(open ? await opened(open) : await embedded(source)) });
  } catch (error) {
    postMessage({ id, error: error.message });
  }
};

async function opened(model) {
  // A second model finds the runtime there.
  const files = { [model.file]: 0, ...(running ? {} : { "runtime/ort.wasm": 0 }) };
  const [network, wasm] = await Promise.all(Object.keys(files).map((name) => bytes(name, files)));
  const { square } = await import(new URL(model.square, import.meta.url));
  if (wasm) ort.env.wasm.wasmBinary = wasm.buffer;
  // Threads share memory, which a browser allows only where the server sends COOP and COEP.
  const threads = self.crossOriginIsolated ? Math.min(4, navigator.hardwareConcurrency) : 1;
  ort.env.wasm.numThreads = threads;
  ort.env.logLevel = "error";
  await running?.session.release();
  running = { model, square, session: await ort.InferenceSession.create(network) };
  return { threads };
}

async function embedded(source) {
  const { model, square, session } = running;
  const pixels = square(await rgb(source));
  const values = model.dtype === "uint8" ? pixels : Float32Array.from(pixels);
  const image = new ort.Tensor(model.dtype, values, [1, model.size, model.size, 3]);
  const { embedding } = await session.run({ image });
  return { embedding: Float32Array.from(embedding.data) };
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
