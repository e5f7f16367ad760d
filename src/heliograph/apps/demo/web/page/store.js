// SPDX-License-Identifier: Apache-2.0
// What the page holds: for each topic the items by key, in the order of their last change, no more than the server keeps.

const MOST = 1000;

export class Store {
  constructor() {
    this.run = "";
    this.capacities = {};
    this.topics = new Map();
    this.dirty = new Set();
  }

  /** Takes what the server says at the begin of a stream; another run, and whatever was seen before, is forgotten. */
  hello({ run, anew, capacities }) {
    this.capacities = capacities;
    if (run !== this.run || anew) {
      for (const topic of this.topics.keys()) this.dirty.add(topic);
      this.topics.clear();
      this.run = run;
    }
  }

  take(items) {
    for (const [topic, key, data] of items) {
      const found = this.of(topic);
      found.delete(key);
      found.set(key, data);
      const most = this.capacities[topic] ?? MOST;
      while (found.size > most) found.delete(found.keys().next().value);
      this.dirty.add(topic);
    }
  }

  /** The items of a topic. */
  of(topic) {
    let found = this.topics.get(topic);
    if (found === undefined) this.topics.set(topic, (found = new Map()));
    return found;
  }

  /** The only item of a topic; undefined if there is none yet. */
  one(topic) {
    return this.topics.get(topic)?.get("");
  }
}
