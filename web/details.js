// Everything that is known of one source or sink.

import { useEffect, useState } from "preact/hooks";
import { count, duration } from "/format.js";
import { Copied, Fact, html } from "/parts.js";
import { ranges } from "/sdp.js";

const ms = (us) => (us === null || us === undefined ? "–" : `${(us / 1000).toFixed(2)} ms`.replace("-", "−"));
const ssrc = (value) => (value === null || value === undefined ? "–" : `0x${value.toString(16).padStart(8, "0")}`);
const GAPS = ["<125 µs", "250 µs", "500 µs", "1 ms", "2 ms", "4 ms", "8 ms", "16 ms", "32 ms", "64 ms", "128 ms", "more"];

function Bytes({ value }) {
  if (value === undefined) return "–";
  return value < 1e6 ? `${(value / 1e3).toFixed(0)} kB` : value < 1e9 ? `${(value / 1e6).toFixed(1)} MB` : `${(value / 1e9).toFixed(2)} GB`;
}

function Delete({ onDelete, what }) {
  return html`<div class="actions"><button type="button" class="danger" onClick=${onDelete}>Delete this ${what} …</button></div>`;
}

function Receivers({ receivers }) {
  if (!receivers?.length) return null;
  return html`<h4>Receivers that report (RTCP)</h4><div class="scroll"><table><thead><tr><th scope="col">Receiver</th><th scope="col">Address</th>
    ${["Lost", "Lost now", "Jitter", "Reported"].map((title) => html`<th scope="col" class="number" key=${title}>${title}</th>`)}</tr></thead>
    <tbody>${receivers.map((each) => html`<tr key=${`${each.address} ${each.name}`}><td>${each.name}</td><td>${each.address}</td>
      <td class="number">${count(each.lost)}</td><td class="number">${(each.lost_now * 100).toFixed(1)} %</td>
      <td class="number">${ms(each.jitter_us)}</td><td class="number">${duration(each.age_s)} ago</td></tr>`)}</tbody></table></div>`;
}

// The description as receivers get it; asked anew when the source or the clock it names changes.
function Description({ source }) {
  const [sdp, setSdp] = useState(null);
  const settled = JSON.stringify({ ...source, counters: null, receivers: null });
  useEffect(() => {
    let ended = false;
    fetch(`/api/source/sdp/${source.id}`, { cache: "no-store" }).then((answer) => answer.text()).then((text) => ended || setSdp(text)).catch(() => {});
    return () => { ended = true; };
  }, [settled]);
  return sdp === null ? null : html`<${Copied} text=${sdp} what="Description (SDP)" />`;
}

export function SourceDetails({ source, onDelete }) {
  const counters = source.counters ?? {};
  return html`<dl class="many">
      <${Fact} name="Packets sent">${count(counters.packets)}<//>
      <${Fact} name="Sent">${html`<${Bytes} value=${counters.bytes} />`}<//>
      <${Fact} name="Send errors">${count(counters.send_errors)}<//>
      <${Fact} name="Packets not sent" note="clock not locked, or the machine stood still">${count(counters.skipped_packets)}<//>
      <${Fact} name="Destination">${source.address}<//>
      <${Fact} name="TTL, DSCP">${source.ttl}, ${source.dscp}<//>
      <${Fact} name="Payload type">${source.payload_type}<//>
      <${Fact} name="SSRC"><code>${ssrc(counters.ssrc)}</code><//>
      <${Fact} name="Device channels">${ranges(source.map)}<//>
    </dl>
    <${Receivers} receivers=${source.receivers} />
    <${Description} source=${source} />
    <${Delete} onDelete=${onDelete} what="source" />`;
}

