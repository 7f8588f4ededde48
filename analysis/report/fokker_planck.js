const densityCourses = [["free energy", "free_energy", "F [nat]", false], ["TV to exact", "tv", "total variation", true], ["entropy", "entropy", "entropy [nat]", false], ["|mass - 1|", "mass", "|mass - 1|", true], ["edge mass", "edge_mass", "edge mass", true], ["BDF steps", "steps", "steps so far", false]];

// A slider over stored times with a play button; show(k) paints.
function scrubber(run, show) {
  let timer = null, k = 0;
  const slider = el("input", { type: "range", min: 0, max: run().times - 1, value: 0, step: 1, oninput: () => (stop(), go(Number(slider.value))) });
  const play = el("button", { type: "button", onclick: () => (timer ? stop() : start()) }, "Play");
  const facts = el("dl", { class: "facts" });
  function go(time) {
    k = Math.max(0, Math.min(time, run().times - 1));
    slider.max = run().times - 1;
    slider.value = k;
    const told = show(k);
    slider.setAttribute("aria-valuetext", told.map(([name, v]) => `${name} ${v}`).join(", "));
    facts.replaceChildren(...told.map(([name, v]) => el("div", {}, el("dt", {}, name), el("dd", {}, v))));
  }
  function stop() {
    clearInterval(timer);
    timer = null;
    play.textContent = "Play";
  }
  function start() {
    if (k === run().times - 1) go(0);
    play.textContent = "Pause";
    timer = setInterval(() => (k < run().times - 1 ? go(k + 1) : stop()), 150);
  }
  return { go, now: () => k, elements: [labelled("Time, in the order of the run", slider), el("div", { class: "controls" }, play), facts] };
}
const densityFacts = (run, k, flux) => [["t", short(run.t[k])], ["b", short(run.b[k])], ["F [nat]", short(run.free_energy[k])], ["TV to exact", short(run.tv[k])], ["mass - 1", short(run.mass[k])],
  ["largest flux", flux === null ? "-" : short(flux)], ["time", `${k + 1} of ${run.times}`]];
const shades = (context, values, columns, rows, most, width, height) => {
  const layer = el("canvas", { width: columns, height: rows }), inner = layer.getContext("2d"), image = inner.createImageData(columns, rows), rgb = css("--ramp").split(",").map(Number);
  values.forEach((v, e) => image.data.set([...rgb, 255 * Math.sqrt(Math.max(0, v) / (most || 1))], 4 * e));
  inner.putImageData(image, 0, 0);
  context.fillStyle = css("--panel");
  context.fillRect(0, 0, width, height);
  context.drawImage(layer, 0, 0, width, height);
};
const runCaption = (runs) => runs.map((r) => `${r.name}: ${r.equation}.`).join(" ") + (runs.some((r) => r.stored > r.times) ? ` ${Math.max(...runs.map((r) => r.times))} of ${Math.max(...runs.map((r) => r.stored))} stored times.` : "") +
  (runs.some((r) => r.step > 1) ? ` Means over ${runs[0].dim === 2 ? `${runs[0].step} x ${runs[0].step}` : runs[0].step} of the ${runs[0].cells_x}${runs[0].dim === 2 ? ` x ${runs[0].cells_y}` : ""} cells.` : "");

// Words that stay readable on any shade.
function plate(context, text, x, y) {
  context.font = "12px system-ui, sans-serif";
  context.fillStyle = css("--panel");
  context.fillRect(x - 3, y - 11, context.measureText(text).width + 6, 15);
  context.fillStyle = css("--muted");
  context.fillText(text, x, y);
}

