// The page's loop: ask, draw, wait.

import { Chart } from "./chart.js";
import { byId, duration, element, moment, ratio, short } from "./dom.js";
import { problems, serving, tables, tiles } from "./panels.js";
import { begin } from "./score.js";

const ASK_MILLISECONDS = 2000;
const GIVE_UP_MILLISECONDS = 10000;
const THEMES = ["auto", "light", "dark"];

let state = null;
let lostSince = null;

const parent = byId("charts");
const judged = {
  log_loss: new Chart(parent, {
    title: "Log loss",
    about: "each event scored, then learned; lower is better",
    format: ratio,
  }),
  auc: new Chart(parent, {
    title: "AUC",
    about: "a positive scores above a negative; higher is better",
    format: ratio,
  }),
  calibration: new Chart(parent, {
    title: "Calibration",
    about: "mean prediction / mean label; 1 is right",
    format: ratio,
    reference: 1,
  }),
};
const fresh = new Chart(parent, {
  title: "Freshness",
  about: "how old what is served is, on a logarithmic axis",
  format: duration,
  tick: duration,
  log: true,
});
const fast = new Chart(parent, {
  title: "Throughput",
  about: "events a second",
  format: short,
  tick: short,
  zero: true,
});
const behind = new Chart(parent, {
  title: "Behind",
  about: "age of the oldest event that is not learned; 0 is caught up",
  format: duration,
  tick: duration,
  zero: true,
});

function draw() {
  const name = state.model;
  byId("model-name").textContent = name;
  document.title = `${name} – stream-ml`;
  problems(state.problems);
  tiles(state);
  drawCurves();
  tables(state);
  if (!performance.getEntriesByName("drawn").length) performance.mark("drawn");
}

function drawCurves() {
  const { curves, live, now } = state;
  const names = Object.keys(curves).sort((a, b) => (b === serving(state)) - (a === serving(state)));
  const marks = marksOf(state);
  const evaluated = domain(
    names.flatMap((name) => curves[name].at),
    now,
  );
  for (const [figure, chart] of Object.entries(judged)) {
    const series = names.map((name) => ({ name, points: d3.zip(curves[name].at, curves[name][figure]) }));
    chart.draw([...series, ...served(names, figure)], evaluated, marks);
  }
  const lately = domain(live.at, now);
  const curve = (name, column) => ({ name, points: d3.zip(live.at, live[column]) });
  fresh.draw(
    [
      curve("event → feed", "publish_seconds"),
      curve("feed → served", "apply_seconds"),
      curve("age of weights", "weights_age_seconds"),
    ],
    lately,
    [],
  );
  fast.draw([curve("learned", "learned_per_second"), curve("scored", "scored_per_second")], lately, marks);
  behind.draw([curve("oldest event", "lag_seconds")], lately, []);
}

// What was served at decision time, where the events bring it back.
function served(names, figure) {
  return names.flatMap((name) => {
    const column = state.curves[name][`served_${figure}`];
    if (column === undefined || column.every((value) => value === null)) return [];
    return [{ name: `${name}, as served`, points: d3.zip(state.curves[name].at, column) }];
  });
}

function domain(times, now) {
  const chosen = document.querySelector("#window input:checked").value;
  const first = times.length ? d3.min(times) : now - 60;
  return [chosen ? Math.max(first, now - Number(chosen)) : Math.min(first, now - 10), now];
}

function marksOf({ history, drifts }) {
  const decided = history.map(({ at, variant, what, why }) => ({
    at,
    kind: "decision",
    what: `${variant} ${what}: ${why}`,
  }));
  const told = drifts
    .filter(({ kind }) => kind === "drift")
    .map(({ at, statistic, segment }) => ({
      at,
      kind: "drift",
      what: `drift of ${statistic}${segment === null ? "" : `, ${segment}`}`,
    }));
  return [...decided, ...told];
}

async function ask() {
  const chosen = byId("model").value;
  const said = await answer(chosen);
  // Another model was chosen meanwhile: its own answer is on the way.
  if (chosen !== byId("model").value) return;
  if (said === null) lostSince ??= Date.now() / 1e3;
  else {
    [state, lostSince] = [said, null];
    choices(said.models);
    draw();
  }
  contact();
}

// Null where nobody answers.
async function answer(model) {
  const query = model ? `?model=${encodeURIComponent(model)}` : "";
  try {
    const said = await fetch(`/api/state${query}`, { signal: AbortSignal.timeout(GIVE_UP_MILLISECONDS) });
    return said.ok ? await said.json() : null;
  } catch {
    return null;
  }
}

function contact() {
  const chip = byId("contact");
  document.body.classList.toggle("lost", lostSince !== null);
  const said =
    lostSince === null
      ? `● live, ${moment(state.now)}`
      : `✗ no contact since ${moment(lostSince)}; what is below is old`;
  if (chip.textContent !== said) chip.textContent = said;
}

function choices(models) {
  const select = byId("model");
  if (select.options.length === models.length) return;
  select.replaceChildren(...models.map((name) => element("option", { value: name }, name)));
  byId("model-choice").hidden = models.length < 2;
}

function theme(name) {
  document.documentElement.dataset.theme = name;
  byId("theme").textContent = `colours: ${name}`;
  localStorage.setItem("theme", name);
}

async function live() {
  try {
    // A page that nobody sees asks nothing.
    if (!document.hidden) await ask();
  } finally {
    setTimeout(live, ASK_MILLISECONDS);
  }
}

theme(THEMES.includes(localStorage.getItem("theme")) ? localStorage.getItem("theme") : "auto");
byId("theme").addEventListener("click", () =>
  theme(THEMES[(THEMES.indexOf(document.documentElement.dataset.theme) + 1) % THEMES.length]),
);
byId("window").addEventListener("change", () => state && drawCurves());
byId("model").addEventListener("change", ask);
document.addEventListener("visibilitychange", () => document.hidden || ask());
begin(() => byId("model").value);
await live();
