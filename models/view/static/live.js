// One page, one stream. The page shows what the last message said, and says so itself when the line is silent.
// Everything here is a function of the state on the page: a missed message is made good by the next connection.

const root = document.documentElement;
const body = document.body;
const SILENCE_MS = 5000;
const ALARM_EVERY_MS = 5000;

// ---- sound: four signs that differ in rhythm, not only in pitch; [hertz, start, seconds] each

const TONES = {
  pass: ["sine", 0.3, [[660, 0, 0.13], [880, 0.15, 0.22]]],
  fail: ["square", 0.18, [[220, 0, 0.16], [220, 0.24, 0.16], [220, 0.48, 0.16]]],
  check: ["triangle", 0.35, [[440, 0, 0.8]]],
  tick: ["sine", 0.06, [[1400, 0, 0.02]]],
  urgent: ["sawtooth", 0.7, [[980, 0, 0.15], [620, 0.16, 0.15], [980, 0.32, 0.15], [620, 0.48, 0.15], [980, 0.64, 0.4]]],
  alarm: ["sawtooth", 0.22, [[880, 0, 0.2], [620, 0.22, 0.2], [880, 0.44, 0.2], [620, 0.66, 0.3]]],
  chime: ["sine", 0.15, [[520, 0, 0.5]]],
};
const audio = new AudioContext();
const played = new Set();
let alarmAt = -Infinity;
let silentUntil = 0;
let muted = false; // this page, until somebody turns it on again or the page is loaded anew

function hears() {
  return audio.state === "running" && !muted;
}

function play(name) {
  const tone = TONES[name];
  if (!tone) return;
  const [shape, volume, notes] = tone;
  for (const [hertz, start, seconds] of hears() ? notes : []) {
    const voice = audio.createOscillator();
    const gain = audio.createGain();
    const at = audio.currentTime + start;
    voice.type = shape;
    voice.frequency.value = hertz;
    gain.gain.setValueAtTime(0, at);
    gain.gain.linearRampToValueAtTime(volume, at + 0.008);
    gain.gain.setValueAtTime(volume, at + Math.max(0.01, seconds - 0.02));
    gain.gain.linearRampToValueAtTime(0, at + seconds);
    voice.connect(gain).connect(audio.destination);
    voice.start(at);
    voice.stop(at + seconds);
  }
  document.dispatchEvent(new CustomEvent("sound", { detail: name }));
}

// data-sound plays when its data-once is new; what stood on the page at load is not new.
function ring(part, quiet = false) {
  for (const sign of [part, ...part.querySelectorAll("[data-sound]")]) {
    const once = sign.dataset.once;
    if (!sign.dataset.sound || played.has(once)) continue;
    played.add(once);
    if (played.size > 500) played.delete(played.values().next().value);
    if (!quiet) play(sign.dataset.sound);
  }
}

function alarm() {
  const now = performance.now();
  const open = document.querySelector('.open[data-alarm="urgent"]') ?? document.querySelector(".open[data-alarm]");
  if (now < silentUntil || now - alarmAt < ALARM_EVERY_MS || !open) return;
  alarmAt = now;
  play(open.dataset.alarm || "alarm");
}

// ---- state: every top element of a message takes the place of the one with its id

function focusMark(part) {
  const held = part.contains(document.activeElement) ? document.activeElement : null;
  if (!held) return () => {};
  const { name, id, value } = held;
  const press = held.dataset.press;
  return (fresh) => {
    const key = id ? `#${CSS.escape(id)}` : name ? `[name="${CSS.escape(name)}"]` : press && `[data-press="${press}"]`;
    const next = (key && fresh.querySelector(key)) || fresh;
    if (name && value !== undefined && next.name === name && next.type !== "hidden") next.value = value;
    next.focus({ preventScroll: true });
  };
}

// A row that changes keeps its picture until the newer one is there, so that nothing blinks.
function keepPicture(old, fresh) {
  const [was, next] = [old, fresh].map((part) => part.querySelector("img[data-still]"));
  if (!was || !next) return;
  const [src, alt] = [next.getAttribute("src"), next.alt];
  next.replaceWith(was);
  if (was.getAttribute("src") !== src) was.src = src;
  was.alt = alt;
}

