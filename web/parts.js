// The parts that every section is made of. Text from outside only ever becomes a text node.

import { h } from "preact";
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import htm from "htm";

export const html = htm.bind(h);

export const Lamp = ({ kind }) => html`<span class=${`lamp ${kind}`} aria-hidden="true"></span>`;

export function Fact({ name, note, children, wide }) {
  return html`<div class=${wide ? "wide" : ""}><dt>${name}</dt>
    <dd>${children}${note ? html` <small>${note}</small>` : null}</dd></div>`;
}

export function Panel({ id, title, note, action, children }) {
  return html`<section id=${id} aria-labelledby=${`h-${id}`}>
    <div class="head"><h2 id=${`h-${id}`}>${title} ${note ? html`<small>${note}</small>` : null}</h2>${action ?? null}</div>
    ${children}</section>`;
}

const FULL_SCALE = 0x7fffff;
const FLOOR_DB = -60;

export function Meter({ peak, of }) {
  const level = peak > 0 ? 20 * Math.log10(peak / FULL_SCALE) : -Infinity;
  const share = Math.max(0, Math.min(100, (1 - level / FLOOR_DB) * 100));
  const text = Number.isFinite(level) ? `${level.toFixed(1)} dBFS`.replace("-", "−") : "silent";
  const kind = level > -0.2 ? "bad" : level > -6 ? "wait" : "good";
  return html`<span class="level"><span class="meter" role="meter" aria-label=${`peak level of ${of}`} aria-valuemin=${FLOOR_DB}
    aria-valuemax="0" aria-valuenow=${Math.round(Math.max(FLOOR_DB, level))} aria-valuetext=${text}><i class=${kind}
    style=${{ width: `${share}%` }}></i></span> <small>${text}</small></span>`;
}

export function Copied({ text, what }) {
  const [done, setDone] = useState("");
  async function copy() {
    try {
      await navigator.clipboard.writeText(text);
      setDone("copied");
    } catch { // a page that came by plain http may not write to the clipboard
      setDone("select it and press Ctrl+C");
    }
    setTimeout(() => setDone(""), 3000);
  }
  return html`<div class="described"><div class="tools"><strong>${what}</strong>
    <button type="button" onClick=${copy}>Copy</button><small role="status">${done}</small></div>
    <pre tabindex="0" aria-label=${what}>${text}</pre></div>`;
}

/** What the service has against a request: `field` and `rule` as it says them. */
export class Problem extends Error {
  constructor({ field = "", rule = "", detail = "" }) {
    super(rule || detail);
    this.field = field.split(/[.[]/)[0];
  }
}

/** A request that changes something: its answer, or a Problem. */
export async function call(method, path, body) {
  let answer;
  try {
    answer = await fetch(path, {
      method, headers: body === undefined ? {} : { "Content-Type": "application/json" },
      body: body === undefined ? undefined : JSON.stringify(body), signal: AbortSignal.timeout(15000),
    });
  } catch (error) {
    throw new Problem({ rule: error.name === "TimeoutError" ? "the service does not answer" : "the service cannot be reached" });
  }
  const text = await answer.text();
  let value = null;
  try { value = text ? JSON.parse(text) : null; } catch { value = { detail: text }; }
  if (!answer.ok) throw new Problem({ rule: `the service answered ${answer.status}`, ...value });
  return value;
}

// A modal of the browser's own: it keeps the focus inside, and Escape closes it. The focus goes back to where it was.
export function Dialog({ title, onClose, children }) {
  const place = useRef(null);
  useLayoutEffect(() => {
    const dialog = place.current;
    const before = document.activeElement;
    dialog.showModal();
    return () => {
      dialog.close();
      setTimeout(() => before?.focus()); // a dialog that is gone from the page gives no focus back itself
    };
  }, []);
  return html`<dialog ref=${place} aria-label=${title} onCancel=${(event) => { event.preventDefault(); onClose(); }}>
    <div class="head"><h2>${title}</h2><button type="button" class="plain" aria-label="Close" onClick=${onClose}>✕</button></div>
    ${children}</dialog>`;
}

export function Confirm({ title, words, verb, run, onClose }) {
  const [problem, setProblem] = useState("");
  async function go() {
    try {
      await run();
      onClose();
    } catch (error) { setProblem(error.message); }
  }
  return html`<${Dialog} title=${title} onClose=${onClose}><p>${words}</p>
    ${problem ? html`<p class="error" role="alert">${problem}</p>` : null}
    <div class="actions"><button type="button" onClick=${onClose} autofocus>Keep it</button>
    <button type="button" class="danger" onClick=${go}>${verb}</button></div><//>`;
}

// One labelled input: `row` {key, label, help, kind, options, ...}; what the service refuses stands under it.
export function Field({ row, value, error, onChange, prefix = "f" }) {
  const id = `${prefix}-${row.key}`;
  const help = typeof row.help === "function" ? row.help(value) : row.help;
  const about = [help && `${id}-help`, error && `${id}-error`].filter(Boolean).join(" ") || undefined;
  const common = { id, name: row.key, disabled: row.disabled, "aria-describedby": about, "aria-invalid": error ? "true" : undefined };
  const take = (event) => onChange(row.key, row.kind === "check" ? event.target.checked : event.target.value);
  let input;
  if (row.kind === "check") input = html`<input type="checkbox" ...${common} checked=${Boolean(value)} onChange=${take} />`;
  else if (row.kind === "select") {
    input = html`<select ...${common} value=${value} onChange=${take}>${row.options.map(([key, words]) =>
      html`<option key=${key} value=${key} selected=${key === value}>${words}</option>`)}</select>`;
  } else if (row.kind === "area") {
    input = html`<textarea ...${common} rows="7" spellcheck=${false} value=${value} onInput=${take}></textarea>`;
  } else {
    input = html`<input type=${row.kind ?? "text"} ...${common} value=${value ?? ""} placeholder=${row.placeholder} onInput=${take}
      min=${row.min} max=${row.max} autocomplete="off" spellcheck=${false} />`;
  }
  return html`<div class=${`field ${row.kind ?? "text"} ${error ? "wrong" : ""}`}><label for=${id}>${row.label}</label>${input}
    ${help ? html`<small id=${`${id}-help`}>${help}</small>` : null}
    ${error ? html`<p class="error" id=${`${id}-error`} role="alert">${error}</p>` : null}</div>`;
}
