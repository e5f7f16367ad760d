// SPDX-License-Identifier: Apache-2.0
// Everything that the installed catalogs declare, to search and to read.

import { arrange, at, h, prose, say, walkable } from "./dom.js";
import { number, plain, plural } from "./format.js";

const MOST = 400;

function haystack(entry) {
  const fields = [...(entry.measurements ?? []), ...(entry.metadata ?? []), ...(entry.tags ?? [])];
  const words = fields.flatMap((field) => [field.key, field.attribute, field.unit, field.brief]);
  return [entry.name, entry.brief, entry.note, entry.unit, entry.instrument, ...words].join(" ").toLowerCase();
}

function fieldTable(title, fields) {
  if (!fields.length) return null;
  return [
    h("h4", {}, title),
    h(
      "table",
      {},
      h("thead", {}, h("tr", {}, ["key", "type", "unit", "what it is", "attribute"].map((word) => h("th", {}, word)))),
      h(
        "tbody",
        {},
        fields.map((field) =>
          h(
            "tr",
            {},
            h("td", {}, h("code", {}, field.key), field.required === false ? h("i", {}, " may be absent") : null),
            h("td", {}, field.type),
            h("td", {}, field.unit ?? ""),
            h(
              "td",
              {},
              prose(field.brief),
              field.note ? h("i", {}, " ", prose(field.note)) : null,
              field.values.length ? h("i", {}, ` One of ${field.values.map(plain).join(", ")}.`) : null,
              field.examples.length ? h("i", {}, ` Such as ${field.examples.map(plain).join(", ")}.`) : null,
            ),
            h(
              "td",
              {},
              field.attribute && field.attribute !== "none" ? h("code", {}, field.attribute) : null,
              field.high ? h("i", {}, " many values") : null,
              field.sensitive ? h("i", {}, " sensitive") : null,
            ),
          ),
        ),
      ),
    ),
  ];
}