// The plane: density shaded, flux as arrows.
function fluxStage(runs) {
  let run = runs[0];
  const wide = 560, high = Math.round(Math.min(900, Math.max(240, (wide * (run.y_high - run.y_low)) / (run.x_high - run.x_low))));
  const { canvas, context } = canvasFor(wide, high, "density and flux");
  const arrows = el("input", { type: "checkbox", checked: true, onchange: () => paint() });
  const fields = new Map(runs.map((r) => [r, { density: unpack(r.density), flux: r.flux ? unpack(r.flux) : null }]));
  let k = 0;
  const px = (x) => ((x - run.x_low) / (run.x_high - run.x_low)) * wide, py = (y) => high - ((y - run.y_low) / (run.y_high - run.y_low)) * high;
  const blockCount = (step) => [Math.ceil(run.cells_x / step), Math.ceil(run.cells_y / step)];
  const middle = (i, step, n, low, top) => low + ((Math.min(n, (i + 1) * step) + i * step) / 2 / n) * (top - low);
  function fluxAt() {
    const { flux } = fields.get(run);
    if (!flux) return null;
    const [nx, ny] = blockCount(run.arrow_step), each = nx * ny, at = 2 * k * each, list = [];
    for (let e = 0; e < each; e++) {
      list.push({ x: middle(Math.floor(e / ny), run.arrow_step, run.cells_x, run.x_low, run.x_high), y: middle(e % ny, run.arrow_step, run.cells_y, run.y_low, run.y_high), u: flux[at + e], v: flux[at + each + e] });
    }
    return { list, most: Math.max(...list.map((a) => Math.hypot(a.u, a.v))), size: Math.min(wide / nx, high / ny) };
  }
  function arrow({ x, y, u, v }, most, size) {
    const strength = Math.hypot(u, v), long = size * Math.sqrt(strength / most), ux = u / strength, uy = -v / strength;
    if (!(long > 0.12 * size)) return;
    const [x0, y0] = [px(x) - (ux * long) / 2, py(y) - (uy * long) / 2], [x1, y1] = [x0 + ux * long, y0 + uy * long], head = Math.min(6, 0.45 * long);
    context.moveTo(x0, y0);
    context.lineTo(x1, y1);
    context.moveTo(x1 - head * (ux + 0.6 * uy), y1 - head * (uy - 0.6 * ux));
    context.lineTo(x1, y1);
    context.lineTo(x1 - head * (ux - 0.6 * uy), y1 - head * (uy + 0.6 * ux));
  }
  function paint() {
    const [nx, ny] = blockCount(run.step), each = nx * ny, density = fields.get(run).density.subarray(k * each, (k + 1) * each), flux = fluxAt();
    shades(context, Float64Array.from({ length: each }, (_, e) => density[(e % nx) * ny + ny - 1 - Math.floor(e / nx)]), nx, ny, Math.max(...density), wide, high);
    for (const v of niceTicks(run.x_low, run.x_high, 6)) if (px(v) > 30 && px(v) < wide - 20) plate(context, String(v), px(v) - 4, high - 6);
    for (const v of niceTicks(run.y_low, run.y_high, 6)) if (py(v) > 16 && py(v) < high - 24) plate(context, String(v), 6, py(v) + 4);
    if (!flux || !arrows.checked) return;
    context.beginPath();
    context.strokeStyle = css("--ink");
    context.lineWidth = 1.3;
    for (const a of flux.list) arrow(a, flux.most, flux.size);
    context.stroke();
  }
  const time = scrubber(() => run, (at) => {
    k = at;
    const flux = fluxAt(), told = densityFacts(run, k, flux && flux.most);
    canvas.setAttribute("aria-label", `density and probability flux, ${run.name}, at ${told.map(([name, v]) => `${name} ${v}`).join(", ")}`);
    paint();
    return told;
  });
  time.go(Math.floor(0.25 * (run.times - 1)));
  painters.push(paint);
  const controls = [runs.length > 1 ? choice("Direction", runs.map((r) => r.name), (i) => ((run = runs[i]), time.go(time.now()))) : null, labelled("Flux", arrows)];
  return figure({ title: "Density and flux", controls, picture: el("div", { class: "stage" }, canvas, el("div", {}, ...time.elements)),
    caption: `Shading: the square root of the density. Arrows: probability flux per b, in the direction of the run; their lengths go as its square root, the longest is the largest flux of that time. ${runCaption(runs)}` });
}

