// Curves over time: each a figure, all with one cursor, by mouse and by keyboard.

import { element } from "./dom.js";

const MARGIN = { top: 12, right: 12, bottom: 22, left: 54 };
const HEIGHT = 190;
const [TOP, BOTTOM] = [MARGIN.top, HEIGHT - MARGIN.bottom];
const PIXELS_OF_A_DATE = 110;
const PIXELS_OF_A_MARK = 6;
const DAY = 86400;
const LARGE_STEP = 10;
const STYLES = 6;
const LEAST_LOG = 1e-3;

const cursor = d3.dispatch("move");
let charts = 0;

export class Chart {
  // said: title, about, format(value), perhaps tick(value), and perhaps zero (the axis begins there), log, reference (a value to be at).
  constructor(parent, said) {
    Object.assign(this, { said, series: [], domain: [0, 1], marks: [], at: null, scale: null });
    this.legend = element("ul", { className: "legend" });
    this.readout = element("p", { className: "readout" });
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    const head = element(
      "figcaption",
      {},
      element("h3", {}, said.title),
      element("p", { className: "about" }, said.about),
    );
    this.root = element("figure", { className: "chart" }, head, this.readout, svg, this.legend);
    parent.append(this.root);
    this.svg = d3.select(svg).attr("tabindex", 0).attr("role", "img").attr("height", HEIGHT);
    const layers = ["grid", "x", "y", "marks", "lines", "cursor"];
    this.layers = Object.fromEntries(layers.map((name) => [name, this.svg.append("g").attr("class", name)]));
    this.listen(svg);
  }

  listen(svg) {
    this.svg.on("mousemove", () => this.scale && move(this.scale.x.invert(d3.mouse(svg)[0]).getTime() / 1e3));
    this.svg.on("mouseleave", () => move(null));
    this.svg.on("keydown", () => this.key(d3.event));
    // Read aloud what the arrow keys come to; not every new figure.
    this.svg.on("focus", () => this.readout.setAttribute("aria-live", "polite"));
    this.svg.on("blur", () => this.readout.removeAttribute("aria-live"));
    cursor.on(`move.${charts++}`, (at) => this.show(at));
    new ResizeObserver(() => this.render()).observe(this.root);
  }

  // series: [{name, points: [[seconds, value or null]]}]; domain: seconds; marks: [{at, kind, what}].
  draw(series, domain, marks) {
    const inside = (at) => at >= domain[0] && at <= domain[1];
    this.series = series.map((each) => ({ ...each, points: each.points.filter(([at]) => inside(at)) }));
    this.marks = marks.filter(({ at }) => inside(at));
    this.domain = domain;
    this.render();
  }

  scales(width) {
    const values = this.series.flatMap(({ points }) => points.map(valueOf).filter(isThere));
    const { reference, log, zero } = this.said;
    if (reference !== undefined) values.push(reference);
    const [least, most] = values.length ? d3.extent(values) : [0, 1];
    const dates = this.domain.map((at) => new Date(at * 1e3));
    const x = d3
      .scaleTime()
      .domain(dates)
      .range([MARGIN.left, width - MARGIN.right]);
    const room = (most - (zero ? 0 : least) || Math.abs(most) || 1) * 0.08;
    // What cannot be below zero has no room there.
    const bottom = zero ? 0 : least < 0 ? least - room : Math.max(0, least - room);
    const y = log
      ? d3
          .scaleLog()
          .domain([LEAST_LOG, Math.max(1, most * 1.5)])
          .clamp(true)
      : d3
          .scaleLinear()
          .domain([bottom, most + room])
          .nice(4);
    return { x, y: y.range([BOTTOM, TOP]) };
  }

  render() {
    const width = this.root.clientWidth - 2;
    if (width < 100) return;
    this.svg.attr("width", width);
    this.scale = this.scales(width);
    this.drawAxes(width);
    this.drawLines();
    this.drawMarks();
    this.label();
    this.show(this.at);
  }

  drawAxes(width) {
    const { x, y } = this.scale;
    const { log, tick, reference } = this.said;
    const powers = d3.range(-3, 8).map((power) => 10 ** power);
    const ticks = log ? powers.filter((value) => value <= y.domain()[1]) : y.ticks(4);
    const left = d3
      .axisLeft(y)
      .tickValues(ticks)
      .tickFormat(tick ?? y.tickFormat(4))
      .tickSize(0)
      .tickPadding(6);
    this.layers.y.attr("transform", `translate(${MARGIN.left},0)`).call(left);
    const count = Math.max(2, width / PIXELS_OF_A_DATE);
    const below = d3.axisBottom(x).ticks(count).tickFormat(dates(this.domain)).tickSizeOuter(0);
    this.layers.x.attr("transform", `translate(0,${BOTTOM})`).call(below);
    const lines = reference === undefined ? ticks : [...ticks, reference];
    join(this.layers.grid, "line", lines)
      .attr("x1", MARGIN.left)
      .attr("x2", width - MARGIN.right)
      .attr("y1", y)
      .attr("y2", y)
      .classed("reference", (value) => value === reference);
  }

  drawLines() {
    const line = d3
      .line()
      .defined((point) => isThere(valueOf(point)))
      .x(this.xOf())
      .y(this.yOf());
    join(this.layers.lines, "path", this.series)
      .attr("class", (_, place) => lineOf(place))
      .attr("d", ({ points }) => line(points));
    this.drawDots(
      this.layers.lines,
      this.series.flatMap(({ points }, place) =>
        points.filter((_, index) => isAlone(points, index)).map((point) => ({ point, place })),
      ),
    );
  }

