// What the model's outputs mean, from the description of the build in page.json.

// The answer as { neighbors, known, votes?, winner?, values? }.
export function answerOf({ scores, indices, probabilities, value }, page) {
  // A file that grows may list more neighbours than it has references.
  const there = indices.slice(0, page.references.length);
  const neighbors = there.map((index, rank) => ({
    score: scores[rank],
    ...page.references[index],
  }));
  const answer = { neighbors, known: true };
  if (probabilities) {
    const winner = best(probabilities);
    answer.winner = page.labels[winner];
    answer.known = page.threshold === null || winner < page.labels.length - 1; // the last: unknown
    answer.votes = page.labels
      .map((label, i) => ({ label, share: probabilities[i] }))
      .filter((vote) => vote.share > 0)
      .sort((a, b) => b.share - a.share);
  }
  if (value) answer.values = page.targets.map((name, i) => ({ name, value: value[i] }));
  return answer;
}

// Six decimals, so that rounding decides no tie; the first of equals wins, as in the build.
function best(votes) {
  const rounded = votes.map((vote) => Math.round(vote * 1e6));
  return rounded.indexOf(Math.max(...rounded));
}

// The positions of a score and of the threshold between far (0) and near (1), and both in words.
export function nearness(score, { metric, threshold }) {
  if (metric === "cosine") {
    const low = Math.min(0, threshold);
    const place = (value) => (Math.max(value, low) - low) / (1 - low);
    return {
      level: place(score),
      limit: place(threshold),
      text: `The nearest has ${said(score, metric)}; unknown below ${threshold.toFixed(3)}.`,
    };
  }
  const farthest = 2 * -threshold || 1; // the threshold in the middle; a score is minus a distance
  const place = (value) => Math.max(0, 1 + value / farthest);
  return {
    level: place(score),
    limit: place(threshold),
    text: `The nearest is at ${said(score, metric)}; unknown beyond ${short(-threshold)}.`,
  };
}

// A score in words: a cosine, or a distance, which is minus the score.
export const said = (score, metric) =>
  metric === "cosine" ? `score ${score.toFixed(3)}` : `distance ${short(-score)}`;

export const short = (number) => Number(number.toPrecision(4)).toString();
export const percent = (share) => `${Math.round(share * 100)} %`;
