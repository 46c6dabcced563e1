// The camera's frames, one after another: each is asked, or goes to what a held button does.

import { Camera } from "./camera.js";
import { find, show } from "./page.js";

const EVERY = 100; // ms between frames that are recorded: sooner, they are the same picture

export class Live {
  #held = null; // { take, done, over, count, last }
  #number = 0; // of the last start or stop
  #starting = false; // the browser may still be asking for permission

  // `ask` takes each frame that no button takes; `problem` shows an error.
  constructor(ask, problem) {
    Object.assign(this, { ask, problem, camera: new Camera(find("video")) });
    find("camera").addEventListener("click", () => {
      if (this.camera.running) this.stop();
      else this.#start(() => this.camera.start());
    });
    find("turn").addEventListener("click", () => this.#start(() => this.camera.turn()));
  }

  // While a button is held, `take` gets the frames, at least one; `done` follows the last.
  async hold(take, done) {
    const held = { take, done, over: false, count: 0, last: -Infinity };
    this.#held = held;
    if (this.camera.running) return;
    await this.#start(() => this.camera.start());
    if (!held.over) return;
    this.#held = null; // let go while the browser asked for the camera
    if (this.camera.running) this.problem("The camera is on now: hold the button again.");
  }

  release() {
    if (this.#held) this.#held.over = true;
  }

  stop() {
    this.#number++;
    this.#held = null;
    if (find("video").hidden && !this.camera.running) return;
    this.camera.stop();
    running(false);
    show("turn", false);
    stage("invitation");
    find("speed").textContent = "";
  }

  // A number that every start and stop changes.
  get turn() {
    return this.#number;
  }

  async #start(how) {
    if (this.#starting) return;
    const number = ++this.#number;
    this.#starting = true;
    this.problem("");
    try {
      await how().finally(() => (this.#starting = false));
      if (number !== this.#number) return this.camera.stop(); // a photo was chosen meanwhile
      running(true);
      show("turn", await this.camera.others());
      stage("video");
      this.#watch(number);
    } catch (error) {
      this.stop();
      this.problem(error.message);
    }
  }

  async #watch(number) {
    let time = 0;
    let last = performance.now();
    try {
      while (number === this.#number && this.camera.running) {
        const frame = await this.camera.frame();
        if (!frame) continue;
        if (!this.#held) await this.ask(frame);
        else if (!(await this.#take(frame))) continue;
        const now = performance.now();
        time = time ? 0.9 * time + 0.1 * (now - last) : now - last; // smoothed, to be readable
        last = now;
        find("speed").textContent = `${(1000 / time).toFixed(1)} frames per second`;
      }
    } catch (error) {
      if (number !== this.#number) return;
      this.stop();
      this.problem(error.message);
    }
  }

  // Gives a frame to the held button; returns whether it took it.
  async #take(frame) {
    const held = this.#held;
    const now = performance.now();
    if (held.over && held.count) {
      frame.close();
    } else if (now - held.last < EVERY) {
      frame.close();
      return false;
    } else {
      held.last = now;
      try {
        await held.take(frame);
        held.count++;
      } catch (error) {
        held.over = true;
        this.problem(error.message);
      }
    }
    if (held.over && this.#held === held) {
      this.#held = null;
      held.done(held.count);
    }
    return true;
  }
}

// What is in the frame: the invitation, the picture or the video.
export function stage(what) {
  for (const id of ["invitation", "picture", "video"]) show(id, id === what);
  find("stage").classList.toggle("full", what !== "invitation");
}

function running(on) {
  find("camera").classList.toggle("running", on);
  find("camera").textContent = on ? "Stop the camera" : "Use the camera";
}
