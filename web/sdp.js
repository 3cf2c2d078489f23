// The little that a list of remote sources shows of their descriptions. Judging them is the service's work.

const line = (sdp, start) => sdp.split(/\r?\n/).find((each) => each.startsWith(start))?.slice(start.length) ?? "";

/** Who made it and which session it is, whatever its version: the same over SAP and mDNS. */
export function sessionOf(sdp) {
  const [user, session, , ...rest] = line(sdp, "o=").split(" ");
  return rest.length ? [user, session, ...rest].join(" ") : "";
}

/** {codec, rate, channels, ptime, group, gmid}; empty or 0 where it does not say. */
export function streamOf(sdp) {
  const [, codec = "", rate = "0", channels = "1"] = /^a=rtpmap:\d+ ([^/\s]+)\/(\d+)(?:\/(\d+))?/m.exec(sdp) ?? [];
  return {
    codec, rate: Number(rate), channels: codec ? Math.min(64, Math.max(1, Number(channels))) : 0,
    ptime: Number(line(sdp, "a=ptime:")) || 0,
    group: /^c=IN IP4 ([\d.]+)/m.exec(sdp)?.[1] ?? "",
    gmid: /^a=ts-refclk:ptp=[^:\s]+:([0-9A-Fa-f-]{23})/m.exec(sdp)?.[1] ?? "",
  };
}

/** [0, 1, 2, 5] -> "0-2, 5" */
export function ranges(channels) {
  const parts = [];
  for (const channel of channels) {
    const last = parts.at(-1);
    if (last && channel === last[1] + 1) last[1] = channel;
    else parts.push([channel, channel]);
  }
  return parts.map(([from, to]) => (from === to ? `${from}` : `${from}-${to}`)).join(", ");
}

/** "0-2, 5" -> [0, 1, 2, 5]; null when it is no such list. */
export function channelsOf(text) {
  const found = [];
  for (const part of text.split(",")) {
    const match = /^\s*(\d{1,4})(?:\s*[-–]\s*(\d{1,4}))?\s*$/.exec(part);
    if (!match) return null;
    const [from, to] = [Number(match[1]), Number(match[2] ?? match[1])];
    if (to < from || found.length + to - from >= 1024) return null;
    for (let channel = from; channel <= to; channel++) found.push(channel);
  }
  return found;
}

/** So many neighbouring channels that no stream uses; from 0 on where there are none. */
export function freeChannels(streams, count, available) {
  const used = new Set(streams.flatMap((stream) => stream.map));
  for (let first = 0; first + count <= available; first++) {
    const wanted = Array.from({ length: count }, (_, i) => first + i);
    const taken = wanted.findLastIndex((channel) => used.has(channel));
    if (taken < 0) return wanted;
    first += taken;
  }
  return Array.from({ length: count }, (_, i) => i);
}

export function freeId(streams) {
  const used = new Set(streams.map((stream) => stream.id));
  for (let id = 0; id < 64; id++) if (!used.has(id)) return id;
  return null;
}

export function freeName(streams, name) {
  const used = new Set(streams.map((stream) => stream.name));
  for (let i = 1; ; i++) {
    const tried = i === 1 ? name : `${name} (${i})`;
    if (!used.has(tried)) return tried;
  }
}
