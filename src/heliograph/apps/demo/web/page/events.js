// SPDX-License-Identifier: Apache-2.0
// Log events, the newest first, by name and severity.

import { arrange, at, h, held, Kept, say, walkable } from "./dom.js";
import { clock, plain, plural, severity, short } from "./format.js";

const MOST_DRAWN = 200;

/** Whether a name has all the parts that are asked for, and none that is to be left out. */
export function matches(name, asked) {
  return asked.every((part) => (part.startsWith("-") ? !name.includes(part.slice(1)) : name.includes(part)));
}

export function parts(text) {
  return text.toLowerCase().split(/\s+/).filter((part) => part && part !== "-");
}

function about(log, inCatalog) {
  const all = Object.entries(log.attributes);
  return h(
    "div",
    { class: "about" },
    log.body === null ? null : h("p", {}, plain(log.body)),
    h("dl", { class: "attributes" }, all.map(([key, value]) => [h("dt", {}, key), h("dd", {}, plain(value))])),
    h("p", { class: "quiet" }, `from ${log.from}`, log.trace ? `, in trace ${log.trace}` : ""),
    log.name ? h("button", { type: "button", onclick: () => inCatalog(log.name) }, "in the catalog") : null,
  );
}

export function eventsPanel(store, { inCatalog }) {
  const list = at("event-list");
  const least = at("event-severity");
  const name = at("event-name");
  let run = "";

  const rows = new Kept((key, log) => {
    const word = severity(log.severity);
    const words = Object.entries(log.attributes).map(([field, value]) => [h("i", {}, `${field}=`), `${plain(value)}  `]);
    const row = h(
      "details",
      { class: `event ${word}` },
      h(
        "summary",
        {},
        h("span", { class: "at" }, clock(log.at)),
        h("span", { class: "severity" }, word),
        h("span", { class: "who" }, short(log.from)),
        h("span", { class: "what" }, log.name || plain(log.body)),
        h("span", { class: "words" }, words),
      ),
    );
    // What is open has its details made, not each of hundreds.
    row.addEventListener("toggle", () => row.open && row.children.length === 1 && row.append(about(log, inCatalog)));
    return row;
  });

  function draw(forced = false) {
    if (run !== store.run) {
      run = store.run;
      forced = true;
    }
    const asked = parts(name.value);
    const from = Number(least.value);
    // Each member sends what it has a moment later, so that the order of arrival is not that of the events.
    const all = [...store.of("log")].reverse().sort(([, a], [, b]) => b.at - a.at);
    const matching = all.filter(([, log]) => log.severity >= from && matches(log.name.toLowerCase(), asked));
    const still = !forced && held(list) && list.children.length > 0;
    if (!still) {
      arrange(list, matching.slice(0, MOST_DRAWN).map(([key, log]) => rows.get(`${run} ${key}`, log)));
      rows.sweep();
    }
    say(
      at("events-said"),
      `${matching.length} of the latest ${plural(all.length, "event")}${still ? ", held still" : ""}`,
    );
  }

  least.addEventListener("change", () => draw(true));
  name.addEventListener("input", () => draw(true));
  list.addEventListener("pointerleave", () => draw());
  list.addEventListener("focusout", () => queueMicrotask(() => draw()));
  walkable(list, "summary");
  return { draw: () => draw() };
}
