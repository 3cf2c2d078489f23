// The page: what the service says, live, in three views. It formats and never computes state: every
// verdict, flag and reason comes from the service in words.

import { render } from "preact";
import { useEffect, useState } from "preact/hooks";
import { Clock, LAMP } from "/clock.js";
import { counted, duration, moment } from "/format.js";
import { Listening, Player } from "/listen.js";
import { Live } from "/live.js";
import { Lamp, html } from "/parts.js";
import { RemoteSources } from "/remote.js";
import { Sinks, Sources, sinkState, sourceState } from "/streams.js";
import { Applications, Network, Settings } from "/system.js";

const VIEWS = [["streams", "Streams"], ["clock", "Clock"], ["system", "System"]];
// The paths of the AES67 daemon's page, so that bookmarks go where they went.
const PATHS = { "/PTP": "clock", "/Config": "system" };

const chosen = () => VIEWS.find(([key]) => `#${key}` === location.hash)?.[0];

function verdictOf({ status, link }) {
  if (link.kind === "lost") return ["bad", status ? "connection lost" : "no answer from the service"];
  if (!status) return ["wait", "connecting …"];
  if (!status.engine.connected) return ["bad", "engine not running"];
  return [LAMP[status.clock.state] ?? "wait", `clock ${status.clock.state ?? "unknown"}`];
}

const LINKS = { live: ["good", "live"], polling: ["wait", "asking every second"], connecting: ["wait", "connecting"] };
const POLLING = "websockets do not get through, perhaps a proxy stops them; the page asks once a second instead";

function Header({ live, view }) {
  const { status, link } = live;
  const [kind, text] = verdictOf(live);
  const [lamp, word] = LINKS[link.kind] ?? [];
  const name = status?.node_id ?? "";
  useEffect(() => { document.title = [text, name, "aes67"].filter(Boolean).join(" · "); }, [text, name]);
  return html`<header><div class="bar"><h1>aes67 <small>${name}</small></h1>
      <nav aria-label="Views">${VIEWS.map(([key, title]) => html`<a key=${key} href=${`#${key}`} aria-current=${view === key ? "page" : undefined}>${title}</a>`)}</nav>
      <p id="verdict" role="status"><${Lamp} kind=${kind} /><span>${text}</span></p>
      ${link.kind === "lost" ? null : html`<p id="link" title=${link.kind === "polling" ? POLLING : ""}><${Lamp} kind=${lamp} />${word}</p>`}</div>
    ${link.kind === "lost" ? html`<p id="lost" role="alert">${status ? html`<strong>Connection lost</strong> at ${moment(link.since)}: ${link.reason}. What you see is from then. Trying again …`
      : html`<strong>The service does not answer</strong>: ${link.reason}. Trying again …`}</p>` : null}</header>`;
}

function Tile({ href, title, kind, word, note }) {
  return html`<a class="tile" href=${href}><span>${title}</span><strong>${kind ? html`<${Lamp} kind=${kind} />` : null}${word}</strong><small>${note}</small></a>`;
}

// Of the streams that shall run, how many do.
function streamTile(streams, stateOf, good, title, href) {
  const wanted = streams.filter((each) => each.enabled !== false);
  const states = wanted.map((each) => stateOf(each)[0]);
  const fine = states.filter((state) => state === "good").length;
  const kind = !states.length ? "" : ["bad", "wait"].find((each) => states.includes(each)) ?? "good";
  const off = streams.length - wanted.length;
  return html`<${Tile} href=${href} title=${title} kind=${kind} word=${wanted.length ? `${fine} of ${wanted.length} ${good}` : "none"}
    note=${off ? `${off} disabled` : ""} />`;
}

function Overview({ status }) {
  const { clock, engine } = status;
  return html`<div class="tiles">
    <${Tile} href="#clock" title="Clock" kind=${engine.connected ? LAMP[clock.state] ?? "wait" : "bad"} word=${clock.state ?? "unknown"}
      note=${clock.state_seconds === undefined ? clock.reason : `for ${duration(clock.state_seconds)}`} />
    ${streamTile(status.sources, sourceState, "sending", "Sources", "#sources")}
    ${streamTile(status.sinks, sinkState, "receiving", "Sinks", "#sinks")}
    <${Tile} href="#pcms" title="Device" kind=${engine.connected ? "good" : "bad"} word=${counted(status.pcms.length, "application")}
      note=${engine.connected ? `${engine.rate / 1000} kHz` : "engine not running"} /></div>`;
}

function View({ view, live, listening }) {
  const { status } = live;
  if (view === "clock") return html`<${Clock} clock=${status.clock} />`;
  if (view === "system") return html`<${Network} status=${status} /><${Settings} live=${live} />`;
  return html`<${Overview} status=${status} /><${Sources} live=${live} /><${Sinks} live=${live} listening=${listening} />
    <${RemoteSources} live=${live} /><${Applications} status=${status} />`;
}

function App({ live, listening }) {
  const [view, setView] = useState(chosen() ?? PATHS[location.pathname] ?? "streams");
  const { status, link } = live;
  useEffect(() => {
    // A link to a part of the page (#sink-3) shows the view it is in and keeps the browser's own jump.
    const went = () => {
      const place = document.getElementById(location.hash.slice(1));
      if (chosen()) {
        setView(chosen());
        scrollTo(0, 0);
      } else if (!place) setView("streams");
    };
    addEventListener("hashchange", went);
    return () => removeEventListener("hashchange", went);
  }, []);
  const warnings = status?.engine.warnings ?? [];
  return html`<${Header} live=${live} view=${view} /><main>
    ${warnings.length ? html`<ul id="notices" aria-label="Things to know">${warnings.map((text) => html`<li key=${text}>${text}</li>`)}</ul>` : null}
    ${status ? html`<${View} view=${view} live=${live} listening=${listening} />` : link.kind === "lost" ? null : html`<p class="empty">Connecting …</p>`}</main>
    ${status ? html`<${Player} listening=${listening} sinks=${status.sinks} />` : null}
    <footer>${status ? `version ${status.version} · ` : ""}<a href="/docs">API</a> · <a href="/api/v1/status">status as JSON</a></footer>`;
}

let drawn = 0;
function draw() {
  drawn ||= requestAnimationFrame(() => { // none while the page is hidden
    drawn = 0;
    document.body.classList.toggle("stale", live.state.link.kind === "lost");
    render(html`<${App} live=${live.state} listening=${listening} />`, document.getElementById("page"));
  });
}

const listening = new Listening(draw);
const live = new Live(draw);
draw();
