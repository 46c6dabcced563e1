// Elements of a page.

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
