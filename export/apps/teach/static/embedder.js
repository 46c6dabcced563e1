// Embeds pictures in the worker, in order, and chooses the backbone that is fast enough.

const FAST = 5; // answers per second; a smaller network is faster, and right less often
const [WARMING, TIMED] = [3, 5]; // frames: code that has just loaded is slow at first

export class Embedder {
  #worker = new Worker(new URL("embed-worker.js", import.meta.url), { type: "module" });
  #waiting = new Map();
  #count = 0;

  // `progress` is called with the loaded fraction, 0..1.
  constructor(progress) {
    this.#worker.onmessage = ({ data }) => {
      if ("progress" in data) progress(data.progress);
      else this.#settle(data);
    };
    this.#worker.onerror = () => {
      for (const { reject } of this.#waiting.values()) {
        reject(new Error("This browser cannot run the network."));
      }
      this.#waiting.clear();
    };
  }

  // Opens the first of these models that is fast enough, or the fastest; then `model` is the one,
  // `rate` its frames per second, `threads` how many it uses,
  // and `slower` the { name, rate } of those that would have been better.
  async choose(models) {
    const frame = await blank();
    const rates = [];
    for (const model of models) {
      await this.#open(model);
      rates.push(await this.#rateOf(frame));
      if (rates.at(-1) >= FAST) break;
    }
    const best = rates.at(-1) >= FAST ? rates.length - 1 : rates.indexOf(Math.max(...rates));
    if (best < rates.length - 1) await this.#open(models[best]);
    this.rate = rates[best];
    this.slower = models.slice(0, best).map(({ name }, i) => ({ name, rate: rates[i] }));
  }

  // { embedding } of a picture file.
  run(source) {
    return this.#ask({ source });
  }

  async #open(model) {
    const { threads } = await this.#ask({ open: model });
    Object.assign(this, { model, threads });
  }

  async #rateOf(frame) {
    const times = [];
    for (let i = 0; i < WARMING + TIMED; i++) {
      const start = performance.now();
      await this.run(frame);
      times.push(performance.now() - start);
    }
    const sorted = times.slice(WARMING).sort((a, b) => a - b);
    return 1000 / sorted[(TIMED - 1) / 2];
  }

  #ask(message) {
    const id = this.#count++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#worker.postMessage({ id, ...message });
    });
  }

  #settle({ id, error, ...found }) {
    const { resolve, reject } = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (error) reject(new Error(error));
    else resolve(found);
  }
}

// A picture as the camera gives one.
function blank() {
  const canvas = new OffscreenCanvas(640, 480);
  canvas.getContext("2d").fillRect(0, 0, 640, 480);
  return canvas.convertToBlob({ type: "image/jpeg" });
}
