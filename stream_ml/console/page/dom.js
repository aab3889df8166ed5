// Elements and figures as text. Whatever people wrote gets here as text and stays text: nothing is parsed as HTML.

export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in made) made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

export const byId = (id) => document.getElementById(id);

const NONE = "–";
const number = (digits) => (value) =>
  value === null || value === undefined ? NONE : d3.format(digits)(value);

export const whole = number(",.0f");
export const ratio = number(".4f");
export const percent = number(".2%");
export const short = (value) =>
  value === null || value === undefined
    ? NONE
    : value === 0
      ? "0"
      : value < 10
        ? d3.format(".2~f")(value)
        : d3.format(".3~s")(value);

export function duration(seconds) {
  if (seconds === null || seconds === undefined) return NONE;
  if (seconds < 0.001) return seconds === 0 ? "0 s" : "< 1 ms";
  if (seconds < 1) return `${d3.format(".3~r")(seconds * 1e3)} ms`;
  if (seconds < 120) return `${d3.format(".3~r")(seconds)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  return seconds < 172800 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86400)} d`;
}

export function bytes(count) {
  return count === null || count === undefined ? NONE : `${d3.format(".3~s")(count)}B`;
}

const clock = new Intl.DateTimeFormat(undefined, {
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  hour12: false,
});
const date = new Intl.DateTimeFormat(undefined, { dateStyle: "medium" });

// The time of day; of another day the day, too.
export function moment(seconds) {
  if (seconds === null || seconds === undefined) return NONE;
  const at = new Date(seconds * 1e3);
  return at.toDateString() === new Date().toDateString()
    ? clock.format(at)
    : `${date.format(at)} ${clock.format(at)}`;
}
