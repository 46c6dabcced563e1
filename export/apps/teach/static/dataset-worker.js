// Reads a file of examples off the page's own thread: parsing 100 MB takes seconds. The page sends
// { file, model }; the worker replies { found }, as from `read`, or { error }.

import { read } from "./dataset.js";

onmessage = async ({ data: { file, model } }) => {
  try {
    const found = read(await file.text(), model);
    const buffers = found.classes.flatMap(({ rows }) => rows.map(({ buffer }) => buffer));
    postMessage({ found }, buffers);
  } catch (error) {
    postMessage({ error: error.message });
  }
};
