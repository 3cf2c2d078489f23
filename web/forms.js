// Dialogs that make or change a source or a sink. What the service refuses stands at the field it names.

import { useEffect, useRef, useState } from "preact/hooks";
import { Dialog, Field, call, html } from "/parts.js";
import { channelsOf, freeChannels, freeId, freeName, ranges, streamOf } from "/sdp.js";

const MAP_RULE = "channels such as 0-1 or 0, 1, 8-15";
const FORMS = [["contract", "as the AES67 daemon"], ["st2110", "ST 2110, strict"], ["dante", "as Dante likes it"]];
const FRAMINGS = [["raw", "raw 32 bits"], ["aes3", "AES3 labels (ST 2110-31)"]];

// The dialog all forms share: `basic` and `advanced` are rows of fields; `body(values)` gives what is sent,
// or throws {field, message}.
function Form({ title, path, first, basic, advanced, body, onClose, top, onField }) {
  const [values, setValues] = useState(first);
  const [problem, setProblem] = useState(null);
  const [busy, setBusy] = useState(false);
  const place = useRef(null);
  const set = (key, value) => {
    setValues(onField ? onField({ ...values, [key]: value }, key) : { ...values, [key]: value });
    if (problem && (problem.field === key || !problem.field)) setProblem(null);
  };
  const [rows, more] = [basic(values), advanced(values)];
  const known = [...rows, ...more].some((row) => row.key === problem?.field);
  useEffect(() => {
    if (!problem) return;
    const input = place.current.querySelector("[aria-invalid]");
    const folded = input?.closest("details");
    if (folded) folded.open = true;
    input?.focus();
  }, [problem]);
  async function send(event) {
    event.preventDefault();
    setBusy(true);
    try {
      await call("PUT", path(values), body(values));
      onClose();
    } catch (error) {
      setProblem({ field: error.field ?? "", message: error.message });
      setBusy(false);
    }
  }
  const field = (row) => html`<${Field} key=${row.key} row=${row} value=${values[row.key]} onChange=${set}
    error=${problem?.field === row.key ? problem.message : ""} />`;
  return html`<${Dialog} title=${title} onClose=${onClose}><form ref=${place} onSubmit=${send} novalidate>
    ${top?.(values, setValues)}
    <div class="fields">${rows.map(field)}</div>
    <details><summary>More</summary><div class="fields">${more.map(field)}</div></details>
    ${problem && !known ? html`<p class="error" role="alert">${problem.field ? `${problem.field}: ` : ""}${problem.message}</p>` : null}
    <div class="actions"><button type="button" onClick=${onClose}>Cancel</button>
      <button type="submit" class="primary" disabled=${busy}>${busy ? "Saving …" : "Save"}</button></div></form><//>`;
}

function refusal(field, message) {
  return Object.assign(new Error(message), { field });
}

function mapOf(text) {
  const map = channelsOf(text);
  if (!map?.length) throw refusal("map", MAP_RULE);
  return map;
}

function numberOf(values, key) {
  const text = String(values[key]).trim();
  if (!/^-?\d+$/.test(text)) throw refusal(key, "a whole number");
  return Number(text);
}

const idRow = (isNew) => (isNew ? [{ key: "id", label: "Number", kind: "number", min: 0, max: 63, help: "0 to 63" }] : []);

// Where a stream is kept. A new one never takes the place of another that came meanwhile.
function pathOf(kind, streams, isNew) {
  return (values) => {
    const id = numberOf(values, "id");
    if (isNew && streams.some((stream) => stream.id === id)) throw refusal("id", `${id} is in use`);
    return `/api/v1/${kind}/${id}`;
  };
}

function packetTime(rate) {
  return (frames) => (Number(frames) > 0 && rate ? `${Number(((Number(frames) / rate) * 1000).toFixed(3))} ms in a packet` : "a whole number");
}

/** The destination a source without one of its own gets. */
function automatic(base, id) {
  const parts = (base ?? "239.1.0.1").split(".").map(Number);
  const value = parts.reduce((sum, part) => sum * 256 + part, 0) + Number(id);
  return [24, 16, 8, 0].map((shift) => Math.floor(value / 2 ** shift) % 256).join(".");
}