function swap(old, fresh) {
  const refocus = focusMark(old);
  keepPicture(old, fresh);
  old.replaceWith(fresh);
  refocus(fresh);
  ring(fresh);
}

// Rows that did not change stay where they are: a moved row would lose focus, and then a key acts on the wrong one.
function merge(list, fresh) {
  const next = [...fresh.children];
  const wanted = new Set(next.map((row) => row.dataset.key));
  const rows = new Map();
  for (const row of [...list.children]) {
    if (wanted.has(row.dataset.key)) rows.set(row.dataset.key, row);
    else row.remove();
  }
  let at = list.firstElementChild;
  for (const row of next) {
    let here = rows.get(row.dataset.key);
    if (here === at && here) at = at.nextElementSibling;
    else if (here && list.moveBefore) list.moveBefore(here, at);
    else list.insertBefore(here ?? row, at);
    if (!here) ring(row);
    else if (here.dataset.v !== row.dataset.v) swap(here, row);
  }
}

function blend(old, fresh) {
  if (fresh.dataset.v && fresh.dataset.v === old.dataset.v) return;
  if (fresh.hasAttribute("data-list") && old.hasAttribute("data-list")) merge(old, fresh);
  else if (old.children.length === fresh.children.length && old.querySelector("[data-list]") && fresh.querySelector("[data-list]")) {
    for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name)) old.removeAttribute(name);
    for (const { name, value } of fresh.attributes) old.setAttribute(name, value);
    const parts = [...fresh.children];
    [...old.children].forEach((part, i) => blend(part, parts[i]));
    return;
  } else return swap(old, fresh);
  if (fresh.dataset.v) old.dataset.v = fresh.dataset.v;
  old.setAttribute("class", fresh.getAttribute("class") ?? ""); // an SVG's className cannot be set
}

function place(html) {
  const message = document.createElement("template");
  message.innerHTML = html;
  for (const fresh of [...message.content.children]) {
    const old = fresh.id && document.getElementById(fresh.id);
    if (old) blend(old, fresh);
    if (fresh.dataset.title) document.title = fresh.dataset.title;
    if (fresh.dataset.icon) document.querySelector("link[rel=icon]").href = fresh.dataset.icon;
  }
  alarm();
}

// ---- the line: silence is a fault, and it is retried for ever

let source = null;
let retry = 0;
let heardAt = performance.now();
let ahead = 0; // server clock minus ours, ms

function heard() {
  heardAt = performance.now();
  body.classList.remove("down");
}

function idle() {
  return !document.querySelector("dialog[open]") && !(document.activeElement?.matches("input, textarea, select"));
}

function beat({ now, build }) {
  ahead = now * 1000 - Date.now();
  const reloaded = Number(sessionStorage.getItem("reloaded") ?? 0);
  if (build === root.dataset.build || !idle() || Date.now() - reloaded < 60000) return;
  sessionStorage.setItem("reloaded", Date.now());
  location.reload(); // the server has just answered, so this cannot end on an error page
}

function connect() {
  clearTimeout(retry);
  retry = 0;
  source?.close();
  heardAt = performance.now();
  source = new EventSource(body.dataset.live);
  source.onmessage = (message) => (heard(), place(message.data));
  source.addEventListener("beat", (message) => (heard(), beat(JSON.parse(message.data))));
  source.onerror = lost;
}

function lost() {
  body.classList.add("down");
  source.close();
  retry ||= setTimeout(connect, 300 + Math.random() * 2700);
  if (body.dataset.login) shown();
}

// A stream that is refused says nothing of why: only whoever is no longer known is led to the log-in.
async function shown() {
  const answer = await fetch("/me", { signal: AbortSignal.timeout(3000) }).catch(() => null);
  answer?.body?.cancel();
  if (answer?.status === 401) location.assign(`${body.dataset.login}?next=${encodeURIComponent(location.pathname + location.search)}`);
}

function hurry() {
  if (body.classList.contains("down") && !document.hidden) connect();
}

// ---- forms and keys

function refuse(form, words) {
  const row = form.closest("[data-key]") ?? form;
  row.classList.add("unsaved");
  let said = form.querySelector("output");
  if (!said) form.append((said = document.createElement("output")));
  said.textContent = words || body.dataset.notSaved;
}

