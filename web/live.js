// What the service says, as it says it: the websocket /api/v1/events. Where a proxy blocks websockets the
// status is asked once a second instead. `heard(state)` gets a new state object after every change.
//
// state.link.kind: "connecting", "live" (websocket), "polling", or "lost" (nobody answers: what is shown is old).

const PERIOD_MS = 1000;
const PATIENCE_MS = 5000;
const SLOW_EVERY = 5; // polls between two looks at what changes seldom
const RETRY_MS = { least: 500, most: 8000 };

/** The state after one message of the websocket. */
export function applied(state, message) {
  const { type, id, value } = message;
  if (type === "snapshot") {
    return { ...state, status: message.status, config: message.config, remote: message.remote_sources };
  }
  const { status } = state;
  if (!status) return state;
  switch (type) {
    case "config": return { ...state, config: value };
    case "remote_sources": return { ...state, remote: value };
    case "source":
    case "sink": {
      const key = `${type}s`;
      const before = status[key].find((each) => each.id === id);
      const others = status[key].filter((each) => each.id !== id);
      const now = value === null ? others : [...others, { counters: before?.counters ?? {}, ...value }];
      return { ...state, status: { ...status, [key]: now.sort((a, b) => a.id - b.id) } };
    }
    case "counters": {
      const counted = (key) => status[key].map((each) => ({ ...each, counters: value[key][each.id] ?? each.counters }));
      const engine = { ...status.engine, counters: value.engine };
      return { ...state, status: { ...status, engine, sources: counted("sources"), sinks: counted("sinks") } };
    }
    case "engine": return { ...state, status: { ...status, engine: { counters: status.engine.counters, ...value } } };
    default: return { ...state, status: { ...status, [type]: value } };
  }
}

async function json(path) {
  const answer = await fetch(path, { cache: "no-store", signal: AbortSignal.timeout(PATIENCE_MS) });
  if (!answer.ok) throw new Error(`it answered ${answer.status}`);
  return answer.json();
}

export class Live {
  constructor(heard) {
    this.heard = heard;
    this.state = { status: null, config: null, remote: [], link: { kind: "connecting", since: Date.now(), reason: "" } };
    this.retryMs = RETRY_MS.least;
    this.polls = 0;
    this.asking = false;
    this.open();
    setInterval(() => this.tick(), PERIOD_MS);
    addEventListener("online", () => this.open());
    document.addEventListener("visibilitychange", () => document.hidden || this.tick());
  }

  set(state) {
    this.state = state;
    this.heard(state);
  }

  link(kind, reason = "") {
    const { link } = this.state;
    if (link.kind === kind && link.reason === reason) return;
    const since = link.kind === kind ? link.since : Date.now();
    this.set({ ...this.state, link: { kind, since, reason } });
  }

  open() {
    if (this.socket) return;
    clearTimeout(this.retry);
    const url = new URL("/api/v1/events", location.href);
    url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    this.heardAt = Date.now();
    try {
      this.socket = new WebSocket(url);
    } catch {
      this.closed();
      return;
    }
    const { socket } = this;
    socket.onmessage = ({ data }) => socket === this.socket && this.message(JSON.parse(data));
    socket.onclose = () => socket === this.socket && this.closed();
  }

  message(message) {
    this.heardAt = Date.now();
    this.set(applied(this.state, message));
    if (message.type !== "snapshot") return;
    this.retryMs = RETRY_MS.least;
    this.link("live");
  }

  // The websocket has ended, or never began: ask meanwhile, and try again.
  closed() {
    this.socket = null;
    this.retry = setTimeout(() => this.open(), this.retryMs);
    this.retryMs = Math.min(this.retryMs * 2, RETRY_MS.most);
    this.poll();
  }

  tick() {
    if (this.state.link.kind !== "live") this.poll();
    if (this.socket && Date.now() - this.heardAt > PATIENCE_MS) {
      const { socket } = this;
      this.closed(); // counters come every second: who says nothing is stuck, or the network swallows it
      socket.close();
    }
  }

  async poll() {
    if (document.hidden || this.asking || this.state.link.kind === "connecting" && this.socket && Date.now() - this.heardAt < PERIOD_MS) return;
    this.asking = true;
    try {
      const slow = this.polls++ % SLOW_EVERY === 0;
      const [status, config, found] = await Promise.all([json("/api/v1/status"),
        slow ? json("/api/v1/config") : this.state.config,
        slow ? json("/api/browse/sources/all") : { remote_sources: this.state.remote }]);
      if (this.socket && this.state.link.kind === "live") return;
      const wasLost = this.state.link.kind === "lost";
      this.set({ ...this.state, status, config, remote: found.remote_sources });
      this.link("polling");
      if (wasLost) this.open();
    } catch (error) {
      this.polls = 0;
      if (this.state.link.kind !== "live" || !this.socket) this.link("lost", error.name === "TimeoutError" ? "it is stuck" : "it cannot be reached");
    } finally {
      this.asking = false;
    }
  }
}