export function SourceForm({ stream, live, onClose }) {
  const { status, config } = live;
  const { rate } = status.engine;
  const isNew = stream.id === undefined;
  const id = isNew ? freeId(status.sources) ?? 0 : stream.id;
  const own = isNew ? {} : stream;
  const channels = freeChannels(status.sources, 2, config?.device_channels ?? 2);
  const first = {
    name: freeName(status.sources, `Source ${id}`), enabled: true, codec: "L24", max_samples_per_packet: Math.round(rate / 1000) || 48,
    ttl: 15, payload_type: 98, dscp: 34, refclk_ptp_traceable: false, framing: "raw", sdp_http: "contract", sdp_sap: "contract",
    sdp_rtsp: "contract", io: "Audio Device", ...own, id, map: ranges(own.map ?? channels),
    address: own.address && own.address !== automatic(config?.rtp_mcast_base, id) ? own.address : "",
  };
  const basic = (values) => [
    { key: "name", label: "Name", help: "what receivers see" },
    { key: "map", label: "Device channels", help: "what applications play into these is sent, the first as the stream's first channel" },
    { key: "codec", label: "Format", kind: "select", options: [["L24", "L24: 24 bits"], ["L16", "L16: 16 bits"], ["AM824", "AM824: AES3 data"]] },
    { key: "max_samples_per_packet", label: "Frames in a packet", kind: "number", min: 1, max: 1460, help: packetTime(rate) },
    { key: "address", label: "Destination", placeholder: automatic(config?.rtp_mcast_base, values.id), help: "multicast or unicast IPv4; empty: chosen" },
    { key: "enabled", label: "Send it", kind: "check" },
  ];
  const advanced = (values) => [
    ...idRow(isNew),
    { key: "payload_type", label: "Payload type", kind: "number", min: 0, max: 127 },
    { key: "ttl", label: "Time to live", kind: "number", min: 0, max: 255 },
    { key: "dscp", label: "DSCP", kind: "number", min: 0, max: 63, help: "34 is AF41, 46 EF" },
    ...(values.codec === "AM824" ? [{ key: "framing", label: "AM824 framing", kind: "select", options: FRAMINGS }] : []),
    { key: "refclk_ptp_traceable", label: "Call the clock traceable", kind: "check", help: "instead of naming the grandmaster" },
    ...[["sdp_sap", "Description by SAP"], ["sdp_rtsp", "Description by RTSP, mDNS"], ["sdp_http", "Description by HTTP"]].map(([key, label]) =>
      ({ key, label, kind: "select", options: FORMS })),
  ];
  const body = (values) => {
    const numbers = ["max_samples_per_packet", "payload_type", "ttl", "dscp"].map((key) => [key, numberOf(values, key)]);
    const sent = Object.fromEntries(["name", "enabled", "io", "codec", "address", "refclk_ptp_traceable", "framing", "sdp_http", "sdp_sap", "sdp_rtsp"]
      .map((key) => [key, values[key]]));
    return { ...sent, address: sent.address.trim(), ...Object.fromEntries(numbers), map: mapOf(values.map) };
  };
  return html`<${Form} title=${isNew ? "New source" : `Source ${id}`} first=${first} basic=${basic} advanced=${advanced} body=${body}
    path=${pathOf("sources", status.sources, isNew)} onClose=${onClose} />`;
}

const TIMINGS = [["auto", "as the description says"], ["direct", "timestamps are PTP time"], ["latched", "same clock, any timestamps"], ["async", "any clock"]];

// What a description can be taken from at once: our own sources, and those others announce.
function Origins({ live, onChosen }) {
  const own = live.status.sources.map((source) => [`own ${source.id}`, `ours: ${source.name}`]);
  const others = live.remote.map((each) => [`far ${each.id}`, `${each.name} (${each.source})`]);
  if (!own.length && !others.length) return null;
  async function choose(event) {
    const [, kind, id] = /^(own|far) (.*)$/.exec(event.target.value) ?? [];
    if (kind === "own") {
      const answer = await fetch(`/api/source/sdp/${id}`, { cache: "no-store" });
      if (answer.ok) onChosen(await answer.text(), live.status.sources.find((each) => String(each.id) === id)?.name);
    } else if (kind === "far") {
      const found = live.remote.find((each) => each.id === id);
      if (found) onChosen(found.sdp, found.name);
    }
  }
  return html`<div class="field"><label for="f-origin">Take it from</label><select id="f-origin" onChange=${choose}>
    <option value="">choose, or paste a description below</option>
    ${[...own, ...others].map(([key, words]) => html`<option key=${key} value=${key}>${words}</option>`)}</select></div>`;
}

