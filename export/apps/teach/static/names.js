// The names of classes: they become folders, labels of a build and keys of a memory file.

export const NOTE = "pocketknn"; // the key of a memory file that is no class
// The first part of the made-up recording of a photo that stands alone; in a memory file it has none.
export const SINGLE = "single photo #";
const UNKNOWN = "unknown"; // what a build answers to a picture of no class
const LONGEST = 60;
const CONTROLS = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]|\p{Cs}/u;
// They cannot be seen; some reverse the text around them.
const INVISIBLE = /[\u00ad\u115f\u1160\u180e\u200b\u202a-\u202e\u2060-\u2069\u3164\ufeff\uffa0]/;
const VISIBLE = /[\p{L}\p{N}\p{P}\p{S}]/u; // one of these must be there
const NO_FOLDER = /[/\\:*?"<>|]/; // on one system or another
const DEVICE = /^(con|prn|aux|nul|(com|lpt)[0-9¹²³])(?=\.|$)/i; // on Windows, with any ending

// The name as it is used, or an error that says why it cannot be used. `others` are taken.
export function checked(text, others) {
  const name = text.normalize("NFC").trim();
  if (!name) throw new Error("Give the class a name first.");
  if (name.length > LONGEST) throw new Error(`A name can have at most ${LONGEST} characters.`);
  if (CONTROLS.test(name) || INVISIBLE.test(name) || !VISIBLE.test(name)) {
    throw new Error("This name contains an invisible character. Type it again.");
  }
  if (NO_FOLDER.test(name)) {
    throw new Error('A name becomes a folder, so it cannot contain / \\ : * ? " < > |');
  }
  if (DEVICE.test(name)) {
    throw new Error(`A name becomes a folder, and Windows cannot have one called “${name}”.`);
  }
  if (/^\.|\.$/.test(name)) throw new Error("A name cannot begin or end with a dot.");
  if ([UNKNOWN, NOTE].includes(name.toLowerCase())) {
    throw new Error(`The name “${name}” is reserved. Choose another one.`);
  }
  const there = others.find((other) => other.toLowerCase() === name.toLowerCase());
  if (there !== undefined) throw new Error(`There is already a class “${there}”.`);
  return name;
}

// Whether a name from a file can be a class.
export const usable = (name) =>
  Boolean(name.trim()) && !CONTROLS.test(name) && name !== NOTE && name !== UNKNOWN;

// A folder for each name; different names never share one.
export function folders(names, folder = single) {
  const found = new Map();
  const taken = new Set();
  for (const name of names) {
    const plain = folder(name);
    let place = plain;
    // Some systems tell "Mug" and "mug" apart and some do not.
    for (let n = 2; taken.has(place.toLowerCase()); n++) place = `${plain} ${n}`;
    taken.add(place.toLowerCase());
    found.set(name, place);
  }
  return found;
}

// A class with slashes is a folder in a folder, as in a build.
export const nested = (name) => name.split("/").map(single).join("/");

const single = (name) =>
  Array.from(name, (one) => (NO_FOLDER.test(one) ? "-" : one))
    .slice(0, LONGEST)
    .join("")
    .replace(/^\.|\.$/g, "-")
    .replace(DEVICE, "$1-") || "-";
