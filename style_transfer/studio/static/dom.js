// Small helpers: elements, texts, times, requests.

export const texts = window.studioTexts;

/** A text of the page, with {names} filled in. */
export function text(key, values = {}) {
  return (texts[key] ?? key).replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");
}

/** An element with attributes (functions listen, `text` fills) and children. */
export function element(name, attributes = {}, ...children) {
  const spaced = ["svg", "path", "line"].includes(name);
  const made = spaced
    ? document.createElementNS("http://www.w3.org/2000/svg", name)
    : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === "function") made.addEventListener(key, value);
    else if (key === "text") made.textContent = value;
    else if (value === true) made.setAttribute(key, "");
    else if (value !== false && value != null) made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}

/** Change a text only where it differs, so that screen readers hear news alone. */
export function write(target, value) {
  if (target.textContent !== value) target.textContent = value;
}

/** Seconds as people say them. */
export function duration(seconds) {
  if (seconds < 100) return text("seconds", { n: Math.max(1, Math.round(seconds)) });
  if (seconds < 6000) return text("minutes", { n: Math.round(seconds / 60) });
  return text("hours", { n: (seconds / 3600).toFixed(1) });
}

/** The address of something of a run. */
export function address(run, what, version = "") {
  return `/studio/runs/${run.key}/${what}` + (version ? `?v=${version}` : "");
}

/** Post an object; returns the refusal's line, or an empty one. */
export async function post(where, content = {}) {
  try {
    const answer = await fetch(where, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(content),
    });
    if (answer.ok) return "";
    if (answer.headers.get("content-type")?.startsWith("application/json")) {
      return (await answer.json()).error;
    }
    return await answer.text();
  } catch {
    return text("lost");
  }
}
