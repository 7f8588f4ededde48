// p_t of the mixture: x_t = alpha x_0 + sigma z turns N(m, C) into N(alpha m, alpha^2 C + sigma^2 I).
function mixtureDensity(mixture, alpha, sigma) {
  const parts = mixture.weights.map((w, k) => {
    const [a, b, , c] = mixture.covariances.slice(4 * k, 4 * k + 4), s2 = sigma * sigma, q = alpha * alpha;
    const p = q * a + s2, r = q * c + s2, o = q * b, det = p * r - o * o;
    return [w / (2 * Math.PI * Math.sqrt(det)), alpha * mixture.means[2 * k], alpha * mixture.means[2 * k + 1], r / det, -o / det, p / det];
  });
  return (x, y) => {
    let sum = 0;
    for (const [w, mx, my, ixx, ixy, iyy] of parts) {
      const dx = x - mx, dy = y - my;
      sum += w * Math.exp(-0.5 * (ixx * dx * dx + 2 * ixy * dx * dy + iyy * dy * dy));
    }
    return sum;
  };
}
// A kernel estimate from the points themselves, normal kernels, Silverman's width.
function pointDensity(points) {
  const n = points.length, width = (axis) => {
    const mean = points.reduce((s, p) => s + p[axis], 0) / n;
    return Math.max(1e-3, Math.sqrt(points.reduce((s, p) => s + (p[axis] - mean) ** 2, 0) / n) * n ** (-1 / 6) * 0.6);
  };
  const hx = width(0), hy = width(1);
  return (x, y) => points.reduce((s, [px, py]) => s + Math.exp(-0.5 * (((x - px) / hx) ** 2 + ((y - py) / hy) ** 2)), 0);
}

function pathStage(d, runs) {
  const side = 560, cells = 96;
  const { canvas, context } = canvasFor(side, side, "");
  canvas.className = "stage-canvas";
  let run = runs[0], points = unpack(run.points), far = limits([points]), k = 0, timer = null;
  const at = (i, time) => [points[2 * (i * run.times + time)], points[2 * (i * run.times + time) + 1]];
  const slider = el("input", { type: "range", min: 0, max: run.times - 1, value: 0, step: 1, oninput: () => show(Number(slider.value)) });
  const trails = el("input", { type: "checkbox", checked: true, onchange: () => paint() });
  const play = el("button", { type: "button", onclick: () => (timer ? stop() : start()) }, "Play");
  const facts = el("dl", { class: "facts" });

  function background() {
    const layer = el("canvas", { width: cells, height: cells }), image = layer.getContext("2d").createImageData(cells, cells), values = new Float64Array(cells * cells);
    const density = d.mixture && run.dim === 2 ? mixtureDensity(d.mixture, run.alpha[k], run.sigma[k])
      : pointDensity(Array.from({ length: run.shown }, (_, i) => at(i, k)).filter((p) => p.every(Number.isFinite)));
    let most = 0;
    for (let e = 0; e < values.length; e++) {
      values[e] = density(far * ((2 * ((e % cells) + 0.5)) / cells - 1), far * (1 - (2 * (Math.floor(e / cells) + 0.5)) / cells));
      most = Math.max(most, values[e]);
    }
    const rgb = css("--ramp").split(",").map(Number);
    values.forEach((v, e) => image.data.set([...rgb, 190 * Math.sqrt(v / (most || 1))], 4 * e));
    layer.getContext("2d").putImageData(image, 0, 0);
    context.drawImage(layer, 0, 0, side, side);
  }
  function paint() {
    const px = ([x, y]) => [side / 2 + (x / far) * (side / 2), side / 2 - (y / far) * (side / 2)];
    context.fillStyle = css("--panel");
    context.fillRect(0, 0, side, side);
    background();
    context.fillStyle = css("--muted");
    context.font = "12px system-ui, sans-serif";
    for (const v of niceTicks(-far, far, 6).filter((v) => Math.abs(v) < 0.93 * far)) {
      const [x, y] = px([v, v]);
      context.fillText(String(v), x - 4, side - 6);
      context.fillText(String(v), 6, y + 4);
    }
    if (trails.checked) {
      context.strokeStyle = css("--ink");
      context.globalAlpha = 0.22;
      context.lineWidth = 1;
      for (let i = 0; i < Math.min(run.shown, 64); i++) {
        context.beginPath();
        for (let time = 0; time <= k; time++) context.lineTo(...px(at(i, time)));
        context.stroke();
      }
    }
    context.globalAlpha = 1;
    for (let i = 0; i < run.shown; i++) {
      const [x, y] = px(at(i, k));
      context.beginPath();
      context.arc(x, y, 2.6, 0, 7);
      context.fillStyle = css("--c1");
      context.fill();
    }
  }
  function show(time) {
    k = time;
    slider.value = time;
    const values = [["t", run.t[k]], ["α", run.alpha[k]], ["σ", run.sigma[k]], ["λ = log α/σ", run.lambda[k]], ["node", `${k + 1} of ${run.times}`]];
    const text = values.map(([name, v]) => `${name} ${typeof v === "number" || v === null ? short(v) : v}`).join(", ");
    slider.setAttribute("aria-valuetext", text);
    canvas.setAttribute("aria-label", `${run.shown} paths of ${run.name} over the density at ${text}`);
    facts.replaceChildren(...values.map(([name, v]) => el("div", {}, el("dt", {}, name), el("dd", {}, typeof v === "string" ? v : short(v)))));
    paint();
  }
  function stop() {
    clearInterval(timer);
    timer = null;
    play.textContent = "Play";
  }
  function start() {
    if (k === run.times - 1) k = -1;
    play.textContent = "Pause";
    timer = setInterval(() => (k < run.times - 1 ? show(k + 1) : stop()), 90);
  }
  function choose(i) {
    run = runs[i];
    points = unpack(run.points);
    far = limits([points]);
    slider.max = run.times - 1;
    show(Math.min(k, run.times - 1));
  }
  show(Math.floor(0.6 * (run.times - 1)));
  painters.push(paint);
  const side2 = el("div", {}, el("div", { class: "controls" }, choice("Solver", runs.map((r) => r.name), choose)), labelled("Time, noise to data", slider),
    el("div", { class: "controls" }, play, labelled("Trails", trails)), facts);
  const density = d.mixture && run.dim === 2 ? "Shading: the exact density p_t of the mixture (its square root)." : "Shading: a kernel estimate of the density from these points (its square root).";
  return figure({
    title: "Paths", picture: el("div", { class: "stage" }, canvas, side2),
    caption: `${density} ${run.shown} of ${run.count} stored paths are in this page${run.shown > 64 ? ", trails of the first 64" : ""}, at ${run.stored > run.times ? `${run.times} of the ${run.stored}` : `the ${run.times}`} stored times.` + (run.dim > 2 ? ` The first two of ${run.dim} coordinates.` : ""),
    table: () => ({ caption: `Paths of ${run.name}, the first 8`, columns: [{ name: "path" }, { name: "node" }, { name: "t" }, { name: "x" }, { name: "y" }],
      rows: Array.from({ length: Math.min(8, run.shown) * run.times }, (_, e) => {
        const i = Math.floor(e / run.times), time = e % run.times, [x, y] = at(i, time);
        return [numberCell(i), numberCell(time), numberCell(run.t[time]), numberCell(x), numberCell(y)];
      }) }),
  });
}

