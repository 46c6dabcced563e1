// Elements of the page.

export const find = (id) => document.getElementById(id);

export function show(id, there = true) {
  find(id).hidden = !there;
}

// An element with a class, and with texts or elements in it; never with markup.
export function make(tag, className, ...content) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.append(...content);
  return element;
}

// Replaces a text only where it changed, so that a screen reader repeats nothing.
export function tell(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

// Asks before an action: the button's first click asks, a second one within seconds acts.
export function twice(button, question, act) {
  const usual = button.textContent;
  let waiting = null;
  const back = () => {
    clearTimeout(waiting);
    waiting = null;
    button.textContent = usual;
  };
  button.addEventListener("click", () => {
    if (waiting) {
      back();
      act();
      return;
    }
    button.textContent = question();
    waiting = setTimeout(back, 4000);
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
