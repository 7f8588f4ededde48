const elboTerms = [["l_step", "L of a step [nat]"], ["mse_eps", "squared error of eps"], ["mse_x0", "squared error of x0hat"]];

sections.elbo = {
  title: "The discrete bound", short: "Bound",
  draw(d, section) {
    section.append(sortableTable({ ...d.table, caption: "Means over the rows" }));
    if (!d.terms.length || !d.terms[0].l_step.length) return true;
    let term = elboTerms[0];
    const series = d.terms.map((t, i) => ({ name: t.name, ...look(i), marker: null, on: true, points: [] }));
    const chart = plot(() => {
      series.forEach((s, i) => (s.points = d.terms[i][term[0]].map((y, k) => ({ x: d.terms[i].step[k], y, text: `step ${short(d.terms[i].step[k])}, t ${short(d.terms[i].t[k])}\n${short(y)}` }))));
      return { label: `${term[1]} against the step of the chain, mean over the rows`, x: { label: "step of the chain, from data on" }, y: { label: term[1], log: true }, series };
    });
    section.append(figure({
      title: "Terms of the bound by step", controls: [choice("Term", elboTerms.map((t) => t[1]), (i) => ((term = elboTerms[i]), chart.draw()))],
      picture: series.length > 1 ? [chart.element, legend(series, chart.draw).element] : chart.element, caption: "Means over the rows. Steps with a mean of zero or below are not on the logarithmic axis." + (d.terms.some((t) => t.stride > 1) ? ` Each point is the mean of up to ${Math.max(...d.terms.map((t) => t.stride))} steps.` : ""),
      table: () => ({ caption: term[1], columns: [{ name: "estimator", text: true }, { name: "step" }, { name: term[0] }], rows: series.flatMap((s) => s.points.map((p) => [s.name, numberCell(p.x), numberCell(p.y)])) }),
    }));
    return true;
  },
};
