// The JSON forms of k-NN data sets of ml5.js and TensorFlow.js, which the module ml5_forms of
// builder/references describes, as classes { label, values, shape? }; errors say what is wrong.

const LABELS = ["label", "classId", "classIndex", "className"];
const VALUES = ["data", "values"];
const has = (object, name) => Object.hasOwn(object, name);

export function classesIn(content) {
  if (Array.isArray(content)) return content.map(ofItem);
  if (!isObject(content)) throw new Error("it holds no classes");
  if (has(content, "dataset") && has(content, "tensors")) return ofMl5(content);
  if (has(content, "modelTopology")) throw new Error("it is a network, which holds no examples");
  return Object.entries(content).map(([label, entry]) => ofEntry(label, entry));
}

export const isObject = (value) =>
  typeof value === "object" && value !== null && !Array.isArray(value);

// A tensor belongs to the class at its place among the keys, if the keys differ.
function ofMl5({ dataset, tensors }) {
  const [heads, values] = [Object.entries(dataset), Object.values(tensors)];
  if (heads.length !== values.length) throw new Error("it does not have one tensor for each class");
  const alike = heads.every(([key]) => has(tensors, key));
  return heads.flatMap(([key, head], place) => {
    const own = alike ? tensors[key] : values[place];
    if (head === null && own === null) return []; // an unused number of a class
    if (!head?.shape) throw new Error(`the class “${key}” has no shape`);
    return [{ label: head.label ?? key, values: own, shape: head.shape }];
  });
}

function ofItem(item) {
  if (Array.isArray(item) && item.length === 2) return ofEntry(...item);
  if (Array.isArray(item) && item.length === 3) {
    return { label: item[0], values: item[1], shape: item[2] };
  }
  if (!isObject(item)) throw new Error("a class is not a list [label, values, shape]");
  const name = LABELS.find((one) => has(item, one));
  return ofEntry(item[name], item);
}

function ofEntry(label, entry) {
  if (!isObject(entry) || has(entry, "0")) return { label, values: entry };
  const name = VALUES.find((one) => has(entry, one));
  if (!name) throw new Error(`the class “${label}” has no values`);
  return { label, values: entry[name], shape: entry.shape };
}
