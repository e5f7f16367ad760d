// SPDX-License-Identifier: Apache-2.0
// Members and devices in the order in which they stay, and the colour of each member, the same in every panel.

const COLOURS = 8;

function inPlace(items) {
  return [...items.values()].sort((a, b) => a.place - b.place);
}

export function membersOf(store) {
  return inPlace(store.of("member"));
}

export function devicesOf(store) {
  return inPlace(store.of("device"));
}

/** The class that gives something the colour of a member; none for who is no member. */
export function colour(members, name) {
  const place = members.findIndex((each) => each.name === name);
  return place < 0 ? "" : `m${place % COLOURS}`;
}
