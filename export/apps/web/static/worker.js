// Runs the model off the page's own thread, so that the page stays responsive.
//
// The page sends { id, source }, a picture file or a camera frame; the worker replies { id, pixels,
// outputs, times } or { id, error }. Before that it sends { progress }, 0..1, and { ready }.

import * as ort from "./runtime/ort.js";
import { rgb } from "./picture.js";
import { square } from "./square.js";

const ready = start();
ready.then(
  () => postMessage({ ready: true }),
  (error) => postMessage({ error: `The model cannot be loaded: ${error.message}` }),
);

async function start() {
  const { input, memory } = await (await load("page.json")).json();
  const sizes = { "runtime/ort.wasm": 0, "model.onnx": 0 };
  const [wasm, model] = await Promise.all(Object.keys(sizes).map((name) => bytes(name, sizes)));
  ort.env.wasm.wasmBinary = wasm.buffer;
  // Threads share memory, which a browser allows only where the server sends COOP and COEP.
  ort.env.wasm.numThreads = self.crossOriginIsolated ? Math.min(4, navigator.hardwareConcurrency) : 1;
  ort.env.logLevel = "error";
  // A file that grows also takes what it was taught: an empty row, as the page teaches nothing.
  const taught = memory && {
    memory: new ort.Tensor("float32", new Float32Array(memory.width), [1, memory.width]),
  };
  return { input, taught, session: await ort.InferenceSession.create(model) };
}

onmessage = async ({ data: { id, source } }) => {
  try {
    const { input, taught, session } = await ready;
    const start = performance.now();
    const pixels = square(await rgb(source));
    const prepared = performance.now();
    const values = input.dtype === "uint8" ? pixels : Float32Array.from(pixels);
    const image = new ort.Tensor(input.dtype, values, [1, input.size, input.size, 3]);
    const found = await session.run({ image, ...taught });
    const times = { prepare: prepared - start, model: performance.now() - prepared };
    const outputs = Object.fromEntries(
      Object.entries(found).map(([name, tensor]) => [name, Array.from(tensor.data, Number)]),
    );
    postMessage({ id, pixels, outputs, times });
  } catch (error) {
    postMessage({ id, error: error.message });
  }
};

async function load(name) {
  const response = await fetch(name);
  if (!response.ok) throw new Error(`${name}: ${response.status} ${response.statusText}`);
  return response;
}

// A file's bytes; meanwhile reports how much of all files has loaded.
async function bytes(name, sizes) {
  const response = await load(name);
  const total = Number(response.headers.get("Content-Length"));
  const parts = [];
  let there = 0;
  for (const reader = response.body.getReader(); ; ) {
    const { done, value } = await reader.read();
    if (done) break;
    parts.push(value);
    there += value.length;
    sizes[name] = total ? Math.min(1, there / total) : 0; // a compressing server may not know
    const shares = Object.values(sizes);
    postMessage({ progress: shares.reduce((sum, share) => sum + share, 0) / shares.length });
  }
  return new Uint8Array(await new Blob(parts).arrayBuffer());
}
