// The page: classes are taught by camera, photos or files, and each picture is answered at once.
//
// For other scripts, the document dispatches each answer as `pocketknn:answer`, whose detail is
// { winner, known, votes, neighbors, embedding }, and each measurement as `pocketknn:study`, whose
// detail is what study.js describes, and `names`.

import { Build } from "./build.js";
import { Cards } from "./cards.js";
import { chosen, dropped, hasFiles, sorted } from "./drops.js";
import { Embedder } from "./embedder.js";
import { load, offerFiles, photosToBuild } from "./files.js";
import { digits } from "./hold.js";
import { Lesson } from "./lesson.js";
import { Live, stage } from "./live.js";
import { SINGLE } from "./names.js";
import { find, make, show, tell } from "./page.js";
import { photoOf } from "./photo.js";
import { drawRound, offerRound } from "./round.js";
import { blank, draw } from "./teach-view.js";
import { Undo } from "./undo.js";
import { advice, counted, line, listed, network, refusal } from "./words.js";

const FEW = 3; // files that are named

const measured = new Map(); // { right, asked } by the id of a class
const embedder = new Embedder(loading, drawNetwork);
const live = new Live(ask, problem);
let page; // page.json
let lesson;
let undo;
let latest = 0; // number of the last photo asked about; answers to earlier ones are not drawn

const cards = new Cards({
  begin: record,
  end: () => live.release(),
  files: (found, one) => attempt(() => addPhotos(found, one)),
  rename: (one, name) => attempt(() => lesson.rename(one, name)),
  mute: (one) => attempt(() => lesson.mute(one)),
  drop: (one) => attempt(() => lesson.drop(one)),
  remove: ({ id }) => attempt(() => lesson.remove([id])),
});

const ready = start();
ready.catch((error) => problem(error.message)).finally(() => show("loading", false));

// Shows the loaded share; once it is all there, it is measured.
function loading(share) {
  if (share < 1) find("progress").value = share;
  else find("progress").removeAttribute("value");
  const what = share < 1 ? "Loading the network …" : "Measuring how fast it is on this machine …";
  tell(find("loading-what"), what);
}

async function start() {
  const response = await fetch("page.json");
  if (!response.ok) throw new Error(`page.json cannot be loaded: ${response.status}`);
  page = await response.json();
  document.title = page.title;
  find("title").textContent = page.title;
  lesson = new Lesson(page.slots, changed, studied);
  undo = new Undo(lesson, attempt, ({ examples, one }) => {
    if (one) cards.focus(one.id, []);
    else cards.focus(examples[0].owner, examples.toReversed());
  });
  const kept = await lesson.recall();
  // Examples belong to one network; without any, the first that is fast enough is taken.
  const made = kept?.examples.length ? kept.model.sha256 : null;
  const same = page.models.filter(({ sha256 }) => sha256 === made);
  await embedder.choose(same.length ? same : page.models, page.webgpu);
  await lesson.resume(kept, embedder.model);
  if (!kept && page.examples) await loadBuilt();
  offerFiles(lesson, attempt);
  offerRound(live, ask, say);
  const { model, rate } = embedder;
  drawNetwork(rate);
  const [better] = embedder.slower;
  if (better) {
    find("fallback").textContent =
      "This machine was too slow for the better network, so a smaller, less accurate one answers." +
      " You can measure again as long as nothing has been taught.";
    find("insist").textContent =
      `${better.name} reached only ${better.rate.toFixed(1)} pictures per second here. To use it anyway:` +
      ` pocketknn teach --backbone ${better.name}`;
  }
  show("how");
  tell(find("kept"), lesson.kept);
  if (!lesson.keeps) {
    tell(find("unkept"), lesson.kept);
    show("unkept");
  }
  for (const id of ["teach-section", "good-section", "keep-section"]) show(id);
  show("hint");
  changed();
  lesson.study.ask();
  if (page.served) new Build(lesson.id, () => photosToBuild(lesson), model.name, problem, say);
  document.body.dataset.ready = "yes";
}

// What answers. `rate` is measured at the start; later, after a graphics card was lost, it is not.
function drawNetwork(rate = null) {
  const card = embedder.runtime === "WebGPU";
  tell(find("runs"), `Runs on this device${card ? "’s graphics card" : ""} (${embedder.runtime})`);
  find("network").textContent = network(embedder, rate);
  find("refused").textContent = embedder.refused && refusal(embedder.refused);
}

find("measure").addEventListener("click", () => location.reload());

// Announce to screen readers.
function say(text) {
  tell(find("said"), text);
}

function problem(text) {
  find("problem").textContent = text;
  show("problem", Boolean(text));
}

// Does something that may fail, in words if it does.
async function attempt(act) {
  problem("");
  try {
    await act();
  } catch (error) {
    problem(error.message);
  }
}

// The examples of the build that the page starts from.
async function loadBuilt() {
  const response = await fetch(page.examples);
  if (!response.ok) throw new Error(`${page.examples} cannot be loaded: ${response.status}`);
  await load(lesson, new File([await response.blob()], page.examples), true);
}

// Answers

// Answers a frame, and returns the class; null for unknown, undefined if a photo was asked about
// meanwhile. The frame becomes a file first, as the taught ones did: JPEG alone may change a score
// more than the threshold of unknown allows.
async function ask(frame) {
  await ready;
  const number = latest;
  const { embedding } = await embedder.run(await photoOf(frame));
  if (number !== latest) return undefined;
  const found = answer(embedding);
  return found?.known ? found.winner : null;
}

