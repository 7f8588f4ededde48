// A figure with its name, controls, caption, and its data as a table on demand.
function figure({ title, controls, picture, caption, table }) {
  const holder = el("div");
  const button = table && el("button", { type: "button", class: "data", "aria-expanded": "false", onclick: toggle }, "Show data as table");
  function toggle() {
    const open = button.getAttribute("aria-expanded") === "true";
    button.setAttribute("aria-expanded", String(!open));
    button.textContent = open ? "Show data as table" : "Hide the table";
    holder.replaceChildren(...(open ? [] : [sortableTable(table())]));
  }
  return el("figure", {}, el("h3", {}, title), controls ? el("div", { class: "controls" }, ...controls) : null, ...[picture].flat(),
    el("figcaption", {}, caption), button ? el("div", { class: "controls" }, button) : null, holder);
}
const numberCell = (v) => (known(v) ? { v, t: short(v) } : { v: null, t: "-" });

const markers = [
  "M-3.5 0a3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0-7 0z", "M-3.2-3.2h6.4v6.4h-6.4z", "M0-4.2L4 3.2H-4z", "M0-4.6L4.6 0L0 4.6L-4.6 0z",
  "M0 4.2L4-3.2H-4z", "M-4-1.2h2.8v-2.8h2.4v2.8h2.8v2.4h-2.8v2.8h-2.4v-2.8h-2.8z",
];
const dashes = ["", "6 3", "2 3"];
// One of 7 x 6 x 3 looks, the first ones furthest apart.
const look = (i) => ({ color: colour(i), marker: markers[(i + Math.floor(i / 7)) % 6], dash: dashes[Math.floor(i / 42) % 3] });
function swatch(style) {
  return svg("svg", { viewBox: "0 0 22 12", "aria-hidden": "true" },
    svg("line", { x1: 0, x2: 22, y1: 6, y2: 6, stroke: style.color, "stroke-width": 2, "stroke-dasharray": style.dash }),
    svg("path", { d: style.marker, transform: "translate(11 6)", fill: style.color }));
}

// Toggle buttons, a series each; changed() after each change of series[i].on.
function legend(series, changed) {
  const buttons = series.map((s) =>
    el("button", { type: "button", "aria-pressed": String(s.on), onclick: () => ((s.on = !s.on), update()) }, swatch(s), s.name));
  function update() {
    buttons.forEach((b, i) => b.setAttribute("aria-pressed", String(series[i].on)));
    changed();
  }
  return { element: el("ul", { class: "legend", "aria-label": "Series" }, ...buttons.map((b) => el("li", {}, b))), update };
}
