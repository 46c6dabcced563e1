// What the page was taught: classes, and their examples in the order they came. No page, no disk.

import { unit } from "./knn.js";
import { checked } from "./names.js";

// It has
//   classes    { id, name, muted }: a muted class is kept, but does not answer
//   examples   { id, owner, recording, values, unit, photo }: the class's id, what it was recorded
//              with, the embedding as the model gave it and at length 1, and its file or null
//   built      names of the classes of the build it began with
//   gone       classes that a loaded memory switches off in apps
export class Taught {
  classes = [];
  examples = [];
  built = [];
  gone = [];
  #next = 1;

  constructor(slots) {
    this.slots = slots;
  }

  // Adds a class, and returns it.
  add(text) {
    const name = checked(text, this.names);
    const one = { id: this.#next++, name, muted: false };
    this.classes.push(one);
    return one;
  }

  // The class of this name, if there is one.
  named(name) {
    return this.classes.find((one) => one.name === name);
  }

  // The same for a name of a file, which need not be one that a folder can have; it is added.
  from(name) {
    if (!this.named(name)) this.classes.push({ id: this.#next++, name, muted: false });
    return this.named(name);
  }

  rename(one, text) {
    one.name = checked(
      text,
      this.names.filter((name) => name !== one.name),
    );
  }

  // An example as it will be kept; `teach` adds it.
  example(owner, recording, values, photo) {
    this.checkRoom(1);
    return { id: this.#next++, owner, recording, values, unit: unit(values), photo };
  }

  checkRoom(more) {
    if (this.examples.length + more > this.slots) {
      throw new Error(`The page is full: it takes ${this.slots} examples. Remove some first.`);
    }
  }

  teach(examples) {
    this.examples.push(...examples);
  }

  // Puts examples back that were removed, to where they were: ids are in the order of their coming.
  putBack(examples) {
    const all = [...new Set([...this.examples, ...examples])];
    this.examples = all.sort((one, other) => one.id - other.id);
  }

  // Puts a class back that was dropped.
  putClassBack(one, place) {
    if (this.classes.some(({ id }) => id === one.id)) return;
    if (this.named(one.name)) {
      throw new Error(`There is already a class “${one.name}”. Rename it, then undo.`);
    }
    this.classes.splice(place, 0, one);
  }

  // Whether a class has this very embedding: the same file, a second time.
  has(owner, values) {
    return this.of(owner).some((other) => equal(other.values, values));
  }

  // Takes what was kept on the disk, as it is.
  resume({ classes, built, gone, examples }) {
    Object.assign(this, { classes: [...classes], built, gone });
    const there = new Set(classes.map(({ id }) => id)); // a page may have been closed in between
    this.examples = examples
      .filter(({ owner }) => there.has(owner))
      .map((one) => ({ ...one, unit: unit(one.values) }));
    const ids = [...classes, ...examples].map(({ id }) => id);
    this.#next = ids.reduce((most, id) => Math.max(most, id), 0) + 1;
  }

  // Drops some examples, and returns them.
  remove(ids) {
    const gone = new Set(ids);
    const examples = this.examples.filter(({ id }) => gone.has(id));
    this.examples = this.examples.filter(({ id }) => !gone.has(id));
    return examples;
  }

  // Drops a class; its examples are still to be removed.
  drop({ id }) {
    this.classes = this.classes.filter((other) => other.id !== id);
  }

  // Everything but the examples, to be kept.
  get facts() {
    const { classes, built, gone } = this;
    return { classes: classes.map((one) => ({ ...one })), built, gone };
  }

  // A function that takes everything but the examples back to how it is now. Each class stays the
  // same object, as its card holds it.
  mark() {
    const { built, gone } = this;
    const classes = [...this.classes];
    const were = classes.map((one) => ({ ...one }));
    return () => {
      classes.forEach((one, i) => Object.assign(one, were[i]));
      Object.assign(this, { classes, built, gone });
    };
  }

  get names() {
    return this.classes.map(({ name }) => name);
  }

  // The classes of a build that an app is to switch off.
  get forgotten() {
    const removed = this.built.filter((name) => !this.named(name));
    return [...new Set([...this.gone, ...removed])];
  }

  // The classes that answer.
  get active() {
    return this.classes.filter(({ id, muted }) => !muted && this.of(id).length);
  }

  of(owner) {
    return this.examples.filter((one) => one.owner === owner);
  }

  // The ids of the recording that came last; [] if there is none.
  get last() {
    const last = this.examples.at(-1);
    const same = (one) => one.recording === last.recording && one.owner === last.owner;
    return last ? this.examples.filter(same).map(({ id }) => id) : [];
  }
}

function equal(one, other) {
  for (let i = 0; i < one.length; i++) if (one[i] !== other[i]) return false;
  return true;
}
