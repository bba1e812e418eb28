// Names that Gradio gives its buttons and inputs for screen readers: in the page's language, and apart.

import { texts } from "./dom.js";

const OF_A_SLIDER = { "number input for ": "number_of", "range slider for ": "slider_of" };

/** A name of Gradio's in the page's language. */
function translated(name) {
  for (const [start, key] of Object.entries(OF_A_SLIDER)) {
    if (name.startsWith(start)) return texts[key].replace("{name}", name.slice(start.length));
  }
  return texts.gradio[name] ?? name;
}

/** Of several places for pictures, each upload button says which it belongs to. */
function uploadName(button) {
  const shown = button.textContent.trim();
  const block = button.closest("[id^=photograph], [id^=painting-]");
  const name = block?.querySelector("label")?.textContent.trim() ?? "";
  return shown && `${name}: ${shown}`;
}

function change(target, attribute, wanted) {
  if (wanted && target.getAttribute(attribute) !== wanted) target.setAttribute(attribute, wanted);
}

function nameAll(form) {
  for (const attribute of ["aria-label", "title"]) {
    for (const target of form.querySelectorAll(`[${attribute}]`)) {
      change(target, attribute, translated(target.getAttribute(attribute)));
    }
  }
  for (const button of form.querySelectorAll(".upload-container button[aria-label]")) {
    change(button, "aria-label", uploadName(button));
  }
}

/** Name what a form holds, now and whenever it changes. */
export function keepNamed(form) {
  const observer = new MutationObserver(() => nameAll(form));
  const names = ["aria-label", "title"];
  observer.observe(form, { childList: true, subtree: true, attributeFilter: names });
  nameAll(form);
}