export function SinkForm({ stream, live, onClose }) {
  const { status, config } = live;
  const { rate } = status.engine;
  const isNew = stream.id === undefined;
  const id = isNew ? freeId(status.sinks) ?? 0 : stream.id;
  const unnamed = freeName(status.sinks, `Sink ${id}`);
  const channels = (count) => ranges(freeChannels(status.sinks, count, config?.device_channels ?? count));
  const own = isNew ? {} : stream;
  const first = {
    name: unnamed, delay: 576, timing: "auto", ignore_refclk_gmid: false, framing: "raw", io: "Audio Device", sdp: "", source: "",
    ...own, id, map: own.map ? ranges(own.map) : channels(2), way: own.use_sdp === false ? "url" : "sdp",
  };
  const filled = (values, sdp, name) => ({
    ...values, sdp, way: "sdp", ...(isNew ? { map: channels(streamOf(sdp).channels || 2) } : {}),
    ...(isNew && name && values.name === unnamed ? { name: freeName(status.sinks, name) } : {}),
  });
  const basic = (values) => [
    { key: "name", label: "Name" },
    { key: "way", label: "Description", kind: "select", options: [["sdp", "SDP text"], ["url", "fetched from an address"]] },
    values.way === "url" ? { key: "source", label: "Address", placeholder: "http://… or rtsp://…", help: "fetched when you save" }
      : { key: "sdp", label: "SDP", kind: "area" },
    { key: "map", label: "Device channels", help: "where applications record it, the stream's first channel in the first of these" },
    { key: "delay", label: "Delay", kind: "number", min: 0, max: 192000, help: (frames) => `frames from timestamp to sound${rate && Number(frames) >= 0 ? `: ${((Number(frames) / rate) * 1000).toFixed(2)} ms` : ""}` },
  ];
  const advanced = () => [
    ...idRow(isNew),
    { key: "timing", label: "Timing", kind: "select", options: TIMINGS },
    { key: "ignore_refclk_gmid", label: "Any grandmaster", kind: "check", help: "receive although the stream names another one than ours" },
    { key: "framing", label: "AM824 framing", kind: "select", options: FRAMINGS },
  ];
  const body = (values) => ({
    name: values.name, io: values.io, use_sdp: values.way === "sdp", source: values.source.trim(), sdp: values.sdp,
    delay: numberOf(values, "delay"), timing: values.timing, ignore_refclk_gmid: values.ignore_refclk_gmid, framing: values.framing, map: mapOf(values.map),
  });
  const top = (values, setValues) => html`<${Origins} live=${live} onChosen=${(sdp, name) => setValues((now) => filled(now, sdp, name))} />`;
  return html`<${Form} title=${isNew ? "New sink" : `Sink ${id}`} first=${first} basic=${basic} advanced=${advanced} body=${body} top=${top}
    path=${pathOf("sinks", status.sinks, isNew)} onClose=${onClose} />`;
}

let receiving = Promise.resolve();

/** Receive what somebody announces, with what is usual; a Problem when it is refused. One after the other,
 * so that two clicks get two numbers. */
export function receive(live, name, sdp, anyClock) {
  const turn = receiving.then(() => receiveNow(live, name, sdp, anyClock));
  receiving = turn.catch(() => {});
  return turn;
}

async function receiveNow({ config }, name, sdp, anyClock) {
  const sinks = await call("GET", "/api/v1/sinks");
  const id = freeId(sinks);
  if (id === null) throw refusal("", "all 64 sinks are in use");
  const map = freeChannels(sinks, streamOf(sdp).channels || 2, config?.device_channels ?? 2);
  const body = { name: freeName(sinks, name), io: "Audio Device", use_sdp: true, source: "", sdp, delay: 576, ignore_refclk_gmid: anyClock, timing: "auto", map };
  await call("PUT", `/api/v1/sinks/${id}`, body);
}
