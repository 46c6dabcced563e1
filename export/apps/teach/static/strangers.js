// Unknown: the lowest score that the nearest example of a known picture has; the same rule as
// `reject = auto` of the build, in builder/knn/validation/rejection.py.

const REJECTED = 0.05; // the share of known pictures that may be called unknown
const FEWEST = 20; // examples asked: with fewer, five in a hundred is less than one
const FEWEST_RECORDINGS = 4;
const ROUNDING = 1e-6;

// { threshold, known: { rejected, of }, strangers: { rejected, of } | null }, or null while there
// is too little to measure it. `strangers` is measured by leaving out the classes one by one.
export function strangers(examples, found) {
  const recordings = new Set(found.map(({ index }) => examples[index].recording));
  if (found.length < FEWEST || recordings.size < FEWEST_RECORDINGS) return null;
  const nearest = found.map(({ near }) => near[0].score);
  const limit = quantile(nearest, REJECTED);
  const rejected = nearest.filter((score) => score < limit).length;
  return {
    threshold: limit,
    known: { rejected, of: found.length },
    strangers: leftOutClasses(examples, found, rejected / found.length),
  };
}

// How many examples are rejected where their whole class was never taught.
function leftOutClasses(examples, found, rate) {
  const [own, without] = [(one) => examples[one.index].label, new Map()];
  let [rejected, of] = [0, 0];
  for (const label of new Set(found.map(own))) {
    for (const one of found) {
      without.set(one, Math.max(...one.best.filter((_, other) => other !== label)));
    }
    const score = (one) => without.get(one);
    const rest = found.filter((one) => own(one) !== label && score(one) > -Infinity).map(score);
    if (!rest.length) continue;
    const limit = quantile(rest, rate);
    const mine = found.filter((one) => own(one) === label);
    rejected += mine.filter((one) => score(one) < limit).length;
    of += mine.length;
  }
  return of ? { rejected, of } : null;
}

// The highest threshold midway between two scores with at most this share below it.
export function quantile(scores, share) {
  const ordered = new Float64Array(scores).sort();
  const below = Math.trunc(Math.round(share * ordered.length * 1e9) / 1e9);
  // Examples that are each other's nearest have equal scores, with no gap between them.
  for (let i = Math.min(below, ordered.length - 1) - 1; i >= 0; i--) {
    if (ordered[i + 1] - ordered[i] > ROUNDING * Math.abs(ordered[i])) {
      return Math.fround((ordered[i] + ordered[i + 1]) / 2);
    }
  }
  return Math.fround(ordered[0] - ROUNDING * Math.max(1, Math.abs(ordered[0])));
}
