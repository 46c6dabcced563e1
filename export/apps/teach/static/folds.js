// Which examples are left out together: about one recording of every class at a time, dealt as in
// builder/knn/validation/folds.py, so that a build measures what was taught in the same way.

const [FEWEST, MOST] = [2, 10]; // folds, as in occasions.py
const LEARNING = 1 / 4; // from there, too: the power of the recordings with which mistakes fall

// The numbers of the recordings of examples { label, recording }. A class with a single recording has one of
// its own, as it stays among the answers.
export function grouped(examples) {
  const recordings = new Map(); // of each class
  for (const { label, recording } of examples) {
    if (!recordings.has(label)) recordings.set(label, new Set());
    recordings.get(label).add(recording);
  }
  const numbers = new Map();
  const groups = examples.map(({ label, recording }) => {
    const key = JSON.stringify([recording, recordings.get(label).size > 1 ? null : label]);
    if (!numbers.has(key)) numbers.set(key, numbers.size);
    return numbers.get(key);
  });
  return groups;
}

// { fold: the number of each example's fold, -1 for one that is never left out; fewer: the expected
// mistakes with all recordings, as a share of those with the ones of a fold left out }
export function folded(examples) {
  const groups = grouped(examples);
  const owners = new Map(); // the classes of each group
  const mine = new Map(); // the groups of each class
  const sizes = new Map(); // of each group and class
  examples.forEach(({ label }, i) => {
    added(owners, groups[i], label);
    added(mine, label, groups[i]);
    const cell = `${groups[i]} ${label}`;
    sizes.set(cell, (sizes.get(cell) ?? 0) + 1);
  });
  const counts = examples.map(({ label }) => mine.get(label).size).filter((count) => count > 1);
  if (!counts.length) return { fold: examples.map(() => -1), fewer: 1 };
  const usual = median(counts);
  const parts = Math.min(MOST, Math.max(FEWEST, Math.trunc(usual)));
  const part = whole(owners, mine, sizes, parts);
  [...mine.entries()]
    .sort(([one], [other]) => one - other)
    .forEach(([, all], number) => {
      const own = [...all].filter((group) => owners.get(group).size === 1);
      if (all.size < 2) return;
      const step = own.length < parts ? parts / own.length : 1;
      own.forEach((group, i) => part.set(group, (number + Math.trunc(i * step)) % parts));
    });
  // No class is left out as a whole.
  for (const [label, all] of mine) {
    const folds = new Set([...all].map((group) => part.get(group) ?? -1));
    if (folds.size > 1 || folds.has(-1)) continue;
    const size = (group) => sizes.get(`${group} ${label}`);
    part.set([...all].reduce((one, other) => (size(other) < size(one) ? other : one)), -1);
  }
  const fold = groups.map((group) => part.get(group) ?? -1);
  const used = new Set(fold.filter((number) => number >= 0)).size;
  const least = Math.min(used, usual);
  return { fold, fewer: least > 1 ? (1 - 1 / least) ** LEARNING : 1 };
}

// The folds of the recordings that several classes share, the largest first: each where its classes
// have the fewest examples, and none loses its last recording.
function whole(owners, mine, sizes, parts) {
  const part = new Map();
  const shared = [...owners.keys()].filter((group) => owners.get(group).size > 1);
  const size = (group, label) => sizes.get(`${group} ${label}`) ?? 0;
  const total = (all, labels) => sum(all.flatMap((one) => labels.map((label) => size(one, label))));
  const every = [...mine.keys()];
  const order = shared.sort((one, other) => total([other], every) - total([one], every));
  for (const group of order) {
    const labels = [...owners.get(group)];
    const costs = Array.from({ length: parts }, (_, number) => {
      const there = [...part.keys()].filter((one) => part.get(one) === number);
      const isLast = (label) =>
        there.filter((one) => owners.get(one).has(label)).length + 1 === mine.get(label).size;
      return [Number(labels.some(isLast)), total(there, labels), total(there, every)];
    });
    const less = (one, other) => one.map((cost, i) => cost - other[i]).find(Boolean) < 0;
    part.set(
      group,
      costs.reduce((best, cost, number) => (less(cost, costs[best]) ? number : best), 0),
    );
  }
  return part;
}

export const sum = (numbers) => numbers.reduce((total, number) => total + number, 0);

function median(numbers) {
  const sorted = [...numbers].sort((a, b) => a - b);
  const half = sorted.length >> 1;
  return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}

function added(map, key, value) {
  if (!map.has(key)) map.set(key, new Set());
  map.get(key).add(value);
}
