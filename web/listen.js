// Hear one sink at a time, live from the service's streamer; what it says against it (streamer off,
// engine gone) is shown in its own words.

import { html } from "/parts.js";

export class Listening {
  constructor(changed) {
    this.changed = changed;
    this.heard = null;
    this.name = "";
    this.text = "";
    this.audio = new Audio();
    this.audio.preload = "none";
    this.format = this.audio.canPlayType('audio/ogg; codecs="opus"') ? "opus" : "aac";
    this.audio.addEventListener("ended", () => this.stop("the stream has ended"));
    this.audio.addEventListener("error", () => this.heard !== null && this.stop("the stream broke off"));
  }

  say(text) {
    this.text = text;
    this.changed();
  }

  stop(text = "") {
    this.heard = null;
    this.audio.pause();
    this.audio.removeAttribute("src");
    this.audio.load();
    this.say(text);
  }

  toggle(sink) {
    if (this.heard === sink.id) this.stop();
    else this.start(sink);
  }

  async start(sink) {
    this.stop();
    this.heard = sink.id;
    this.name = sink.name;
    this.say("asking …");
    try {
      const url = await this.address(sink.id);
      if (this.heard !== sink.id) return;
      this.audio.src = `${url}?at=${Date.now()}`;
      await this.audio.play();
      this.say("live, about a second late");
    } catch (error) {
      if (this.heard === sink.id) this.stop(error.message);
    }
  }

  // The address of a stream, or an exception with the service's reason.
  async address(id) {
    const url = `/api/v1/sinks/${id}/listen.${this.format}`;
    const asked = new AbortController();
    const answer = await fetch(url, { signal: asked.signal, cache: "no-store" });
    if (!answer.ok) throw new Error((await answer.json()).detail ?? `the service answered ${answer.status}`);
    asked.abort();
    return url;
  }
}

/** What is heard, at the lower edge, on every view. */
export function Player({ listening, sinks }) {
  if (listening.heard !== null && !sinks.some((sink) => sink.id === listening.heard)) listening.stop("the sink is gone");
  if (!listening.text) return null;
  const playing = listening.heard !== null;
  return html`<aside class="player" aria-label="Listening"><span role="status"><strong>${listening.name}</strong> ${listening.text}</span>
    <button type="button" onClick=${() => listening.stop()}>${playing ? "Stop" : "Close"}</button></aside>`;
}
