// Does what it is told with the snippet grow.mjs.
//
//     node teach.mjs out/snippets kitchen verbs.json
//
// reads [["add", "mug.png", "mug"], ["classify", "other.png"], ["save", "memory.json"], …] and
// prints what each returns, or {"error": its message}, as JSON.

import { readFile, writeFile } from "node:fs/promises";
import { resolve } from "node:path";

const [folder, device, file] = process.argv.slice(2);
const { GrowingClassifier } = await import(resolve(folder, "grow.mjs"));
const model = await GrowingClassifier.open(device);
const picture = async (path) => new Blob([await readFile(path)]);
const verbs = {
  add: async (path, name) => model.add(await picture(path), name),
  classify: async (path) => model.classify(await picture(path)),
  forget: (name) => model.forget(name),
  counts: () => model.counts(),
  save: (path) => writeFile(path, model.save()),
  load: async (path) => model.load(await readFile(path, "utf8")),
};

const said = [];
for (const [verb, ...words] of JSON.parse(await readFile(file, "utf8"))) {
  try {
    said.push((await verbs[verb](...words)) ?? null);
  } catch (error) {
    said.push({ error: error.message });
  }
}
console.log(JSON.stringify(said));
