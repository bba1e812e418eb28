// The easel: the picture, how far it is, and what can be done with it.

import { Canvas } from "./canvas.js";
import { Curve } from "./curve.js";
import { address, duration, element, post, text, write } from "./dom.js";

const ACTIVE = ["waiting", "starting", "painting"];
const RESTING = ["finished", "stopped", "failed"];

function range(label, attributes, shown) {
  const output = element("output", {});
  const input = element("input", { type: "range", ...attributes });
  const update = () => write(output, shown(Number(input.value)));
  input.addEventListener("input", update);
  const name = element("span", { text: label });
  return { input, output, update, root: element("label", { class: "range" }, name, output, input) };
}

export class Easel {
  constructor(changed) {
    this.changed = changed; // called after something was asked of the server
    this.run = null;
    this.canvas = new Canvas();
    this.curve = new Curve();
    this.name = element("h2", {});
    this.status = element("p", { class: "status", role: "status" });
    this.facts = element("p", { class: "facts" });
    this.progress = element("progress", { max: 1, value: 0, "aria-label": text("status_painting") });
    this.line = element("p", { class: "line", role: "alert" });
    this.makeButtons();
    this.makeContinuing();
    this.makeKeeping();
    const told = element("div", { class: "told" }, this.name, this.status, this.facts, this.progress, this.line);
    const bar = element("div", { class: "bar" }, this.stop, this.compare, this.take);
    this.side = element(
      "div", { class: "side" }, told, bar, this.curve.root, this.continuing, this.keeping,
    );
    this.root = element(
      "section", { class: "easel", "aria-label": text("easel") }, this.canvas.root, this.side,
    );
    this.show(null);
  }

  makeButtons() {
    this.stop = element("button", { type: "button", class: "stop", click: () => this.askStop() });
    this.compare = element("button", {
      type: "button", class: "quiet", "aria-pressed": "false", text: text("compare"),
      click: () => {
        this.canvas.compare(!this.canvas.comparing);
        this.compare.setAttribute("aria-pressed", String(this.canvas.comparing));
      },
    });
    this.take = element("button", {
      type: "button", class: "quiet", text: text("take"), click: () => window.takeSettings(this.run.key),
    });
  }

  makeContinuing() {
    this.from = range(text("from"), { min: 0, max: 0, step: 1 }, (at) => {
      const numbers = this.run?.iterations ?? [];
      const last = at === numbers.length - 1;
      const shown = (numbers[at] ?? 0) + 1; // people count from 1, as above; files from 0
      return last ? text("from_last", { n: shown }) : String(shown);
    });
    this.more = range(text("more"), { min: 0, max: 30, step: 1, value: 0 }, String);
    this.strength = range(
      text("from_here"), { min: -1.5, max: 1.5, step: 0.05 }, (s) => (s > 0 ? "+" : "") + s.toFixed(2),
    );
    this.from.input.addEventListener("input", () => this.showPicture());
    this.note = element("small", {});
    for (const part of [this.from, this.strength]) {
      part.input.addEventListener("input", () => this.tellCost());
    }
    this.goOn = element("button", {
      type: "submit", class: "primary", text: text("go_on"),
    });
    this.continuing = element(
      "form", { class: "continuing", submit: (event) => { event.preventDefault(); this.askMore(); } },
      this.from.root, this.more.root, this.strength.root, this.note, this.goOn,
    );
  }

  makeKeeping() {
    const link = (what) => element("a", { download: true, text: text(`download_${what}`) });
    this.links = { picture: link("picture"), "16bit": link("16bit"), settings: link("settings") };
    this.commands = element("code", { tabindex: 0 });
    const copy = element("button", {
      type: "button", class: "quiet", text: text("copy"),
      click: async () => {
        await navigator.clipboard.writeText(this.commands.textContent);
        write(copy, text("copied"));
        setTimeout(() => write(copy, text("copy")), 1500);
      },
    });
    const summary = element("summary", {}, text("commands"), element("small", { text: ` ${text("commands_info")}` }));
    const links = element("div", { class: "links" }, element("span", { text: text("download") }), ...Object.values(this.links));
    this.keeping = element(
      "div", { class: "keeping" }, links,
      element(
        "details", { toggle: (event) => event.target.scrollIntoView({ block: "nearest" }) },
        summary, this.commands, copy,
      ),
    );
  }

