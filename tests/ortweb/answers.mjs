// What onnxruntime-web answers, to hold onnxruntime's own answers against.
//
//     node answers.mjs model.onnx inputs.bin float32 13,96,96,3
//
// reads the inputs as raw numbers and prints {"output": {"dims": […], "data": […]}, …}.

import { readFileSync } from "node:fs";
import * as ort from "onnxruntime-web";

const [model, inputs, type, shape] = process.argv.slice(2);
const ARRAYS = { float32: Float32Array, uint8: Uint8Array };

ort.env.wasm.numThreads = 1;
const session = await ort.InferenceSession.create(new Uint8Array(readFileSync(model)));
const bytes = new Uint8Array(readFileSync(inputs));
const tensor = new ort.Tensor(type, new ARRAYS[type](bytes.buffer), shape.split(",").map(Number));
const outputs = await session.run({ [session.inputNames[0]]: tensor });
const said = Object.entries(outputs).map(([name, value]) => [
  name,
  { dims: value.dims, data: Array.from(value.data) },
]);
await session.release();
console.log(JSON.stringify(Object.fromEntries(said)));
