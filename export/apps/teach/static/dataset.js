// What was taught as a file: the memory of builder/references/memory_json.py, which apps with the
// same network load; data sets of ml5.js and TensorFlow.js can be read, too.

import { decoded, encoded } from "./base64.js";
import { classesIn, isObject } from "./ml5-forms.js";
import { NOTE, SINGLE, usable } from "./names.js";

// The pieces of the text of a memory, for a Blob: as one string it might be too long.
// `classes` are { name, muted, examples: [{ values, recording }] }, `model` { sha256, crop, dim }.
export function* memory(classes, forgotten, model) {
  const full = classes.filter(({ examples }) => examples.length);
  const origin = ({ recording }) => (recording.startsWith(SINGLE) ? "" : recording);
  const origins = full.map(({ name, examples }) => [name, examples.map(origin)]);
  const note = {
    backbone: model.sha256,
    crop: model.crop,
    names: full.map(({ name }) => name),
    origins: Object.fromEntries(origins),
    forgotten,
    muted: full.filter(({ muted }) => muted).map(({ name }) => name),
  };
  yield `{${JSON.stringify(NOTE)}:${JSON.stringify(note)}`;
  for (const { name, examples } of full) {
    const shape = JSON.stringify([examples.length, model.dim]);
    yield `,${JSON.stringify(name)}:{"shape":${shape},"data":"`;
    yield* encoded(examples.map(({ values }) => values));
    yield '"}';
  }
  yield "}";
}

// { classes: [{ name, rows, origins }], gone, muted, sure }: `origins` is null where the file
// does not tell recordings, and `sure` whether it tells that this very network made it.
export function read(text, model) {
  let content;
  try {
    content = JSON.parse(text);
  } catch {
    throw new Error("This is not a saved memory or data set: it is not JSON.");
  }
  const note = noteOf(content);
  if (note) checkMade(note, model);
  let found;
  try {
    if (note) delete content[NOTE]; // what is left are the classes
    found = classesIn(content).map((one) => checkedClass(one, model));
    if (note) found = ordered(found, note);
  } catch (error) {
    if (error instanceof Refusal) throw error;
    throw new Error(`This is not a saved memory or data set: ${error.message}.`, { cause: error });
  }
  if (!found.length) throw new Error("This file holds no examples.");
  const names = found.map(({ name }) => name);
  const twice = names.find((name, place) => names.indexOf(name) < place);
  if (twice) throw new Error(`This file has two classes with the name “${twice}”.`);
  const list = (key) => [note?.[key] ?? []].flat().filter((name) => typeof name === "string");
  const [gone, muted] = [list("forgotten"), list("muted")];
  return { classes: found, gone, muted, sure: Boolean(note) };
}

class Refusal extends Error {}

// What a memory says of itself; null for a data set, even with a class of this name.
function noteOf(content) {
  const noted = isObject(content) && Object.hasOwn(content, NOTE) ? content[NOTE] : null;
  if (!isObject(noted)) return null;
  const isClass = ["0", "data", "values"].some((name) => Object.hasOwn(noted, name));
  return isClass ? null : noted;
}

function checkMade({ backbone, crop }, model) {
  if (backbone !== model.sha256) {
    throw new Error(
      "This file is from another network, so its examples are useless to this one.",
    );
  }
  if (crop !== model.crop) {
    throw new Error(`This file's pictures were cropped with “${crop}”, not “${model.crop}”.`);
  }
}

function checkedClass({ label, values, shape }, { dim }) {
  const name = Number.isSafeInteger(label) ? String(label) : label;
  if (typeof name !== "string" || !usable(name)) {
    throw new Refusal(`This file has a class ${JSON.stringify(label)}, which cannot be a name.`);
  }
  let list = values;
  let size = shape;
  if (Array.isArray(list) && Array.isArray(list[0])) {
    const width = list[0].length;
    if (list.some((row) => row?.length !== width)) throw new Error("its rows differ in length");
    size ??= [list.length, width];
    list = list.flat();
  }
  const flat = numbers(list);
  const [n, width] = size ?? [flat.length / dim, dim];
  if (width !== dim) {
    throw new Refusal(
      `This file's examples have ${width} values each, and this network gives ${dim}:` +
        " another network made them.",
    );
  }
  if (!n || flat.length !== n * width) throw new Error(`the class “${name}” has another shape`);
  const rows = Array.from({ length: n }, (_, i) => flat.slice(i * dim, (i + 1) * dim));
  return { name, rows, origins: null };
}

// The values of a class, one after the other.
function numbers(values) {
  let found = values;
  if (isObject(values)) {
    found = Object.values(values); // the keys 0, 1, … in their order
    if (found.length && !Object.hasOwn(values, found.length - 1)) {
      throw new Error("a value is missing");
    }
  }
  if (typeof values === "string") found = decoded(values);
  else if (!Array.isArray(found) || found.some((value) => typeof value !== "number")) {
    throw new Error("a value is not a number");
  }
  const flat = Float32Array.from(found);
  if (!flat.every(Number.isFinite)) throw new Error("a value is infinite or not a number");
  return flat;
}

// The classes in the order of the note, and then any others, with their recordings.
function ordered(found, note) {
  const names = Array.isArray(note.names) ? note.names : [];
  const place = ({ name }) => (names.includes(name) ? names.indexOf(name) : names.length);
  return found
    .map((one) => ({ ...one, origins: originsOf(one, note.origins) }))
    .sort((a, b) => place(a) - place(b));
}

function originsOf({ name, rows }, origins) {
  if (!isObject(origins) || !Object.hasOwn(origins, name)) return rows.map(() => "");
  const own = origins[name];
  if (!Array.isArray(own) || own.some((one) => typeof one !== "string")) {
    throw new Error(`the origins of “${name}” are not a list of names`);
  }
  if (own.length !== rows.length) {
    throw new Error(`not every example of “${name}” has its origin`);
  }
  return own;
}
