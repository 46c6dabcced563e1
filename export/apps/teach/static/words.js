// What was measured, in words. No page, so that Node can test it.

const ALIKE = 0.05; // of the pictures of two classes, taken for the other: worth a word
const ONCE_MORE =
  "Record each class once more, from another angle; then this page can say how good it is.";
const SURE = 4; // recordings; fewer do not stand for all there are

export const counted = (n, what) => `${n} ${what}${n === 1 ? "" : "s"}`;
export const percent = (share) => `${Math.round(share * 100)}\u00a0%`;

// "a", "a and b", "a, b and c"
export function listed(names) {
  return names.length < 2 ? names.join("") : `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`;
}

// What was removed. `one` is the class if it went, too.
export function removal({ examples, one }, taught) {
  const many = counted(examples.length, "example");
  if (one) return `Removed the class ${one.name} with ${many}.`;
  const [{ owner }] = examples;
  const { name } = taught.classes.find(({ id }) => id === owner);
  const left = taught.of(owner).length;
  return `Removed ${many} of ${name}; ${left} ${left === 1 ? "is" : "are"} left.`;
}

// What answers, as from an Embedder; `rate` in pictures per second, null if it is not known.
export function network({ model, runtime, threads }, rate) {
  const speed = rate === null ? "" : `, ${Math.round(rate)} pictures per second`;
  const how = runtime === "wasm" ? `wasm, ${counted(threads, "thread")}` : runtime;
  return `Backbone: ${model.name}, ${model.size} × ${model.size} pixels${speed} (${how})`;
}

// Why WebGPU is not used although it is there.
export function refusal(reason) {
  return `WebGPU is not used, although this browser has it: ${reason}.`;
}

// How good it is in a line. `found` is as from `study`, `names` are those of its classes.
export function line(found, names) {
  if (!names.length) return "Nothing has been taught yet.";
  if (names.length < 2) return "Only one class answers. Teach a second one, or unmute one.";
  if (!found.asked) return ONCE_MORE;
  return `${found.right} of ${found.asked} right.`;
}

// What to know and what to do, in sentences.
export function advice(found, names) {
  if (names.length < 2 || !found.asked) return [];
  return [
    "One recording of each class at a time was left out, and tested against only the others.",
    `With all recordings, about ${percent(found.expected)} should be right. A build measures in the` +
      " same way; its report may differ by a few points, as it groups the recordings differently.",
    ...once(found, names),
    ...alike(found, names),
    ...enough(found),
    ...unknown(found),
  ];
}

function once({ classes }, names) {
  const single = names.filter((_, label) => classes[label].recordings < 2);
  const fewest = Math.min(...classes.map(({ recordings }) => recordings));
  if (single.length) {
    return [`Record ${listed(single)} once more, from another angle; it is not tested yet.`];
  }
  if (fewest >= SURE) return [];
  return [
    "With so few recordings, take this as a first impression.",
  ];
}

function alike({ confused }, names) {
  return confused
    .filter(({ times, of }) => times > 1 && times >= ALIKE * of)
    .map(
      ({ one, other, times, of }) =>
        `${names[one]} and ${names[other]} look alike: ${times} of ${of} pictures were mixed up.` +
        " Show more of both, from other angles.",
    );
}

// Whether more of the same helped: all of it compared with half of it.
function enough({ half, asked, right }) {
  if (!half) return [];
  const [few, all] = [half.right / half.asked, right / asked];
  const [some, whole] = [percent(few), percent(all)];
  const figures = `with half of the ${half.what}, ${some} were right; with all, ${whole}`;
  const gained = (all - few) * asked;
  if (gained >= 2 && all - few > 0.02) return [`More ${half.what} helped: ${figures}.`];
  if (right === asked) return [`More ${half.what} like these will hardly help: ${figures}.`];
  return [`More ${half.what} like these did not help much: ${figures}. Show it other views.`];
}

function unknown({ unknown }) {
  if (!unknown) {
    return [
      "It cannot recognise strangers yet: it always names a class. To recognise them, it needs 20" +
        " examples from 4 recordings.",
    ];
  }
  const { known, strangers } = unknown;
  const calls = `It called ${known.rejected} of ${known.of} pictures of your classes unknown`;
  const wrong = `It says unknown if nothing similar was taught. ${calls}, by mistake`;
  const more = "If it says unknown too often, show it more angles.";
  if (!strangers) return [`${wrong}. ${more}`];
  const noticed = `it called ${strangers.rejected} of ${strangers.of} pictures unknown`;
  return [`${wrong}. When one of your classes was hidden from it, ${noticed}. ${more}`];
}
