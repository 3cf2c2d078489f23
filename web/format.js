// Figures as people read them. Pure: values in, text out.

const NONE = "–";

export const count = (value) =>
  value === undefined || value === null ? NONE : Number(value).toLocaleString("en");

/** "1 source", "2 sources": a number with its noun. */
export const counted = (value, noun, plural = `${noun}s`) => `${count(value)} ${value === 1 ? noun : plural}`;

const UNITS = [[1e9, "s", 3], [1e6, "ms", 3], [1e3, "µs", 2], [1, "ns", 0]];

export function nanoseconds(value) {
  if (value === undefined || value === null || Math.abs(value) > 1e15) return "unknown";
  const size = Math.abs(value);
  const [scale, unit, digits] = UNITS.find(([each]) => size >= each) ?? UNITS[3];
  return `${(value / scale).toFixed(digits)} ${unit}`.replace("-", "−");
}

export function ppm(value) {
  return value === undefined || value === null ? NONE : `${Number(value).toFixed(3)} ppm`.replace("-", "−");
}

// 75 -> "1 min 15 s": the two largest units that are not zero.
export function duration(seconds) {
  if (seconds === undefined || seconds === null) return NONE;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  let rest = Math.round(seconds);
  const parts = [];
  for (const [length, unit] of [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]]) {
    if (rest >= length) parts.push(`${Math.floor(rest / length)} ${unit}`);
    rest %= length;
  }
  return parts.slice(0, 2).join(" ");
}

// As few digits after the point as tell all ticks apart and exactly.
function digitsOf(values, most) {
  for (let digits = 0; digits < most; digits++) {
    const factor = 10 ** digits;
    if (values.every((value) => Math.abs(value * factor - Math.round(value * factor)) < 1e-6)) return digits;
  }
  return most;
}

const two = (number) => String(number).padStart(2, "0");

// When it was (milliseconds of Date.now): the time of day, with the date unless that is today's.
export function moment(milliseconds) {
  const at = new Date(milliseconds);
  const time = `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
  if (at.toDateString() === new Date().toDateString()) return time;
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${time}`;
}

// Ticks of an axis of nanoseconds share one unit, that of the largest.
export function axisNanoseconds(values) {
  const size = Math.max(...values.map(Math.abs), 1);
  const [scale, unit] = UNITS.find(([each]) => size >= each) ?? UNITS[3];
  const digits = digitsOf(values.map((value) => value / scale), 3);
  return values.map((value) => `${(value / scale).toFixed(digits)} ${unit}`.replace("-", "−"));
}

export function axisPpm(values) {
  const digits = digitsOf(values, 6);
  return values.map((value) => value.toFixed(digits).replace("-", "−"));
}