export function catalogPanel(store) {
  const list = at("entry-list");
  const shown = at("entry");
  const of = at("catalog-of");
  const kind = at("catalog-kind");
  const search = at("catalog-search");
  let catalogs = [];
  let entries = [];
  let chosen = null;
  let counts = {};

  /** How often an event was executed, a span begun; of a metric, how often its events were executed. */
  function counted(entry) {
    const names = { event: () => [entry.name], span: () => entry.events.slice(0, 1), metric: () => entry.events };
    return names[entry.kind]().reduce((sum, name) => sum + (counts[name] ?? 0), 0);
  }

  function linked(title, found) {
    if (!found.length) return null;
    return [
      h("h4", {}, title),
      h(
        "p",
        { class: "links" },
        found.map((entry) =>
          h("button", { type: "button", onclick: () => choose(entry, true) }, entry.name, h("i", {}, ` ${entry.kind}`)),
        ),
      ),
    ];
  }

  function details(entry) {
    const catalog = catalogs.find((each) => each.name === entry.catalog);
    const facts = [`${entry.kind} of ${entry.catalog} ${catalog?.version ?? ""}`, entry.stability];
    let parts = [];
    if (entry.kind === "event") {
      facts.push(entry.log ? `log event of severity ${entry.severity}` : "no log event");
      parts = [
        fieldTable("Measurements", entry.measurements),
        fieldTable("Metadata", entry.metadata),
        linked("Part of the span", entries.filter((each) => each.kind === "span" && each.name === entry.span)),
        linked("Metrics made of it", entries.filter((each) => each.kind === "metric" && each.events.includes(entry.name))),
      ];
    } else if (entry.kind === "span") {
      facts.push(`${entry.span_kind} span`);
      const own = entries.filter((each) => each.kind === "event" && entry.events.includes(each.name));
      const made = entries.filter((each) => each.kind === "metric" && each.events.some((name) => entry.events.includes(name)));
      parts = [linked("Its events", own), linked("Metrics made of it", made)];
    } else {
      facts.push(`${entry.instrument.replaceAll("_", " ")} in ${entry.unit}`);
      facts.push(entry.measurement ? `of ${entry.measurement}` : "of the events themselves");
      if (entry.buckets.length) facts.push(`buckets up to ${entry.buckets.map((each) => number(each)).join(", ")}`);
      const alert = entry.alert;
      parts = [
        alert
          ? h(
              "p",
              {},
              h("b", {}, "Alert "),
              `${alert.quantile ? `p${100 * alert.quantile} ` : ""}${alert.above ? "above" : "below"} ${number(alert.threshold)} over ${alert.over}: ${alert.summary}`,
            )
          : null,
        fieldTable("Tags", entry.tags),
        entry.error_type ? h("p", {}, "Also by ", h("code", {}, "error.type"), ".") : null,
        linked("Made of", entries.filter((each) => each.kind === "event" && entry.events.includes(each.name))),
      ];
    }
    return [
      h("h3", {}, entry.name),
      h("p", {}, prose(entry.brief), "."),
      entry.note ? h("p", {}, prose(entry.note)) : null,
      entry.deprecated
        ? h("p", { class: "message" }, `Deprecated. ${entry.deprecated.to ? `Now ${entry.deprecated.to}. ` : ""}${entry.deprecated.note ?? ""}`)
        : null,
      h("p", { class: "quiet" }, facts.filter(Boolean).join(" · ")),
      h("p", { class: "quiet", id: "entry-count" }),
      parts,
    ].flat(3).filter((part) => part !== null);
  }

  function sayCount() {
    const place = at("entry-count");
    if (chosen === null || place === null) return;
    const count = counted(chosen);
    const words = { event: "executed", span: "begun", metric: "made of events that were executed" };
    say(place, count ? `${words[chosen.kind]} ${plural(count, "time")} by all gateways` : "not seen yet");
  }

  function choose(entry, moved) {
    chosen = entry;
    shown.replaceChildren(...details(entry));
    shown.scrollTop = 0;
    sayCount();
    for (const { element } of entries) element.toggleAttribute("aria-current", false);
    entry.element.setAttribute("aria-current", "true");
    if (moved && !entry.element.isConnected) {
      of.value = kind.value = search.value = "";
      filter();
    }
    if (moved) entry.element.scrollIntoView({ block: "nearest" });
  }

  function filter() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const found = entries.filter(
      (entry) =>
        (!of.value || entry.catalog === of.value) &&
        (!kind.value || entry.kind === kind.value) &&
        words.every((word) => entry.text.includes(word)),
    );
    arrange(list, found.slice(0, MOST).map((entry) => entry.element));
    list.scrollTop = 0;
    const left = found.length - MOST;
    say(at("catalog-said"), `${found.length} of ${plural(entries.length, "entry", "entries")}${left > 0 ? `, ${left} not shown` : ""}`);
  }

  function draw() {
    counts = store.one("counts") ?? {};
    for (const entry of entries) {
      const count = counted(entry);
      say(entry.count, count && entry.kind !== "metric" ? number(count) : "");
      entry.element.classList.toggle("seen", count > 0);
    }
    sayCount();
  }

  async function load() {
    const answer = await fetch("catalogs.json");
    if (!answer.ok) throw new Error(`${answer.status}`);
    const told = await answer.json();
    catalogs = told.catalogs;
    entries = told.entries.map((entry) => {
      const count = h("span", { class: "count" });
      const made = { ...entry, count, text: haystack(entry) };
      made.element = h(
        "button",
        { type: "button", onclick: () => choose(made, false) },
        h("span", { class: `tag ${entry.kind}` }, entry.kind),
        h("span", { class: `what${entry.deprecated ? " old" : ""}` }, entry.name),
        count,
        h("span", { class: "brief" }, entry.brief),
      );
      return made;
    });
    of.append(...catalogs.map((each) => h("option", { value: each.name }, `${each.name} ${each.version}`)));
    filter();
    draw();
    shown.replaceChildren(
      h("p", { class: "empty" }, "Choose an entry to read what it carries."),
      ...catalogs.map((each) => h("p", {}, h("b", {}, `${each.name} ${each.version} `), each.brief)),
      ...told.faults.map((fault) => h("p", { class: "message" }, fault)),
    );
  }

  load().catch((error) => {
    shown.replaceChildren(h("p", { class: "message" }, `The catalogs could not be loaded: ${error.message}`));
  });
  of.addEventListener("change", filter);
  kind.addEventListener("change", filter);
  search.addEventListener("input", filter);
  walkable(list, "button");

  return {
    draw,
    /** Shows the entry of a name, whatever was searched for. */
    open(name) {
      const entry = entries.find((each) => each.name === name);
      if (entry === undefined) return;
      choose(entry, true);
      at("catalog").scrollIntoView({ block: "start" });
      entry.element.focus({ preventScroll: true });
    },
  };
}
