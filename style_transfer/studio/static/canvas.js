// The picture on the easel, and the photograph before it.

import { address, element, text } from "./dom.js";

export class Canvas {
  constructor() {
    this.now = element("img", { class: "now", alt: "" });
    this.before = element("img", { class: "before", alt: text("alt_photograph") });
    this.cut = element("input", {
      type: "range", min: 0, max: 100, value: 50, class: "cut", "aria-label": text("compare"),
      input: () => this.frame.style.setProperty("--cut", `${this.cut.value}%`),
    });
    this.frame = element("div", { class: "frame" }, this.now, this.before, this.cut);
    this.empty = element(
      "div", { class: "empty" },
      element("h2", { text: text("empty_head") }), element("p", { text: text("empty") }),
    );
    this.root = element("div", { class: "canvas" }, this.empty, this.frame);
    this.wanted = "";
    this.compare(false);
    this.show(null);
  }

  /** Show a run as it is, or one of its iterations. */
  show(run, iteration = null) {
    const source = run ? this.source(run, iteration) : "";
    const waiting = run && !source;
    this.frame.hidden = !source && !(waiting && this.run === run.key && this.now.src);
    this.empty.hidden = !this.frame.hidden || Boolean(run);
    if (run?.columns) this.frame.style.setProperty("--ratio", run.columns / run.rows);
    this.now.alt = iteration === null ? text("alt_result") : text("alt_iteration", { n: iteration + 1 });
    if (run && run.key !== this.run) this.compare(false);
    this.run = run?.key;
    const photograph = run?.photograph ? address(run, "photograph", "1") : "";
    if (photograph && this.before.getAttribute("src") !== photograph) this.before.src = photograph;
    if (source && source !== this.wanted) this.load(source);
    this.wanted = source;
  }

  source(run, iteration) {
    if (iteration !== null) return address(run, `iterations/${iteration}`, run.version || "1");
    return run.version ? address(run, "picture", run.version) : "";
  }

  /** Put a picture up once it has come, so that none flickers. */
  load(source) {
    const coming = new Image();
    coming.onload = () => {
      if (this.wanted !== source) return;
      this.now.src = source;
      this.now.dataset.changes = Number(this.now.dataset.changes ?? 0) + 1;
      if (!this.frame.style.getPropertyValue("--ratio")) {
        this.frame.style.setProperty("--ratio", coming.naturalWidth / coming.naturalHeight);
      }
    };
    coming.src = source;
  }

  compare(wanted) {
    this.comparing = wanted;
    this.before.hidden = this.cut.hidden = !wanted;
    this.frame.style.setProperty("--cut", `${this.cut.value}%`);
  }
}
