// The clock's section: state with its reason, figures, history, messages, every master heard.
//
// Shows what the service says in words; computes no state of its own.

import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { count, counted, duration, moment, nanoseconds as spelled, ppm } from "/format.js";
import { Graph, texts, titles } from "/graph.js";
import { Fact, Lamp, html } from "/parts.js";

export const LAMP = { locked: "good", holdover: "wait", locking: "wait", unlocked: "bad" };
const SPANS = [["1min", "1 min", 1000], ["1h", "1 h", 5000], ["24h", "24 h", 30000]];
const CHARTS = [["offset", 190], ["delay", 96], ["rate", 122]];
const LOCAL = { gm: "grandmaster on its own oscillator", free: "free running, without PTP" };

// Beside a figure's name a dash says that nothing is known.
const nanoseconds = (value) => spelled(value).replace("unknown", "–");

function State({ clock }) {
  const seconds = clock.state_seconds;
  return html`<div class="state">
    <p class="word"><${Lamp} kind=${LAMP[clock.state] ?? "wait"} /> <strong>${clock.state ?? "unknown"}</strong>
      ${seconds === undefined ? null : html` <small>for ${duration(seconds)}</small>`}</p>
    <p class="reason">${clock.reason}</p>
  </div>`;
}

// What we measure of a master; there is nothing to measure for one who leads.
function Following({ clock }) {
  const jitter = clock.jitter_ns ?? {};
  return html`<dl class="figures">
    <${Fact} name="Offset">${nanoseconds(clock.offset_ns)}<//>
    <${Fact} name="Uncertainty" note="3 σ">${nanoseconds(clock.uncertainty_ns)}<//>
    <${Fact} name="Rate">${ppm(clock.path_delay_ns === null || clock.path_delay_ns === undefined ? null : clock.rate_ppm)}<//>
    <${Fact} name="Path delay" note=${clock.asymmetry_ns ? `asymmetry ${nanoseconds(clock.asymmetry_ns)}` : ""}>
      ${nanoseconds(clock.path_delay_ns)}<//>
    <${Fact} name="Jitter" note="from master">${nanoseconds(jitter.sync)}<//>
    <${Fact} name="Jitter" note="to master">${nanoseconds(jitter.delay)}<//>
  </dl>`;
}

const CLASSES = { 6: "primary", 7: "holdover", 13: "application", 248: "default", 255: "slave only" };

