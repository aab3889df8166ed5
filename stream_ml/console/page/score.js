// The box to try: an event goes to a predictor, its score and the reasons come back.

import { bars } from "./bars.js";
import { byId, duration, element, percent, ratio, whole } from "./dom.js";

export function begin(model) {
  const event = byId("event");
  byId("score").addEventListener("submit", (submitted) => {
    submitted.preventDefault();
    score(model(), event.value);
  });
  event.addEventListener("keydown", (pressed) => {
    if (pressed.key === "Enter" && (pressed.ctrlKey || pressed.metaKey)) score(model(), event.value);
  });
  byId("newest").addEventListener("click", () => take(event, true));
  take(event, false);
}

async function take(event, asked) {
  try {
    const said = await (await fetch("/api/event")).json();
    if (said.event !== undefined && said.event !== null) event.value = spread(said.event);
    else if (asked) answer(said.error || "There is no event yet.", "push some: stream-ml send FILE");
  } catch {
    if (asked) answer("The console does not answer.", "");
  }
}

// As it came, if it is no JSON: a person is to see what is wrong with it.
function spread(text) {
  try {
    JSON.parse(text);
  } catch {
    return text;
  }
  // Not parsed and written again: JavaScript would round large numbers.
  return text.replace(
    /("(?:[^"\\]|\\.)*")|,\s*|[{}]/g,
    (found, quoted) => quoted ?? { "{": "{\n  ", "}": "\n}" }[found] ?? ",\n  ",
  );
}

async function score(model, event) {
  const button = byId("score").querySelector("[type=submit]");
  button.disabled = true;
  try {
    // An event is one line; a text in JSON has no bare line ends.
    const body = JSON.stringify({ model, event: event.replace(/[\r\n]+/g, " ") });
    const asked = { method: "POST", headers: { "Content-Type": "application/json" }, body };
    const said = await (await fetch("/api/score", asked)).json();
    if (said.error) answer(said.error, said.hint);
    else show(said);
  } catch {
    answer("The console does not answer.", "");
  } finally {
    button.disabled = false;
  }
}

function answer(what, hint) {
  byId("answer").replaceChildren(
    element(
      "p",
      { className: "problem bad" },
      element("strong", {}, "No score. "),
      what,
      " ",
      element("code", {}, hint || ""),
    ),
  );
}

function show(said) {
  const meter = element("meter", { min: 0, max: 1, value: said.prediction, "aria-label": "prediction" });
  const facts = [
    ["log-odds", ratio(said.log_odds)],
    ["one more such event moves them by up to", ratio(said.uncertainty)],
    ["variant", said.variant],
    ["step", whole(said.step)],
    ["weights", `${duration(said.weights_age_seconds)} old${said.stale ? ", STALE" : ""}`],
  ];
  byId("answer").replaceChildren(
    element(
      "p",
      { className: "prediction" },
      element("strong", {}, said.prediction <= 1 ? percent(said.prediction) : ratio(said.prediction)),
      said.prediction <= 1 ? meter : null,
    ),
    element(
      "dl",
      { className: "facts" },
      ...facts.flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]),
    ),
    bars(said.contributions),
  );
}
