// Line plots and histograms as SVG.
//   x, y: {label, log, low, high}; series: [{name, color, marker, dash, on, band, points: [{x, y, low, high, text}]}]
//   guides: slopes; floors: [{y, name}]; bars: [{x0, x1, y, text}]
function niceTicks(low, high, count, least = 0) {
  const raw = Math.max((high - low) / count, least), power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= raw * 0.999);
  const ticks = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + 1e-9 * step; i++) ticks.push(Number((i * step).toPrecision(12)));
  return ticks;
}
function logTicks(low, high, count) {
  const from = Math.ceil(Math.log10(low) - 1e-9), to = Math.floor(Math.log10(high) + 1e-9);
  const every = Math.max(1, Math.ceil((to - from + 1) / count)), ticks = [];
  for (let p = from; p <= to; p += every) ticks.push(10 ** p);
  if (ticks.length > 1) return ticks;
  for (let p = from - 1; p <= to; p++) for (const m of [2, 5]) if (m * 10 ** p >= low && m * 10 ** p <= high) ticks.push(m * 10 ** p);
  return ticks.sort((a, b) => a - b);
}
function tickText(value, log) {
  const power = Math.round(Math.log10(Math.abs(value)));
  if (!log || (value >= 0.01 && value <= 1000)) return [Number(value.toPrecision(6)).toString()];
  if (Math.abs(value / 10 ** power - 1) > 1e-9) return [value.toExponential(0)];
  return ["10", svg("tspan", { dy: -5, "font-size": 9 }, String(power).replace("-", "−"))];
}

function scale(axis, values, from, to) {
  const f = axis.log ? Math.log10 : (v) => v;
  const usable = values.filter((v) => known(v) && (!axis.log || v > 0));
  let low = axis.low ?? Math.min(...usable), high = axis.high ?? Math.max(...usable);
  if (!usable.length) [low, high] = [1, 10];
  if (!(high - low > 1e-9 * Math.abs(high))) [low, high] = axis.log ? [low / 2, high * 2] : [low - 0.5, high + 0.5];
  const pad = axis.tight ? 0 : 0.04 * (f(high) - f(low));
  const a = f(low) - (axis.low === undefined ? pad : 0), b = f(high) + pad;
  const g = axis.log ? (v) => 10 ** v : (v) => v;
  const place = (v) => from + ((f(v) - a) / (b - a)) * (to - from);
  return { place, low: g(a), high: g(b), fits: (v) => known(v) && (!axis.log || v > 0) };
}

function drawAxes(parts, spec, x, y, box, width) {
  const xTicks = (spec.x.log ? logTicks : niceTicks)(x.low, x.high, width < 500 ? 4 : 8);
  const yTicks = (spec.y.log ? logTicks : niceTicks)(y.low, y.high, 7, spec.bars ? 1 : 0);
  for (const v of yTicks) {
    const at = y.place(v);
    parts.push(svg("line", { class: "grid", x1: box.left, x2: box.right, y1: at, y2: at }),
      svg("text", { x: box.left - 8, y: at + 4, "text-anchor": "end" }, ...tickText(v, spec.y.log)));
  }
  for (const v of xTicks) {
    const at = x.place(v);
    parts.push(svg("line", { class: "axis", x1: at, x2: at, y1: box.bottom, y2: box.bottom + 5 }),
      svg("text", { x: at, y: box.bottom + 19, "text-anchor": "middle" }, ...tickText(v, spec.x.log)));
  }
  parts.push(svg("line", { class: "axis", x1: box.left, x2: box.right, y1: box.bottom, y2: box.bottom }),
    svg("text", { class: "label", x: (box.left + box.right) / 2, y: box.bottom + 40, "text-anchor": "middle" }, spec.x.label),
    svg("text", { class: "label", x: 0, y: 12 }, spec.y.label));
}

// Lines of slope -p through the upper left, where there is room for them.
function drawGuides(parts, spec, x, y, box) {
  for (const p of spec.guides || []) {
    const from = spec.guideFrom ?? x.low * 1.15, top = spec.guideTop ?? y.high / 1.3;
    let to = Math.min(x.high, from * (top / y.low) ** (1 / p));
    const [x1, y1, x2, y2] = [x.place(from), y.place(top), x.place(to), y.place(top * (to / from) ** -p)];
    parts.push(svg("line", { class: "guide", x1, y1, x2, y2 }),
      svg("text", { x: Math.min(x2 + 3, box.right - 12), y: Math.min(y2 + (to < x.high ? -4 : 0), box.bottom - 4) }, `−${p}`));
  }
}

function drawFloors(parts, spec, y, box) {
  for (const floor of (spec.floors || []).filter((f) => y.fits(f.y))) {
    const at = Math.max(box.top, Math.min(box.bottom, y.place(floor.y)));
    parts.push(floor.line ? svg("line", { class: "guide", x1: box.left, x2: box.right, y1: at, y2: at })
      : svg("rect", { class: "floor", x: box.left, y: at, width: box.right - box.left, height: box.bottom - at }),
      svg("text", { x: box.right - 6, y: Math.min(at + 15, box.bottom - 4), "text-anchor": "end" }, floor.name));
  }
}

