// Files: the memory is saved and loaded, the photos are downloaded, and all is deleted.

import { album } from "./album.js";
import { download, find, tell, twice } from "./page.js";
import { counted } from "./words.js";

const MOST_MEGABYTES = 300; // of a file to load: near what a browser can hold as one text

// The buttons for files; `attempt` does what may fail.
export function offerFiles(lesson, attempt) {
  find("save").addEventListener("click", () => download(lesson.memory(), "memory.json"));
  find("load").addEventListener("change", ({ target }) => {
    const [file] = target.files;
    if (file) attempt(() => load(lesson, file));
    target.value = ""; // the same file may be chosen again
  });
  find("album").addEventListener("click", () => attempt(() => downloadPhotos(lesson)));
  twice(
    find("restart"),
    () => `Delete ${counted(lesson.taught.examples.length, "example")}?`,
    () =>
      attempt(async () => {
        await lesson.clear();
        location.reload();
      }),
  );
}

// Adds the examples of a file; of the build that the page starts from, if it is `built`.
export async function load(lesson, file, built = false) {
  if (file.size > MOST_MEGABYTES * 1e6) {
    throw new Error(`This file is too large: at most ${MOST_MEGABYTES} MB can be loaded.`);
  }
  tell(find("adding"), `Reading ${(file.size / 1e6).toFixed(1)} MB …`);
  try {
    const found = await read(file, lesson.model);
    const added = await lesson.load(found, file.name, built);
    const doubt = ` This file does not say which network made it: if it was not`;
    const warning = found.sure ? "" : `${doubt} ${lesson.model.name}, the answers will be wrong.`;
    tell(find("adding"), `${counted(added, "example")} added.${warning}`);
  } catch (error) {
    tell(find("adding"), "");
    throw error;
  }
}

// In a worker of its own, which takes its memory along when it ends.
function read(file, { sha256, crop, dim }) {
  const worker = new Worker(new URL("dataset-worker.js", import.meta.url), { type: "module" });
  const reading = new Promise((resolve, reject) => {
    worker.onmessage = ({ data: { found, error } }) => {
      if (error) reject(new Error(error));
      else resolve(found);
    };
    worker.onerror = () => reject(new Error("This file is too large for this browser."));
  });
  worker.postMessage({ file, model: { sha256, crop, dim } });
  return reading.finally(() => worker.terminate());
}

async function downloadPhotos(lesson) {
  const classes = withExamples(lesson, lesson.taught.classes);
  if (!classes.some(({ examples }) => examples.some(({ photo }) => photo))) {
    throw new Error("These examples have no photos, as they came from a file.");
  }
  download(await album(classes), "photos.zip");
}

// The zip that the server builds: photos, and in memory.json the examples that have none.
export function photosToBuild(lesson) {
  const { active } = lesson.taught;
  if (active.length < 2) throw new Error("A build takes two classes or more: teach or unmute one.");
  const bare = (one) => lesson.taught.of(one.id).filter(({ photo }) => !photo);
  const without = active.filter((one) => bare(one).length);
  const more = without.length ? [{ name: "memory.json", blob: lesson.memory(without, bare) }] : [];
  return album(withExamples(lesson, active), more);
}

const withExamples = (lesson, classes) =>
  classes.map(({ id, name }) => ({ name, examples: lesson.taught.of(id) }));
