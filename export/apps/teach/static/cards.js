// A card for each class: its name, its button to record, its examples. Cards are changed in place,
// as a button that is held, or has the focus, must stay.

import { dropped, chosen, hasFiles } from "./drops.js";
import { holds } from "./hold.js";
import { find, make, tell, twice } from "./page.js";
import { thumbnail } from "./teach-view.js";
import { counted } from "./words.js";

const FEW = 8; // thumbnails that are shown at first

export class Cards {
  #cards = new Map(); // by the id of the class
  #ids = []; // of the classes, in their order

  // `acts` has what a card can do: begin, end, files, rename, mute, drop and remove.
  constructor(acts) {
    this.acts = acts;
  }

  // The buttons to record, in the order of the classes.
  get buttons() {
    return this.#ids.map((id) => this.#cards.get(id).button);
  }

  // Draws the classes. `measured` has { right, asked } of a class by its id.
  draw(taught, measured) {
    this.#ids = taught.classes.map(({ id }) => id);
    let lost = null; // the card that goes with the focus in it
    for (const [id, card] of this.#cards) {
      if (this.#ids.includes(id)) continue;
      if (card.element.contains(document.activeElement)) {
        lost = { next: card.element.nextElementSibling };
      }
      card.element.remove();
      this.#cards.delete(id);
    }
    taught.classes.forEach((one, place) => {
      if (!this.#cards.has(one.id)) {
        const card = new Card(one, this.acts);
        this.#cards.set(one.id, card);
        find("cards").insertBefore(card.element, find("cards").children[place] ?? null);
      }
      this.#cards.get(one.id).draw(taught.of(one.id), place, measured.get(one.id));
    });
    // A name, as a key that is pressed once more must neither record nor remove anything.
    if (lost) (lost.next?.querySelector(".name") ?? find("name")).focus();
  }

  // Moves the focus to the first of some examples of a class that is shown, or to its name.
  focus(owner, examples) {
    this.#cards.get(owner)?.focus(examples);
  }
}

class Card {
  #all = false; // whether all thumbnails are shown
  #thumbnails = new Map(); // by the id of the example

  constructor(one, acts) {
    this.one = one;
    this.acts = acts;
    this.name = make("input", "name");
    this.name.addEventListener("change", () => {
      acts.rename(one, this.name.value);
      this.name.value = one.name;
    });
    this.count = make("p", "quiet count");
    this.button = make("button", "hold");
    this.button.type = "button";
    holds(this.button, () => acts.begin(one), acts.end);
    this.mute = make("button", "small", "Mute");
    this.mute.addEventListener("click", () => acts.mute(one));
    this.gone = make("button", "small", "Remove");
    twice(
      this.gone,
      () => `Remove ${counted(this.number, "example")}?`,
      () => acts.drop(one),
    );
    this.list = make("ul", "thumbnails");
    this.list.setAttribute("role", "list");
    this.more = make("button", "small more");
    this.more.addEventListener("click", () => {
      this.#all = !this.#all;
      this.#drawThumbnails();
    });
    const controls = make("div", "controls", this.button, this.#photos(), this.mute, this.gone);
    this.element = make("li", "card", this.name, this.count, controls, this.list, this.more);
    this.#takesDrops();
  }

  draw(examples, place, measured) {
    const { one } = this;
    this.number = examples.length;
    this.examples = examples;
    if (document.activeElement !== this.name) this.name.value = one.name;
    this.name.setAttribute("aria-label", `Name of class ${place + 1}`);
    const key = place < 9 ? ` (key ${place + 1})` : "";
    tell(this.button, `Hold to record${key}`);
    this.button.setAttribute("aria-label", `Hold to record ${one.name}${key}`);
    tell(this.mute, one.muted ? "Unmute" : "Mute");
    this.mute.title = "A muted class stays here, but gives no answers and is left out of builds.";
    this.element.classList.toggle("muted", one.muted);
    const recordings = new Set(examples.map(({ recording }) => recording)).size;
    const right = measured?.asked ? `; ${measured.right} of ${measured.asked} right` : "";
    const [many, times] = [counted(examples.length, "example"), counted(recordings, "recording")];
    tell(this.count, examples.length ? `${many} in ${times}${right}` : "no examples yet");
    this.#drawThumbnails();
  }

  focus(examples) {
    const item = examples.map(({ id }) => this.#thumbnails.get(id)).find(Boolean);
    (item?.firstChild ?? this.name).focus();
  }

  #photos() {
    const input = make("input");
    input.type = "file";
    input.accept = "image/*";
    input.multiple = true;
    input.addEventListener("change", () => {
      this.acts.files(chosen(input), this.one);
      input.value = ""; // the same files may be chosen again
    });
    return make("label", "button small", "Add photos", input);
  }

  #takesDrops() {
    for (const name of ["dragenter", "dragover", "dragleave", "drop"]) {
      this.element.addEventListener(name, (event) => {
        if (!hasFiles(event.dataTransfer)) return;
        event.preventDefault();
        event.stopPropagation(); // else the whole page would take it
        this.element.classList.toggle("over", name === "dragenter" || name === "dragover");
      });
    }
    this.element.addEventListener("drop", async ({ dataTransfer }) => {
      if (hasFiles(dataTransfer)) this.acts.files(await dropped(dataTransfer), this.one);
    });
  }

  // The newest first. At first only the ends of each recording: what is between looks the same.
  #drawThumbnails() {
    const newest = this.examples.toReversed();
    const { ends, sizes } = endsOf(newest);
    const shown = this.#all ? newest : ends.slice(0, FEW);
    const ids = new Set(shown.map(({ id }) => id));
    let lost = -1; // the place of the one that goes with the focus
    for (const [id, item] of this.#thumbnails) {
      if (ids.has(id)) continue;
      if (item.contains(document.activeElement)) lost = [...this.list.children].indexOf(item);
      item.remove();
      this.#thumbnails.delete(id);
    }
    shown.forEach((example, place) => {
      if (!this.#thumbnails.has(example.id)) this.#thumbnails.set(example.id, this.#item(example));
      const item = this.#thumbnails.get(example.id);
      if (this.list.children[place] !== item) {
        this.list.insertBefore(item, this.list.children[place] ?? null);
      }
      const number = this.examples.indexOf(example) + 1;
      const times = this.#all ? undefined : sizes.get(example);
      if (times) item.dataset.times = `× ${times}`;
      else delete item.dataset.times;
      item.firstChild.setAttribute("aria-label", `Remove example ${number} of ${this.one.name}`);
    });
    if (lost >= 0) {
      const near = this.list.children[lost] ?? this.list.lastChild;
      (near?.firstChild ?? this.name).focus();
    }
    this.more.hidden = newest.length <= FEW && ends.length === newest.length;
    tell(this.more, this.#all ? "Show few" : `Show all ${newest.length}`);
  }

  #item(example) {
    const button = make("button", "thumbnail", thumbnail(example));
    button.type = "button";
    button.title = "Remove this example";
    button.addEventListener("click", () => this.acts.remove(example));
    return make("li", "", button);
  }
}

// The last and the first example of each recording, and by the last the number of all of them, where
// there are more.
function endsOf(newest) {
  const recordings = new Map();
  for (const one of newest) {
    if (!recordings.has(one.recording)) recordings.set(one.recording, []);
    recordings.get(one.recording).push(one);
  }
  const sizes = new Map();
  const ends = newest.filter((one) => {
    const all = recordings.get(one.recording);
    if (one === all[0] && all.length > 2) sizes.set(one, all.length);
    return one === all[0] || one === all.at(-1);
  });
  return { ends, sizes };
}
