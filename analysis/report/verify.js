sections.verify = {
  title: "Orders of convergence", short: "Orders",
  draw(d, section) {
    const rows = d.table.rows, missed = rows.filter((r) => r[7] === "MISS").length;
    section.append(el("p", {}, `${rows.length} cases, `, el("span", { class: missed ? "bad" : "good" }, missed ? `${missed} missed` : "none missed"),
      ". Each measured order is that of the least favourable problem, beside what the solver declares."));
    section.append(sortableTable(d.table));
    const solvers = [...new Set(rows.map((r) => r[0]))];
    let chosen = solvers[0];
    const cases = () => rows.map((r, i) => i).filter((i) => rows[i][0] === chosen && d.error[i]?.some(known));
    let series = [], keys = null;
    const holder = el("div");
    const chart = plot(() => ({
      label: `error against steps of ${chosen}, both axes logarithmic`, x: { label: "steps", log: true }, y: { label: "error", log: true }, series, guides: [1, 2, 3, 4],
      guideTop: Math.max(...series.flatMap((s) => s.points.map((p) => p.y))), guideFrom: Math.min(...series.flatMap((s) => s.points.map((p) => p.x))),
    }));
    function choose(i) {
      chosen = solvers[i];
      series = cases().map((c, n) => ({
        name: `${rows[c][2]}, ${rows[c][1] === "-" ? "defaults" : rows[c][1]}`, ...look(n), on: true,
        points: d.steps[c].map((x, k) => ({ x, y: d.error[c][k], text: `${x} steps, error ${known(d.error[c][k]) ? d.error[c][k].toExponential(2) : "-"}` })).filter((p) => known(p.x) && known(p.y)),
      }));
      keys = legend(series, chart.draw);
      holder.replaceChildren(keys.element);
      chart.draw();
    }
    choose(0);
    section.append(figure({
      title: "Errors the orders come from", controls: [choice("Solver", solvers, choose)], picture: [chart.element, holder],
      caption: "Curve of the least favourable problem of each form. Dotted: slopes −1 to −4.",
      table: () => ({ caption: `Errors of ${chosen}`, columns: [{ name: "form", text: true }, { name: "steps" }, { name: "error" }],
        rows: series.flatMap((s) => s.points.map((p) => [s.name, numberCell(p.x), { v: p.y, t: p.y.toExponential(3) }])) }),
    }));
    return true;
  },
};
