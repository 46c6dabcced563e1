// k-nearest neighbours over embeddings of unit length: cosine, and a soft vote balanced by class.
// The numbers are those of the build: see builder/choices/votes/soft.py and heads/classify.py.

export const K = 100; // neighbours that vote; fewer if there are fewer examples
const EXACT_HIT = 1e-6; // this near to 1, an example is the picture itself, and alone counts

// A vector scaled to length 1; a vector of zeros stays as it is.
export function unit(values) {
  let squares = 0;
  for (const value of values) squares += value * value;
  const length = Math.sqrt(squares) || 1;
  return Float32Array.from(values, (value) => value / length);
}

// The cosine of two vectors of unit length.
export function cosine(one, other) {
  let sum = 0;
  for (let i = 0; i < one.length; i++) sum += one[i] * other[i];
  return sum;
}

// The k highest of some scores as { index, score }, highest first; of equals, the lower index
// first. Scores of -Infinity are nobody's.
export function highest(scores, k = K) {
  const last = new Float64Array(scores).sort()[Math.max(0, scores.length - k)];
  const found = [];
  for (let index = 0; index < scores.length; index++) {
    const score = scores[index];
    if (score >= last && score > -Infinity) found.push({ index, score });
  }
  return found.sort((a, b) => b.score - a.score || a.index - b.index).slice(0, k);
}

// The k nearest of `rows` to an embedding, as from `highest`.
export function nearest(embedding, rows, k = K) {
  return highest(
    rows.map((row) => cosine(embedding, row)),
    k,
  );
}

// The share of each class in the vote of some neighbours { label, score }, nearest first.
// `sizes` has the number of examples of each class, by which its votes are divided.
export function vote(near, sizes, temperature) {
  const shares = new Array(sizes.length).fill(0);
  if (!near.length) return shares;
  const sharpness = Math.fround(1 / temperature);
  const hit = 1 - near[0].score <= EXACT_HIT;
  for (const { label, score } of near) {
    const weight = Math.exp((score - near[0].score) * sharpness);
    shares[label] += (hit ? Number(1 - score <= EXACT_HIT) : weight) / sizes[label];
  }
  const total = shares.reduce((sum, share) => sum + share, 0);
  return shares.map((share) => share / total);
}

// The class with the largest share. Six decimals, so that rounding decides no tie; the first of
// equals wins.
export function winner(shares) {
  const rounded = shares.map((share) => Math.round(share * 1e6));
  return rounded.indexOf(Math.max(...rounded));
}
