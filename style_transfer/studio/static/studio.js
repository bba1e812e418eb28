// The page's script: asks the server how the runs are, and shows it. Runs do not depend on it.

import { element, text } from "./dom.js";
import { Easel } from "./easel.js";
import { keepNamed } from "./names.js";
import { tellRefusals } from "./refused.js";
import { Runs } from "./runs.js";

const SOON = 1200; // milliseconds between two questions while something is painted
const LATER = 3000;
const HIDDEN = 10000; // while nobody looks
// Gradio sometimes misses the end of an event: its answer to Paint is waited for so long, and after
// that, the next new run is taken for the one that Paint began.
const ANSWERED = 2500;
const GIVEN_UP = 20000;
const ACTIVE = ["waiting", "starting", "painting", "elsewhere"];

/** The run that the page's address names. */
function named() {
  return new URLSearchParams(location.hash.slice(1)).get("run");
}

class Page {
  constructor(root) {
    this.easel = new Easel(() => this.look());
    this.runs = new Runs((key) => this.choose(key));
    this.lost = element("p", { class: "lost", role: "alert", text: text("lost"), hidden: true });
    root.append(this.lost, this.easel.root, this.runs.root);
    this.chosen = named();
    this.first = true;
    addEventListener("hashchange", () => named() !== this.chosen && this.choose(named()));
    document.addEventListener("visibilitychange", () => document.hidden || this.look());
    this.look();
  }

  /** Paint was pressed. */
  pressed() {
    this.before = new Set(this.state?.runs.map((run) => run.key));
    this.since = Date.now();
    setTimeout(() => this.look(), ANSWERED);
  }

  /** The run that Paint began, if Gradio has not told its key. */
  missed(runs) {
    const waited = Date.now() - this.since;
    if (!this.before || waited < ANSWERED || waited > GIVEN_UP) return undefined;
    return runs.find((run) => !this.before.has(run.key));
  }

  choose(key) {
    this.before = null;
    this.chosen = key;
    history.replaceState(null, "", `#run=${key}`);
    this.mark = null;
    this.look();
  }

  /** Ask now; the next question follows by itself. */
  async look() {
    clearTimeout(this.timer);
    const asked = (this.asked = {});
    let pause = LATER;
    try {
      const headers = this.mark ? { "if-none-match": this.mark } : {};
      const query = this.chosen ? `?run=${encodeURIComponent(this.chosen)}` : "";
      const answer = await fetch(`/studio/state${query}`, { headers, cache: "no-store" });
      if (asked !== this.asked) return;
      if (answer.status === 200) {
        this.state = await answer.json();
        this.mark = answer.headers.get("etag");
        this.show(this.state);
      } else if (answer.status !== 304) throw new Error(answer.status);
      this.lost.hidden = true;
      if (this.state.runs.some((run) => ACTIVE.includes(run.status))) pause = SOON;
    } catch {
      if (asked !== this.asked) return;
      this.lost.hidden = false;
    }
    this.timer = setTimeout(() => this.look(), document.hidden ? HIDDEN : pause);
  }

  show(state) {
    if (this.first && !this.chosen) {
      const active = state.runs.find((run) => ["starting", "painting"].includes(run.status));
      this.first = false;
      if (active) {
        this.choose(active.key);
        return;
      }
    }
    this.first = false;
    const missed = this.missed(state.runs);
    if (missed) {
      this.choose(missed.key);
      return;
    }
    this.runs.show(state.runs, this.chosen);
    this.easel.show(state.run);
  }
}

/** Gradio puts its parts on the page one after another, the place of the easel among them. */
function begin() {
  const [root, form, button] = ["studio", "form", "paint"].map((id) => document.getElementById(id));
  if (!root || !form || !button) return false;
  if (root.childElementCount) return true;
  const page = new Page(root);
  keepNamed(form);
  tellRefusals(button);
  button.addEventListener("click", () => page.pressed());
  window.showRun = (key) => {
    page.choose(key);
    if (matchMedia("(max-width: 860px)").matches) root.scrollIntoView({ behavior: "smooth" });
  };
  return true;
}

if (!begin()) {
  const observer = new MutationObserver(() => begin() && observer.disconnect());
  observer.observe(document.documentElement, { childList: true, subtree: true });
}
