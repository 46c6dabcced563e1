// Draws an answer into the page.

import { nearness, percent, said, short } from "./answer.js";
import { find, make, show } from "./elements.js";
import { SHOWN, drawVotes } from "./votes.js";

export function describe(page) {
  document.title = page.title;
  find("title").textContent = page.title;
  find("description").textContent = page.description;
  const known = page.threshold === null ? page.labels : page.labels.slice(0, -1);
  const names = known.join(", ");
  if (names) find("classes").textContent = `It assigns a picture to one of: ${names}`;
  const crops = {
    center: "the middle square",
    stretch: "the whole picture, stretched",
    fit: "the whole picture, with black bars",
  };
  const { size, crop } = page.input;
  find("scores").textContent = `Score: ${page.scores}.`;
  find("rule").textContent = `${crops[crop]}, ${size} × ${size} pixels`;
}

export function draw(answer, found, page) {
  const section = find("answer");
  section.classList.toggle("unknown", !answer.known);
  show("hint", false);
  drawPixels(found.pixels, page.input.size);
  drawVerdict(answer, page);
  if (page.threshold !== null) drawNearness(answer.neighbors[0].score, page);
  if (answer.votes) drawVotes(answer.votes, percent);
  drawNeighbors(answer.neighbors, page);
}

function drawPixels(pixels, size) {
  const canvas = find("pixels");
  canvas.width = canvas.height = size;
  const image = new ImageData(size, size);
  image.data.fill(255);
  for (let i = 0; i < size * size; i++) image.data.set(pixels.subarray(3 * i, 3 * i + 3), 4 * i);
  canvas.getContext("2d").putImageData(image, 0, 0);
  show("seen");
}

// The answer in a line, and the evidence for it.
export function summary({ winner, votes, values, neighbors, known }, { metric, k, references }) {
  const asked = k < references.length ? `the ${k} neighbours` : `all ${k} references`;
  const nearest = said(neighbors[0].score, metric);
  if (!known) return ["unknown", `no reference is near enough; nearest: ${nearest}`];
  if (votes) {
    const share = votes.find((vote) => vote.label === winner)?.share ?? 0;
    return [winner, `${percent(share)} of the vote of ${asked}; nearest: ${nearest}`];
  }
  if (values) {
    const line = values.map(({ name, value }) => `${name} ${short(value)}`).join(", ");
    return [line, `mean of ${asked}; nearest: ${nearest}`];
  }
  const { label, path, id } = neighbors[0];
  return [label || path || id, `the nearest reference, ${nearest}`];
}

function drawVerdict(answer, page) {
  const [line, detail] = summary(answer, page);
  find("winner").textContent = line;
  find("detail").textContent = detail;
  show("verdict");
}

function drawNearness(score, page) {
  const { level, limit, text } = nearness(score, page);
  const gauge = find("gauge");
  gauge.setAttribute("aria-valuenow", Math.round(level * 100));
  gauge.setAttribute("aria-valuetext", text);
  find("level").style.width = `${100 * Math.min(1, level)}%`;
  find("threshold").style.left = `${100 * limit}%`;
  find("near-text").textContent = text;
  show("near");
}

function drawNeighbors(neighbors, page) {
  const rows = neighbors.slice(0, SHOWN).map((one) => {
    const score = make("small", "", said(one.score, page.metric));
    const name = make("small", "", one.path.split("/").slice(-2).join("/") || one.id);
    name.title = one.path;
    return make("li", "", thumbnail(one), make("b", "", one.label || one.id), score, name);
  });
  find("neighbor-list").replaceChildren(...rows);
  show("neighbors");
}

function thumbnail({ thumbnail, index }) {
  if (!thumbnail) return make("span", "blank", `${index}`);
  const image = make("img");
  image.src = thumbnail;
  image.alt = ""; // the text below names it
  return image;
}
