// Examples as questions to the others. A recording is left out as a whole: its frames are almost
// the same picture, and one would find the next.

import { folded, sum } from "./folds.js";
import { K, highest } from "./knn.js";

const MOST = 1500; // questions; of more examples, every second, third … one is asked

// What the other recordings answer to each example: a list of
//   index   which example was asked
//   near    its nearest others { label, score, index }, nearest first
//   sizes   how many examples of each class could answer
//   best    the score of the nearest of each class; -Infinity for none
// `row(i)` gives the cosine of example i and each example. `keep(j)` says whether j may answer.
export function heldOut(examples, classes, row, keep = () => true) {
  const { fold } = folded(examples);
  const queries = sample(examples.flatMap((_, i) => (fold[i] < 0 ? [] : [i])));
  const counted = (which) => {
    const sizes = new Array(classes).fill(0);
    examples.forEach(({ label }, j) => (sizes[label] += Number(keep(j) && which(j))));
    return sizes;
  };
  const sizesOf = new Map();
  for (const part of new Set(queries.map((i) => fold[i]))) {
    const others = counted((j) => fold[j] !== part);
    sizesOf.set(part, others);
  }
  // As in the build, all questions are answered by equally many.
  const fewest = Math.min(...[...sizesOf.values()].map((sizes) => sum(sizes)));
  const k = Math.min(K, fewest);
  return queries.map((i) => {
    const scores = row(i);
    const best = new Array(classes).fill(-Infinity);
    for (let j = 0; j < scores.length; j++) {
      const { label } = examples[j];
      if (fold[j] === fold[i] || !keep(j)) scores[j] = -Infinity;
      else if (scores[j] > best[label]) best[label] = scores[j];
    }
    const near = highest(scores, k).map((one) => ({ ...one, label: examples[one.index].label }));
    return { index: i, near, sizes: sizesOf.get(fold[i]), best };
  });
}

function sample(queries) {
  const step = Math.ceil(queries.length / MOST);
  return queries.filter((_, place) => place % step === 0);
}
