// What the server refuses of Gradio's requests, such as a file that is too large: a line on the page.

import { element, text, write } from "./dom.js";

/** Tell of refusals above the button that begins a run. */
export function tellRefusals(button) {
  const line = element("p", { id: "refused", role: "alert" });
  button.before(line);
  const ask = window.fetch;
  window.fetch = async (...given) => {
    const answer = await ask(...given);
    const address = given[0]?.url ?? String(given[0]);
    if (!/\/gradio_api\/(upload|queue\/join)(\?|$)/.test(address)) return answer;
    const told = answer.ok ? "" : await answer.clone().text();
    write(line, told && `${text("refused")} ${told.slice(0, 300)}`);
    return answer;
  };
}
