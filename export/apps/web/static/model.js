// Runs pictures in the worker, one at a time, in order.

export class Model {
  #worker = new Worker(new URL("worker.js", import.meta.url), { type: "module" });
  #waiting = new Map();
  #count = 0;

  // `ready` resolves once the model is loaded; `progress` is called with the fraction, 0..1.
  constructor(progress) {
    this.ready = new Promise((resolve, reject) => {
      this.#worker.onmessage = ({ data }) => {
        if ("progress" in data) progress(data.progress);
        else if (data.ready) resolve();
        else if (data.id === undefined) reject(new Error(data.error));
        else this.#settle(data);
      };
      this.#worker.onerror = () => reject(new Error("This browser cannot run the model."));
    });
  }

  // { pixels, outputs, times } for a picture file, or for an ImageBitmap, which is consumed.
  run(source) {
    const id = this.#count++;
    const transferred = source instanceof ImageBitmap ? [source] : [];
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#worker.postMessage({ id, source }, transferred);
    });
  }

  #settle({ id, error, ...found }) {
    const { resolve, reject } = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (error) reject(new Error(error));
    else resolve(found);
  }
}
