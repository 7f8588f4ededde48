const scheduleViews = [
  ["speed per λ", "length per λ", false, (n) => ["metric", "metric_low", "metric_high"].map((k) => n[k].map((g, i) => -2 * Math.expm1(-n.b[i]) * Math.sqrt(g)))],
  ["metric g", "g per b²", true, (n) => [n.metric, n.metric_low, n.metric_high]],
  ["length from the noise end", "length", false, (n) => [n.length, n.length_low, n.length_high]],
  ["rate of free energy", "nat per b", true, (n) => [n.dissipation]],
  ["rate of the uncertainty of x_0", "nat per b", true, (n) => [n.entropy]],
];

sections.schedule = {
  title: "Geometry of the schedule", short: "Schedule",
  draw(d, section) {
    const n = d.nodes, lambda = n.b.map((b) => -0.5 * Math.log(Math.expm1(b)));
    let view = scheduleViews[0];
    const series = [{ name: view[0], ...look(0), marker: null, band: true, points: [] }];
    function renew() {
      const [y, low, high] = view[3](n);
      series[0] = { ...series[0], name: view[0], points: y.map((v, k) => ({ x: lambda[k], y: v, low: low?.[k], high: high?.[k], text: `λ ${short(lambda[k])}, t ${short(n.t[k])}\n${short(v)}` })) };
      chart.draw();
    }
    const chart = plot(() => ({ label: `${view[0]} against lambda`, x: { label: "λ = log α/σ" }, y: { label: view[1], log: view[2] }, series }));
    renew();
    section.append(figure({
      title: "Thermodynamic speed", controls: [choice("Quantity", scheduleViews.map((v) => v[0]), (i) => ((view = scheduleViews[i]), renew()))], picture: chart.element,
      caption: `g = 1/2 E|I + Hessian of log p|²; its root is a speed, and the length of the way is L = ${d.length} (${d.interval}). ${plural(d.samples, "pilot state")} a node; 95 % intervals. Steps of a good grid are short where the speed is high.`,
      table: () => ({ caption: view[0], columns: [{ name: "λ" }, { name: view[0] }, { name: "from" }, { name: "to" }], rows: series[0].points.map((p) => [p.x, p.y, p.low, p.high].map(numberCell)) }),
    }));
    if (!d.table.rows.length) return true;
    const rows = d.table.rows.map((r) => ({ name: r[0], v: r[4].v, low: r[5].v, high: r[6].v, text: r[4].t })).filter((r) => known(r.v)).sort((a, b) => b.v - a.v);
    section.append(figure({
      title: `What ${d.steps} steps of each grid make of it`,
      picture: [rowBars({ label: `efficiency of time grids: ${rows.map((r) => `${r.name} ${r.text}`).join(", ")}`, rows, most: Math.max(1, ...rows.map((r) => r.high ?? r.v)), line: { v: 1, name: "steps of equal length: 1" } }), sortableTable({ ...d.table, caption: "Efficiency of time grids" })],
      caption: "η_sched = L²/(2 N path KL), dots with 95 % intervals. No grid of N steps loses less than L²/(2N) nats against the true reversal.",
    }));
    return true;
  },
};