const LEG_ROWS = [
  ["Received on", (leg) => leg.interface], ["Stream", (leg) => `${leg.address}:${leg.port}`], ["Only from", (leg) => leg.source || "anybody"],
  ["SSRC", (leg) => ssrc(leg.ssrc)], ["Packets", (leg) => count(leg.packets)], ["Lost", (leg) => count(leg.lost), (leg) => leg.lost],
  ["Late", (leg) => count(leg.late), (leg) => leg.late], ["Too early", (leg) => count(leg.early), (leg) => leg.early],
  ["Duplicate", (leg) => count(leg.duplicate)], ["Out of order", (leg) => count(leg.reordered)],
  ["Of another sender, type or length", (leg) => count(leg.wrong_ssrc + leg.wrong_source + leg.wrong_payload_type + leg.wrong_length),
    (leg) => leg.wrong_ssrc + leg.wrong_source + leg.wrong_payload_type + leg.wrong_length],
  ["Came before its time, now / least", (leg) => `${ms(leg.margin_us)} / ${ms(leg.margin_min_us)}`, (leg) => leg.margin_min_us < 0],
  ["Jitter (RFC 3550)", (leg) => ms(leg.jitter_us)], ["Longest time between packets", (leg) => ms(leg.gap_max_us)],
];

function Gaps({ gaps }) {
  const most = Math.max(...gaps);
  if (!most) return null;
  const spoken = gaps.map((number, i) => (number ? `${GAPS[i]}: ${number}` : "")).filter(Boolean).join(", ");
  return html`<div class="gaps" role="img" aria-label=${`Times between packets: ${spoken}`}>${gaps.map((number, i) =>
    html`<div key=${i} title=${`${GAPS[i]}: ${count(number)}`}><i style=${{ height: number ? `${Math.max(4, (Math.log10(number + 1) / Math.log10(most + 1)) * 100)}%` : "0" }}></i>
      <small>${GAPS[i]}</small></div>`)}</div>`;
}

function Times({ legs }) {
  return (legs ?? []).map((leg, i) => html`<div key=${i}><h4>Times between packets${legs.length > 1 ? `, leg ${i + 1}` : ""} <small>logarithmic</small></h4><${Gaps} gaps=${leg.gaps} /></div>`);
}

function Legs({ legs }) {
  if (!legs?.length) return null;
  return html`<h4>${legs.length > 1 ? "Its legs" : "The way it comes"}</h4><div class="scroll"><table class="legs">
    ${legs.length > 1 ? html`<thead><tr><td></td>${legs.map((_, i) => html`<th scope="col" key=${i}>Leg ${i + 1}</th>`)}</tr></thead>` : null}
    <tbody>${LEG_ROWS.map(([title, show, harm]) => html`<tr key=${title}><th scope="row">${title}</th>${legs.map((leg, i) =>
      html`<td key=${i} class=${harm?.(leg) ? "harm" : ""}>${show(leg)}</td>`)}</tr>`)}</tbody></table></div>`;
}

const FLAGS = {
  rtp_seq_id_error: "wrong sequence number", rtp_ssrc_error: "another sender (SSRC)", rtp_payload_type_error: "wrong payload type",
  rtp_sac_error: "wrong timestamps", some_muted: "a leg was missing", all_muted: "was silent", muted: "was silent",
};

export function SinkDetails({ sink, rate, onDelete }) {
  const counters = sink.counters ?? {};
  const flags = [...new Set(Object.entries(FLAGS).filter(([key]) => sink.flags?.[key]).map(([, words]) => words))];
  return html`<dl class="many">
      <${Fact} name="Timing" note=${sink.timing_reason}>${sink.timing}<//>
      <${Fact} name="Delay">${count(sink.delay)} frames <small>${rate ? `${((sink.delay / rate) * 1000).toFixed(2)} ms` : ""}</small><//>
      <${Fact} name="Silent frames" note="nothing to play at their time">${count(counters.silent_frames)}<//>
      <${Fact} name="Changes of sender">${count(counters.switched_ssrc)}<//>
      <${Fact} name="Device channels">${ranges(sink.map)}<//>
      <${Fact} name="Remembered" note=${flags.length ? "until a client of the AES67 daemon reads them" : ""}>${flags.join(", ") || "nothing"}<//>
      ${sink.sender ? html`<${Fact} name="Its sender reports" note=${`${duration(sink.sender.age_s)} ago`}>${sink.sender.name}, ${count(sink.sender.packets)} packets<//>` : null}
    </dl>
    <div class="pair"><div><${Legs} legs=${sink.legs} /></div><div><${Times} legs=${sink.legs} />
      ${sink.source && !sink.use_sdp ? html`<p>Its description comes from <code>${sink.source}</code></p>` : null}
      <${Copied} text=${sink.sdp} what="Description (SDP)" /></div></div>
    <${Delete} onDelete=${onDelete} what="sink" />`;
}
