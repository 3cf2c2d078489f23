// What others announce (SAP, mDNS), each stream once, to be received by one click.

import { useState } from "preact/hooks";
import { receive } from "/forms.js";
import { counted } from "/format.js";
import { Panel, html } from "/parts.js";
import { sessionOf, streamOf } from "/sdp.js";

// The same session found both ways is one line.
function grouped(remote) {
  const found = new Map();
  for (const each of remote) {
    const key = sessionOf(each.sdp) || each.id;
    const known = found.get(key) ?? { key, ...each, ways: [] };
    found.set(key, { ...known, ways: [...new Set([...known.ways, each.source])] });
  }
  return [...found.values()].sort((a, b) => a.name.localeCompare(b.name));
}

function Remote({ each, sinks, live }) {
  const [said, setSaid] = useState("");
  const [busy, setBusy] = useState(false);
  const { codec, rate, channels, ptime, group } = streamOf(each.sdp);
  const session = sessionOf(each.sdp);
  const taken = sinks.filter((sink) => session && sessionOf(sink.sdp) === session);
  async function take(anyClock) {
    setBusy(true);
    try {
      await receive(live, each.name, each.sdp, anyClock);
      setSaid("");
    } catch (error) { setSaid(error.message); }
    setBusy(false);
  }
  const format = [codec && `${codec}, ${counted(channels, "channel")}`, rate && `${rate / 1000} kHz`, ptime && `${ptime} ms`, group && `to ${group}`]
    .filter(Boolean).join(", ");
  return html`<li class="stream far"><div class="what"><h3 title=${each.name}>${each.name.trim() || "(without a name)"}</h3><p>${format}</p></div>
    <p class="from">from ${each.address}<br /><small>${each.ways.join(" and ")}</small></p>
    <div class="do">${taken.length ? html`<span>received as <a href=${`#sink-${taken[0].id}`}>${taken[0].name}</a></span>`
      : html`<button type="button" disabled=${busy} aria-label=${`Receive ${each.name}`} onClick=${() => take(false)}>${busy ? "Connecting …" : "Receive"}</button>`}</div>
    ${said ? html`<div class="error" role="alert">${said}${said.includes("ignore_refclk_gmid") ? html` <button type="button" onClick=${() => take(true)}>Receive anyway</button>` : null}</div>` : null}</li>`;
}

export function RemoteSources({ live }) {
  const [wanted, setWanted] = useState("");
  const all = grouped(live.remote ?? []);
  const shown = all.filter((each) => `${each.name} ${each.address}`.toLowerCase().includes(wanted.toLowerCase()));
  const search = all.length > 5 ? html`<input type="search" aria-label="Find a stream" placeholder="find by name or address" value=${wanted}
    onInput=${(event) => setWanted(event.target.value)} />` : null;
  return html`<${Panel} id="remote" title="On the network" note="what others announce" action=${search}>
    ${shown.length ? html`<ul class="streams">${shown.map((each) => html`<${Remote} key=${each.key} each=${each} sinks=${live.status.sinks} live=${live} />`)}</ul>`
      : html`<p class="empty">${all.length ? "None of that name." : "Nobody announces a stream by SAP or mDNS. Dante devices do so in AES67 mode; others by their own setting."}</p>`}<//>`;
}
