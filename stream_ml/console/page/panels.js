// Figures and tables: what the console says, as elements.

import { byId, bytes, duration, element, moment, ratio, short, whole } from "./dom.js";

export function problems(said) {
  const items = said.map(({ level, what, hint, runbook }) =>
    element(
      "li",
      { className: `problem ${level}` },
      element("strong", {}, level === "bad" ? "Wrong: " : "Note: "),
      what,
      " ",
      element("code", {}, runbook ? `docs/runbooks/${runbook}.md` : hint),
    ),
  );
  byId("problems").replaceChildren(...items);
}

export function tiles(state) {
  const { figures, live, curves } = state;
  const judged = curves[serving(state)] || {};
  const newest = (column) => (column && column.length ? column[column.length - 1] : null);
  const now = (name) => newest(live[name]);
  const fresh = sum(recent(live.publish_seconds), recent(live.apply_seconds));
  const shown = [
    ["Log loss", ratio(newest(judged.log_loss)), "of the newest evaluation"],
    ["AUC", ratio(newest(judged.auc)), "0.5 is chance, 1 is perfect"],
    ["Calibration", ratio(newest(judged.calibration)), "mean prediction / mean label; 1 is right"],
    [
      "Freshness",
      duration(fresh),
      `event pushed → served; weights ${duration(now("weights_age_seconds"))} old`,
    ],
    [
      "Learned",
      `${short(now("learned_per_second"))} /s`,
      `${whole(figures.learned)} so far, ${whole(figures.dead_letters)} refused`,
    ],
    ["Scored", `${short(now("scored_per_second"))} /s`, `by step ${whole(figures.served_step)}`],
  ];
  byId("tiles").replaceChildren(
    ...shown.map(([name, value, about]) =>
      element(
        "div",
        { className: "tile" },
        element("h2", {}, name),
        element("p", { className: "value" }, value),
        element("p", { className: "about" }, about),
      ),
    ),
  );
}

export const serving = ({ variants }) => (variants.find(({ serves }) => serves) || {}).variant;

// The newest that there is; while nothing comes nothing is measured.
const recent = (column) => column.findLast((value) => value !== null) ?? null;
const sum = (a, b) => (a === null || b === null ? null : a + b);

export function tables(state) {
  byId("tables").replaceChildren(
    table(
      "Variants",
      ["variant", "", "rows", "learner", "step", "snapshots"],
      state.variants.map(variant),
      "No variant yet.",
    ),
    table(
      "Snapshots",
      ["announced", "variant", "step", "name"],
      state.variants.flatMap(snapshots),
      "No snapshot yet.",
      bytesOf(state),
    ),
    table(
      "Decisions",
      ["at", "variant", "what", "by", "why"],
      state.history.map(decision),
      "Nothing was decided yet.",
    ),
    table(
      "Drifts",
      ["at", "kind", "variant", "statistic", "segment", "before → after", "noticed after"],
      state.drifts.map(drift),
      "No drift was told.",
    ),
    table(
      "Services",
      ["service", "address", "release", "state"],
      state.services.map(service),
      "No service was named.",
    ),
  );
}

const bytesOf = ({ figures }) =>
  figures.snapshot_bytes ? `The newest has ${bytes(figures.snapshot_bytes)} of rows.` : "";

function table(title, heads, rows, none, about = "") {
  const head = element(
    "thead",
    {},
    element("tr", {}, ...heads.map((name) => element("th", { scope: "col" }, name))),
  );
  const body = element(
    "tbody",
    {},
    ...rows.map((row) => element("tr", {}, ...row.map((cell) => element("td", {}, cell ?? "")))),
  );
  const inside = rows.length
    ? element(
        "div",
        { className: "wide", tabIndex: 0, role: "region", "aria-label": title },
        element("table", {}, head, body),
      )
    : element("p", { className: "hint" }, none);
  return element(
    "section",
    {},
    element("h2", {}, title, rows.length > 1 ? element("small", {}, ` ${rows.length}`) : null),
    inside,
    element("p", { className: "hint" }, about),
  );
}

function variant(said) {
  const state = said.serves
    ? "serves"
    : said.over
      ? "over"
      : said.challenges
        ? `challenges ${said.challenges}`
        : "learns";
  const stops = said.serves && !said.learns ? ", learns nothing" : "";
  return [
    said.variant,
    state + stops,
    said.rows,
    said.writer || "nobody",
    whole(said.step),
    whole(said.snapshots.length),
  ];
}

const snapshots = ({ variant: name, snapshots: all }) =>
  all.map((each) => [moment(each.at), name, whole(each.step), element("code", {}, each.name)]);

const decision = ({ at, variant: name, what, who, why }) => [moment(at), name, what, who, why];

const drift = (said) => [
  moment(said.at),
  said.kind,
  said.variant,
  said.statistic,
  said.segment ?? "all",
  `${ratio(said.before)} → ${ratio(said.after)}`,
  `${whole(said.learned_to - said.since_learned)} events`,
];

const service = ({ component, address, version, problem }) => [
  component || "?",
  address,
  version,
  problem ? `✗ ${problem}` : "✓ ready",
];
