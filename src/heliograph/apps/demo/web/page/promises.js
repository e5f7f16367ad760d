// SPDX-License-Identifier: Apache-2.0
// What is to be seen, whether it was seen yet, and what was done.

import { arrange, at, h, Kept, say } from "./dom.js";

export function promisesPanel(store) {
  const list = at("promise-list");
  const story = at("story");
  const lines = new Kept((key) => {
    const sign = h("span", { class: "sign" });
    const text = h("span", { class: "text" });
    const topic = h("b", {}, key);
    return { sign, text, element: h("li", {}, sign, topic, text) };
  });
  const sentences = new Kept((key, told) =>
    h("li", {}, h("span", { class: "at" }, `${told.at.toFixed(1)} s`), h("span", {}, told.text)),
  );

  return {
    draw() {
      const ended = store.one("head")?.ended;
      const promises = store.one("promises") ?? [];
      arrange(
        list,
        promises.map(({ topic, text, kept }) => {
          const line = lines.get(topic);
          const state = kept ? "kept" : kept === null ? "skipped" : ended ? "missed" : "open";
          line.element.className = state;
          say(line.sign, { kept: "✓", skipped: "–", missed: "✗", open: "·" }[state]);
          line.sign.title = { kept: "seen", skipped: "cannot be looked for", missed: "not seen", open: "not seen yet" }[state];
          say(line.text, text);
          return line.element;
        }),
      );
      lines.sweep();
      say(at("promises-said"), `${promises.filter((each) => each.kept).length} of ${promises.length} seen`);
      const told = [...store.of("story")].reverse();
      arrange(story, told.map(([key, each]) => sentences.get(`${store.run} ${key}`, each)));
      sentences.sweep();
    },
  };
}
