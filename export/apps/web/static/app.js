// The page: a picture comes from a file, the clipboard or the camera; the answer is drawn.
//
// For other scripts, the document dispatches each answer as an event `pocketknn:answer`, whose detail
// is { answer, outputs, pixels }: what is shown, the model's numbers, and its input bytes.

import { answerOf } from "./answer.js";
import { Camera } from "./camera.js";
import { Model } from "./model.js";
import { find, show } from "./elements.js";
import { describe, draw, summary } from "./view.js";

const camera = new Camera(find("video"));
const model = new Model((share) => (find("progress").value = share));
let page; // the description of the build in page.json
let latest = 0; // number of the last picture chosen; answers to earlier ones are not drawn

const ready = Promise.all([load(), model.ready]);
ready
  .then(() => show("hint", !latest))
  .catch((error) => problem(error.message))
  .finally(() => show("loading", false));

async function load() {
  const response = await fetch("page.json");
  if (!response.ok) throw new Error(`page.json cannot be loaded: ${response.status}`);
  page = await response.json();
  describe(page);
}

// Announce to screen readers.
function say(text) {
  if (find("said").textContent !== text) find("said").textContent = text;
}

function problem(text) {
  find("problem").textContent = text;
  show("problem", Boolean(text));
}

function shown(found) {
  const answer = answerOf(found.outputs, page);
  draw(answer, found, page);
  const { outputs, pixels } = found;
  document.dispatchEvent(
    new CustomEvent("pocketknn:answer", { detail: { answer, outputs, pixels } }),
  );
  return answer;
}

const milliseconds = ({ prepare, model }) =>
  `${Math.round(prepare)} ms to prepare, ${Math.round(model)} ms in the model`;

// Files

async function open(file) {
  const number = ++latest;
  stop();
  problem("");
  try {
    const found = await model.run(file);
    await ready;
    if (number !== latest) return;
    const picture = find("picture");
    URL.revokeObjectURL(picture.src);
    picture.src = URL.createObjectURL(file);
    stage("picture");
    say(summary(shown(found), page).join(", "));
    find("speed").textContent = milliseconds(found.times);
  } catch (error) {
    if (number === latest) problem(error.message);
  }
}

// What is in the frame: the invitation, the picture or the video.
function stage(what) {
  for (const id of ["invitation", "picture", "video"]) show(id, id === what);
  find("stage").classList.toggle("full", what !== "invitation");
}

find("file").addEventListener("change", ({ target }) => {
  if (target.files.length) open(target.files[0]);
  target.value = ""; // the same file may be chosen again
});

document.addEventListener("paste", ({ clipboardData }) => {
  if (clipboardData.files.length) open(clipboardData.files[0]);
});

// Accept drops anywhere: otherwise a browser leaves the page for a picture that misses the frame.
for (const name of ["dragenter", "dragover", "dragleave", "drop"]) {
  document.addEventListener(name, (event) => {
    event.preventDefault();
    find("stage").classList.toggle("over", name === "dragenter" || name === "dragover");
  });
}
document.addEventListener("drop", ({ dataTransfer }) => {
  if (dataTransfer.files.length) open(dataTransfer.files[0]);
});

// The camera

let starting = false; // the browser may still be asking for permission

find("camera").addEventListener("click", () => {
  if (camera.running) stop();
  else start(() => camera.start());
});
find("turn").addEventListener("click", () => start(() => camera.turn()));

async function start(how) {
  if (starting) return;
  const number = ++latest;
  starting = true;
  problem("");
  try {
    await how().finally(() => (starting = false));
    if (number !== latest) return camera.stop(); // a file was chosen meanwhile
    running(true);
    show("turn", await camera.others());
    stage("video");
    await watch(number);
  } catch (error) {
    stop();
    problem(error.message);
  }
}

async function watch(number) {
  await ready;
  let rate = 0;
  let last = performance.now();
  let line = "";
  while (number === latest && camera.running) {
    const frame = await camera.frame();
    if (!frame) continue;
    const found = await model.run(frame);
    if (number !== latest || !camera.running) return;
    const [winner] = summary(shown(found), page);
    if (winner !== line) say((line = winner));
    const now = performance.now();
    const current = 1000 / (now - last);
    rate = rate ? 0.9 * rate + 0.1 * current : current; // smoothed, to be readable
    last = now;
    find("speed").textContent = `${rate.toFixed(1)} frames per second: ${milliseconds(found.times)}`;
  }
}

function stop() {
  if (find("video").hidden && !camera.running) return;
  camera.stop();
  running(false);
  show("turn", false);
  stage("invitation");
}

function running(on) {
  find("camera").classList.toggle("running", on);
  find("camera").textContent = on ? "Stop the camera" : "Use the camera";
}
