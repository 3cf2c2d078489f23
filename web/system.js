// Applications, network and settings.

import { useEffect, useState } from "preact/hooks";
import { count, counted } from "/format.js";
import { Fact, Field, Lamp, Panel, call, html } from "/parts.js";
import { ranges } from "/sdp.js";

// Which streams carry a channel that an application uses: the same device channels in their map.
function reached(pcm, status) {
  const last = pcm.first + pcm.channels - 1;
  const streams = pcm.direction === "playback" ? status.sources : status.sinks;
  return streams.filter((stream) => stream.map.some((channel) => channel >= pcm.first && channel <= last));
}

function Application({ pcm, status }) {
  const streams = reached(pcm, status);
  const plays = pcm.direction === "playback";
  const channels = ranges(Array.from({ length: pcm.channels }, (_, i) => pcm.first + i));
  return html`<li class="stream far"><div class="what"><h3>${pcm.application || "an application"} <small>process ${pcm.pid}</small></h3>
      <p>${plays ? "plays into" : "records from"} channels ${channels}, ${count(pcm.rate / 1000)} kHz</p></div>
    <p class="from">${streams.length ? html`${plays ? "sent as " : "hears "}${streams.map((each, i) => html`${i ? ", " : ""}<a
        href=${`#${plays ? "source" : "sink"}-${each.id}`} key=${each.id}>${each.name}</a>`)}`
      : html`<${Lamp} kind="wait" />${plays ? "no source sends these channels" : "no sink fills these channels"}`}</p></li>`;
}

export function Applications({ status }) {
  return html`<${Panel} id="pcms" title="Applications" note="on the ALSA device">
    ${status.pcms.length ? html`<ul class="streams">${status.pcms.map((pcm) => html`<${Application} key=${`${pcm.direction} ${pcm.slot}`} pcm=${pcm} status=${status} />`)}</ul>`
      : html`<p class="empty">No application has the device open. Try <code>aplay -D aes67 file.wav</code></p>`}<//>`;
}

const QUERIER = { none: "no IGMP querier asks: switches that snoop will stop delivering", waiting: "no IGMP querier has asked yet", unknown: "IGMP queriers cannot be heard" };

function Interface({ each }) {
  const [kind, word] = !each.present ? ["bad", "missing"] : !each.running ? ["bad", "no link"] : each.addresses.length ? ["good", "up"] : ["wait", "no address"];
  const querier = each.querier === "heard" ? `IGMP querier ${each.querier_address} (version ${each.querier_version})` : QUERIER[each.querier] ?? each.querier;
  return html`<li class="stream far"><div class="what"><h3>${each.name} <small>${each.mac}</small></h3><p>${each.addresses.join(", ") || "no address"}; ${each.roles.join(", ")}</p></div>
    <p class="from">${counted(each.groups, "group")} joined, ${querier}</p><p class="state-word"><${Lamp} kind=${kind} />${word}</p></li>`;
}

export function Network({ status }) {
  const { interfaces, udp_checksum_errors: wrong, udp_buffer_errors: full } = status.network;
  const { engine } = status;
  const c = engine.counters ?? {};
  return html`<${Panel} id="network" title="Network"><ul class="streams">${interfaces.map((each) => html`<${Interface} key=${each.name} each=${each} />`)}</ul>
    <dl class="many apart"><${Fact} name="Dropped by the kernel" note="wrong checksum / full socket">${count(wrong)} / ${count(full)}<//></dl><//>
  <${Panel} id="engine" title="Engine"><dl class="many">
    <${Fact} name="State" note=${engine.connected ? (engine.realtime ? "real-time priority, locked memory" : "without real-time priority") : ""}>${engine.connected ? "running" : "not running"}<//>
    <${Fact} name="Sample rate">${count(engine.rate)} Hz<//>
    <${Fact} name="Packets sent, received">${count(c.sent)}, ${count(c.received)}<//>
    <${Fact} name="Late ticks" note=${c.late_max_ns === undefined ? "" : `worst ${(c.late_max_ns / 1e6).toFixed(2)} ms`}>${count(c.late_ticks)} of ${count(c.ticks)}<//>
    <${Fact} name="For no sink">${count(c.unmatched)}<//><${Fact} name="Malformed">${count(c.malformed)}<//></dl><//>`;
}

const GROUPS = [["table", "Audio and network"], ["clock", "Clock"], ["discovery", "Announcing and finding"], ["streamer", "Listening and streamer"],
  ["sdp", "Name"], ["http", "This page"], ["api", "This page"], ["log", "Log"], ["files", "Files"], ["stored", "Kept, without effect yet"]];
const READ_ONLY = ["paths_by_api"];

// A field for a row of the service's own table of parameters.
function settingRow(row, config) {
  const choices = /^one of ([^ ]+(?:, [^ ]+)*?)(?: Hz)?$/.exec(row.range)?.[1].split(", ").map((each) => (each === "''" ? "" : each));
  const kind = typeof row.default === "boolean" ? "check" : choices && choices.includes(String(config[row.key])) ? "select"
    : typeof row.default === "number" ? "number" : "text";
  const help = [row.help, kind === "select" || kind === "check" ? "" : row.range].filter(Boolean).join("; ");
  const fixed = row.effect === "files" && row.key !== "paths_by_api" && !config.paths_by_api || READ_ONLY.includes(row.key);
  return { key: row.key, label: row.key, kind, help: fixed ? `${help} (only the configuration file can set it)` : help, disabled: fixed,
    options: choices?.map((each) => [each, each || "local syslog"]) };
}

function typed(row, value) {
  if (typeof row.default === "boolean") return value;
  if (typeof row.default === "string") return value;
  if (/^-?\d+$/.test(String(value).trim())) return Number(value);
  return value === "" ? null : value; // a number that may be absent
}

export function Settings({ live }) {
  const { config } = live;
  const [rows, setRows] = useState([]);
  const [changes, setChanges] = useState({});
  const [wanted, setWanted] = useState("");
  const [said, setSaid] = useState({});
  useEffect(() => {
    fetch("/api/v1/config/schema").then((answer) => answer.json()).then(setRows).catch(() => {});
  }, [rows.length === 0 && live.link.kind]);
  const changed = Object.keys(changes);
  const set = (key, value) => {
    const next = { ...changes, [key]: value };
    if (String(config[key] ?? "") === String(value)) delete next[key];
    setChanges(next);
    setSaid({});
  };
  async function save(event) {
    event.preventDefault();
    try {
      const body = Object.fromEntries(changed.map((key) => [key, typed(rows.find((row) => row.key === key), changes[key])]));
      const answer = await call("PATCH", "/api/v1/config", body);
      if ("http_port" in body) location.port = answer.http_port;
      setChanges({});
      setSaid({ good: `saved: ${changed.join(", ")}` });
    } catch (error) {
      setSaid({ field: error.field, bad: error.message });
      setWanted(error.field in changes ? "" : wanted);
    }
  }
  if (!config || !rows.length) return html`<${Panel} id="settings" title="Settings"><p class="empty">Fetching …</p><//>`;
  const found = rows.filter((row) => row.effect !== "ignored" && `${row.key} ${row.help}`.toLowerCase().includes(wanted.toLowerCase()));
  const field = (row) => html`<${Field} key=${row.key} prefix="set" row=${settingRow(row, config)} value=${changes[row.key] ?? config[row.key]}
    error=${said.field === row.key ? said.bad : ""} onChange=${set} />`;
  const titles = [...new Set(GROUPS.map(([, title]) => title))];
  return html`<${Panel} id="settings" title="Settings" action=${html`<input type="search" aria-label="Find a setting" placeholder="find a setting"
      value=${wanted} onInput=${(event) => setWanted(event.target.value)} />`}>
    <form onSubmit=${save} novalidate>${titles.map((title) => {
      const here = found.filter((row) => GROUPS.some(([effect, words]) => words === title && effect === row.effect));
      if (!here.length) return null;
      const fields = html`<div class="fields">${here.map(field)}</div>`;
      if (here[0].effect === "stored" && !wanted) return html`<details key=${title}><summary>${title}</summary>${fields}</details>`;
      return html`<fieldset key=${title}><legend>${title}</legend>${fields}</fieldset>`;
    })}
    ${found.length ? null : html`<p class="empty">No setting of that name.</p>`}
    <div class="actions sticky">
      ${said.good ? html`<span role="status">${said.good}</span>` : null}
      ${said.bad && !(said.field in changes) ? html`<p class="error" role="alert">${said.field ? `${said.field}: ` : ""}${said.bad}</p>` : null}
      ${changed.length ? html`<span>${counted(changed.length, "change")}</span><button type="button" onClick=${() => { setChanges({}); setSaid({}); }}>Discard</button>` : null}
      <button type="submit" class="primary" disabled=${!changed.length}>Save</button></div></form><//>`;
}