  drawDots(layer, dots) {
    const [x, y] = [this.xOf(), this.yOf()];
    join(layer, "circle", dots)
      .attr("r", 3.5)
      .attr("class", ({ place }) => `dot ${lineOf(place)}`)
      .attr("cx", ({ point }) => x(point))
      .attr("cy", ({ point }) => y(point));
  }

  drawMarks() {
    const x = ({ at }) => this.scale.x(at * 1e3);
    join(this.layers.marks, "line", this.marks)
      .attr("x1", x)
      .attr("x2", x)
      .attr("y1", TOP)
      .attr("y2", BOTTOM)
      .attr("class", ({ kind }) => kind);
    join(this.layers.marks, "text", this.marks)
      .attr("x", x)
      .attr("y", TOP - 3)
      .attr("class", ({ kind }) => kind)
      .text(({ kind }) => (kind === "drift" ? "▼" : "●"));
  }

  label() {
    const many = this.series.length > 1;
    const names = many ? this.series.map(({ name }, place) => element("li", {}, swatch(place), name)) : [];
    this.legend.replaceChildren(...names);
    const now = this.series
      .map(({ name, points }) => `${name}: ${this.said.format(last(points))}`)
      .join("; ");
    this.svg.attr(
      "aria-label",
      `${this.said.title}. ${now || "No figures yet"}. Arrow keys read the values.`,
    );
    this.root.classList.toggle(
      "empty",
      this.series.every(({ points }) => last(points) === null),
    );
  }

  key(event) {
    if (event.key === "Escape") move(null);
    const direction = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (direction === undefined) return;
    event.preventDefault();
    const times = [...new Set(this.series.flatMap(({ points }) => points.map(([at]) => at)))].sort(
      d3.ascending,
    );
    if (times.length === 0) return;
    const now = this.at === null ? times.length : d3.bisectLeft(times, this.at);
    const next = now + direction * (event.shiftKey ? LARGE_STEP : 1);
    move(times[Math.min(times.length - 1, Math.max(0, next))]);
  }

  // Say and show what the curves were *at* seconds; null is now.
  show(at) {
    this.at = at;
    if (this.scale === null) return;
    const inside = at !== null && at >= this.domain[0] && at <= this.domain[1];
    const found = inside
      ? this.series.map(({ name, points }, place) => ({ name, place, point: nearest(points, at) }))
      : [];
    const dots = found.filter(({ point }) => point && isThere(valueOf(point)));
    const x = (seconds) => this.scale.x(seconds * 1e3);
    join(this.layers.cursor, "line", inside ? [at] : [])
      .attr("x1", x)
      .attr("x2", x)
      .attr("y1", TOP)
      .attr("y2", BOTTOM);
    this.drawDots(this.layers.cursor, dots);
    this.read(
      dots,
      inside ? this.marks.filter((mark) => Math.abs(x(mark.at) - x(at)) < PIXELS_OF_A_MARK) : [],
    );
  }

  read(dots, marks) {
    const now = this.series.map(({ name, points }) => ({ name, value: last(points) }));
    const values = dots.length ? dots.map(({ name, point }) => ({ name, value: valueOf(point) })) : now;
    const when = dots.length ? d3.timeFormat("%H:%M:%S")(new Date(dots[0].point[0] * 1e3)) : "newest";
    const many = this.series.length > 1;
    const texts = values.map(({ name, value }) => (many ? `${name} ` : "") + this.said.format(value));
    texts.push(...marks.map(({ what }) => what));
    this.readout.textContent = now.some(({ value }) => value !== null)
      ? [when, ...texts].join(" · ")
      : "no figures yet";
  }

  xOf() {
    return ([at]) => this.scale.x(at * 1e3);
  }

  yOf() {
    return ([, value]) => this.scale.y(value);
  }
}

const move = (at) => cursor.call("move", null, at);
const valueOf = (point) => point[1];
const isThere = (value) => value !== null;
const lineOf = (place) => `line line-${place % STYLES}`;

function join(layer, tag, data) {
  const there = layer.selectAll(tag).data(data);
  there.exit().remove();
  return there.enter().append(tag).merge(there);
}

function dates([first, end]) {
  const form = end - first > 2 * DAY ? "%b %d %H:%M" : end - first > 600 ? "%H:%M" : "%H:%M:%S";
  return d3.timeFormat(form);
}

function last(points) {
  const found = points.findLast((point) => isThere(valueOf(point)));
  return found === undefined ? null : valueOf(found);
}

// A point with none beside it is no line.
function isAlone(points, index) {
  const there = (place) => points[place] !== undefined && isThere(valueOf(points[place]));
  return there(index) && !there(index - 1) && !there(index + 1);
}

function nearest(points, at) {
  const after = d3.bisector(([seconds]) => seconds).left(points, at);
  const [before, next] = [points[after - 1], points[after]];
  if (!before || !next) return before || next;
  return at - before[0] < next[0] - at ? before : next;
}

function swatch(place) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const drawn = d3
    .select(svg)
    .attr("class", "swatch")
    .attr("width", 26)
    .attr("height", 10)
    .attr("aria-hidden", "true");
  drawn.append("path").attr("d", "M1 5H25").attr("class", lineOf(place));
  return svg;
}
