// Has the worker measure what was taught, a moment after the last change and once at a time.

const MOMENT = 300; // ms

export class Study {
  #worker = new Worker(new URL("study-worker.js", import.meta.url), { type: "module" });
  #timer = null;
  #busy = false;
  #again = false;

  // `current` gives { examples, classes } when they are needed; `done` takes what was found, with
  // the classes it is about.
  constructor(current, done) {
    this.current = current;
    this.#worker.onmessage = ({ data }) => {
      this.#busy = false;
      done(data.found, this.classes);
      if (this.#again) this.ask();
    };
  }

  add(examples) {
    this.#worker.postMessage({ add: examples.map(({ id, unit }) => ({ id, unit })) });
    this.ask();
  }

  remove(ids) {
    this.#worker.postMessage({ remove: ids });
    this.ask();
  }

  // Asks again, after a change.
  ask() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#send(), MOMENT);
  }

  #send() {
    this.#again = this.#busy;
    if (this.#busy) return;
    this.#busy = true;
    const { examples, classes } = this.current();
    this.classes = classes;
    this.#worker.postMessage({ examples, classes: classes.length });
  }
}
