// SPDX-License-Identifier: Apache-2.0
// The stream of what is new, which comes again by itself.

// Our choices, in milliseconds: the server says at least every two seconds that it is there.
const SILENCE = 7000;
const FIRST_WAIT = 500;
const LONGEST_WAIT = 8000;

/**
 * Listens to the feed until the page is left.
 *
 * Calls `told` with `{hello}` when a connection stands, `{items}` with what is new, and `{state, wait}` when the state
 * changes: "live", or "lost", with the milliseconds until the next attempt.
 */
export function listen(told) {
  let source = null;
  let last = 0;
  let seen = "";
  let wait = FIRST_WAIT;

  function open() {
    last = Date.now();
    source = new EventSource(`feed${seen ? `?since=${encodeURIComponent(seen)}` : ""}`);
    source.addEventListener("hello", (event) => {
      last = Date.now();
      wait = FIRST_WAIT;
      told({ hello: JSON.parse(event.data) });
      told({ state: "live" });
    });
    source.addEventListener("beat", () => {
      last = Date.now();
    });
    source.addEventListener("message", (event) => {
      last = Date.now();
      seen = event.lastEventId;
      told({ items: JSON.parse(event.data) });
    });
    source.addEventListener("error", lose);
  }

  // A browser's own attempts end for good at the first answer that is no stream, and are never told of: ours are.
  function lose() {
    if (source === null) return;
    source.close();
    source = null;
    told({ state: "lost", wait });
    setTimeout(open, wait);
    wait = Math.min(LONGEST_WAIT, 2 * wait);
  }

  setInterval(() => {
    if (Date.now() - last > SILENCE) lose();
  }, 1000);
  open();
}
