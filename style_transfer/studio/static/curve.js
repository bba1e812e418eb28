// Loss curves on a logarithmic scale, drawn as SVG.

import { element, text, write } from "./dom.js";

const WIDTH = 320;
const HEIGHT = 96;
const EDGE = 3;
const TERMS = ["total", "content", "style", "total_variation"];

export class Curve {
  constructor() {
    this.lines = Object.fromEntries(
      TERMS.map((term) => [term, element("path", { class: `loss ${term}` })]),
    );
    this.svg = element(
      "svg",
      { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img" },
      ...TERMS.map((term) => this.lines[term]).reverse(),
    );
    const keys = TERMS.map((term) => element("span", { class: `key ${term}`, text: text(term) }));
    this.caption = element("figcaption", {}, element("b", { text: text("curve") }), ...keys);
    this.root = element("figure", { class: "curve", hidden: true }, this.svg, this.caption);
  }

  /** Draw `curves` as the server tells them; `planned` evaluations fill the width. */
  show(curves, planned) {
    const count = curves?.at?.length ?? 0;
    this.root.hidden = count < 2;
    if (this.root.hidden) return;
    const logs = TERMS.map((term) => curves[term].map((v) => (v > 0 ? Math.log10(v) : null)));
    const known = logs.flat().filter((v) => v !== null);
    const high = Math.max(...known);
    // What lies more than four powers of ten below says nothing of the rest.
    const low = Math.max(Math.min(...known), high - 4);
    const across = Math.max(planned || 0, curves.at[count - 1] + 1, 2) - 1;
    TERMS.forEach((term, index) => {
      const points = [];
      logs[index].forEach((value, at) => {
        if (value === null) return;
        const x = (curves.at[at] / across) * WIDTH;
        const share = high > low ? (high - Math.max(value, low)) / (high - low) : 0.5;
        points.push(`${x.toFixed(1)} ${(EDGE + share * (HEIGHT - 2 * EDGE)).toFixed(1)}`);
      });
      this.lines[term].setAttribute("d", points.length ? `M${points.join("L")}` : "");
    });
    const [first, last] = [curves.total[0], curves.total[count - 1]].map((v) => v.toPrecision(3));
    this.svg.setAttribute("aria-label", text("curve_alt", { first, last }));
    write(this.caption.firstChild, `${text("curve")} ${last}`);
  }
}
