// Draws an answer.

import { find, make, show, tell } from "./page.js";
import { addressOf } from "./thumbnails.js";
import { SHOWN, drawVotes } from "./votes.js";
import { percent } from "./words.js";

// `answer` is { winner, known, votes: [{ label, share }], neighbors: [{ label, score, example }] }.
export function draw({ winner, known, votes, neighbors }) {
  find("answer").classList.toggle("unknown", !known);
  for (const id of ["winner", "caption"]) tell(find(id), known ? winner : "unknown");
  const share = votes.find(({ label }) => label === winner).share;
  const score = `score ${neighbors[0].score.toFixed(3)}`;
  const nearest = `${neighbors[0].label}, ${score}`;
  const said = known
    ? `${percent(share)} of the vote; nearest: ${score}`
    : `no example is near enough; nearest: ${nearest}`;
  tell(find("detail"), said);
  drawVotes(votes, percent);
  drawNeighbors(neighbors.slice(0, SHOWN));
  for (const id of ["verdict", "votes", "neighbors"]) show(id);
  show("hint", false);
}

export function blank() {
  for (const id of ["verdict", "votes", "neighbors"]) show(id, false);
  tell(find("caption"), "");
  show("hint");
}

function drawNeighbors(neighbors) {
  const rows = neighbors.map(({ label, score, example }) =>
    make(
      "li",
      "",
      thumbnail(example),
      make("b", "", label),
      make("small", "", `score ${score.toFixed(3)}`),
    ),
  );
  find("neighbor-list").replaceChildren(...rows);
}

// The photo of an example, or a blank where it has none; the text beside it names it.
export function thumbnail(example) {
  const address = addressOf(example);
  if (!address) return make("span", "blank", "no photo");
  const image = make("img");
  image.loading = "lazy";
  image.src = address;
  image.alt = "";
  return image;
}
