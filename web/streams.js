// Sources and sinks: one row each, with everything that is known of it behind "Details".

import { useState } from "preact/hooks";
import { SinkDetails, SourceDetails } from "/details.js";
import { SinkForm, SourceForm } from "/forms.js";
import { count, counted } from "/format.js";
import { Confirm, Lamp, Meter, Panel, call, html } from "/parts.js";
import { ranges } from "/sdp.js";

export const milliseconds = (frames, rate) => (rate > 0 ? `${Number(((frames / rate) * 1000).toFixed(3))} ms` : "");

export function sourceState(source) {
  if (!source.enabled) return ["wait", "disabled"];
  return source.sending ? ["good", "sending"] : ["bad", "not sending"];
}

export function sinkState(sink) {
  if (!sink.flags?.receiving_rtp_packet) return ["bad", "no packets"];
  return sink.counters?.muted ? ["wait", "muted"] : ["good", "receiving"];
}

// What of a stream went wrong so far, in words; empty when nothing did.
function sourceHarm({ send_errors: errors = 0, skipped_packets: skipped = 0 }) {
  return [errors && counted(errors, "send error"), skipped && `${count(skipped)} not sent`].filter(Boolean).join(", ");
}

function sinkHarm({ lost = 0, late = 0, early = 0, malformed = 0, wrong_payload_type: type = 0, wrong_length: length = 0 }) {
  const wrong = malformed + type + length;
  return [lost && `${count(lost)} lost`, late && `${count(late)} late`, early && `${count(early)} early`,
    wrong && `${count(wrong)} not of this stream`].filter(Boolean).join(", ");
}

function Row({ stream, kind, state: [lamp, word], format, harm, extra, children, onEdit }) {
  const [open, setOpen] = useState(false);
  const packets = stream.counters?.packets;
  const id = `${kind}-${stream.id}`;
  return html`<li class="stream" id=${id} aria-labelledby=${`${id}-name`}>
    <div class="what"><h3 id=${`${id}-name`}><small>${stream.id}</small> ${stream.name}</h3><p>${format}</p></div>
    <p class="state-word"><${Lamp} kind=${lamp} />${word}</p>
    <${Meter} peak=${stream.counters?.peak ?? 0} of=${stream.name} />
    <p class="health">${packets === undefined ? "" : counted(packets, "packet")}<br />${harm
      ? html`<span class="harm">${harm}</span>` : packets ? html`<small>no loss</small>` : null}</p>
    <div class="do">${extra}<button type="button" aria-expanded=${open} aria-controls=${`${id}-details`}
      onClick=${() => setOpen(!open)}>Details</button><button type="button" onClick=${onEdit} aria-label=${`Edit ${stream.name}`}>Edit</button></div>
    ${stream.note ? html`<p class="note">${stream.note}</p>` : null}
    <div class="details" id=${`${id}-details`} hidden=${!open}>${open ? children : null}</div></li>`;
}

// A list, and the dialogs that belong to it.
function Streams({ id, title, note, streams, empty, what, Form, row, live }) {
  const [editing, setEditing] = useState(null);
  const [deleting, setDeleting] = useState(null);
  const close = () => setEditing(null);
  const path = (stream) => `/api/v1/${id}/${stream.id}`;
  return html`<${Panel} id=${id} title=${title} note=${note}
      action=${html`<button type="button" class="primary" onClick=${() => setEditing({})}>Add ${what}</button>`}>
    ${streams.length ? html`<ul class="streams">${streams.map((each) => row(each, { edit: () => setEditing(each), remove: () => setDeleting(each) }))}</ul>`
      : html`<p class="empty">${empty}</p>`}
    ${editing ? html`<${Form} stream=${editing} live=${live} onClose=${close} />` : null}
    ${deleting ? html`<${Confirm} title=${`Delete ${what} ${deleting.id}?`} verb="Delete" onClose=${() => setDeleting(null)}
      words=${`“${deleting.name}” ends at once. Other streams are not touched.`} run=${() => call("DELETE", path(deleting))} />` : null}
  <//>`;
}

export function Sources({ live }) {
  const { status } = live;
  const row = (source, { edit, remove }) => html`<${Row} key=${source.id} kind="source" stream=${source} state=${sourceState(source)}
    format=${`${source.codec}, ${counted(source.map.length, "channel")} (${ranges(source.map)}), ${milliseconds(source.max_samples_per_packet, status.engine.rate)}, to ${source.address}`}
    harm=${sourceHarm(source.counters ?? {})} onEdit=${edit}><${SourceDetails} source=${source} rate=${status.engine.rate} onDelete=${remove} /><//>`;
  return html`<${Streams} id="sources" title="Sources" note="what we send" what="source" streams=${status.sources} Form=${SourceForm} live=${live}
    empty="Nothing is sent yet. A source takes channels of the ALSA device to the network." row=${row} />`;
}

export function Sinks({ live, listening }) {
  const { status } = live;
  const row = (sink, { edit, remove }) => {
    const heard = listening.heard === sink.id;
    const from = sink.session && sink.session !== sink.name ? `“${sink.session}”, ` : "";
    const listen = html`<button type="button" aria-pressed=${heard} aria-label=${`Listen to ${sink.name}`}
      onClick=${() => listening.toggle(sink)}>${heard ? "Stop" : "Listen"}</button>`;
    return html`<${Row} key=${sink.id} kind="sink" stream=${sink} state=${sinkState(sink)}
      format=${`${from}${sink.codec ?? "?"}, ${counted(sink.channels ?? sink.map.length, "channel")} (to ${ranges(sink.map)}), ${milliseconds(sink.frames_per_packet, sink.rate)}, from ${sink.address ?? "?"}`}
      harm=${sinkHarm(sink.counters ?? {})} extra=${listen} onEdit=${edit}><${SinkDetails} sink=${sink} rate=${status.engine.rate} onDelete=${remove} /><//>`;
  };
  return html`<${Streams} id="sinks" title="Sinks" note="what we receive" what="sink" streams=${status.sinks} Form=${SinkForm} live=${live}
    empty="Nothing is received yet. Choose a stream under “On the network”, or add a sink from a description." row=${row} />`;
}
