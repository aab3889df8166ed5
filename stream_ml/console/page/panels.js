// Figures and tables: what the console says, as elements.
//
// They are made once and changed where they differ: who reads a table keeps the place in it, and a screen
// reader says only what is new.

import { byId, bytes, duration, element, moment, ratio, short, whole } from "./dom.js";

const TILES = ["Log loss", "AUC", "Calibration", "Freshness", "Learned", "Scored"];

class Tile {
  constructor(parent, name) {
    this.value = element("p", { className: "value" });
    this.about = element("p", { className: "about" });
    parent.append(element("div", { className: "tile" }, element("h2", {}, name), this.value, this.about));
  }

  show(value, about) {
    this.value.textContent = value;
    this.about.textContent = about;
  }
}

class Table {
  constructor(parent, title, heads, none) {
    this.shown = null;
    this.count = element("small");
    this.body = element("tbody");
    this.none = element("p", { className: "hint" }, none);
    this.about = element("p", { className: "hint" });
    const head = element("tr", {}, ...heads.map((name) => element("th", { scope: "col" }, name)));
    const table = element("table", {}, element("thead", {}, head), this.body);
    this.inside = element("div", { className: "wide", tabIndex: 0, role: "region", ariaLabel: title }, table);
    const heading = element("h2", {}, `${title} `, this.count);
    parent.append(element("section", {}, heading, this.none, this.inside, this.about));
  }

  show(rows, about = "") {
    const shown = JSON.stringify([rows, about]);
    if (shown === this.shown) return;
    this.shown = shown;
    this.count.textContent = rows.length > 1 ? rows.length : "";
    this.none.hidden = rows.length > 0;
    this.inside.hidden = rows.length === 0;
    this.about.textContent = about;
    const cells = (row) => row.map((cell) => element("td", {}, cell ?? ""));
    this.body.replaceChildren(...rows.map((row) => element("tr", {}, ...cells(row))));
  }
}

const tilesShown = TILES.map((name) => new Tile(byId("tiles"), name));
const table = (...said) => new Table(byId("tables"), ...said);
const shown = {
  variants: table("Variants", ["variant", "", "rows", "learner", "step", "snapshots"], "No variant yet."),
  snapshots: table("Snapshots", ["announced", "variant", "step", "name"], "No snapshot yet."),
  history: table("Decisions", ["at", "variant", "what", "by", "why"], "Nothing was decided yet."),
  drifts: table(
    "Drifts",
    ["at", "kind", "variant", "statistic", "segment", "before → after", "noticed after"],
    "No drift was told.",
  ),
  services: table("Services", ["service", "address", "release", "state"], "No service was named."),
};
let problemsShown = "[]";

export function problems(said) {
  if (JSON.stringify(said) === problemsShown) return;
  problemsShown = JSON.stringify(said);
  byId("problems").replaceChildren(...said.map(problem));
}

function problem({ level, what, hint, runbook }) {
  const begin = element("strong", {}, level === "bad" ? "Wrong: " : "Note: ");
  const end = element("code", {}, runbook ? `docs/runbooks/${runbook}.md` : hint);
  return element("li", { className: `problem ${level}` }, begin, `${what} `, end);
}

export const serving = ({ variants }) => (variants.find(({ serves }) => serves) || {}).variant;

export function tiles(state) {
  const { figures, live, curves } = state;
  const judged = (name) => lately((curves[serving(state)] || {})[name] || []);
  const now = (name) => newest(live[name]);
  const fresh = sum(lately(live.publish_seconds), lately(live.apply_seconds));
  const age = duration(now("weights_age_seconds"));
  const values = [
    [ratio(judged("log_loss")), "of the newest evaluation"],
    [ratio(judged("auc")), "0.5 is chance, 1 is perfect"],
    [ratio(judged("calibration")), "mean prediction / mean label; 1 is right"],
    [duration(fresh), `event pushed → served; weights ${age} old`],
    [
      perSecond(now("learned_per_second")),
      `${whole(figures.learned)}, ${whole(figures.dead_letters)} refused`,
    ],
    [perSecond(now("scored_per_second")), `by step ${whole(figures.served_step)}`],
  ];
  values.forEach(([value, about], place) => tilesShown[place].show(value, about));
}

const newest = (column) => (column && column.length ? column[column.length - 1] : null);
// While nothing comes nothing is measured, and without positives there is no AUC: the newest that there was.
const lately = (column) => column.findLast((value) => value !== null) ?? null;
const sum = (a, b) => (a === null || b === null ? null : a + b);
const perSecond = (value) => `${short(value)} /s`;

export function tables(state) {
  const { variants, history, drifts, services, figures } = state;
  const size = figures.snapshot_bytes ? `The newest has ${bytes(figures.snapshot_bytes)} of rows.` : "";
  shown.variants.show(variants.map(variant));
  shown.snapshots.show(variants.flatMap(snapshots), size);
  shown.history.show(history.map(({ at, variant, what, who, why }) => [moment(at), variant, what, who, why]));
  shown.drifts.show(drifts.map(drift));
  shown.services.show(services.map(service));
}

function variant({ variant: name, rows, writer, step, snapshots: all, ...said }) {
  return [name, standing(said), rows, writer || "nobody", whole(step), whole(all.length)];
}

function standing({ serves, learns, over, challenges }) {
  if (serves) return learns ? "serves" : "serves, learns nothing";
  if (over) return "over";
  return challenges ? `challenges ${challenges}` : "learns";
}

const snapshots = ({ variant: name, snapshots: all }) =>
  all.map((each) => [moment(each.at), name, whole(each.step), each.name]);

const drift = (said) => [
  moment(said.at),
  said.kind,
  said.variant,
  said.statistic,
  said.segment ?? "all",
  `${ratio(said.before)} → ${ratio(said.after)}`,
  `${whole(said.learned_to - said.since_learned)} events`,
];

const service = ({ component, address, version, problem: wrong }) => [
  component || "?",
  address,
  version,
  wrong ? `✗ ${wrong}` : "✓ ready",
];