// Interval ends in the picture; one that a logarithmic axis does not have is its lower edge, and `cut`.
function withInterval(p, y) {
  if (!known(p.low) || !known(p.high) || !(p.high > p.low) || !y.fits(p.high)) return p;
  return { ...p, phigh: y.place(p.high), plow: y.fits(p.low) ? y.place(p.low) : y.place(y.low), cut: !y.fits(p.low) };
}

function drawSeries(parts, s, x, y, targets) {
  const points = s.points.filter((p) => x.fits(p.x) && y.fits(p.y)).map((p) => ({ ...p, px: x.place(p.x), py: y.place(p.y), s }))
    .map((p) => withInterval(p, y));
  const both = points.filter((p) => p.phigh !== undefined);
  if (both.length > 1) {
    const up = both.map((p) => `${p.px} ${p.phigh}`), downward = both.map((p) => `${p.px} ${p.plow}`).reverse();
    parts.push(svg("path", { d: `M${up.concat(downward).join("L")}Z`, fill: s.color, opacity: 0.14 }));
  }
  for (const p of s.band ? [] : both) parts.push(svg("line", { x1: p.px, x2: p.px, y1: p.plow, y2: p.phigh, stroke: s.color, "stroke-width": 1.2 }));
  for (const p of both.filter((p) => p.cut)) parts.push(svg("path", { class: "cut", d: `M${p.px - 4} ${p.plow - 6}h8l-4 6Z`, fill: s.color }));
  if (points.length > 1) {
    parts.push(svg("path", { d: "M" + points.map((p) => `${p.px.toFixed(1)} ${p.py.toFixed(1)}`).join("L"), fill: "none", stroke: s.color,
      "stroke-width": s.width ?? 1.8, "stroke-dasharray": s.dash || null, "stroke-linejoin": "round" }));
  }
  if (s.marker) for (const p of points) parts.push(svg("path", { d: s.marker, transform: `translate(${p.px} ${p.py})`, fill: s.color }));
  targets.push(...points);
}

function drawBars(parts, spec, x, y, targets) {
  for (const bar of spec.bars || []) {
    const left = x.place(bar.x0), right = x.place(bar.x1), top = y.place(bar.y);
    if (bar.y > 0) parts.push(svg("rect", { x: left + 0.5, y: top, width: Math.max(1, right - left - 1), height: y.place(0) - top, fill: bar.color ?? colour(0) }));
    targets.push({ px: (left + right) / 2, py: top, text: bar.text });
  }
}

function plotPicture(spec, width) {
  const height = spec.height ?? Math.round(Math.min(460, Math.max(260, width * 0.55)));
  const box = { left: 56, right: width - 14, top: 26, bottom: height - 50 };
  const shown = (spec.series || []).filter((s) => s.on !== false), points = (spec.scaleBy ?? shown).flatMap((s) => s.points), bars = spec.bars || [];
  const x = scale(spec.x, points.map((p) => p.x).concat(bars.flatMap((b) => [b.x0, b.x1])), box.left, box.right);
  const y = scale(spec.y, points.flatMap((p) => [p.y, p.low, p.high]).concat(bars.map((b) => b.y)), box.bottom, box.top);
  const parts = [], targets = [];
  drawFloors(parts, spec, y, box);
  drawAxes(parts, spec, x, y, box, width);
  drawGuides(parts, spec, x, y, box);
  drawBars(parts, spec, x, y, targets);
  shown.forEach((s) => drawSeries(parts, s, x, y, targets));
  return { picture: svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": spec.label }, ...parts), targets, width };
}

// A plot that follows its width; returns {element, draw}.
function plot(makeSpec) {
  const element = el("div", { class: "picture" }), tip = el("div", { class: "tip", hidden: true });
  let current = null, width = 0;
  function draw() {
    if (!width) return;
    current = plotPicture(makeSpec(), width);
    element.replaceChildren(current.picture, tip);
  }
  element.addEventListener("pointermove", (event) => {
    if (!current) return;
    const frame = element.getBoundingClientRect(), px = event.clientX - frame.left, py = event.clientY - frame.top;
    let best = null, least = 30 * 30;
    for (const p of current.targets) {
      const d = (p.px - px) ** 2 + (p.s ? (p.py - py) ** 2 : 0);
      if (d < least) [best, least] = [p, d];
    }
    tip.hidden = !best;
    if (!best) return;
    tip.textContent = best.s ? `${best.s.name}\n${best.text}` : best.text;
    tip.style.left = `${Math.max(0, Math.min(best.px + 10, width - tip.offsetWidth - 4))}px`;
    tip.style.top = `${Math.max(0, best.py - tip.offsetHeight - 10)}px`;
  });
  element.addEventListener("pointerleave", () => (tip.hidden = true));
  responsive(element, (w) => ((width = w), draw()));
  return { element, draw };
}

const histogramBars = (h) => h.counts.map((y, i) => {
  const step = (h.high - h.low) / h.counts.length, x0 = h.low + i * step;
  return { x0, x1: x0 + step, y, text: `${short(x0)} to ${short(x0 + step)}\n${y}` };
});
const histogramTable = (h, caption, name) => ({
  caption, columns: [{ name: `${name} from` }, { name: "to" }, { name: "samples" }],
  rows: histogramBars(h).map((b) => [numberCell(b.x0), numberCell(b.x1), numberCell(b.y)]),
});
