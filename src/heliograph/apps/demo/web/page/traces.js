// SPDX-License-Identifier: Apache-2.0
// Recent traces to choose from, and the chosen one as a waterfall.

import { arrange, at, h, held, Kept, say, walkable } from "./dom.js";
import { clock, duration, plain, plural, short } from "./format.js";

const TICKS = 4;

/** The spans as rows: parents before children, each with its depth. A span whose parent is not there is a root. */
function rows(spans) {
  const known = new Set(spans.map((span) => span.id));
  const below = new Map();
  const roots = [];
  for (const span of spans) {
    if (known.has(span.parent) && span.parent !== span.id) {
      if (!below.has(span.parent)) below.set(span.parent, []);
      below.get(span.parent).push(span);
    } else roots.push(span);
  }
  const found = [];
  const seen = new Set();
  function walk(first) {
    const stack = [[first, 0]];
    while (stack.length) {
      const [span, depth] = stack.pop();
      if (seen.has(span.id)) continue;
      seen.add(span.id);
      found.push({ span, depth });
      for (const child of (below.get(span.id) ?? []).toReversed()) stack.push([child, depth + 1]);
    }
  }
  // What is left after the roots claims to be its own ancestor; it is shown all the same.
  for (const span of [...roots, ...spans]) walk(span);
  return found;
}

function attributeTable(attributes) {
  const all = Object.entries(attributes);
  if (!all.length) return h("p", { class: "quiet" }, "no attributes");
  return h("dl", { class: "attributes" }, all.map(([key, value]) => [h("dt", {}, key), h("dd", {}, plain(value))]));
}

function marks(trace) {
  const told = (count, one, many) => (count === 1 ? one : `${count} ${many}`);
  return [
    trace.errors ? h("span", { class: "chip bad" }, told(trace.errors, "error", "errors")) : null,
    trace.retries ? h("span", { class: "chip warn" }, told(trace.retries, "retry", "retries")) : null,
  ];
}

function spanRow({ span, depth }, whole) {
  const left = Math.min(100, Math.max(0, (100 * span.start) / whole));
  const width = Math.min(100 - left, Math.max(0.4, (100 * span.took) / whole));
  const bar = h("span", { class: "bar" });
  bar.style.left = `${left}%`;
  bar.style.width = `${width}%`;
  const name = h("span", { class: "label" }, span.name);
  name.style.paddingInlineStart = `${Math.min(depth, 12) * 14}px`;
  const failed = span.status === "error";
  return h(
    "details",
    { class: `span${failed ? " failed" : ""}${span.retry ? " again" : ""}` },
    h(
      "summary",
      {},
      name,
      h(
        "span",
        { class: "chips" },
        failed ? h("span", { class: "chip bad" }, "error") : null,
        span.retry ? h("span", { class: "chip warn" }, "retry") : null,
      ),
      h("span", { class: "track" }, bar),
      h("span", { class: "took" }, duration(span.took)),
    ),
    h(
      "div",
      { class: "about" },
      failed && span.message ? h("p", { class: "message" }, span.message) : null,
      h("p", { class: "quiet" }, `${span.kind}, from ${span.from}, begins at ${duration(span.start)}`),
      attributeTable(span.attributes),
      span.events.map((each) =>
        h("div", {}, h("p", {}, h("b", {}, each.name), ` at ${duration(each.at)}`), attributeTable(each.attributes)),
      ),
    ),
  );
}

function drawWaterfall(trace) {
  const whole = Math.max(1, trace.took);
  const ticks = [...Array(TICKS + 1).keys()].map((index) => {
    const tick = h("span", {}, index ? duration(Math.round((whole * index) / TICKS)) : "0");
    tick.style.left = `${(100 * index) / TICKS}%`;
    return tick;
  });
  return [
    h(
      "div",
      { class: "whole" },
      h("h3", {}, trace.name),
      marks(trace),
      h("p", { class: "quiet" }, `${plural(trace.count, "span")}, ${duration(trace.took)}, from ${trace.from}, ${clock(trace.at)}`),
      h("code", {}, trace.id),
    ),
    h("div", { class: "axis", "aria-hidden": "true" }, h("div", {}, ticks)),
    h("div", { class: "spans" }, rows(trace.spans).map((row) => spanRow(row, whole))),
    trace.count > trace.spans.length
      ? h("p", { class: "quiet" }, `${trace.count - trace.spans.length} more spans are not shown`)
      : null,
  ].filter((each) => each !== null);
}

export function tracesPanel(store) {
  const list = at("trace-list");
  const waterfall = at("waterfall");
  const kind = at("trace-kind");
  const name = at("trace-name");
  let chosen = null;
  let byHand = false;
  let run = "";
  let shown = [];

  const entries = new Kept((key, trace) =>
    h(
      "button",
      { type: "button", "data-id": trace.id, onclick: () => choose(trace.id, true) },
      h("span", { class: "at" }, clock(trace.at)),
      h("span", { class: "who" }, short(trace.from)),
      h("span", { class: "what" }, trace.name),
      h("span", { class: "chips" }, marks(trace)),
      h("span", { class: "took" }, duration(trace.took)),
    ),
  );

  function find(id) {
    return store.of("failed").get(id) ?? store.of("trace").get(id);
  }

  function choose(id, asked) {
    byHand ||= asked;
    const trace = find(id) ?? (chosen?.id === id ? chosen : undefined);
    if (trace === undefined) return;
    if (chosen?.id !== id || chosen.count !== trace.count) waterfall.replaceChildren(...drawWaterfall(trace));
    chosen = trace;
    mark();
  }

  function mark() {
    for (const each of list.children) {
      if (each.dataset.id === chosen?.id) each.setAttribute("aria-current", "true");
      else each.removeAttribute("aria-current");
    }
  }

  function wanted(trace) {
    if (kind.value === "errors" && !trace.errors) return false;
    if (kind.value === "retries" && !trace.retries) return false;
    const part = name.value.trim().toLowerCase();
    return !part || trace.spans.some((span) => span.name.toLowerCase().includes(part));
  }

  function draw(forced = false) {
    if (run !== store.run) {
      run = store.run;
      chosen = null;
      byHand = false;
      forced = true;
      waterfall.replaceChildren(h("p", { class: "empty" }, "No trace has arrived yet."));
    }
    const merged = new Map([...store.of("trace"), ...store.of("failed")]);
    const all = [...merged.values()].sort((a, b) => b.at - a.at);
    const matching = all.filter(wanted);
    // The list stands still while somebody is about to choose from it.
    if (forced || !held(list) || !shown.length) {
      shown = matching;
      arrange(list, shown.map((trace) => entries.get(`${trace.id} ${trace.count}`, trace)));
      entries.sweep();
    }
    const fresh = matching.length && shown.length && matching[0].id !== shown[0].id;
    say(at("traces-said"), `${matching.length} of ${plural(all.length, "trace")}${fresh ? ", held still" : ""}`);
    // Until somebody has chosen, the first is shown, and then the first with a second attempt.
    const retried = all.findLast((trace) => trace.retries);
    if (!byHand && retried !== undefined) choose(retried.id, false);
    else if (chosen === null && all.length) choose(all[0].id, false);
    else if (chosen !== null) choose(chosen.id, false);
    mark();
  }

  kind.addEventListener("change", () => draw(true));
  name.addEventListener("input", () => draw(true));
  list.addEventListener("pointerleave", () => draw());
  list.addEventListener("focusout", () => queueMicrotask(() => draw()));
  walkable(list, "button");
  walkable(waterfall, "summary");
  return { draw: () => draw(), choose: (id) => choose(id, true) };
}
