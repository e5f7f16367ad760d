// SPDX-License-Identifier: Apache-2.0
// The members, what connects them, and who polls which device, as a drawing.

import { at, s, say } from "./dom.js";
import { plural, short } from "./format.js";
import { colour, devicesOf, membersOf } from "./members.js";

const HEIGHT = 300;
const RADIUS = 21;
const BOX = { width: 112, height: 26, gap: 3 };
const MOST_DEVICES = 20;

export function clusterPanel(store) {
  const graph = at("graph");
  let drawn = "";
  let polled = new Set();

  /** Members stand on an arc that bulges to the left, so that each sees every other and all the devices. */
  function places(members, width) {
    const middle = { x: Math.max(RADIUS + 90, width * 0.36), y: HEIGHT / 2 - 8 };
    const reach = { x: Math.min(middle.x - RADIUS - 16, 130), y: HEIGHT / 2 - RADIUS - 18 };
    return new Map(
      members.map((member, index) => {
        const angle = (Math.PI * (index + 0.5)) / members.length;
        const x = middle.x - reach.x * (members.length === 1 ? 0.5 : Math.sin(angle) * 1.5 - 0.5);
        return [member.name, { x, y: middle.y - reach.y * Math.cos(angle) }];
      }),
    );
  }

  function pairs() {
    const found = new Map();
    for (const { node, peer, up } of store.of("link").values()) {
      const ends = [node, peer].sort();
      const pair = found.get(ends.join(" ")) ?? { ends, up: 0 };
      pair.up += up ? 1 : 0;
      found.set(ends.join(" "), pair);
    }
    return [...found.values()].map(({ ends, up }) => ({ ends, state: ["down", "half", "up"][up] }));
  }

  function link({ ends, state }, where) {
    const [a, b] = ends.map((name) => where.get(name));
    if (a === undefined || b === undefined) return null;
    const words = { up: "connected", half: "connected one way", down: "not connected" };
    return s(
      "line",
      { class: `link ${state}`, x1: a.x, y1: a.y, x2: b.x, y2: b.y },
      s("title", {}, `${ends.join(" and ")}: ${words[state]}`),
    );
  }

  function member(each, place, members) {
    const state = each.alive ? (each.state === "running" ? "" : "coming") : each.state === "stopped" ? "gone" : "dead";
    return s(
      "g",
      { class: `member ${colour(members, each.name)} ${state}`, transform: `translate(${place.x} ${place.y})` },
      s("title", {}, `${each.name}: ${each.state}`),
      s("circle", { r: RADIUS }),
      state === "dead" ? s("path", { class: "cross", d: "M-13-13 13 13M13-13-13 13" }) : null,
      s("text", { class: "name", "text-anchor": "middle", y: 4.5 }, short(each.name)),
      s("text", { class: "said", "text-anchor": "middle", y: RADIUS + 14 }, each.state),
    );
  }

  function device(each, x, y, height) {
    const lonely = each.by.length !== 1 ? " lonely" : "";
    const alarm = each.alarms.length ? " alarm" : "";
    const name = each.name.length > 14 ? `${each.name.slice(0, 13)}…` : each.name;
    return s(
      "g",
      { class: `box${lonely}${alarm}`, transform: `translate(${x} ${y})` },
      s("title", {}, `${each.name}: polled by ${each.by.join(" and ") || "nobody"}`),
      s("rect", { y: -height / 2, width: BOX.width, height, rx: Math.min(5, height / 3) }),
      s("text", { x: 9, y: 4 }, name),
      alarm ? s("text", { class: "mark", x: BOX.width - 8, y: 4, "text-anchor": "end" }, "!") : null,
    );
  }

  function poll(from, to, shape, fresh) {
    const middle = (from.x + to.x) / 2;
    return s("path", {
      class: `poll ${shape}${fresh ? " fresh" : ""}`,
      d: `M${from.x} ${from.y}C${middle} ${from.y} ${middle} ${to.y} ${to.x} ${to.y}`,
    });
  }

  function describe(members, devices, links) {
    const of = (name) => devices.filter((each) => each.by.includes(name)).map((each) => each.name);
    const told = members.map((each) => `${each.name} is ${each.state}, polls ${of(each.name).join(", ") || "nothing"}.`);
    const up = links.filter((each) => each.state === "up").map((each) => each.ends.join(" with "));
    return `${told.join(" ")} Connected: ${up.join("; ") || "none"}.`;
  }

  function draw() {
    const members = membersOf(store);
    const devices = devicesOf(store);
    const links = pairs();
    const width = Math.max(280, graph.clientWidth);
    const shown = devices.slice(0, MOST_DEVICES);
    const facts = [
      members.map((each) => [each.name, each.state]),
      shown.map((each) => [each.name, each.by, each.alarms]),
      links,
      width,
    ];
    const now = JSON.stringify(facts);
    if (now === drawn) return;
    drawn = now;

    const running = members.filter((each) => each.state === "running").length;
    const more = devices.length - shown.length;
    say(
      at("cluster-said"),
      `${running} of ${plural(members.length, "member")} running${more > 0 ? `, ${more} more devices not drawn` : ""}`,
    );
    const where = places(members, width);
    const x = width - BOX.width - 2;
    const step = HEIGHT / Math.max(1, shown.length);
    const polls = new Set();
    const edges = [];
    const boxes = shown.map((each, index) => {
      const y = step * (index + 0.5);
      for (const name of each.by) {
        const from = where.get(name);
        if (from === undefined) continue;
        const key = `${name} ${each.name}`;
        polls.add(key);
        edges.push(poll(from, { x, y }, colour(members, name), polled.size > 0 && !polled.has(key)));
      }
      return device(each, x, y, Math.min(BOX.height, step - BOX.gap));
    });
    polled = polls;
    graph.replaceChildren(
      s(
        "svg",
        {
          role: "img",
          width,
          height: HEIGHT,
          viewBox: `0 0 ${width} ${HEIGHT}`,
          "aria-label": describe(members, devices, links),
        },
        edges,
        links.map((each) => link(each, where)),
        members.map((each) => member(each, where.get(each.name), members)),
        boxes,
      ),
    );
  }

  new ResizeObserver(() => store.of("member").size && draw()).observe(graph);
  return { draw };
}
