// Embeds pictures in the worker, in order, and chooses what is fast enough: WebGPU or wasm, and the
// backbone.

const FAST = 5; // answers per second; a smaller network is faster, and right less often
const [WARMING, TIMED] = [3, 5]; // frames: code that has just loaded is slow at first
const PATIENCE = 30_000; // ms; a graphics card that takes longer for one thing hangs

export class Embedder {
  refused = ""; // why WebGPU is not used although it is there
  #worker;
  #waiting = new Map(); // { message, resolve, reject } by id
  #count = 0;
  #webgpu = false; // whether the worker may use it
  #timer = null;

  // `progress` is called with the loaded fraction, 0..1, and `moved` when the graphics card was lost
  // while it was used, and wasm has taken over.
  constructor(progress, moved) {
    Object.assign(this, { progress, moved });
  }

  // Opens the first of these models that is fast enough, or the fastest; then `model` is the one,
  // `rate` its frames per second, `runtime` "WebGPU" or "wasm", `threads` how many it uses,
  // and `slower` the { name, rate } of those that would have been better.
  async choose(models, webgpu) {
    this.#webgpu = webgpu;
    this.#start();
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

  #start() {
    this.#worker = new Worker(new URL("embed-worker.js", import.meta.url), { type: "module" });
    this.#worker.onmessage = ({ data }) => {
      if ("progress" in data) this.progress(data.progress);
      else if ("refused" in data) return this.#withoutCard(data.refused);
      else this.#settle(data);
      this.#watch();
    };
    this.#worker.onerror = () => {
      if (this.#webgpu) return this.#withoutCard("it ended");
      for (const { reject } of this.#waiting.values()) {
        reject(new Error("This browser cannot run the network."));
      }
      this.#waiting.clear();
    };
  }

  // Goes on with wasm, in a new worker: what a lost graphics card leaves behind may never answer.
  #withoutCard(reason) {
    if (!this.#webgpu) return;
    this.#webgpu = false;
    this.refused = reason;
    this.#worker.terminate();
    this.#start();
    const waiting = [...this.#waiting];
    const opening = waiting.some(([, { message }]) => message.open);
    if (!opening) this.#open(this.model).then(this.moved, () => {}); // who waits hears of the error
    for (const [id, { message }] of waiting) this.#post(id, message);
  }

  async #open(model) {
    const { runtime, threads } = await this.#ask({ open: model });
    Object.assign(this, { model, runtime, threads });
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
      this.#waiting.set(id, { message, resolve, reject });
      this.#post(id, message);
    });
  }

  #post(id, message) {
    this.#worker.postMessage({ id, ...message, webgpu: this.#webgpu });
    this.#watch();
  }

  #settle({ id, error, ...found }) {
    const { resolve, reject } = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (error) reject(new Error(error));
    else resolve(found);
  }

  // A graphics card that hangs tells nobody.
  #watch() {
    clearTimeout(this.#timer);
    if (!this.#webgpu || !this.#waiting.size) return;
    this.#timer = setTimeout(() => this.#withoutCard("it does not answer"), PATIENCE);
  }
}

// A picture as the camera gives one.
function blank() {
  const canvas = new OffscreenCanvas(640, 480);
  canvas.getContext("2d").fillRect(0, 0, 640, 480);
  return canvas.convertToBlob({ type: "image/jpeg" });
}
