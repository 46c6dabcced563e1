// What was taught as a zip of photos: CLASS/RECORDING/NUMBER.jpg.

import { folders, nested } from "./names.js";
import { ending } from "./photo.js";
import { zip } from "./zip.js";

// The zip of the photos of some classes [{ name, examples }]; `more` are further files for its top.
export function album(classes, more = []) {
  const places = folders(
    classes.map(({ name }) => name),
    nested,
  );
  const all = classes.flatMap(({ examples }) => examples);
  const recordings = folders([...new Set(all.map(({ recording }) => recording))]);
  const files = classes.flatMap(({ name, examples }) => {
    const numbers = new Map(); // of each recording
    const photos = examples.filter(({ photo }) => photo);
    return photos.map(({ recording, photo }) => {
      const number = (numbers.get(recording) ?? 0) + 1;
      numbers.set(recording, number);
      const file = `${String(number).padStart(4, "0")}.${ending(photo)}`;
      return { name: `${places.get(name)}/${recordings.get(recording)}/${file}`, blob: photo };
    });
  });
  return zip([...files, ...more]);
}
