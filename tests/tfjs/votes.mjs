// What the real @tensorflow-models/knn-classifier answers, to hold ours against.
//
//     node votes.mjs                  the small synthetic data set below
//     node votes.mjs questions.json   {"examples": [[label, vector], …], "queries": […], "ks": […]}
//                                     or {"ml5": what ml5 saved, "queries": […], "ks": […]}
//
// prints the questions and, as JSON too, "saved" (the data set in the form its users save it in),
// "answers" (a list for each query, with an answer for each k) and, for examples, "loaded": the
// answers of a classifier that was given the saved data set. The stored answers are made anew with
//
//     npm ci && node votes.mjs > answers.json && rm -r node_modules

import { readFileSync } from "node:fs";
import "@tensorflow/tfjs-backend-cpu";
import * as tf from "@tensorflow/tfjs-core";
import knn from "@tensorflow-models/knn-classifier";

const WIDTH = 5;
// Classes of uneven size, added in turns; JavaScript puts "2" and "10" before the others.
const SIZES = { pear: 5, 10: 4, apple: 7, 2: 6, "one row": 1, ä: 3 };
const ORDER = ["pear", "10", "apple", "2", "one row", "ä"];

function synthetic() {
  let state = 1;
  const next = () => (state = (state * 48271) % 2147483647); // Lehmer's generator: the same always
  const vector = () => Array.from({ length: WIDTH }, () => (next() % 1999) - 999);
  const examples = [];
  for (let row = 0; row < 7; row++) {
    for (const label of ORDER) {
      if (row < SIZES[label]) examples.push([label, vector()]);
    }
  }
  // The same direction in several classes, first in one that comes late: ties among the nearest.
  const tied = vector();
  for (const label of ["ä", "apple", "10", "pear", "2", "apple"]) {
    examples.push([label, tied.map((value) => 2 * value)]);
  }
  const queries = [tied, tied.map((value) => -value), new Array(WIDTH).fill(0)];
  for (const [, example] of examples.slice(0, 4)) queries.push(example);
  while (queries.length < 30) queries.push(vector());
  return { examples, queries, ks: [1, 2, 3, 4, 6, 1000] };
}

function load(classifier, entries) {
  const tensors = entries.map(([label, values, shape]) => [label, tf.tensor(values, shape)]);
  classifier.setClassifierDataset(Object.fromEntries(tensors));
}

async function ask(classifier, { queries, ks }) {
  const answers = [];
  for (const query of queries) {
    const input = tf.tensor(query);
    const row = [];
    for (const k of ks) {
      const { label, classIndex, confidences } = await classifier.predictClass(input, k);
      row.push({ label, index: classIndex, confidences });
    }
    answers.push(row);
  }
  return answers;
}

await tf.setBackend("cpu");
const file = process.argv[2];
const questions = file ? JSON.parse(readFileSync(file, "utf8")) : synthetic();
const classifier = knn.create();
if (questions.ml5) {
  // As ml5's load pairs them: by number, and the values in the order of their keys.
  const { dataset, tensors } = questions.ml5;
  load(classifier, tensors.map((values, i) => [i, Object.values(values), dataset[i].shape]));
} else {
  for (const [label, example] of questions.examples) {
    classifier.addExample(tf.tensor(example), label);
  }
}
const saved = Object.entries(classifier.getClassifierDataset()).map(([label, data]) => [
  label,
  Array.from(data.dataSync()),
  data.shape,
]);
const result = { ...questions, saved, answers: await ask(classifier, questions) };
if (questions.examples) {
  const again = knn.create();
  load(again, saved);
  result.loaded = await ask(again, questions);
}
console.log(JSON.stringify(result));
