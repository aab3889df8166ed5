// Why an event has its score: what each feature adds, as bars to both sides of zero.

import { element, ratio } from "./dom.js";

const SHOWN = 14;
const ROW = 24;

// contributions: [[name, log-odds]]; returns a figure, the strongest first, the weak ones together.
export function bars(contributions) {
  const rows = strongest(contributions);
  const most = d3.max(rows, ([, share]) => Math.abs(share)) || 1;
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const height = rows.length * ROW;
  const drawn = d3.select(svg).attr("viewBox", `0 0 560 ${height}`).attr("role", "img").attr("class", "bars");
  drawn.attr("aria-label", rows.map(([name, share]) => `${name} ${signed(share)}`).join(", "));
  const x = d3.scaleLinear().domain([-most, most]).range([230, 490]);
  const row = drawn
    .selectAll("g")
    .data(rows)
    .enter()
    .append("g")
    .attr("transform", (_, place) => `translate(0,${place * ROW})`);
  row
    .append("text")
    .attr("class", "name")
    .attr("x", 165)
    .attr("y", ROW * 0.68)
    .text(([name]) => clipped(name))
    .append("title")
    .text(([name]) => name);
  row
    .append("rect")
    .attr("class", ([, share]) => (share < 0 ? "less" : "more"))
    .attr("x", ([, share]) => Math.min(x(0), x(share)))
    .attr("width", ([, share]) => Math.abs(x(share) - x(0)))
    .attr("y", 4)
    .attr("height", ROW - 8)
    .attr("rx", 2);
  row
    .append("text")
    .attr("class", "value")
    .attr("y", ROW * 0.68)
    .text(([, share]) => signed(share))
    .attr("x", ([, share]) => x(share) + (share < 0 ? -5 : 5))
    .attr("text-anchor", ([, share]) => (share < 0 ? "end" : "start"));
  drawn
    .append("line")
    .attr("class", "zero")
    .attr("x1", x(0))
    .attr("x2", x(0))
    .attr("y1", 0)
    .attr("y2", height);
  const caption = element(
    "figcaption",
    {},
    "What each feature adds to the log-odds: to the right more likely, to the left less.",
  );
  return element("figure", {}, caption, svg);
}

export const signed = (share) => (share > 0 ? "+" : share < 0 ? "−" : "") + ratio(Math.abs(share));

function strongest(contributions) {
  const sorted = [...contributions].sort((a, b) => Math.abs(b[1]) - Math.abs(a[1]));
  if (sorted.length <= SHOWN) return sorted;
  const rest = sorted.slice(SHOWN - 1);
  return [...sorted.slice(0, SHOWN - 1), [`${rest.length} others`, d3.sum(rest, ([, share]) => share)]];
}

const clipped = (name) => (name.length > 24 ? `${name.slice(0, 23)}…` : name);
