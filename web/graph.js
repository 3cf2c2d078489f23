// The clock's history drawn by uPlot: offset in its 3 sigma band, path delay, rate, one time axis.
//
// A bucket without a value stays a gap. Colours come from the style sheet, so that a change of the
// theme is a redraw.

import uPlot from "/vendor/uplot/uPlot.esm.js";
import { axisNanoseconds, axisPpm, nanoseconds, ppm } from "/format.js";

const SYNC = uPlot.sync("clock");
const STATE_COLOUR = { locked: "--good", holdover: "--wait", locking: "--wait", unlocked: "--bad" };
const RIBBON = 5;

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

// A band about the values: its least extent, so that a line without noise is no line of dots.
function range(least, floor) {
  return (plot, low, high) => {
    if (low === null || high === null) return [-floor, floor];
    const middle = (low + high) / 2;
    const half = Math.max((high - low) / 2, floor) * 1.12;
    return [least === null ? middle - half : Math.max(least, middle - half), middle + half];
  };
}

const LINES = {
  offset: {
    title: "Offset",
    text: nanoseconds,
    axis: axisNanoseconds,
    range: range(null, 50),
    columns: ({ series }, shown) => {
      const { mean, least, greatest } = series.offset_ns;
      const sigma = series.uncertainty_ns.greatest;
      const around = (sign) => mean.map((value, i) =>
        value === null || sigma[i] === null ? null : value + sign * sigma[i]);
      const nothing = mean.map(() => null);
      return [
        shown.measured ? series.residual_ns.greatest : nothing,
        shown.measured ? series.residual_ns.least : nothing,
        shown.sigma ? around(1) : nothing, shown.sigma ? around(-1) : nothing,
        greatest, least, mean,
      ];
    },
    series: () => [
      { paths: () => null, points: { show: false } },
      { paths: bars, points: { show: false }, fill: colour("--measured") },
      { stroke: colour("--sigma-edge"), width: 1 }, { stroke: colour("--sigma-edge"), width: 1 },
      { width: 0 }, { width: 0 },
      { stroke: colour("--series"), width: 1.75 },
    ],
    bands: () => [
      { series: [3, 4], fill: colour("--sigma") }, { series: [5, 6], fill: colour("--extent") },
    ],
  },
  delay: {
    title: "Path delay",
    text: nanoseconds,
    axis: axisNanoseconds,
    range: range(0, 50),
    columns: ({ series }) => extent(series.path_delay_ns),
    series: () => [{ width: 0 }, { width: 0 }, { stroke: colour("--series"), width: 1.75 }],
    bands: () => [{ series: [1, 2], fill: colour("--extent") }],
  },
  rate: {
    title: "Rate",
    text: ppm,
    axis: axisPpm,
    range: range(null, 0.01),
    columns: ({ series }) => extent(series.rate_ppm),
    series: () => [{ width: 0 }, { width: 0 }, { stroke: colour("--series"), width: 1.75 }],
    bands: () => [{ series: [1, 2], fill: colour("--extent") }],
  },
};

const extent = ({ least, mean, greatest }) => [greatest, least, mean];

// What was measured, as a vertical stroke from the least to the greatest of each bucket: a dot where
// they are the same.
function bars(plot, index, from, to) {
  plot.series[index].alpha = plot.data[0].length > 100 ? 0.55 : 1; // many make a cloud
  const path = new Path2D();
  const [times, low, high] = [plot.data[0], plot.data[index], plot.data[index - 1]];
  const dot = 3 * devicePixelRatio;
  const width = Math.max(1, Math.min(dot, (plot.bbox.width / times.length) * 0.7));
  for (let i = from; i <= to; i++) {
    if (low[i] === null || low[i] === undefined) continue;
    const x = plot.valToPos(times[i], "x", true);
    const top = plot.valToPos(high[i], "y", true);
    const height = Math.max(plot.valToPos(low[i], "y", true) - top, dot);
    path.rect(x - width / 2, top - (height === dot ? dot / 2 : 0), width, height);
  }
  return { stroke: null, fill: path };
}

