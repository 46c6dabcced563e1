// The temperature T of the soft vote, softmax(score / T), by maximum likelihood of the true classes
// of examples that were left out; the same as in builder/knn/temperature.py, which explains it.

const PLAIN = [1.33, -0.3]; // the usual T: in standard deviations of the scores, by their number
const USUAL_SPREAD = 0.17;
const MORE_PAIRS = 10;
const MIN_SPREAD = 1e-3;
const SPREAD = 0.4; // of the prior
const FLOOR = 1e-6;
const SAMPLE = 1000;
const NEAR_ENOUGH = 1e-4; // in log T, where the search ends

// The T that fits best; `found` is as from heldOut, `sizes` has the examples of each class.
export function temperature(examples, sizes, found, row) {
  const likely = usual(examples, row);
  return found.length ? mostLikely(examples, sizes, found, likely) : likely;
}

// The prior's median of T, from the number of examples and the spread of cosines between classes.
export function usual(examples, row) {
  const step = Math.ceil(examples.length / SAMPLE);
  let [pairs, mean, squares] = [0, 0, 0];
  for (let i = 0; i < examples.length; i += step) {
    const scores = row(i);
    for (let j = 0; j < examples.length; j += step) {
      if (examples[i].label === examples[j].label) continue;
      const off = scores[j] - mean;
      mean += off / ++pairs;
      squares += off * (scores[j] - mean); // Welford's sum, which cancels nothing
    }
  }
  if (!pairs) return 1;
  const expected = USUAL_SPREAD * Math.abs(1 - mean);
  const variance = (squares / 2 + MORE_PAIRS * expected ** 2) / (pairs / 2 + MORE_PAIRS);
  const [factor, power] = PLAIN;
  return factor * Math.max(Math.sqrt(variance), MIN_SPREAD) * examples.length ** power;
}

function mostLikely(examples, sizes, found, likely) {
  const label = (one) => examples[one.index].label;
  const asked = new Array(sizes.length).fill(0);
  for (const one of found) asked[label(one)]++;
  const present = asked.filter(Boolean).length;
  // Classes count equally, whatever their sizes; the mean weight is 1.
  const questions = found.map((one) => ({
    weight: found.length / present / asked[label(one)],
    left: one.sizes[label(one)] / sizes[label(one)],
    gaps: Float64Array.from(one.near, ({ score }) => score - one.near[0].score),
    votes: Float64Array.from(one.near, (other) => 1 / one.sizes[other.label]),
    own: Uint8Array.from(one.near, (other) => other.label === label(one)),
  }));
  const total = questions.reduce((sum, { weight, left }) => sum + weight * Math.log(left), 0);
  const handicap = -total / found.length / 2; // a left out example has fewer of its class
  const middle = Math.log(likely);

  const loss = (logT) => {
    const sharpness = Math.exp(-(logT + handicap));
    let fit = 0;
    for (const one of questions) fit += one.weight * logShare(one, sharpness);
    return ((logT - middle) / SPREAD) ** 2 / 2 - fit;
  };
  const steps = Array.from({ length: 15 }, (_, i) => middle - 4 + i / 2);
  const losses = steps.map(loss); // there may be more than one minimum
  const best = losses.indexOf(Math.min(...losses));
  return Math.exp(lowest(loss, steps[Math.max(0, best - 1)], steps[Math.min(14, best + 1)]));
}

// The logarithm of the share of the vote that the example's own class gets.
function logShare({ gaps, votes, own }, sharpness) {
  let [mine, all] = [0, 0];
  for (let i = 0; i < gaps.length; i++) {
    const counts = votes[i] * Math.exp(gaps[i] * sharpness);
    all += counts;
    if (own[i]) mine += counts;
  }
  return Math.log(mine / all + FLOOR);
}

// Where a function is lowest between two places, by golden sections.
function lowest(value, low, high) {
  const part = (Math.sqrt(5) - 1) / 2;
  let [left, right] = [high - part * (high - low), low + part * (high - low)];
  let [atLeft, atRight] = [value(left), value(right)];
  while (high - low > NEAR_ENOUGH) {
    if (atLeft < atRight) {
      [high, right, atRight] = [right, left, atLeft];
      left = high - part * (high - low);
      atLeft = value(left);
    } else {
      [low, left, atLeft] = [left, right, atRight];
      right = low + part * (high - low);
      atRight = value(right);
    }
  }
  return (low + high) / 2;
}