document.addEventListener("submit", async (event) => {
  const form = event.target;
  if (!form.matches("[data-quiet]")) return;
  event.preventDefault();
  const button = event.submitter;
  if (button?.getAttribute("aria-disabled") === "true") return;
  button?.setAttribute("aria-disabled", "true");
  try {
    const filled = new URLSearchParams(new FormData(form, button));
    const answer = await fetch(form.action, { method: "POST", body: filled, redirect: "manual" });
    const fine = answer.ok || answer.type === "opaqueredirect";
    const plain = answer.headers.get("content-type")?.startsWith("text/plain");
    if (!fine) refuse(form, answer.status < 500 && plain ? (await answer.text()).slice(0, 200) : "");
    else (form.closest("[data-key]") ?? form).classList.remove("unsaved"), form.closest("dialog")?.close(), form.closest("dialog") && form.reset();
  } catch {
    refuse(form, "");
  } finally {
    button?.removeAttribute("aria-disabled");
  }
});

// A file goes up as it is: its name in the address, its bytes as the body, with a bar.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (!form.matches("[data-upload]")) return;
  event.preventDefault();
  const [bar, button] = [form.querySelector("progress"), event.submitter];
  const file = form.querySelector("input[type=file]").files[0];
  if (!bar.hidden) return;
  if (file.size > Number(form.dataset.most)) return refuse(form, form.dataset.large);
  const sent = new XMLHttpRequest();
  const ended = (words) => (refuse(form, words), (bar.hidden = true), button?.removeAttribute("aria-disabled"));
  sent.upload.onprogress = ({ loaded, total }) => (bar.value = (100 * loaded) / total);
  sent.onerror = () => ended("");
  sent.onload = () => {
    if (sent.status === 201) return location.assign(sent.getResponseHeader("Location"));
    ended(sent.status < 500 && sent.responseText.startsWith("{") ? JSON.parse(sent.responseText).detail : "");
  };
  bar.hidden = false;
  button?.setAttribute("aria-disabled", "true");
  sent.open("POST", `${form.action}?name=${encodeURIComponent(file.name)}`);
  sent.send(file);
});

document.addEventListener("keydown", (event) => {
  if (audio.state !== "running") audio.resume();
  const on = event.target;
  if (event.repeat || event.ctrlKey || event.altKey || event.metaKey || on.matches("input, textarea, select")) return;
  if (event.key === "Enter" && on.matches("a, button, summary")) return; // it is being pressed itself
  const row = on.closest("[data-key]");
  const asked = document.querySelector("dialog[open]");
  for (const button of document.querySelectorAll(`[data-press="${CSS.escape(event.key)}" i]`)) {
    if (asked && !asked.contains(button)) continue; // what is asked now is answered first
    const its = button.closest("[data-key]");
    if ((its && its !== row) || button.closest("[hidden]")) continue; // a row's key acts on the focused row alone
    event.preventDefault();
    if (!button.matches("video")) button.click();
    else if (button.paused) button.play();
    else button.pause();
    return;
  }
});

// J and K go from one open row to the next; at the end they begin again.
document.addEventListener("keydown", ({ key, target, repeat, ctrlKey, altKey, metaKey }) => {
  const step = { j: 1, k: -1 }[key.toLowerCase()];
  if (!step || repeat || ctrlKey || altKey || metaKey || target.matches("input, textarea, select") || !idle()) return;
  const rows = [...document.querySelectorAll(".open[data-key], .acknowledged[data-key]")];
  const at = rows.indexOf(target.closest("[data-key]"));
  rows.at(at < 0 ? (step > 0 ? 0 : -1) : (at + step) % rows.length)?.focus();
});

// One dialog serves all rows: the one that opens it says what it is about and where its form goes.
function unfold(by, dialog) {
  if (!dialog) return;
  if (by.dataset.action) dialog.querySelector("form").setAttribute("action", by.dataset.action);
  for (const slot of dialog.querySelectorAll("[data-slot]")) slot.textContent = by.dataset[slot.dataset.slot] ?? "";
  for (const field of dialog.querySelectorAll("input[name]")) if (by.dataset[field.name]) field.value = by.dataset[field.name];
  dialog.querySelector("output")?.remove();
  dialog.showModal();
}

document.addEventListener("keydown", (event) => {
  const form = event.target.closest("dialog form");
  if (form && event.key === "Enter" && event.ctrlKey) form.requestSubmit();
});

