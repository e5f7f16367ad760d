// SPDX-License-Identifier: Apache-2.0
// A line as small as a word: the least of its values lies at the bottom, the greatest at the top.

import { s } from "./dom.js";

const WIDTH = 100;
const HEIGHT = 20;
const EDGE = 2;
// So many values fill the width; fewer leave room at the left.
const FEW = 16;

export class Spark {
  constructor() {
    this.limit = s("line", { class: "limit", x1: 0, x2: WIDTH });
    this.line = s("path", { class: "line" });
    this.element = s(
      "svg",
      { class: "spark", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" },
      this.limit,
      this.line,
    );
  }

  /** Draws values, the youngest at the right; `steps` for what does not go from one to the next. */
  draw(values, { limit = null, steps = false } = {}) {
    const most = Math.max(FEW, values.length);
    const known = values.filter((value) => value !== null);
    const all = limit === null ? known : [...known, limit];
    const least = Math.min(...all);
    const span = Math.max(...all) - least;
    const y = (value) => (span ? HEIGHT - EDGE - ((value - least) / span) * (HEIGHT - 2 * EDGE) : HEIGHT / 2);
    const x = (index) => WIDTH - ((values.length - 1 - index) / (most - 1)) * WIDTH;
    let path = "";
    let pen = false;
    values.forEach((value, index) => {
      if (value === null) {
        pen = false;
        return;
      }
      const there = `${x(index).toFixed(1)} ${y(value).toFixed(1)}`;
      if (!pen) path += `M${there}`;
      else path += steps ? `H${x(index).toFixed(1)}V${y(value).toFixed(1)}` : `L${there}`;
      pen = true;
    });
    this.line.setAttribute("d", path);
    this.limit.toggleAttribute("hidden", limit === null);
    if (limit !== null) {
      this.limit.setAttribute("y1", y(limit));
      this.limit.setAttribute("y2", y(limit));
    }
  }
}
