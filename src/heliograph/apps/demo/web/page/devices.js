// SPDX-License-Identifier: Apache-2.0
// A tile for each device: who polls it, what it measures now, and what it measured a moment ago.

import { arrange, at, h, Kept, say } from "./dom.js";
import { number, plural, short, unit } from "./format.js";
import { colour, devicesOf, membersOf } from "./members.js";
import { Spark } from "./spark.js";

const MOST_VALUES = 8;

class Row {
  constructor(name) {
    this.spark = new Spark();
    this.value = h("b");
    this.unit = h("i");
    this.element = h("div", { class: "value" }, h("span", { title: name }, name), this.spark.element, h("p", {}, this.value, this.unit));
  }

  draw(told) {
    const latest = told.values.at(-1);
    const flag = told.unit === "" && told.values.every((value) => value === 0 || value === 1);
    const text = latest === undefined ? "–" : flag ? (latest ? "on" : "off") : number(latest, 3);
    say(this.value, text);
    say(this.unit, unit(told.unit));
    this.element.classList.toggle("alarm", told.alarm);
    this.element.title = told.limit === null ? "" : `limit ${number(told.limit)} ${unit(told.unit)}`;
    this.spark.draw(told.values, { limit: flag ? null : told.limit, steps: flag });
  }
}

class Tile {
  constructor(name) {
    this.by = h("p", { class: "by" });
    this.rows = h("div", { class: "values" });
    this.more = h("p", { class: "more" });
    this.kept = new Kept((key) => new Row(key));
    this.element = h("li", { class: "tile" }, h("div", { class: "name" }, h("h3", { title: name }, name), this.by), this.rows, this.more);
  }

  draw(device, members) {
    const state = device.by.length === 0 ? "lonely" : device.by.length > 1 ? "doubled" : "";
    this.element.className = `tile ${state} ${colour(members, device.by[0])}`;
    const chips = device.by.map((name) => h("span", { class: `chip ${colour(members, name)}`, title: name }, short(name)));
    if (device.alarms.length) chips.unshift(h("span", { class: "chip warn" }, "alarm"));
    if (!device.by.length) chips.push(h("span", { class: "chip none", title: "polled by nobody" }, "nobody"));
    this.by.replaceChildren(...chips);
    const shown = device.values.slice(0, MOST_VALUES);
    arrange(
      this.rows,
      shown.map((told) => {
        const row = this.kept.get(told.name);
        row.draw(told);
        return row.element;
      }),
    );
    this.kept.sweep();
    const more = device.values.length - shown.length;
    say(this.more, more ? `and ${plural(more, "more value")}` : "");
  }
}

export function devicesPanel(store) {
  const tiles = at("tiles");
  const kept = new Kept((name) => new Tile(name));

  return {
    draw() {
      const members = membersOf(store);
      const devices = devicesOf(store);
      arrange(
        tiles,
        devices.map((device) => {
          const tile = kept.get(device.name);
          tile.draw(device, members);
          return tile.element;
        }),
      );
      kept.sweep();
      const alarms = devices.filter((each) => each.alarms.length).length;
      const lonely = devices.filter((each) => !each.by.length).length;
      const said = [plural(devices.length, "device")];
      if (alarms) said.push(plural(alarms, "alarm"));
      if (lonely) said.push(`${lonely} polled by nobody`);
      say(at("devices-said"), said.join(", "));
    },
  };
}
