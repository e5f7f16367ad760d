// SPDX-License-Identifier: Apache-2.0
// Metrics by name; each opens to its series with their latest values.

import { arrange, at, h, Kept, say, walkable } from "./dom.js";
import { measured, plain, plural, short } from "./format.js";
import { Spark } from "./spark.js";

const MOST_SERIES = 60;

function told(series) {
  if ("value" in series) return measured(series.value, series.unit);
  const words = [plural(series.count, "time")];
  for (const key of ["p50", "p95", "max"]) {
    if (series[key] !== null && series[key] !== undefined) words.push(`${key} ${measured(series[key], series.unit)}`);
  }
  return words.join("  ");
}

/** All series of a metric in a few words. */
function together(all) {
  if (all.length === 1) return told(all[0]);
  const values = all.map((each) => each.value).filter((value) => typeof value === "number");
  if (all[0].kind === "counter") return measured(values.reduce((sum, value) => sum + value, 0), all[0].unit);
  if (values.length) {
    const least = Math.min(...values);
    const most = Math.max(...values);
    if (least === most) return measured(least, all[0].unit);
    return `${measured(least, all[0].unit)} to ${measured(most, all[0].unit)}`;
  }
  return plural(all.reduce((sum, each) => sum + (each.count ?? 0), 0), "time");
}

class Series {
  constructor(key, series) {
    this.value = h("td", { class: "number" });
    this.spark = new Spark();
    const words = Object.entries(series.attributes).map(([name, value]) => [h("i", {}, `${name}=`), `${plain(value)} `]);
    this.element = h(
      "tr",
      {},
      h("td", { class: "who", title: series.from }, short(series.from)),
      h("td", { class: "words" }, words),
      h("td", { class: "trend" }, this.spark.element),
      this.value,
    );
  }

  draw(series) {
    say(this.value, told(series));
    this.spark.draw(series.history);
  }
}

class Metric {
  constructor(name, series, inCatalog) {
    this.value = h("span", { class: "number" });
    this.count = h("span", { class: "count" });
    this.body = h("tbody");
    this.more = h("p", { class: "quiet" });
    this.kept = new Kept((key, each) => new Series(key, each));
    this.series = [];
    this.element = h(
      "details",
      { class: "metric" },
      h(
        "summary",
        {},
        h("span", { class: "what" }, name),
        h("span", { class: "kind" }, `${series.kind.replaceAll("_", " ")}${series.delta ? ", delta" : ""}`),
        this.count,
        this.value,
      ),
      h(
        "div",
        { class: "about" },
        h("p", { class: "quiet" }, [series.about, series.unit && `unit ${series.unit}`].filter(Boolean).join(" · ")),
        h("table", {}, this.body),
        this.more,
        h("button", { type: "button", onclick: () => inCatalog(name) }, "in the catalog"),
      ),
    );
    this.element.addEventListener("toggle", () => this.unfold());
  }

  draw(series) {
    this.series = series;
    say(this.value, together(series.map(([, each]) => each)));
    say(this.count, series.length === 1 ? "" : `${series.length} series`);
    this.unfold();
  }

  unfold() {
    if (!this.element.open) return;
    arrange(
      this.body,
      this.series.slice(0, MOST_SERIES).map(([key, each]) => {
        const row = this.kept.get(key, each);
        row.draw(each);
        return row.element;
      }),
    );
    this.kept.sweep();
    const more = this.series.length - MOST_SERIES;
    say(this.more, more > 0 ? `and ${more} more series` : "");
  }
}

export function metricsPanel(store, { inCatalog }) {
  const list = at("metric-list");
  const name = at("metric-name");
  const kept = new Kept((key, series) => new Metric(key, series, inCatalog));

  function draw() {
    const asked = name.value.trim().toLowerCase();
    const byName = new Map();
    for (const [key, series] of store.of("series")) {
      if (asked && !key.toLowerCase().includes(asked)) continue;
      if (!byName.has(series.name)) byName.set(series.name, []);
      byName.get(series.name).push([key, series]);
    }
    const names = [...byName.keys()].sort();
    arrange(
      list,
      names.map((each) => {
        const series = byName.get(each).sort(([a], [b]) => (a < b ? -1 : 1));
        const metric = kept.get(each, series[0][1]);
        metric.draw(series);
        return metric.element;
      }),
    );
    kept.sweep();
    say(at("metrics-said"), `${plural(names.length, "metric")}, ${store.of("series").size} series`);
  }

  name.addEventListener("input", draw);
  walkable(list, "summary");
  return { draw };
}
