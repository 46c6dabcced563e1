// The line about the last removal, with a button that undoes it.

import { find, show, tell } from "./page.js";
import { removal } from "./words.js";

export class Undo {
  #drawn = null; // the removal that the line is about

  // `attempt` does what may fail; `done` takes what is back.
  constructor(lesson, attempt, done) {
    this.lesson = lesson;
    find("undo").addEventListener("click", () =>
      attempt(async () => {
        const back = await lesson.undo();
        if (!back) return;
        tell(find("removed"), "Put back.");
        done(back);
      }),
    );
  }

  // Once for each removal, as a screen reader reads the line aloud.
  draw() {
    const { removed, taught } = this.lesson;
    if (removed === this.#drawn) return;
    this.#drawn = removed;
    if (removed) tell(find("removed"), removal(removed, taught));
    show("undo", removed !== null);
  }
}