document.addEventListener("click", (event) => {
  if (audio.state !== "running") audio.resume();
  if (event.target.closest("[data-print]")) print();
  if (event.target.closest("[data-silence]")) silentUntil = performance.now() + 60000;
  if (event.detail) event.target.closest("[data-press]")?.blur(); // a mouse leaves no button behind that Space would press
  const opens = event.target.closest("[data-opens]");
  if (opens) unfold(opens, document.getElementById(opens.dataset.opens));
  if (event.target.closest("[data-closes]")) event.target.closest("dialog").close();
  const sound = event.target.closest("#sound");
  if (sound?.matches("[data-mutes]") && sound.dataset.state) muted = sound.dataset.state === "true";
  if (sound) sound.blur(), second();
});

// ---- what is shown only while a button or its key is held: the server hears of each look

let held = null;

async function hold(button) {
  if (held) return;
  const mine = (held = { button });
  const answer = await fetch(button.dataset.hold, { method: "POST" }).catch(() => null);
  const words = answer?.ok ? await answer.text() : body.dataset.notSaved;
  if (held === mine) document.getElementById(button.dataset.into).textContent = words;
}

function release() {
  if (!held) return;
  const part = document.getElementById(held.button.dataset.into);
  if (part) part.textContent = "";
  held = null;
}

document.addEventListener("keydown", (event) => {
  if (event.key !== " " || event.target.matches("input, textarea, select, a, summary, button:not([data-hold])")) return;
  const button = document.querySelector("[data-hold]");
  if (!button || document.querySelector("dialog[open]")) return;
  event.preventDefault();
  if (!event.repeat) hold(button);
});
document.addEventListener("keyup", (event) => event.key === " " && release());
document.addEventListener("pointerdown", (event) => event.target.closest("[data-hold]") && hold(event.target.closest("[data-hold]")));
for (const end of ["pointerup", "pointercancel", "blur"]) addEventListener(end, release);

// ---- every second: clock, ages, stills, watchdog

function two(number) {
  return String(Math.floor(number)).padStart(2, "0");
}

async function refresh(img) {
  if (img.dataset.busy) return;
  img.dataset.busy = "1";
  const next = new Image();
  for (const { name, value } of img.attributes) if (name !== "src" && name !== "data-busy") next.setAttribute(name, value);
  next.src = `${img.dataset.refresh}${img.dataset.refresh.includes("?") ? "&" : "?"}t=${Date.now()}`;
  try {
    await next.decode(); // off the screen, so that the picture never blinks
    next.classList.remove("stale");
    img.replaceWith(next);
  } catch {
    img.classList.add("stale");
    delete img.dataset.busy;
  }
}

function second() {
  const now = Date.now() + ahead;
  const clock = new Date(now + 7 * 3600 * 1000).toISOString().slice(11, 19); // Viet Nam keeps one offset all year
  for (const sign of document.querySelectorAll("[data-clock]")) sign.textContent = clock;
  for (const sign of document.querySelectorAll("[data-since]")) {
    const age = Math.max(0, now / 1000 - Number(sign.dataset.since));
    if (sign.dataset.stale) sign.closest("[data-key]")?.classList.toggle("stale", age > Number(sign.dataset.stale));
    sign.textContent = age < 3600 ? `${two(age / 60)}:${two(age % 60)}` : `${two(age / 3600)}:${two((age / 60) % 60)}:${two(age % 60)}`;
  }
  if (!document.hidden) document.querySelectorAll("img[data-refresh]").forEach(refresh);
  const sound = document.getElementById("sound");
  const on = hears();
  body.classList.toggle("silenced", performance.now() < silentUntil);
  if (sound && sound.dataset.state !== String(on)) {
    sound.dataset.state = String(on);
    sound.lastElementChild.textContent = on ? sound.dataset.on : sound.dataset.off;
    sound.title = on ? sound.dataset.on : sound.dataset.hint;
  }
  alarm();
  if (source && !retry && performance.now() - heardAt > SILENCE_MS) lost();
}

ring(body, true);
second();
setInterval(second, 1000);
if (body.dataset.live) {
  addEventListener("online", hurry);
  document.addEventListener("visibilitychange", hurry);
  addEventListener("pagehide", () => source?.close());
  addEventListener("pageshow", (event) => event.persisted && connect());
  connect();
}