// Draws the answer, and returns it; null while nothing was taught.
function answer(embedding) {
  const found = lesson.ask(embedding);
  if (!found) return null;
  draw(found);
  say(found.known ? found.winner : "unknown");
  const neighbors = found.neighbors.map(({ label, score, example: { id, recording } }) => {
    return { label, score, id, recording };
  });
  const detail = { ...found, neighbors, embedding: Array.from(embedding) };
  document.dispatchEvent(new CustomEvent("pocketknn:answer", { detail }));
  return found;
}

async function askAbout(photo) {
  const number = ++latest;
  live.stop();
  const { turn } = live;
  await ready;
  const { embedding } = await embedder.run(photo);
  if (number !== latest || turn !== live.turn) return; // or the camera was started meanwhile
  const picture = find("picture");
  URL.revokeObjectURL(picture.src);
  picture.src = URL.createObjectURL(photo);
  stage("picture");
  if (!answer(embedding)) problem("Teach a class first.");
}

find("ask").addEventListener("change", ({ target }) => {
  const [photo] = target.files;
  if (photo) attempt(() => askAbout(photo));
  target.value = ""; // the same photo may be chosen again
});

// Teaching

function record(one) {
  problem("");
  const recording = lesson.recording();
  const take = async (frame) => {
    const photo = await photoOf(frame);
    const { embedding } = await embedder.run(photo);
    await lesson.teach(one, recording, embedding, photo);
  };
  const done = () => say(`${one.name}: ${counted(lesson.taught.of(one.id).length, "example")}`);
  live.hold(take, done);
}

digits(() => cards.buttons);

find("new").addEventListener("submit", (event) => {
  event.preventDefault();
  attempt(async () => {
    const text = find("name").value;
    find("name").value = ""; // the next name may be typed meanwhile
    try {
      await lesson.addClass(text);
    } catch (error) {
      find("name").value ||= text;
      throw error;
    }
  });
});

find("back").addEventListener("click", () =>
  attempt(async () => {
    await lesson.remove(lesson.taught.last);
    if (find("back").disabled) find("undo").focus(); // else the focus would be nowhere
  }),
);

// Adds photos to a class, or each to the class that its folder tells.
async function addPhotos(found, one = null) {
  await ready;
  const photos = sorted(found);
  const lost = found.length - photos.length;
  if (!one && photos.some(({ name }) => !name)) {
    if (photos.length === 1) return askAbout(photos[0].file);
    throw new Error("Drop these photos onto a class, or drop a folder of photos for each class.");
  }
  let [added, same] = [0, 0];
  const unread = [];
  const refused = new Map(); // why a folder cannot be a class, by its name
  for (const { file, name, recording } of photos) {
    tell(find("adding"), `Adding photos: ${added + same + 1} of ${photos.length} …`);
    let embedding;
    try {
      ({ embedding } = await embedder.run(file));
    } catch {
      unread.push(file.name);
      continue;
    }
    let owner = one ?? lesson.taught.named(name);
    if (!owner && !refused.has(name)) {
      owner = await lesson.addClass(name).catch((error) => void refused.set(name, error.message));
    }
    if (!owner) continue;
    if (lesson.taught.has(owner.id, embedding)) {
      same++;
      continue;
    }
    // A photo alone is a recording of its own. In a folder, two classes may have recordings of
    // the same name; as in a build, they are different ones.
    const own = recording ? `${owner.name} ${recording}` : lesson.recording(SINGLE);
    await lesson.teach(owner, own, embedding, file);
    added++;
  }
  const notes = [`${counted(added, "photo")} added`];
  if (same) notes.push(`${same} already known`);
  if (lost) notes.push(`${counted(lost, "file")} of another kind`);
  if (unread.length) notes.push(`this browser cannot read ${listed(unread.slice(0, FEW))}`);
  if (unread.length > FEW) notes.push(`and ${counted(unread.length - FEW, "more file")}`);
  for (const [name, why] of refused) notes.push(`the folder “${name}” was left out. ${why}`);
  tell(find("adding"), notes.join(", "));
  say(notes.join(", "));
}

find("photos").addEventListener("change", ({ target }) => {
  const found = chosen(target);
  attempt(() => addPhotos(found));
  target.value = "";
});

// Accept drops anywhere: otherwise a browser leaves the page for a photo that misses its place.
for (const name of ["dragenter", "dragover", "dragleave", "drop"]) {
  document.addEventListener(name, (event) => {
    event.preventDefault();
    find("stage").classList.toggle("over", name === "dragenter" || name === "dragover");
  });
}
document.addEventListener("drop", ({ dataTransfer }) => {
  if (!hasFiles(dataTransfer)) return;
  attempt(async () => {
    const found = await dropped(dataTransfer);
    const [first] = found;
    const isData = found.length === 1 && /\.json$/i.test(first.path);
    await (isData ? load(lesson, first.file) : addPhotos(found));
  });
});

// How good it is

function changed() {
  const { taught } = lesson;
  cards.draw(taught, measured);
  undo.draw();
  find("back").disabled = !taught.examples.length;
  for (const id of ["save", "album"]) find(id).disabled = !taught.examples.length;
  show("measure", Boolean(embedder.slower?.length) && !taught.examples.length);
  if (!taught.active.length) blank();
  drawRound(taught.active.map(({ name }) => name));
}

function studied(found, classes) {
  const names = classes.map(({ name }) => name);
  measured.clear();
  classes.forEach(({ id }, label) => measured.set(id, found.classes[label]));
  cards.draw(lesson.taught, measured);
  tell(find("accuracy"), line(found, names));
  find("advice").replaceChildren(...advice(found, names).map((text) => make("li", "", text)));
  const detail = { ...found, names };
  document.dispatchEvent(new CustomEvent("pocketknn:study", { detail }));
}
