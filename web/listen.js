// Hear one sink at a time: choose it, press the button. Live audio from the service's streamer; what it
// says against it (streamer off, engine gone) is shown in its own words. Nothing of it is state of ours.

const $ = (id) => document.getElementById(id);
const audio = new Audio();
audio.preload = "none";
const FORMAT = audio.canPlayType('audio/ogg; codecs="opus"') ? "opus" : "aac";
let known = "";
let heard = null;

function say(text) {
  $("listen-state").textContent = text;
}

function stop(text = "") {
  heard = null;
  audio.pause();
  audio.removeAttribute("src");
  audio.load();
  $("listen-button").textContent = "Listen";
  say(text);
}

// The address of a stream, or an exception with the service's reason.
async function address(id) {
  const url = `/api/v1/sinks/${id}/listen.${FORMAT}`;
  const asked = new AbortController();
  const answer = await fetch(url, { signal: asked.signal, cache: "no-store" });
  if (!answer.ok) throw new Error((await answer.json()).detail ?? `the service answered ${answer.status}`);
  asked.abort();
  return url;
}

async function start() {
  const id = $("listen-sink").value;
  heard = id;
  $("listen-button").textContent = "Stop";
  say("asking …");
  try {
    const url = await address(id);
    if (heard !== id) return;
    audio.src = `${url}?at=${Date.now()}`;
    await audio.play();
    say("live, about a second late");
  } catch (error) {
    if (heard === id) stop(error.message);
  }
}

audio.addEventListener("ended", () => stop("the stream has ended"));
audio.addEventListener("error", () => heard !== null && stop("the stream broke off"));
$("listen-button").addEventListener("click", () => (heard === null ? start() : stop()));
$("listen-sink").addEventListener("change", () => heard !== null && (stop(), start()));

// Called with each new list of sinks; touches the page only when it is another one.
export function showListen(sinks) {
  const now = JSON.stringify(sinks.map((sink) => [sink.id, sink.name]));
  if (now === known) return;
  known = now;
  const chosen = $("listen-sink").value;
  $("listen-sink").replaceChildren(...sinks.map((sink) => new Option(`${sink.id}  ${sink.name}`, String(sink.id))));
  if (sinks.some((sink) => String(sink.id) === chosen)) $("listen-sink").value = chosen;
  else if (heard !== null) stop("the sink is gone");
  $("listen").hidden = sinks.length === 0;
}
