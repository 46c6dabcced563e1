// Keeps what was taught in this browser, in IndexedDB, example by example: a page that is closed
// while it records loses the last frame at most. One tab writes; `open` says whether this one does.

const NAME = "pocketknn teach";
const FACTS = "facts"; // by name
const NAMES = ["classes", "built", "gone", "model", "lesson"]; // of the facts
const EXAMPLES = "examples"; // by id

export class Store {
  #database;

  // { store, writes }; without room or permission for a database, the store is null.
  static async open() {
    const writes = await alone();
    try {
      const store = new Store();
      store.#database = await opened();
      return { store, writes };
    } catch {
      return { store: null, writes }; // a private window, or storage that is switched off
    }
  }

  // { classes, built, gone, model, lesson, examples }, or null if nothing was kept.
  async load() {
    const values = await Promise.all(NAMES.map((name) => this.#read(FACTS, "get", name)));
    const facts = Object.fromEntries(NAMES.map((name, i) => [name, values[i]]));
    return facts.model ? { ...facts, examples: await this.#read(EXAMPLES, "getAll") } : null;
  }

  // Keeps { classes, built, gone, model, lesson }.
  facts(facts) {
    return this.#write((database) => {
      for (const name of NAMES) database(FACTS).put(facts[name], name);
    });
  }

  // Keeps examples; their unit vectors are made again.
  add(examples) {
    return this.#write((database) => {
      for (const { id, owner, recording, values, photo } of examples) {
        database(EXAMPLES).put({ id, owner, recording, values, photo });
      }
    });
  }

  remove(ids) {
    return this.#write((database) => ids.forEach((id) => database(EXAMPLES).delete(id)));
  }

  clear() {
    return this.#write((database) => [FACTS, EXAMPLES].forEach((name) => database(name).clear()));
  }

  #read(name, how, ...what) {
    const request = this.#database
      .transaction(name)
      .objectStore(name)
      [how](...what);
    return new Promise((resolve, reject) => {
      request.onsuccess = () => resolve(request.result);
      request.onerror = () => reject(request.error);
    });
  }

  #write(change) {
    const transaction = this.#database.transaction([FACTS, EXAMPLES], "readwrite");
    return new Promise((resolve, reject) => {
      transaction.oncomplete = () => resolve();
      transaction.onabort = () => reject(reason(transaction.error));
      change((name) => transaction.objectStore(name));
    });
  }
}

// Whether no other tab of this page is open; the lock is held until the tab is closed.
function alone() {
  if (!navigator.locks) return Promise.resolve(true);
  return new Promise((resolve) => {
    navigator.locks.request(NAME, { ifAvailable: true }, (lock) => {
      resolve(lock !== null);
      return lock && new Promise(() => {});
    });
  });
}

function opened() {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(NAME, 1);
    request.onupgradeneeded = () => {
      request.result.createObjectStore(FACTS);
      request.result.createObjectStore(EXAMPLES, { keyPath: "id" });
    };
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

function reason(error) {
  if (error?.name === "QuotaExceededError") {
    return new Error(
      "There is no room left for this page on the disk. Nothing taught so far is lost:" +
        " download the photos, or remove some examples, and continue.",
    );
  }
  return new Error(`This browser could not store it: ${error?.message ?? "no reason given"}.`);
}
