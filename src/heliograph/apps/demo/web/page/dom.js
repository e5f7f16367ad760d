// SPDX-License-Identifier: Apache-2.0
// Elements made of data. Text is only ever set as text: nothing that a device, a library or a collector says is read
// as markup, and the policy that the page comes with makes the browser refuse to.

const SVG = "http://www.w3.org/2000/svg";

function fill(made, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

/** An HTML element: `h("p", {class: "note"}, "text", child)`. */
export function h(tag, attributes, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** An SVG element. */
export function s(tag, attributes, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

/** A text in which back quotes mark code, as nodes. */
export function prose(text) {
  return text.split("`").map((part, index) => (index % 2 ? h("code", {}, part) : part));
}

export function at(id) {
  return document.getElementById(id);
}

/** Sets a text, if it is another one, so that nothing is drawn or read out again without need. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Makes the children of a container those given, in this order, moving only what is not in its place. */
export function arrange(container, children) {
  let here = container.firstChild;
  for (const child of children) {
    if (child === here) here = here.nextSibling;
    else container.insertBefore(child, here);
  }
  while (here !== null) {
    const next = here.nextSibling;
    here.remove();
    here = next;
  }
}

/** Elements by key, made once: `get(key, data)`. What is no longer asked for between two calls of `sweep` is forgotten. */
export class Kept {
  constructor(make) {
    this.make = make;
    this.made = new Map();
    this.asked = new Set();
  }

  get(key, ...rest) {
    this.asked.add(key);
    let found = this.made.get(key);
    if (found === undefined) {
      found = this.make(key, ...rest);
      this.made.set(key, found);
    }
    return found;
  }

  sweep() {
    for (const key of this.made.keys()) if (!this.asked.has(key)) this.made.delete(key);
    this.asked.clear();
  }
}

/** Lets the arrow keys, Home and End walk among what can have the focus in a container. */
export function walkable(container, selector) {
  container.addEventListener("keydown", (event) => {
    const all = [...container.querySelectorAll(selector)];
    const here = all.indexOf(document.activeElement);
    if (here < 0) return;
    const there = { ArrowDown: here + 1, ArrowUp: here - 1, Home: 0, End: all.length - 1 }[event.key];
    if (there === undefined) return;
    event.preventDefault();
    all[Math.max(0, Math.min(all.length - 1, there))].focus();
  });
}

const HOVERS = matchMedia("(hover: hover)");

/**
 * Whether somebody is about to choose something in a container, so that it must not move beneath them: by the pointer,
 * where there is one that hovers, or by the keyboard. What was clicked keeps the focus and holds nothing.
 */
export function held(container) {
  return (HOVERS.matches && container.matches(":hover")) || container.querySelector(":focus-visible") !== null;
}
