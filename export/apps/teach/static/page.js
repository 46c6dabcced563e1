// Elements of the page.

import { find, make, show } from "./elements.js";

export { find, make, show };

// Replaces a text only where it changed, so that a screen reader repeats nothing.
export function tell(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

const [SOON, LATE] = [1000, 5000]; // ms; sooner, a click, or a key held down, is no answer

// Asks before an action: the button's first click asks, a second one within seconds acts.
export function twice(button, question, act) {
  const usual = button.textContent;
  let waiting = null;
  let since;
  const back = () => {
    clearTimeout(waiting);
    waiting = null;
    button.textContent = usual;
  };
  button.addEventListener("click", () => {
    if (waiting) {
      const soon = performance.now() - since < SOON;
      since = performance.now();
      if (soon) return;
      back();
      act();
      return;
    }
    button.textContent = question();
    since = performance.now();
    waiting = setTimeout(back, LATE);
  });
}

// Offers a Blob as a file.
export function download(blob, name) {
  const link = make("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000); // once it is surely being saved
}
