// Runs scripts one after another in one process, which compiles onnxruntime-web once.
//
//     node together.mjs
//
// reads a line {"folder": …, "words": [script, argument, …]} for each, and prints a line
// {"code": …, "out": …, "err": …}: what `node script argument …` in that folder ends with and prints.

import { resolve } from "node:path";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const print = process.stdout.write.bind(process.stdout);
const ended = new Error("process.exit");
let code, said, times = 0;

process.exit = (given) => {
  code = given ?? process.exitCode ?? 0;
  throw ended;
};
for (const name of ["stdout", "stderr"]) {
  process[name].write = (text) => {
    said[name] += text;
    return true;
  };
}

for await (const line of createInterface({ input: process.stdin })) {
  const { folder, words } = JSON.parse(line);
  [code, said] = [undefined, { stdout: "", stderr: "" }];
  process.exitCode = undefined;
  process.chdir(folder);
  const [script, ...given] = words;
  process.argv = [process.argv[0], resolve(script), ...given];
  try {
    // Node keeps a module for each address, and this one has to run again.
    await import(`${pathToFileURL(process.argv[1])}?${times++}`);
    code ??= process.exitCode ?? 0;
  } catch (error) {
    if (error !== ended) [code, said.stderr] = [1, said.stderr + error.stack];
  }
  print(`${JSON.stringify({ code, out: said.stdout, err: said.stderr })}\n`);
}
process.exitCode = 0;
