// Photos that are dropped or chosen, with their class and recording where folders tell them.

const PHOTO = /\.(jpe?g|png|webp|gif|bmp|avif|heic)$/i;

const isPhoto = (file) => file.type.startsWith("image/") || PHOTO.test(file.name);

// Whether files are on their way, and not text or a link.
export const hasFiles = ({ types }) => types.includes("Files");

// What was dropped: { file, path }, the path with the folders that were dropped.
export async function dropped({ items, files }) {
  // Entries must be taken at once: after the event, the list is empty.
  const entries = Array.from(items, (item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.length) return Array.from(files, (file) => ({ file, path: file.name }));
  const found = [];
  for (const entry of entries) await walk(entry, found);
  return found;
}

// What was chosen in an input.
export const chosen = (input) =>
  Array.from(input.files, (file) => ({ file, path: file.webkitRelativePath || file.name }));

// The photos as { file, name, recording }: CLASS/PHOTO, CLASS/RECORDING/PHOTO, or a folder around
// these. `name` and `recording` are null where no folder tells them.
export function sorted(found) {
  const photos = found.filter(({ file, path }) => isPhoto(file) && !/(^|\/)\./.test(path));
  const folders = photos.map(({ path }) => path.split("/").slice(0, -1));
  const tops = new Set(folders.map(([top]) => top));
  // One folder that holds folders alone is around the classes, as in a data set or a zip.
  const around = tops.size === 1 && folders.every((parts) => parts.length > 1);
  return photos.map(({ file }, i) => {
    const [name, ...rest] = around ? folders[i].slice(1) : folders[i];
    return { file, name: name ?? null, recording: rest.join(" ") || null };
  });
}

async function walk(entry, found) {
  if (entry.isFile) {
    const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
    found.push({ file, path: entry.fullPath.replace(/^\//, "") });
    return;
  }
  const reader = entry.createReader();
  for (;;) {
    // A reader gives some entries at a time, and none at the end.
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!some.length) return;
    for (const one of some) await walk(one, found);
  }
}
