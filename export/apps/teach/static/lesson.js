// What was taught, with everything that follows a change: it is kept, compared, and asked again.

import { memory } from "./dataset.js";
import { nearest, unit, vote, winner } from "./knn.js";
import { SINGLE } from "./names.js";
import { Store } from "./store.js";
import { Study } from "./study-client.js";
import { Taught } from "./taught.js";
import { forget } from "./thumbnails.js";
import { counted } from "./words.js";

const FIRST_TEMPERATURE = 0.1; // until the first study, a moment after the first example

export class Lesson {
  id = made(); // by which a build tells of which lesson it is
  removed = null; // the last removal, for `undo`: { examples, one, place }; the class if it went, too
  #undoing = false;
  #store = null;
  #writes = false;
  #voters = null; // who answers, made when it is asked
  #temperature = FIRST_TEMPERATURE;
  #threshold = null;
  #recordings = 0;

  // `changed` is called after every change, `studied` with what was measured and its classes.
  constructor(slots, changed, studied) {
    this.taught = new Taught(slots);
    this.changed = changed;
    this.study = new Study(
      () => this.#questions(),
      (found, classes) => {
        this.#temperature = found.temperature;
        this.#threshold = found.unknown?.threshold ?? null;
        studied(found, classes);
      },
    );
  }

  // What this browser keeps for the page, or null; and in `kept` whether it will keep more.
  async recall() {
    const { store, writes } = await Store.open();
    this.#store = store;
    this.alone = writes;
    this.#writes = writes && store !== null;
    this.kept = this.#writes
      ? "What you teach is saved in this browser."
      : writes
        ? "This browser stores nothing for this page: save the memory before you close it."
        : "This page is open in another tab: what you teach here is not saved.";
    return store?.load();
  }

  // Takes what was kept; `model` is the description of the network in use.
  async resume(kept, model) {
    this.model = model;
    if (!kept) return;
    const same = kept.model.sha256 === model.sha256 && kept.model.crop === model.crop;
    if (!same && kept.examples.length) {
      this.#writes = false;
      this.kept =
        "This browser has saved examples of another network for this page. They do not change, and" +
        " what you teach now is not saved. “Start again” deletes them.";
      return;
    }
    if (this.#writes && kept.lesson) this.id = kept.lesson;
    this.taught.resume(kept);
    this.study.add(this.taught.examples);
    this.#after();
    if (same && kept.lesson) return;
    // An earlier version kept no id, and a build of this lesson must be known after a reload.
    await this.#change(() => {}).catch(() => {}); // the next change tells that there is no room
  }

  addClass(name) {
    return this.#change(() => this.taught.add(name));
  }

  rename(one, name) {
    return this.#change(() => this.taught.rename(one, name));
  }

  async mute(one) {
    await this.#change(() => (one.muted = !one.muted));
    this.study.ask();
  }

  async drop(one) {
    const place = this.taught.classes.findIndex(({ id }) => id === one.id);
    if (place < 0) return;
    await this.#change(() => this.taught.drop(one)); // from now on it takes no more examples
    const examples = this.taught.of(one.id);
    this.removed = { examples, one, place }; // now, as it is gone even if the next line fails
    await this.remove(
      examples.map(({ id }) => id),
      this.removed,
    );
  }

  // A name for the next recording, which no other has.
  recording(kind = "camera ") {
    const time = clock(new Date());
    const taken = new Set(this.taught.examples.map(({ recording }) => recording));
    let name;
    // A clock may show a time twice, as when summer ends.
    do name = `${kind}${time} ${++this.#recordings}`;
    while (taken.has(name));
    return name;
  }

  // Teaches one example: first it is kept, so that nothing is shown that would be lost.
  async teach(one, recording, values, photo) {
    const example = this.taught.example(one.id, recording, values, photo);
    this.#checkThere(one);
    await this.#keep((store) => store.add([example]));
    try {
      this.#checkThere(one); // it may have been removed meanwhile
    } catch (error) {
      await this.#keep((store) => store.remove([example.id]));
      throw error;
    }
    this.taught.teach([example]);
    this.study.add([example]);
    this.#after();
  }

  async remove(ids, removal = null) {
    await this.#keep((store) => store.remove(ids));
    const examples = this.taught.remove(ids);
    if (examples.length) this.removed = removal ?? { examples, one: null }; // else a second click
    forget(ids);
    this.study.remove(ids);
    this.#after();
  }

  // Puts back what was removed last, and returns it; null if there is nothing. If that fails, it
  // can be tried again.
  async undo() {
    const { removed } = this;
    if (!removed || this.#undoing) return null;
    this.#undoing = true;
    const { examples, one, place } = removed;
    try {
      this.taught.checkRoom(examples.length);
      if (one) await this.#change(() => this.taught.putClassBack(one, place));
      await this.#keep((store) => store.add(examples));
    } finally {
      this.#undoing = false;
    }
    this.taught.putBack(examples);
    this.study.add(examples);
    if (this.removed === removed) this.removed = null; // else more was removed meanwhile
    this.#after();
    return removed;
  }

  // Adds what a file holds, as from `read` in dataset.js; returns how many examples were new.
  async load({ classes, gone, muted }, file, built = false) {
    const { taught } = this;
    const room = taught.slots - taught.examples.length;
    const wanted = classes.reduce((sum, { rows }) => sum + rows.length, 0);
    if (wanted > room) {
      throw new Error(`This file holds ${counted(wanted, "example")}; there is room for ${room}.`);
    }
    const added = await this.#change(() => {
      if (built) taught.built = classes.map(({ name }) => name);
      taught.gone = [...new Set([...taught.gone, ...gone])];
      return classes.flatMap(({ name, rows, origins }) => {
        const there = taught.named(name);
        const one = taught.from(name);
        if (!there && muted.includes(name)) one.muted = true;
        return rows.flatMap((values, i) => {
          if (there && taught.has(one.id, values)) return [];
          // Nobody knows the recordings of a data set: its class counts as one, which is on the
          // safe side. A memory without an origin is of single photos, as in a build.
          const recording = origins ? origins[i] || this.recording(SINGLE) : `${file} ${name}`;
          return [taught.example(one.id, recording, values, null)];
        });
      });
    });
    await this.#keep((store) => store.add(added));
    taught.teach(added);
    this.study.add(added);
    this.#after();
    return added.length;
  }

