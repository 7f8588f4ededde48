// A canvas of `size` CSS pixels a side and its context, at the screen's resolution.
function canvasFor(width, height, name) {
  const ratio = Math.min(2, window.devicePixelRatio || 1);
  const canvas = el("canvas", { width: Math.round(width * ratio), height: Math.round(height * ratio), role: "img", "aria-label": name });
  const context = canvas.getContext("2d");
  context.scale(ratio, ratio);
  return { canvas, context };
}
// The square that holds nearly all of these points (x, y in turn).
function limits(arrays) {
  let far = 0;
  for (const points of arrays) {
    const sizes = Array.from(points, Math.abs).filter(Number.isFinite).sort((a, b) => a - b);
    if (sizes.length) far = Math.max(far, sizes[Math.floor(0.998 * (sizes.length - 1))]);
  }
  return 1.12 * (far || 1);
}

function drawPictures(canvas, run, pixels, first, columns, rows, gap) {
  const w = run.columns, h = run.rows, size = w * h * run.channels;
  canvas.width = columns * (w + gap) - gap;
  canvas.height = rows * (h + gap) - gap;
  const context = canvas.getContext("2d");
  for (let i = 0; i < columns * rows && (first + i + 1) * size <= pixels.length; i++) {
    const image = context.createImageData(w, h);
    for (let e = 0; e < w * h; e++) {
      for (let c = 0; c < 3; c++) image.data[4 * e + c] = pixels[(first + i) * size + e * run.channels + (run.channels === 3 ? c : 0)];
      image.data[4 * e + 3] = 255;
    }
    context.putImageData(image, (i % columns) * (w + gap), Math.floor(i / columns) * (h + gap));
  }
}
const gray = (run) => `Black is ${short(run.range[0])}, white ${short(run.range[1])}` + (run.allChannels > 1 && run.channels === 1 ? "; the first channel of " + run.allChannels : "");

function sampleSheets(runs) {
  const sheet = el("div", { class: "sheet" });
  for (const run of runs) {
    const pixels = unpack(run.pixels), canvas = el("canvas", { class: "crisp", role: "img", "aria-label": `${run.shown} samples of ${run.name}` });
    const cell = el("div", {}, canvas);
    responsive(cell, (width) => {
      const zoom = Math.max(1, Math.min(6, Math.round(56 / run.columns)));
      const fit = Math.max(1, Math.min(run.shown, Math.floor((width + 2 * zoom) / ((run.columns + 2) * zoom))));
      const columns = run.period && run.period <= fit ? fit - (fit % run.period) : fit; // a class keeps its column
      const rows = Math.min(Math.ceil(run.shown / columns), runs.length > 3 ? 2 : 4);
      drawPictures(canvas, run, pixels, 0, columns, rows, 2);
      canvas.style.width = `${canvas.width * zoom}px`;
    });
    sheet.append(el("h4", {}, run.name), cell);
  }
  return figure({
    title: "Sample sheets", picture: sheet,
    caption: `As many of the first ${runs[0].shown} samples of ${runs[0].count} as fit, ${runs[0].rows} × ${runs[0].columns} pixels, enlarged without smoothing; solvers of one run start from the same noise. ${gray(runs[0])}.`,
  });
}

function scatter(runs) {
  const points = runs.map((run) => unpack(run.points)), far = limits(points), wall = el("div", { class: "wall" });
  runs.forEach((run, i) => {
    const { canvas, context } = canvasFor(300, 300, `final states of ${run.name} in the plane, ${run.shown} points, axes from ${short(-far)} to ${short(far)}`);
    const at = (v) => 150 + (v / far) * 150;
    painted(() => {
      context.fillStyle = css("--panel");
      context.fillRect(0, 0, 300, 300);
      context.strokeStyle = css("--line");
      context.beginPath();
      for (const v of niceTicks(-far, far, 4)) context.rect(at(v), 0, 0, 300), context.rect(0, 300 - at(v), 300, 0);
      context.stroke();
      context.fillStyle = css("--muted");
      context.font = "11px system-ui, sans-serif";
      for (const v of niceTicks(-far, far, 4).filter((v) => v && Math.abs(v) < 0.9 * far)) context.fillText(String(v), at(v) + 3, 296), context.fillText(String(v), 3, 300 - at(v) - 3);
      context.fillStyle = css("--c0");
      context.globalAlpha = Math.max(0.25, Math.min(0.8, 400 / run.shown));
      for (let k = 0; k + 1 < points[i].length; k += 2) {
        context.beginPath();
        context.arc(at(points[i][k]), 300 - at(points[i][k + 1]), 1.5, 0, 7);
        context.fill();
      }
      context.globalAlpha = 1;
    });
    wall.append(el("div", {}, el("h4", {}, run.name), canvas));
  });
  const more = runs[0].dim > 2 ? ` The first two of ${runs[0].dim} coordinates.` : "";
  return figure({
    title: "Final states", picture: wall, caption: `The first ${runs[0].shown} of ${runs[0].count} samples of each solver, on the same axes.${more}`,
    table: () => ({ caption: "Final states shown, at most 200 a solver", columns: [{ name: "solver", text: true }, { name: "sample" }, { name: "x" }, { name: "y" }],
      rows: runs.flatMap((run, i) => Array.from({ length: Math.min(200, run.shown) }, (_, k) => [run.name, numberCell(k), numberCell(points[i][2 * k]), numberCell(points[i][2 * k + 1])])) }),
  });
}

function countBins(values, bins) {
  const finite = Array.from(values).filter(Number.isFinite), low = Math.min(...finite), high = Math.max(...finite), counts = Array(bins).fill(0);
  for (const v of finite) counts[Math.min(bins - 1, Math.floor(((v - low) / (high - low || 1)) * bins))]++;
  return { low, high: high > low ? high : low + 1, counts };
}
function lineHistograms(runs) {
  const wall = el("div", { class: "wall fit" }), counts = runs.map((run) => countBins(unpack(run.points), 40));
  runs.forEach((run, i) => {
    const h = counts[i];
    wall.append(el("div", {}, el("h4", {}, run.name), plot(() => ({ label: `histogram of the final states of ${run.name}`, height: 220,
      x: { label: "x", tight: true }, y: { label: "samples", low: 0 }, bars: histogramBars(h) })).element));
  });
  return figure({ title: "Final states", picture: wall, caption: `The first ${runs[0].shown} of ${runs[0].count} samples of each solver.`,
    table: () => ({ caption: "Final states shown", columns: [{ name: "solver", text: true }, { name: "from" }, { name: "to" }, { name: "samples" }],
      rows: runs.flatMap((run, i) => histogramBars(counts[i]).map((b) => [run.name, numberCell(b.x0), numberCell(b.x1), numberCell(b.y)])) }) });
}

sections.samples = {
  title: "Samples",
  draw(d, section) {
    section.append(sortableTable({ ...d.table, caption: "Solvers; wall time and rate are those of /provenance" }));
    if (d.distances.rows.length) section.append(sortableTable(d.distances));
    const images = d.states.filter((s) => s.image), plane = d.states.filter((s) => s.coordinates === 2), line = d.states.filter((s) => s.coordinates === 1);
    if (images.length) section.append(sampleSheets(images));
    if (plane.length) section.append(scatter(plane));
    if (line.length) section.append(lineHistograms(line));
    return true;
  },
};
