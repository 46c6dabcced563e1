// Buttons that act while they are held: by mouse, by touch, by Space or Enter, or by a digit key.

const TAP = 1000; // ms that a click without a press holds, as from a screen reader
const presses = new WeakMap(); // what a press of each button does
let held = null; // { button, end } of the one that is held

function press(button) {
  release();
  const { begin, end } = presses.get(button);
  held = { button, end };
  button.classList.add("running");
  button.setAttribute("aria-pressed", "true");
  begin();
}

// Lets go of what is held; of one button, if it is given.
function release(button = held?.button) {
  if (!held || held.button !== button) return;
  const { end } = held;
  held = null;
  button.classList.remove("running");
  button.setAttribute("aria-pressed", "false");
  end();
}

// `begin` is called at the press, `end` at the release.
export function holds(button, begin, end) {
  presses.set(button, { begin, end });
  button.addEventListener("pointerdown", (event) => {
    if (event.button) return; // not the main one
    button.setPointerCapture(event.pointerId);
    press(button);
  });
  for (const name of ["pointerup", "pointercancel", "lostpointercapture", "blur", "keyup"]) {
    button.addEventListener(name, () => release(button));
  }
  button.addEventListener("contextmenu", (event) => event.preventDefault()); // a long touch
  button.addEventListener("keydown", (event) => {
    if (event.key !== " " && event.key !== "Enter") return;
    event.preventDefault(); // no click
    if (!event.repeat) press(button);
  });
  button.addEventListener("click", ({ detail }) => {
    if (detail || held) return; // a click of a mouse, which was held
    press(button);
    setTimeout(() => release(button), TAP);
  });
}

// The digit keys hold the first nine of the buttons that `buttons` gives.
export function digits(buttons) {
  document.addEventListener("keydown", (event) => {
    const { key, repeat, ctrlKey, metaKey, altKey } = event;
    if (repeat || ctrlKey || metaKey || altKey || !/^[1-9]$/.test(key)) return;
    if (document.activeElement.matches("input:not([type=file]), select")) return;
    const button = buttons()[Number(key) - 1];
    if (button) press(button);
  });
  document.addEventListener("keyup", ({ key }) => {
    if (/^[1-9]$/.test(key)) release();
  });
  for (const name of ["blur", "pagehide"]) window.addEventListener(name, () => release());
}
