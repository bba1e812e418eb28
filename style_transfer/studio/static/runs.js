// The strip of the folder's runs.

import { address, element, text, write } from "./dom.js";

export class Runs {
  constructor(choose) {
    this.choose = choose;
    this.items = new Map();
    this.list = element("ul", {});
    this.none = element("p", { class: "none", text: text("runs_empty") });
    this.root = element(
      "section", { class: "runs" }, element("h2", { text: text("runs") }), this.none, this.list,
    );
  }

  show(runs, chosen) {
    this.none.hidden = runs.length > 0;
    const keys = new Set(runs.map((run) => run.key));
    for (const [key, item] of this.items) {
      if (!keys.has(key)) {
        item.root.remove();
        this.items.delete(key);
      }
    }
    runs.forEach((run, place) => {
      const item = this.items.get(run.key) ?? this.make(run);
      const status = text(`status_${run.status}`);
      const source = run.version ? address(run, "thumbnail", run.version) : "";
      if (source && item.image.getAttribute("src") !== source) item.image.src = source;
      item.image.hidden = !source;
      item.image.alt = text("alt_run", { name: run.name, status });
      item.root.dataset.status = run.status;
      write(item.status, ["finished", "stopped"].includes(run.status) ? "" : status);
      item.button.setAttribute("aria-current", String(run.key === chosen));
      if (this.list.children[place] !== item.root) {
        this.list.insertBefore(item.root, this.list.children[place] ?? null);
      }
    });
  }

  make(run) {
    const image = element("img", { alt: "", loading: "lazy" });
    const status = element("span", { class: "badge" });
    const button = element(
      "button", { type: "button", title: run.name, click: () => this.choose(run.key) }, image, status,
    );
    const item = { root: element("li", {}, button), button, image, status };
    this.items.set(run.key, item);
    return item;
  }
}