  /** Show a run as the server tells of it; null clears the easel. */
  show(run) {
    const other = run?.key !== this.run?.key;
    const more = run && !other && run.status !== this.run.status;
    const grown = run && !other && run.iterations?.length !== this.run.iterations?.length;
    this.run = run;
    this.side.hidden = !run;
    const [active, resting] = [ACTIVE, RESTING].map((all) => Boolean(run && all.includes(run.status)));
    this.progress.hidden = !active && run?.status !== "elsewhere";
    this.stop.hidden = !active;
    this.take.hidden = !run?.iterations;
    this.compare.hidden = !run?.photograph || !run?.version;
    this.continuing.hidden = !resting || !run.iterations;
    this.from.root.hidden = !(run?.iterations?.length > 1);
    this.keeping.hidden = !run?.iterations || !run.version || active;
    this.links["16bit"].hidden = !run?.iterations?.length; // whose exact image is kept
    if (other) {
      write(this.line, "");
      this.compare.setAttribute("aria-pressed", "false");
    }
    if (other || more) this.stop.disabled = false;
    if (run) this.tell(run, active);
    if (run && (other || more || grown)) this.resetContinuing(run);
    this.curve.show(run?.curves, run?.planned);
    this.showPicture();
  }

  tell(run, active) {
    write(this.name, run.name);
    const ahead = run.status === "waiting" && run.place ? "_n" : "";
    write(this.status, text(`status_${run.status}${ahead}`, { n: run.place }));
    this.status.dataset.status = run.status;
    const facts = [];
    if (active && run.size?.length) {
      const [number, of, columns, rows] = run.size;
      facts.push(text("size_of", { n: number + 1, of, columns, rows }));
    } else if (run.columns) facts.push(`${run.columns} × ${run.rows}`);
    if (run.planned_iterations && run.iteration != null) {
      facts.push(text("iteration_of", { n: run.iteration + 1, of: run.planned_iterations }));
    }
    if (run.left != null) facts.push(text("left", { time: duration(run.left) }));
    else if (run.seconds && !active) facts.push(text("took", { time: duration(run.seconds) }));
    write(this.facts, facts.join(" · "));
    if (run.planned) this.progress.value = run.evaluations / run.planned;
    else this.progress.value = 0;
    if (!this.stop.disabled) write(this.stop, text(run.status === "waiting" ? "take_back" : "stop"));
    const lines = run.lines ?? [];
    const told = run.status === "failed" || active ? lines[lines.length - 1] ?? "" : "";
    if (!this.refusal) write(this.line, told);
    this.line.title = this.line.textContent;
    this.line.classList.toggle("wrong", run.status === "failed" || Boolean(this.refusal));
    for (const [what, link] of Object.entries(this.links)) link.href = address(run, `download/${what}`);
    write(this.commands, (run.commands ?? []).join("\n"));
  }

  resetContinuing(run) {
    const numbers = run.iterations ?? [];
    this.from.input.max = Math.max(0, numbers.length - 1);
    this.from.input.value = this.from.input.max;
    this.more.input.value = run.status === "finished" ? 3 : 0;
    this.initial = run.content_weight > 0 ? Math.log10(run.base_weight / run.content_weight) : 1.5;
    this.strength.input.value = this.initial;
    this.initial = Number(this.strength.input.value);
    for (const part of [this.from, this.more, this.strength]) part.update();
    this.tellCost();
  }

  get iteration() {
    const numbers = this.run?.iterations ?? [];
    const at = Number(this.from.input.value);
    return this.continuing.hidden || at >= numbers.length - 1 ? null : numbers[at];
  }

  showPicture() {
    this.canvas.show(this.run, this.iteration);
  }

  tellCost() {
    const back = this.iteration !== null;
    const changed = Number(this.strength.input.value) !== this.initial;
    write(this.note, back ? text(changed ? "loses" : "keeps") : "");
  }

  async askStop() {
    this.stop.disabled = true;
    write(this.stop, text("stopping"));
    await this.ask("stop");
  }

  async askMore() {
    const strength = Number(this.strength.input.value);
    const weight = Number((this.run.base_weight / 10 ** strength).toPrecision(3));
    await this.ask("continue", {
      more: Number(this.more.input.value),
      from_iteration: this.iteration,
      content_weight: strength === this.initial ? null : weight,
    });
  }

  async ask(what, content) {
    this.goOn.disabled = true;
    this.refusal = await post(address(this.run, what), content);
    this.goOn.disabled = false;
    write(this.line, this.refusal);
    this.changed();
  }
}