function linePaths(runs) {
  const wall = el("div", { class: "wall fit" });
  for (const run of runs) {
    const points = unpack(run.points), series = Array.from({ length: Math.min(run.shown, 40) }, (_, i) => ({
      name: `path ${i}`, color: colour(0), width: 0.8, points: run.t.map((t, k) => ({ x: t, y: points[i * run.times + k], text: `t ${short(t)}, x ${short(points[i * run.times + k])}` })) }));
    wall.append(el("div", {}, el("h4", {}, run.name), plot(() => ({ label: `paths of ${run.name} against t`, height: 260, x: { label: "t" }, y: { label: "x" }, series })).element));
  }
  return figure({ title: "Paths", picture: wall, caption: "The first 40 stored paths at most of each solver, from noise (right) to data (left)." });
}

function filmStrips(runs) {
  let run = runs[0];
  const canvas = el("canvas", { class: "crisp", role: "img" }), times = el("div", { class: "frames" });
  function choose(i) {
    run = runs[i];
    const zoom = Math.max(1, Math.min(6, Math.round(72 / run.columns))), n = run.frames.length;
    drawPictures(canvas, run, unpack(run.pixels), 0, n, run.shown, 2);
    canvas.style.width = `${canvas.width * zoom}px`;
    times.style.width = `min(100%, ${canvas.width * zoom}px)`;
    canvas.setAttribute("aria-label", `${run.shown} samples of ${run.name} at ${n} times from noise to data`);
    times.replaceChildren(...run.frames.map((f) => el("span", {}, `t ${Number(run.t[f].toPrecision(2))}`)));
  }
  choose(0);
  return figure({
    title: "From noise to data", controls: runs.length > 1 ? [choice("Solver", runs.map((r) => r.name), choose)] : null, picture: [times, canvas],
    caption: `${run.shown} of ${run.count} samples at ${run.frames.length} of ${run.times} stored times. ${gray(run)} at the data; both ends move apart by σ times that span where there is noise.`,
  });
}

sections.paths = {
  title: "Trajectories",
  draw(d, section) {
    d.runs = d.runs.filter((run) => run.shown > 0); // others are too large for a page
    const strips = d.runs.filter((r) => r.image), plane = d.runs.filter((r) => r.coordinates === 2), line = d.runs.filter((r) => r.coordinates === 1);
    if (strips.length) section.append(filmStrips(strips));
    if (plane.length) section.append(pathStage(d, plane));
    if (line.length) section.append(linePaths(line));
    return d.runs.length > 0;
  },
};
