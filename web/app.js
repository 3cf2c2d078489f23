// Shows /api/v1/status once a second. It formats and never computes state: every verdict, flag and
// reason comes from the service in words.

import { count, counted } from "/format.js";
import { showListen } from "/listen.js";
import { LAMP as CLOCK_LAMP, showClock } from "/clock.js";

const PERIOD_MS = 1000;
const PATIENCE_MS = 5000;
const $ = (id) => document.getElementById(id);

function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children.filter((child) => child !== undefined && child !== null));
  return node;
}

const lamp = (kind) => element("span", { class: `lamp ${kind}`, "aria-hidden": "true" });

function decibels(peak) {
  return peak > 0 ? 20 * Math.log10(peak / 0x7fffff) : -Infinity;
}

function meter(peak) {
  const level = decibels(peak ?? 0);
  const share = Math.max(0, Math.min(100, ((level + 60) / 60) * 100));
  const text = Number.isFinite(level) ? `${level.toFixed(1)} dBFS` : "silent";
  const bar = element("i");
  bar.style.width = `${share}%`;
  return element("span", {}, element("span", { class: "meter", role: "meter", "aria-label": "peak level",
    "aria-valuemin": "-60", "aria-valuemax": "0", "aria-valuenow": String(Math.round(Math.max(-60, level))),
    "aria-valuetext": text }, bar), ` ${text}`);
}

function table(id, columns, rows, nothing) {
  const body = rows.map((row) => element("tr", {}, ...columns.map(([, render, kind]) =>
    element("td", kind ? { class: kind } : {}, render(row)))));
  if (!body.length) {
    $(id).replaceChildren(element("tbody", {}, element("tr", {}, element("td", { class: "empty" }, nothing))));
    return;
  }
  const head = element("tr", {}, ...columns.map(([title, , kind]) =>
    element("th", { scope: "col", ...(kind === "number" ? { class: kind } : {}) }, title)));
  $(id).replaceChildren(element("thead", {}, head), element("tbody", {}, ...body));
}

function verdict(kind, text) {
  document.title = `${text} · aes67`;
  $("verdict").replaceChildren(lamp(kind), " ", element("span", {}, text));
}

function sinkLamp(sink) {
  if (!sink.flags?.receiving_rtp_packet) return [lamp("bad"), "no packets"];
  if (sink.flags.muted) return [lamp("wait"), "silence"];
  return [lamp("good"), "audio"];
}

function show(status) {
  const { engine, clock } = status;
  $("version").textContent = status.version ?? "";
  $("notices").replaceChildren(...(engine.warnings ?? []).map((text) => element("li", {}, text)));
  if (!engine.connected) verdict("bad", "engine not running");
  else verdict(CLOCK_LAMP[clock.state] ?? "wait", `clock ${clock.state ?? "unknown"}, ${counted(status.sources.length, "source")}, ${counted(status.sinks.length, "sink")}`);
  showClock($("clock"), clock);
  showListen(status.sinks);
  table("sources", [
    ["Id", (s) => count(s.id), "number"],
    ["Name", (s) => s.name],
    ["State", (s) => element("span", {}, ...(!s.enabled ? [lamp("wait"), "disabled"]
      : s.counters?.packets ? [lamp("good"), "sending"] : [lamp("bad"), "not sending"]))],
    ["Address", (s) => s.address],
    ["Format", (s) => `${s.codec} × ${s.map.length}, ${s.max_samples_per_packet} frames`],
    ["Level", (s) => meter(s.counters?.peak)],
    ["Packets", (s) => count(s.counters?.packets), "number"],
    ["Errors", (s) => count((s.counters?.send_errors ?? 0) + (s.counters?.skipped_packets ?? 0)), "number"],
    ["SDP", (s) => element("a", { href: `/api/source/sdp/${s.id}` }, "show")],
  ], status.sources, "No source yet: aes67 source add --help says how.");
  table("sinks", [
    ["Id", (s) => count(s.id), "number"],
    ["Name", (s) => s.name],
    ["State", (s) => element("span", {}, ...sinkLamp(s))],
    ["Timing", (s) => s.timing ?? "–"],
    ["Level", (s) => meter(s.counters?.peak)],
    ["Packets", (s) => count(s.counters?.packets), "number"],
    ["Lost", (s) => count(s.counters?.lost), "number"],
    ["Late", (s) => count(s.counters?.late), "number"],
    ["Silent frames", (s) => count(s.counters?.silent_frames), "number"],
    ["Note", (s) => s.note ?? "", "words"],
  ], status.sinks, "No sink yet: aes67 sink add --help says how.");
  table("pcms", [
    ["Application", (p) => p.application],
    ["Direction", (p) => p.direction],
    ["Process", (p) => String(p.pid), "number"],
    ["Channels", (p) => `${p.first} – ${p.first + p.channels - 1}`],
    ["Rate", (p) => `${count(p.rate)} Hz`, "number"],
  ], status.pcms, "No application has the device open: try aplay -D aes67 file.wav.");
}

let asking = false;
let answered = Date.now();

// Whatever is shown while nobody answers is old: the page says so, dims it, and goes on asking.
function silent(reason) {
  const seconds = Math.round((Date.now() - answered) / 1000);
  document.body.classList.add("stale");
  verdict("bad", `no answer from the service for ${seconds} s (${reason}), trying again …`);
}

async function poll() {
  if (document.hidden || asking) return;
  asking = true;
  try {
    const answer = await fetch("/api/v1/status",
      { cache: "no-store", signal: AbortSignal.timeout(PATIENCE_MS) });
    if (!answer.ok) throw new Error(`it answered ${answer.status}`);
    show(await answer.json());
    answered = Date.now();
    document.body.classList.remove("stale");
  } catch (error) {
    silent(error.name === "TimeoutError" ? "it is stuck" : error.message);
  } finally {
    asking = false;
  }
}

poll();
setInterval(poll, PERIOD_MS);
document.addEventListener("visibilitychange", poll);
