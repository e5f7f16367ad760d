// SPDX-License-Identifier: Apache-2.0
// Puts the page together: one store, one stream, and panels that are drawn when what they show has changed.

import { catalogPanel } from "./catalog.js";
import { clusterPanel } from "./cluster.js";
import { devicesPanel } from "./devices.js";
import { at, say } from "./dom.js";
import { eventsPanel } from "./events.js";
import { number } from "./format.js";
import { metricsPanel } from "./metrics.js";
import { promisesPanel } from "./promises.js";
import { Store } from "./store.js";
import { listen } from "./stream.js";
import { tracesPanel } from "./traces.js";

const store = new Store();
const catalog = catalogPanel(store);

// Panels with the topics that they show, and how often they are drawn at most, in milliseconds. Lists are drawn seldom:
// whoever reads them should not have to chase them.
const panels = [
  { panel: headPanel(), topics: ["head"], pause: 0 },
  { panel: clusterPanel(store), topics: ["member", "link", "device"], pause: 0 },
  { panel: devicesPanel(store), topics: ["device", "member"], pause: 250 },
  { panel: tracesPanel(store), topics: ["trace", "failed"], pause: 1000 },
  { panel: eventsPanel(store, { inCatalog: catalog.open }), topics: ["log"], pause: 500 },
  { panel: promisesPanel(store), topics: ["promises", "story", "head"], pause: 250 },
  { panel: metricsPanel(store, { inCatalog: catalog.open }), topics: ["series"], pause: 1000 },
  { panel: catalog, topics: ["counts"], pause: 1000 },
].map((each) => ({ ...each, drawn: -Infinity, wanted: false }));

function headPanel() {
  return {
    draw() {
      const head = store.one("head");
      if (head === undefined) return;
      const count = `${number(head.spans)} spans, ${number(head.points)} metric points, ${number(head.logs)} log events`;
      const verdict = head.kept ? "all that was looked for was seen" : "not all that was promised was seen";
      say(at("stage"), head.ended ? `It has ended: ${verdict}` : head.stage);
      say(
        at("clock"),
        `${head.elapsed.toFixed(1)} s of ${number(head.seconds)} · ` +
          (head.looking ? count : `the telemetry is at ${head.endpoint}`),
      );
      at("progress").value = Math.min(1, head.elapsed / head.seconds);
      if (head.ended) show("ended");
    },
  };
}

let state = "connecting";
const WORDS = {
  connecting: "connecting",
  live: "live",
  lost: "stream lost, trying again",
  ended: "ended; this is how it was",
};

function show(next) {
  // Whoever has ended closes the stream: that is no loss, and the next one to begin here is shown.
  if (next === state || (state === "ended" && next === "lost")) return;
  state = next;
  const pill = at("stream");
  say(pill, WORDS[state]);
  pill.className = `stream ${state}`;
  document.body.className = state;
}

let planned = false;

function plan() {
  if (!planned) {
    planned = true;
    requestAnimationFrame(draw);
  }
}

function draw(now) {
  planned = false;
  let soonest = Infinity;
  for (const each of panels) {
    each.wanted ||= each.topics.some((topic) => store.dirty.has(topic));
    if (!each.wanted) continue;
    const due = each.drawn + each.pause;
    if (due > now) {
      soonest = Math.min(soonest, due - now);
      continue;
    }
    each.wanted = false;
    each.drawn = now;
    each.panel.draw();
  }
  store.dirty.clear();
  if (soonest < Infinity) setTimeout(plan, soonest);
}

listen((news) => {
  if (news.hello) store.hello(news.hello);
  if (news.items) store.take(news.items);
  if (news.state) show(news.state);
  plan();
});