  // The memory file; of some classes, if they are given.
  memory(classes = this.taught.classes, of = (one) => this.taught.of(one.id)) {
    const full = classes.map((one) => ({ ...one, examples: of(one) }));
    const parts = [...memory(full, this.taught.forgotten, this.#made)];
    return new Blob(parts, { type: "application/json" });
  }

  // Deletes everything that is kept; the page is to be loaded again.
  async clear() {
    if (!this.alone) throw new Error("This page is open in another tab: close that one first.");
    await this.#store?.clear();
  }

  // { winner, known, votes, neighbors } for an embedding; null while nobody can answer.
  ask(embedding) {
    this.#voters ??= this.#gathered();
    const { names, sizes, examples, labels, rows } = this.#voters;
    if (!examples.length) return null;
    const found = nearest(unit(embedding), rows);
    const near = found.map((one) => ({ ...one, label: labels[one.index] }));
    const shares = vote(near, sizes, this.#temperature);
    const votes = names.map((label, i) => ({ label, share: shares[i] }));
    return {
      winner: names[winner(shares)],
      known: this.#threshold === null || near[0].score >= this.#threshold,
      votes: votes.sort((a, b) => b.share - a.share),
      neighbors: near.map(({ index, score, label }) => ({
        label: names[label],
        score,
        example: examples[index],
      })),
    };
  }

  #gathered() {
    const classes = this.taught.active;
    const place = new Map(classes.map(({ id }, label) => [id, label]));
    const examples = this.taught.examples.filter(({ owner }) => place.has(owner));
    const labels = examples.map(({ owner }) => place.get(owner));
    const sizes = classes.map((_, label) => labels.filter((one) => one === label).length);
    const names = classes.map(({ name }) => name);
    return { classes, names, sizes, examples, labels, rows: examples.map(({ unit }) => unit) };
  }

  #questions() {
    const { classes, examples, labels } = this.#gathered();
    const ones = examples.map(({ id, recording }, i) => ({ id, recording, label: labels[i] }));
    return { classes, examples: ones };
  }

  // Whether this browser keeps what is taught now.
  get keeps() {
    return this.#writes;
  }

  get #made() {
    const { sha256, crop, dim } = this.model;
    return { sha256, crop, dim };
  }

  // Changes the classes, and keeps them; if that fails, they are as before.
  async #change(change) {
    const back = this.taught.mark();
    try {
      const result = change();
      const facts = { ...this.taught.facts, model: this.#made, lesson: this.id };
      await this.#keep((store) => store.facts(facts));
      return result;
    } catch (error) {
      back();
      throw error;
    } finally {
      this.#after();
    }
  }

  #checkThere({ id, name }) {
    const there = this.taught.classes.some((other) => other.id === id);
    if (!there) throw new Error(`The class “${name}” was removed.`);
  }

  #keep(write) {
    return this.#writes ? write(this.#store) : undefined;
  }

  #after() {
    this.#voters = null;
    this.changed();
  }
}

// The local date and time, as a file can be called.
function clock(now) {
  const two = (number) => String(number).padStart(2, "0");
  const day = [now.getFullYear(), two(now.getMonth() + 1), two(now.getDate())].join("-");
  return `${day} ${[now.getHours(), now.getMinutes(), now.getSeconds()].map(two).join(".")}`;
}

// An id that no other lesson has. `randomUUID` is not there on a site without https.
function made() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