// What we tell slaves, and what they ask.
function Leading({ clock }) {
  const { messages = {} } = clock;
  const far = clock.grandmaster ?? {};
  const asked = messages.per_second?.Delay_Req;
  return html`<dl class="figures">
    <${Fact} name="Priority 1, 2">${far.priority1 ?? clock.priority1}, ${far.priority2 ?? clock.priority2}<//>
    <${Fact} name="Clock class" note=${CLASSES[far.clock_class]}>${count(far.clock_class)}<//>
    <${Fact} name="Timescale" note=${far.ptp_timescale ? `UTC + ${far.utc_offset} s` : "arbitrary"}>${far.ptp_timescale ? "TAI" : "ARB"}<//>
    <${Fact} name="Sync sent">${count(messages.sync_sent)}<//>
    <${Fact} name="Announce sent">${count(messages.announce_sent)}<//>
    ${clock.slaves ? html`<${Fact} name="Slaves heard">${count(clock.slaves.length)}<//>` : null}
    <${Fact} name="Delay_Req asked" note=${messages.delay_req_refused ? `${count(messages.delay_req_refused)} refused` : ""}>${asked ? `${asked}/s` : "none"}<//>
  </dl>`;
}

export const leads = (clock) => clock.port_state === "master" || clock.port_state === "grandmaster";

function Figures({ clock }) {
  const master = clock.masters?.find((each) => each.selected);
  const ports = clock.ports ?? [];
  const own = clock.port_identity?.split("/")[0];
  const alone = clock.mode === "free";
  return html`${alone ? null : leads(clock) && !master ? html`<${Leading} clock=${clock} />` : html`<${Following} clock=${clock} />`}
  <dl class="facts">
    ${alone ? null : html`<${Fact} name="Grandmaster" note=${clock.gmid && clock.gmid === own ? "this node" : ""}><code>${clock.gmid || "none"}</code><//>`}
    ${own && own !== clock.gmid ? html`<${Fact} name="This node"><code>${own}</code><//>` : null}
    <${Fact} name="Mode" note=${LOCAL[clock.mode]}>${clock.mode ?? "–"}<//>
    ${ports.length > 1 ? null : html`<${Fact} name="Interface" note=${clock.port_state ?? ""}>${clock.interface || "–"}<//>`}
    ${ports.length === 1 ? html`<${Fact} name="Profile">${ports[0].profile}<//>` : null}
    ${alone ? null : html`<${Fact} name="Domain">${count(clock.domain)}<//>`}
    ${clock.reference ? html`<${Fact} name="Reference" note=${clock.reference.remark}>${clock.reference.clock}<//>` : null}
    ${clock.peer ? html`<${Fact} name="Neighbour" note=${clock.peer.as_capable ? "802.1AS" : clock.peer.objection}>
      <code>${clock.peer.neighbor ?? "none"}</code> ${nanoseconds(clock.peer.link_delay_ns)}<//>` : null}
    <${Fact} name="Timestamps">${clock.timestamps?.rung ?? "–"}<//>
    ${master?.sync_interval_s ? html`<${Fact} name="Sync, Announce">
      ${1 / master.sync_interval_s}/s, ${1 / master.announce_interval_s}/s<//>` : null}
  </dl>`;
}

function Chips({ shown, onToggle }) {
  const all = [["sigma", "3 σ band"], ["measured", "as measured"]];
  return html`<div class="chips">${all.map(([key, words]) => html`<button type="button" key=${key}
    class=${`chip ${key}`} aria-pressed=${shown[key]} onClick=${() => onToggle(key)}>${words}</button>`)}</div>`;
}

// What a path of the service says: asked at once, every `period` ms, and when `path` or `reason` changes.
function useAnswer(path, period, reason) {
  const [said, setSaid] = useState(null);
  useEffect(() => {
    let ended = false;
    async function fetchIt() {
      if (document.hidden) return;
      try {
        const answer = await fetch(path, { cache: "no-store", signal: AbortSignal.timeout(5000) });
        const value = answer.ok ? await answer.json() : null;
        if (value && !ended) setSaid(value);
      } catch { /* that nobody answers is said at the top of the page; the next try is soon */ }
    }
    fetchIt();
    const timer = setInterval(fetchIt, period);
    document.addEventListener("visibilitychange", fetchIt);
    return () => {
      ended = true;
      clearInterval(timer);
      document.removeEventListener("visibilitychange", fetchIt);
    };
  }, [path, reason]);
  return said;
}

function useHistory(span, period) {
  const history = useAnswer(`/api/v1/clock/history?span=${span}`, period);
  return history?.span === span ? history : null;
}

function Chart({ kind, height, history, shown, last, at, onCursor }) {
  const place = useRef(null);
  const graph = useRef(null);
  useEffect(() => {
    graph.current = new Graph(place.current, kind, height, onCursor);
    const scheme = matchMedia("(prefers-color-scheme: light)");
    const redraw = () => graph.current.redraw();
    scheme.addEventListener("change", redraw);
    return () => {
      scheme.removeEventListener("change", redraw);
      graph.current.close();
    };
  }, []);
  useEffect(() => {
    if (history) graph.current.show(history, shown, last);
  }, [history, shown]);
  return html`<figure><figcaption><span>${titles[kind]}</span> <output>${reading(kind, history, at)}</output></figcaption>
    <div ref=${place} class="plot" style=${`height: ${height}px`} role="img" aria-label=${summary(kind, history)}></div></figure>`;
}

const SERIES = { offset: "offset_ns", delay: "path_delay_ns", rate: "rate_ppm" };

function reading(kind, history, at) {
  if (!history || at === null || at === undefined) return "";
  const { least, mean, greatest } = history.series[SERIES[kind]];
  if (mean[at] === null || mean[at] === undefined) return history.state[at] ? "nothing measured" : "no data";
  const text = texts[kind];
  const spread = greatest[at] > least[at] ? ` (${text(least[at])} to ${text(greatest[at])})` : "";
  if (kind !== "offset") return text(mean[at]) + spread;
  const sigma = history.series.uncertainty_ns.greatest[at];
  return `${text(Math.round(mean[at]))}${sigma === null ? "" : ` ± ${text(sigma)}`}${spread}, ${history.state[at]}`;
}

function summary(kind, history) {
  const values = (history?.series[SERIES[kind]].mean ?? []).filter((value) => value !== null);
  if (!values.length) return `${titles[kind]}: nothing measured`;
  const [low, high] = [Math.min(...values), Math.max(...values)].map(texts[kind]);
  return `${titles[kind]} over ${history.span}: ${low} to ${high}`;
}

function nothingWhy(clock, history) {
  if (!history) return "Fetching …";
  if (history.series.offset_ns.mean.some((value) => value !== null)) return "";
  if (LOCAL[clock.mode]) return `Nothing to measure: ${LOCAL[clock.mode]}.`;
  return history.state.some(Boolean) ? "No master was measured in this time." : "The engine said nothing in this time.";
}

function History({ clock }) {
  const [span, setSpan] = useState("1min");
  const [shown, setShown] = useState({ sigma: true, measured: true });
  const [at, setAt] = useState(null);
  const history = useHistory(span, SPANS.find(([name]) => name === span)[2]);
  const why = nothingWhy(clock, history);
  const known = !why;
  const toggle = (key) => setShown({ ...shown, [key]: !shown[key] });
  const charts = known ? CHARTS : CHARTS.slice(0, 1);
  return html`<div class="history">
    <div class="tools">
      <div class="spans" role="group" aria-label="Span of the graph">${SPANS.map(([name, words]) => html`<button
        type="button" key=${name} aria-pressed=${name === span} onClick=${() => { setSpan(name); setAt(null); }}>${words}</button>`)}</div>
      <${Chips} shown=${shown} onToggle=${toggle} />
      <span class="ago">${history && at !== null ? `${duration(history.seconds_ago[at])} ago` : ""}</span>
    </div>
    <div class="charts">
      ${charts.map(([kind, height], i) => html`<${Chart} key=${`${kind} ${known}`} ...${{ kind, height, history, shown, at }}
        last=${i === charts.length - 1} onCursor=${setAt} />`)}
      ${why ? html`<p class="why">${why}</p>` : null}
    </div>
  </div>`;
}

function Times({ clock }) {
  const spent = Object.entries(clock.seconds_in ?? {}).filter(([, seconds]) => seconds > 0);
  const all = spent.reduce((sum, [, seconds]) => sum + seconds, 0);
  if (!all) return null;
  const order = ["locked", "holdover", "locking", "unlocked"];
  spent.sort(([a], [b]) => order.indexOf(a) - order.indexOf(b));
  return html`<h3>Time in each state</h3>
    <div class="times" aria-hidden="true">${spent.map(([state, seconds]) => html`<i key=${state}
      class=${state} style=${`flex-grow: ${Math.max(seconds / all, 0.004)}`}></i>`)}</div>
    <ul class="legend">${spent.map(([state, seconds]) => html`<li key=${state}><${Lamp} kind=${LAMP[state]} />${state}
      <small> ${duration(seconds)}, ${((seconds / all) * 100).toFixed(1)} %</small></li>`)}</ul>
    <p class="counts">${counted(clock.state_changes, "change of state", "changes of state")}, ${""
      }${counted(clock.handovers, "handover")}, ${counted(clock.steps, "step of the master", "steps of the master")}, ${""
      }${counted(clock.outliers, "outlier")} weighed down</p>`;
}

function Changes({ clock }) {
  const changes = useAnswer("/api/v1/clock/changes", 10000, `${clock.state} ${clock.gmid}`);
  const answered = useMemo(() => Date.now(), [changes]); // their ages are of this time
  if (!changes?.length) return null;
  return html`<h3>What happened</h3><ol class="changes" tabindex="0">${changes.map((change, i) =>
    html`<li key=${changes.length - i}>
      <time>${moment(answered - change.seconds_ago * 1000)}</time> <${Lamp} kind=${LAMP[change.state] ?? "wait"} />${change.state}
      ${change.gmid ? html` <code>${change.gmid}</code>` : null}<p>${change.reason}</p></li>`)}</ol>`;
}

function Messages({ messages }) {
  const kinds = Object.keys(messages?.received ?? {});
  const sent = [["Announce", "announce_sent"], ["Sync", "sync_sent"], ["Follow_Up", "follow_up_sent"],
    ["Delay_Req", "delay_req_sent"], ["Delay_Resp", "delay_resp_sent"]].filter(([, key]) => messages?.[key]);
  if (!kinds.length && !sent.length) return null;
  const outgoing = Object.fromEntries(sent);
  const names = [...new Set([...kinds, ...sent.map(([name]) => name)])];
  const aside = [["malformed", "malformed"], ["other_domain", "of other domains"], ["other_profile", "of other profiles"],
    ["not_allowed", "of masters not allowed"]].filter(([key]) => messages[key]).map(([key, words]) => `${count(messages[key])} ${words}`);
  return html`<h3>Messages</h3><div class="scroll"><table>
    <thead><tr><th scope="col">Message</th>${["Received", "Per second", "Lost", "Sent"].map((title) =>
      html`<th scope="col" class="number" key=${title}>${title}</th>`)}</tr></thead>
    <tbody>${names.map((name) => html`<tr key=${name}><td>${name}</td>
      <td class="number">${count(messages.received[name])}</td><td class="number">${count(messages.per_second?.[name])}</td>
      <td class="number">${count(messages.lost?.[name])}</td><td class="number">${count(messages[outgoing[name]])}</td></tr>`)}
    </tbody></table></div>${aside.length ? html`<p class="counts">Not used: ${aside.join(", ")}.</p>` : null}`;
}

function role(master, domain) {
  if (!master.allowed) return ["bad", "not allowed"];
  if (master.last_heard_seconds > 10) return ["bad", "silent"];
  if (master.selected) return ["good", "followed"];
  if (master.domain !== domain) return ["wait", "other domain"];
  return ["wait", master.qualified ? "not the best" : "not qualified"];
}

function Ports({ ports }) {
  if (!ports || ports.length < 2) return null;
  return html`<h3>Ports</h3><div class="scroll ports"><table>
    <thead><tr>${["Interface", "Profile", "State", "Timestamps", "Identity", ""].map((title) =>
      html`<th scope="col" key=${title}>${title}</th>`)}</tr></thead>
    <tbody>${ports.map((port) => html`<tr key=${port.port_identity}><td>${port.interface}</td><td>${port.profile}</td>
      <td>${port.port_state}</td><td>${port.rung ?? "–"}</td><td><code>${port.port_identity}</code></td><td>${port.trouble}</td></tr>`)}
    </tbody></table></div>`;
}

function Masters({ clock }) {
  const masters = clock.masters ?? [];
  if (!masters.length) return null;
  const several = clock.ports?.length > 1;
  return html`<h3>Masters heard</h3><div class="scroll"><table>
    <thead><tr>${["Clock", "", "Domain", "Address", "Grandmaster", "Priority", "Class", "Steps", "3 σ", "Sync lost", "Heard"].map((title) =>
      html`<th scope="col" key=${title}>${title}</th>`)}</tr></thead>
    <tbody>${masters.map((master) => {
      const [kind, word] = role(master, clock.domain);
      const far = master.grandmaster;
      return html`<tr key=${`${master.interface} ${master.domain} ${master.profile} ${master.clock}`}><td><code>${master.clock}</code></td>
        <td><${Lamp} kind=${kind} />${word}</td><td>${master.domain}${master.profile === "gptp" ? " gPTP" : ""}</td>
        <td>${master.address}${several ? ` (${master.interface})` : ""}</td><td>${!far ? "–" : far.identity === master.clock ? "itself" : html`<code>${far.identity}</code>`}</td>
        <td>${far ? `${far.priority1} / ${far.priority2}` : "–"}</td><td>${far?.clock_class ?? "–"}</td><td>${far?.steps_removed ?? "–"}</td>
        <td>${master.uncertainty_ns === undefined ? "–" : nanoseconds(master.uncertainty_ns)}</td><td>${count(master.sync_lost)}</td>
        <td>${duration(master.last_heard_seconds)} ago</td></tr>`;
    })}</tbody></table></div>`;
}

function Slaves({ slaves }) {
  if (!slaves?.length) return null;
  return html`<h3>Slaves heard</h3><div class="scroll"><table><thead><tr><th scope="col">Clock</th><th scope="col" class="number">Delay_Req</th>
    <th scope="col" class="number">Heard</th></tr></thead><tbody>${slaves.map((slave) => html`<tr key=${slave.port}><td><code>${slave.port}</code></td>
    <td class="number">${count(slave.requests)}</td><td class="number">${duration(slave.last_heard_seconds)} ago</td></tr>`)}</tbody></table></div>`;
}

// The clock of a second network that keeps a time of its own; nothing is played by it.
function Second({ second }) {
  if (!second) return null;
  const ahead = second.ahead_of_media_ns;
  const far = ahead === null || ahead === undefined ? "–" : Math.abs(ahead) < 1e9 ? nanoseconds(ahead) : `${(ahead / 1e9).toFixed(6)} s`;
  return html`<section id="second" aria-labelledby="h-second"><h2 id="h-second">Second clock <small>${second.name}: shown only, nothing is sent or played by it</small></h2>
    <${State} clock=${second} /><dl class="facts">
      <${Fact} name="Ahead of the media clock" note=${second.ahead_of_media_ppm ? ppm(second.ahead_of_media_ppm) : ""}>${far}<//>
      <${Fact} name="Grandmaster"><code>${second.gmid || "none"}</code><//><${Fact} name="Interface">${second.interface ?? "–"}<//>
      <${Fact} name="Domain">${count(second.domain)}<//><${Fact} name="Uncertainty" note="3 σ">${nanoseconds(second.uncertainty_ns)}<//>
      <${Fact} name="Path delay">${nanoseconds(second.path_delay_ns)}<//></dl><${Masters} clock=${second} /></section>`;
}

export function Clock({ clock }) {
  return html`<section id="clock" aria-labelledby="h-clock"><h2 id="h-clock">Clock</h2>
    <${State} clock=${clock} /><${Figures} clock=${clock} />${LOCAL[clock.mode] ? null : html`<${History} clock=${clock} />`}
    <${Slaves} slaves=${clock.slaves} /><${Masters} clock=${clock} /><${Ports} ports=${clock.ports} />
    <div class="more"><div><${Times} clock=${clock} /><${Changes} clock=${clock} /></div><div><${Messages} messages=${clock.messages} /></div></div></section>
  <${Second} second=${clock.second} />`;
}
