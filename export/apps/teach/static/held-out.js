// Examples as questions to the others. A recording is left out as a whole: its frames are almost
// the same picture, and one would find the next.

import { K, highest } from "./knn.js";

const MOST = 1500; // questions; of more examples, every second, third … one is asked

// The numbers of the groups that are left out together, as in builder/knn/validation/occasions.py.
// A class with a single recording is a group of its own and stays among the answers; `asked` says
// which examples can be asked at all.
export function grouped(examples) {
  const recordings = new Map(); // of each class
  for (const { label, recording } of examples) {
    if (!recordings.has(label)) recordings.set(label, new Set());
    recordings.get(label).add(recording);
  }
  const several = (label) => recordings.get(label).size > 1;
  const numbers = new Map();
  const groups = examples.map(({ label, recording }) => {
    const key = JSON.stringify([recording, several(label) ? null : label]);
    if (!numbers.has(key)) numbers.set(key, numbers.size);
    return numbers.get(key);
  });
  return { groups, asked: examples.map(({ label }) => several(label)) };
}

// What the other recordings answer to each example: a list of
//   index   which example was asked
//   near    its nearest others { label, score, index }, nearest first
//   sizes   how many examples of each class could answer
//   best    the score of the nearest of each class; -Infinity for none
// `row(i)` gives the cosine of example i and each example. `keep(j)` says whether j may answer.
export function heldOut(examples, classes, row, keep = () => true) {
  const { groups, asked } = grouped(examples);
  const queries = sample(examples.flatMap((_, i) => (asked[i] ? [i] : [])));
  const counted = (which) => {
    const sizes = new Array(classes).fill(0);
    examples.forEach(({ label }, j) => (sizes[label] += Number(keep(j) && which(j))));
    return sizes;
  };
  const sizesOf = new Map();
  for (const i of queries) {
    const group = groups[i];
    if (!sizesOf.has(group))
      sizesOf.set(
        group,
        counted((j) => groups[j] !== group),
      );
  }
  // As in the build, all questions are answered by equally many.
  const fewest = Math.min(...[...sizesOf.values()].map((sizes) => sum(sizes)));
  const k = Math.min(K, fewest);
  return queries.map((i) => {
    const scores = row(i);
    const best = new Array(classes).fill(-Infinity);
    for (let j = 0; j < scores.length; j++) {
      const { label } = examples[j];
      if (groups[j] === groups[i] || !keep(j)) scores[j] = -Infinity;
      else if (scores[j] > best[label]) best[label] = scores[j];
    }
    const near = highest(scores, k).map((one) => ({ ...one, label: examples[one.index].label }));
    return { index: i, near, sizes: sizesOf.get(groups[i]), best };
  });
}

export const sum = (numbers) => numbers.reduce((total, number) => total + number, 0);

function sample(queries) {
  const step = Math.ceil(queries.length / MOST);
  return queries.filter((_, place) => place % step === 0);
}