// Which state each bucket was in, as a ribbon along the upper edge.
function ribbon(states) {
  return (plot) => {
    const { ctx, bbox } = plot;
    const times = plot.data[0];
    const width = times.length > 1 ? bbox.width / (times.length - 1) : bbox.width;
    const height = RIBBON * devicePixelRatio;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top - height, bbox.width, height);
    ctx.clip();
    states().forEach((state, i) => {
      if (!state) return;
      const x = plot.valToPos(times[i], "x", true) - width / 2;
      ctx.fillStyle = colour(STATE_COLOUR[state]);
      // unlocked fills the ribbon, locked only its lower part: not by colour alone
      const part = { locked: 0.5, holdover: 0.75, locking: 0.75, unlocked: 1 }[state];
      ctx.fillRect(x, bbox.top - height * part, width + 1, height * part);
    });
    ctx.restore();
  };
}

const spanGaps = false;

export class Graph {
  // `place` is filled; `onCursor(index | null)` hears where the pointer is.
  constructor(place, kind, height, onCursor) {
    this.place = place;
    this.line = LINES[kind];
    this.kind = kind;
    this.height = height;
    this.onCursor = onCursor;
    this.history = null;
    this.shown = {};
    this.last = false;
    this.watch = new ResizeObserver(() => this.resize());
    this.watch.observe(place);
  }

  show(history, shown, last) {
    this.history = history;
    this.shown = shown;
    this.last = last;
    const now = Date.now() / 1000;
    const times = history.seconds_ago.map((ago) => now - ago);
    const data = [times, ...this.line.columns(history, shown)];
    if (!this.plot) this.plot = this.make(data);
    else this.plot.setData(data);
  }

  redraw() {
    this.plot?.destroy();
    this.plot = null;
    if (this.history) this.show(this.history, this.shown, this.last);
  }

  // Figures at the axis of a graph without any would only pretend to mean something.
  label(plot, ticks) {
    const known = plot.data.slice(1).some((values) => values.some((value) => value !== null));
    return known ? this.line.axis(ticks) : ticks.map(() => "");
  }

  resize() {
    const width = this.place.clientWidth;
    if (this.plot && width > 0) this.plot.setSize({ width, height: this.height });
  }

  close() {
    this.watch.disconnect();
    this.plot?.destroy();
  }

  make(data) {
    const quiet = colour("--quiet");
    const grid = { stroke: colour("--grid"), width: 1 };
    const font = "11px system-ui, sans-serif";
    const narrow = this.place.clientWidth < 480;
    const axis = { stroke: quiet, grid, font, ticks: { show: false } };
    return new uPlot({
      width: Math.max(this.place.clientWidth, 100),
      height: this.height,
      padding: [RIBBON + 3, 8, 0, 0],
      legend: { show: false },
      cursor: {
        sync: { key: SYNC.key, setSeries: false },
        drag: { x: false, y: false },
        points: { size: 7 },
        y: false,
      },
      scales: { x: { time: true }, y: { range: this.line.range } },
      axes: [
        { ...axis, show: this.last, space: narrow ? 70 : 90, size: 26, values: clockTimes },
        { ...axis, size: narrow ? 56 : 68, space: 34, values: (plot, ticks) => this.label(plot, ticks) },
      ],
      series: [{}, ...this.line.series().map((each) => ({
        spanGaps, ...each, points: each.stroke && !each.paths ? { show: alone, size: 4, fill: each.stroke } : { show: false },
      }))],
      bands: this.line.bands(),
      hooks: {
        draw: [ribbon(() => (this.kind === "offset" ? this.history.state : []))],
        setCursor: [(plot) => this.onCursor(plot.cursor.left >= 0 ? plot.cursor.idx : null)],
      },
    }, data, this.place);
  }
}

// Points only where a line cannot be drawn: a single bucket between two gaps.
function alone(plot, index, from, to) {
  const values = plot.data[index];
  let known = 0;
  for (let i = from; i <= to && known < 3; i++) if (values[i] !== null) known++;
  return known === 1;
}

const two = (number) => String(number).padStart(2, "0");

function clockTimes(plot, ticks) {
  const fine = ticks.length > 1 && ticks[1] - ticks[0] < 60;
  return ticks.map((tick) => {
    const at = new Date(tick * 1000);
    const minutes = `${two(at.getHours())}:${two(at.getMinutes())}`;
    return fine ? `${minutes}:${two(at.getSeconds())}` : minutes;
  });
}

export const titles = Object.fromEntries(Object.entries(LINES).map(([key, line]) => [key, line.title]));
export const texts = Object.fromEntries(Object.entries(LINES).map(([key, line]) => [key, line.text]));
