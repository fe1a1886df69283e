// Zones drawn on a fresh picture. What is on the sheet is a function of `zones`; each change is kept for undo.

import { ask, busy } from "./cameras.js";

const part = document.querySelector(".zones");
const { zones: first, here, ...told } = JSON.parse(part.dataset.zones);
const sheet = part.querySelector(".sheet");
const layer = sheet.querySelector("g");
const list = part.querySelector("ul");
const row = part.querySelector("template");
const output = part.querySelector("output");
const saved = part.querySelector("[role=status]");
const LINES = new Set(["exit-line", "count-line"]);
const WIDE = 1600;
let high = 900;
let zones = first;
let chosen = zones.length ? 0 : -1;
let drawing = null; // the corners of a zone that is being drawn
let bodies = null;
let was = told.was;
const past = [];

function svg(name, attributes, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function change(make) {
  past.push(JSON.stringify(zones));
  if (past.length > 100) past.shift();
  make();
  saved.hidden = true;
  paint();
}

const spot = ([x, y]) => [x * WIDE, y * high];
const path = (polygon) => polygon.map((point) => spot(point).join(",")).join(" ");

function inside(polygon, [x, y]) {
  let odd = false;
  for (let i = 0, j = polygon.length - 1; i < polygon.length; j = i++) {
    const [[ax, ay], [bx, by]] = [polygon[i], polygon[j]];
    if (ay > y !== by > y && x < ((bx - ax) * (y - ay)) / (by - ay) + ax) odd = !odd;
  }
  return odd;
}

// People are where they stand: the middle of the lower edge.
function people(zone) {
  if (!bodies || LINES.has(zone.kind)) return null;
  return bodies.filter(([x, y, w, h]) => inside(zone.polygon, [x + w / 2, y + h])).length;
}

// The side that counts: out over an exit line is its right hand as it is drawn, in over a counting line its left.
function arrow(zone) {
  const [from, to] = [spot(zone.polygon[0]), spot(zone.polygon[1])];
  const middle = [(from[0] + to[0]) / 2, (from[1] + to[1]) / 2];
  const along = [to[0] - from[0], to[1] - from[1]];
  const length = Math.hypot(...along) || 1;
  const hand = zone.kind === "exit-line" ? 1 : -1;
  const across = [(-along[1] / length) * hand, (along[0] / length) * hand];
  const tip = [middle[0] + across[0] * 70, middle[1] + across[1] * 70];
  const barb = (turn) => [tip[0] - across[0] * 26 + (along[0] / length) * 18 * turn, tip[1] - across[1] * 26 + (along[1] / length) * 18 * turn];
  return svg("polyline", { points: [middle, tip, barb(1), tip, barb(-1)].map((p) => p.join(",")).join(" "), class: "arrow" });
}

function paint() {
  const seen = (bodies ?? []).map(([x, y, w, h]) => svg("rect", { x: x * WIDE, y: y * high, width: w * WIDE, height: h * high, class: "body" }));
  const drawn = zones.flatMap((zone, i) => {
    const line = LINES.has(zone.kind);
    const shape = svg(line ? "polyline" : "polygon", { points: path(zone.polygon), class: `zone ${zone.kind}${i === chosen ? " chosen" : ""}`, "data-zone": i });
    const [x, y] = spot(zone.polygon[0] ?? [0, 0]);
    const name = svg("text", { x: x + 10, y: Math.max(y - 10, 24) }, zone.id);
    const corners = i === chosen ? zone.polygon.map((point, j) => svg("circle", { cx: spot(point)[0], cy: spot(point)[1], r: 13, "data-corner": j })) : [];
    return [shape, ...(line && zone.polygon.length > 1 ? [arrow(zone)] : []), name, ...corners];
  });
  const open = drawing ? [svg("polyline", { points: path(drawing), class: "zone chosen" }), ...drawing.map((point) => svg("circle", { cx: spot(point)[0], cy: spot(point)[1], r: 13 }))] : [];
  layer.replaceChildren(...seen, ...drawn, ...open);
  part.querySelector("[data-drawing]").hidden = !drawing;
  rows();
}

function rows() {
  while (list.children.length > zones.length) list.lastElementChild.remove();
  while (list.children.length < zones.length) list.append(row.content.cloneNode(true));
  zones.forEach((zone, i) => {
    const item = list.children[i];
    item.classList.toggle("chosen", i === chosen);
    item.dataset.zone = i;
    const points = zone.polygon.map((point) => point.map((v) => +v.toFixed(4)).join(",")).join(" ");
    for (const [name, value] of Object.entries({ id: zone.id, kind: zone.kind, points })) {
      const field = item.querySelector(`[name=${name}]`);
      if (field !== document.activeElement) field.value = value;
    }
    item.querySelector("[data-do=turn]").hidden = !LINES.has(zone.kind);
    const count = item.querySelector("[data-people]");
    const here = people(zone);
    count.textContent = here === null ? count.dataset.unknown : count.dataset.people.replace("@", here);
  });
}

function at(event) {
  const place = sheet.getBoundingClientRect();
  const clip = (value) => Math.min(Math.max(value, 0), 1);
  return [clip((event.clientX - place.left) / place.width), clip((event.clientY - place.top) / place.height)];
}

function close() {
  if (!drawing) return;
  const polygon = drawing;
  drawing = null;
  if (polygon.length < 2) return paint();
  change(() => {
    let number = 1;
    while (zones.some((zone) => zone.id === `zone-${number}`)) number++;
    zones = [...zones, { id: `zone-${number}`, was: "", kind: polygon.length > 2 ? "stay-inside" : "exit-line", polygon }];
    chosen = zones.length - 1;
  });
}

let held = null;
sheet.addEventListener("pointerdown", (event) => {
  const corner = event.target.dataset.corner;
  if (drawing) {
    const point = at(event);
    const [x, y] = spot(point);
    const [fx, fy] = drawing.length ? spot(drawing[0]) : [Infinity, Infinity];
    if (drawing.length > 2 && Math.hypot(x - fx, y - fy) < 22) return close();
    drawing.push(point);
    return paint();
  }
  if (corner !== undefined) {
    held = { corner: Number(corner), before: JSON.stringify(zones) };
    sheet.setPointerCapture(event.pointerId);
  } else if (event.target.dataset.zone !== undefined) {
    chosen = Number(event.target.dataset.zone);
    paint();
  }
});
sheet.addEventListener("pointermove", (event) => {
  if (!held) return;
  zones[chosen].polygon[held.corner] = at(event);
  paint();
});
sheet.addEventListener("pointerup", () => {
  if (held && held.before !== JSON.stringify(zones)) past.push(held.before), (saved.hidden = true);
  held = null;
});
document.addEventListener("keydown", (event) => {
  if (!drawing) return;
  if (event.key === "Enter") event.preventDefault(), close();
  if (event.key === "Escape") (drawing = null), paint();
});

list.addEventListener("change", (event) => {
  const i = Number(event.target.closest("li").dataset.zone);
  const { name, value } = event.target;
  change(() => {
    chosen = i;
    if (name !== "points") return void (zones[i][name] = value.trim());
    const points = value.trim().split(/\s+/).map((pair) => pair.split(",").map(Number));
    if (points.every((point) => point.length === 2 && point.every((v) => v >= 0 && v <= 1))) zones[i].polygon = points;
  });
});
list.addEventListener("focusin", (event) => {
  const i = Number(event.target.closest("li").dataset.zone);
  if (i !== chosen) (chosen = i), paint();
});

const DO = {
  draw: () => ((drawing = []), sheet.focus(), paint()),
  undo() {
    if (drawing?.length) drawing.pop();
    else if (past.length) zones = JSON.parse(past.pop());
    chosen = Math.min(chosen, zones.length - 1);
    saved.hidden = true;
    paint();
  },
  fresh: look,
  turn: (i) => change(() => zones[i].polygon.reverse()),
  delete: (i) =>
    change(() => {
      zones.splice(i, 1);
      chosen = Math.min(chosen, zones.length - 1);
    }),
  save(_, button) {
    close();
    output.textContent = "";
    busy(button, async () => {
      try {
        ({ was } = await ask(`${here}/zones`, JSON.stringify({ was, zones }), { "content-type": "application/json" }));
        for (const zone of zones) zone.was = zone.id;
        for (const field of document.querySelectorAll("input[name=was]")) field.value = was;
        saved.hidden = false;
      } catch (error) {
        output.textContent = error.message;
      }
    });
  },
};
part.addEventListener("click", (event) => {
  const button = event.target.closest("[data-do]");
  if (button) DO[button.dataset.do](Number(button.closest("li")?.dataset.zone ?? -1), button);
});

async function look() {
  const image = sheet.querySelector("image");
  try {
    const still = await ask(`${here}/still`);
    const picture = new Image();
    picture.src = `data:image/jpeg;base64,${still.jpeg}`;
    await picture.decode();
    high = Math.round((WIDE * picture.naturalHeight) / picture.naturalWidth);
    sheet.setAttribute("viewBox", `0 0 ${WIDE} ${high}`);
    image.setAttribute("height", high);
    image.setAttribute("href", picture.src);
    bodies = still.bodies;
    const taken = part.querySelector("[data-taken]");
    taken.textContent = taken.dataset.taken.replace("@", new Date(still.seen_at).toLocaleTimeString("vi", { timeZone: "Asia/Ho_Chi_Minh" }));
    output.textContent = "";
  } catch (error) {
    bodies = null;
    output.textContent = error.message;
  }
  paint();
}

paint();
look();
