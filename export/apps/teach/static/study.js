// How good the page is at what it was taught, measured by leaving out recordings.

import { folded, grouped, sum } from "./folds.js";
import { heldOut } from "./held-out.js";
import { vote, winner } from "./knn.js";
import { strangers } from "./strangers.js";
import { temperature } from "./temperature.js";

const FEWEST_RECORDINGS = 4; // of each class, to compare with half of them

// For examples { label, recording } of classes 0 … classes - 1, where `row(i)` gives the cosine
// of example i and each example:
//   temperature  of the vote
//   unknown      as from `strangers`, or null
//   asked, right how many examples were asked, and answered right
//   expected     the share of right answers with all recordings, as a build estimates it, or null
//   classes      { asked, right, recordings, count } of each class
//   confused     { one, other, times, of } for each two classes that were taken for each other
//   half         { what, asked, right } with half of the "recordings" or "examples", or null
export function study(examples, classes, row) {
  const sizes = counts(examples, classes);
  const found = heldOut(examples, classes, row);
  const heat = examples.length ? temperature(examples, sizes, found, row) : 1;
  const answers = answered(examples, found, heat);
  const right = rightOf(answers);
  const { fewer } = folded(examples);
  return {
    temperature: heat,
    unknown: strangers(examples, found),
    asked: found.length,
    right,
    expected: found.length ? 1 - (1 - right / found.length) * fewer : null,
    classes: sizes.map((count, label) => ofClass(examples, answers, label, count)),
    confused: confused(answers, classes),
    half: found.length ? half(examples, classes, row, heat) : null,
  };
}

function counts(examples, classes) {
  const sizes = new Array(classes).fill(0);
  for (const { label } of examples) sizes[label]++;
  return sizes;
}

// The true and the said class of each example that was asked.
function answered(examples, found, heat) {
  return found.map(({ index, near, sizes }) => {
    return { label: examples[index].label, said: winner(vote(near, sizes, heat)) };
  });
}

const rightOf = (answers) => answers.filter(({ label, said }) => label === said).length;

function ofClass(examples, answers, label, count) {
  const own = answers.filter((one) => one.label === label);
  const mine = examples.filter((one) => one.label === label);
  const recordings = new Set(mine.map(({ recording }) => recording)).size;
  return { asked: own.length, right: rightOf(own), recordings, count };
}

// The classes that are taken for each other, most often first.
function confused(answers, classes) {
  const pairs = [];
  for (let one = 0; one < classes; one++) {
    for (let other = one + 1; other < classes; other++) {
      const both = answers.filter(({ label }) => label === one || label === other);
      const times = both.filter(
        ({ label, said }) => label !== said && (said === one || said === other),
      ).length;
      if (times) pairs.push({ one, other, times, of: both.length });
    }
  }
  return pairs.sort((a, b) => b.times - a.times);
}

// The same questions, answered by one half and by the other half. With enough recordings of each
// class whole recordings are halved, else every second example of a class is left away.
function half(examples, classes, row, heat) {
  const groups = grouped(examples);
  const ranks = new Map(); // of each class, the place of each of its groups
  const seen = new Array(classes).fill(0);
  const places = examples.map(({ label }, i) => {
    if (!ranks.has(label)) ranks.set(label, new Map());
    const mine = ranks.get(label);
    if (!mine.has(groups[i])) mine.set(groups[i], mine.size);
    return { group: mine.get(groups[i]), example: seen[label]++ };
  });
  const fewest = Math.min(...[...ranks.values()].map((mine) => mine.size));
  const by = fewest >= FEWEST_RECORDINGS ? "group" : "example";
  const halves = [0, 1].map((part) =>
    heldOut(examples, classes, row, (j) => places[j][by] % 2 === part),
  );
  if (halves.some((found) => found.some(({ near }) => !near.length))) return null;
  const parts = halves.map((found) => answered(examples, found, heat));
  return {
    what: by === "group" ? "recordings" : "examples",
    asked: sum(parts.map((answers) => answers.length)),
    right: sum(parts.map(rightOf)),
  };
}