// The line: all times as a map, one as curves.
function densityLine(runs) {
  let run = runs[0], k = 0, what = 0;
  const wide = 560, high = 320, { canvas, context } = canvasFor(wide, high, "density"), fields = new Map(runs.map((r) => [r, Object.fromEntries(["density", "exact", "flux"].map((key) => [key, r[key] ? unpack(r[key]) : null]))]));
  const slice = (values, at = k) => Array.from(values.subarray(at * run.x.length, (at + 1) * run.x.length));
  const curve = (name, key, i, dash) => ({ name, color: colour(i), dash, marker: null, points: slice(fields.get(run)[key]).map((y, e) => ({ x: run.x[e], y, text: `x ${short(run.x[e])}\n${short(y)}` })) });
  const series = () => (what ? [curve("flux", "flux", 2, "")] : [curve("on cells", "density", 0, ""), ...(fields.get(run).exact ? [curve("exact", "exact", 1, "6 3")] : [])]);
  const chart = plot(() => ({ label: `${what ? "flux" : "density"}, ${run.name}, at t ${short(run.t[k])}`, height: 300, x: { label: "x", tight: true }, y: what ? { label: "flux per b" } : { label: "density", low: 0 }, series: series() }));
  function paint() {
    const n = run.x.length, { density } = fields.get(run), columns = run.times, most = Array.from({ length: columns }, (_, c) => Math.max(...slice(density, c)));
    shades(context, Float64Array.from({ length: n * columns }, (_, e) => density[(e % columns) * n + n - 1 - Math.floor(e / columns)] / (most[e % columns] || 1)), columns, n, 1, wide, high);
    context.fillStyle = css("--c1");
    context.fillRect(((k + 0.5) / columns) * wide - 1, 0, 2, high);
    for (const v of niceTicks(run.x_low, run.x_high, 6)) {
      const y = high - ((v - run.x_low) / (run.x_high - run.x_low)) * high;
      if (y > 14 && y < high - 22) plate(context, `x ${v}`, 6, y + 4);
    }
    for (const share of [0.25, 0.5, 0.75]) plate(context, `t ${short(run.t[Math.round(share * (columns - 1))])}`, share * wide - 12, high - 6);
  }
  const time = scrubber(() => run, (at) => {
    k = at;
    const flux = fields.get(run).flux, told = densityFacts(run, k, flux && Math.max(...slice(flux).map(Math.abs)));
    canvas.setAttribute("aria-label", `density over x and time, ${run.name}, marked at ${told.map(([name, v]) => `${name} ${v}`).join(", ")}`);
    paint();
    chart.draw();
    return told;
  });
  time.go(Math.floor(0.25 * (run.times - 1)));
  painters.push(paint);
  const controls = [runs.length > 1 ? choice("Direction", runs.map((r) => r.name), (i) => ((run = runs[i]), time.go(time.now()))) : null,
    runs.every((r) => r.flux) ? choice("Curve", ["density", "flux"], (i) => ((what = i), chart.draw())) : null];
  return figure({ title: "Density in time", controls, picture: [el("div", { class: "stage" }, canvas, el("div", {}, ...time.elements)), chart.element],
    caption: `Above: the density over x (upwards) and time (to the right, in the order of the run), square root of its share of that time's largest. Below: at the marked time${runs.some((r) => r.exact) ? "; dashed: the model's own law" : ""}. ${runCaption(runs)}`,
    table: () => ({ caption: `${run.name} at t ${short(run.t[k])}`, columns: [{ name: "x" }, ...series().map((s) => ({ name: s.name }))], rows: run.x.map((x, e) => [numberCell(x), ...series().map((s) => numberCell(s.points[e].y))]) }) });
}

function densityByTime(d) {
  const shown = densityCourses.filter(([, key]) => d.runs.some((r) => r[key].some(known)));
  let view = shown[0];
  const series = d.runs.map((r, i) => ({ name: r.name, ...look(i), marker: null, on: true, points: [] }));
  const chart = plot(() => {
    series.forEach((s, i) => (s.points = d.runs[i][view[1]].map((v, k) => ({ x: d.runs[i].t[k], y: view[1] === "mass" && known(v) ? Math.abs(v) : v, text: `t ${short(d.runs[i].t[k])}\n${short(v)}` }))));
    return { label: `${view[0]} against t`, x: { label: "t" }, y: { label: view[2], log: view[3] }, series };
  });
  return figure({ title: "By time", controls: [choice("Quantity", shown.map((v) => v[0]), (i) => ((view = shown[i]), chart.draw()))], picture: [chart.element, series.length > 1 ? legend(series, chart.draw).element : null].filter(Boolean),
    caption: "F = KL(density, N(0, I)) over the cells. Values of 0 are not on a logarithmic axis. The numbers are in the table below." });
}

sections.fokker_planck = {
  title: "Fokker-Planck densities", short: "Fokker-Planck",
  draw(d, section) {
    const plane = d.runs.filter((r) => r.dim === 2), line = d.runs.filter((r) => r.dim === 1);
    if (plane.length) section.append(fluxStage(plane));
    if (line.length) section.append(densityLine(line));
    if (d.runs.length) section.append(densityByTime(d));
    section.append(sortableTable({ ...d.table, caption: "Mass, distance to the exact law, and free energy by time" }));
    return d.table.rows.length > 0;
  },
};
