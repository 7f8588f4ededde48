function budgetBar(table, name) {
  const terms = table.rows.filter((r) => r[3] !== "total" && r[1].v > 0), sum = terms.reduce((s, r) => s + r[1].v, 0);
  if (!terms.length) return null;
  const bar = el("div", { class: "picture" });
  responsive(bar, (width) => {
    let x = 0;
    const parts = terms.map((r, i) => {
      const w = (r[1].v / sum) * width, rect = svg("rect", { x, y: 0, width: Math.max(0, w - 1), height: 26, fill: colour(i) });
      x += w;
      return rect;
    });
    bar.replaceChildren(svg("svg", { viewBox: `0 0 ${width} 26`, role: "img", "aria-label": `mean error budget of ${name}: ` + terms.map((r) => `${r[0]} ${r[1].t} nat`).join(", ") }, ...parts));
  });
  return el("div", {}, bar, el("ul", { class: "legend" }, ...terms.map((r, i) => el("li", { class: "muted" },
    el("span", { style: `color:${colour(i)}`, "aria-hidden": "true" }, "■ "), `${r[0]} ${r[1].t} nat `))));
}

sections.likelihood = {
  title: "Log-likelihood", short: "Likelihood",
  draw(d, section) {
    section.append(sortableTable({ ...d.table, caption: "Means over the rows" }));
    for (const label of d.labels) {
      const wide = d.labels.length > 1 ? ` of ${label.name}` : "";
      const kinds = [["log p", "log p [nat]", label.logp], ["bits/dim", "bits/dim", label.bits]].filter(([, , h]) => h);
      let kind = kinds[0];
      if (kind) {
        const chart = plot(() => ({ label: `histogram of ${kind[0]}${wide} over ${plural(label.count, "row")}`, x: { label: kind[1], tight: true }, y: { label: "rows", low: 0 }, bars: histogramBars(kind[2]), height: 320 }));
        section.append(figure({
          title: `How log p is distributed${wide}`, controls: [choice("Quantity", kinds.map((q) => q[0]), (i) => ((kind = kinds[i]), chart.draw()))], picture: chart.element,
          caption: `${plural(label.count, "row")}, all of them. ${label.convention ? `bits/dim: ${label.convention}.` : ""}`, table: () => histogramTable(kind[2], `Histogram of ${kind[0]}`, kind[1]),
        }));
      }
      if (label.budget) {
        section.append(figure({ title: `Error budget${wide}`, picture: [budgetBar(label.budget, label.name), sortableTable(label.budget)].filter(Boolean),
          caption: "Bar: mean sizes of the terms. What is random from row to row shrinks in the mean over the rows, what is not stays; docs/likelihood.md says what each term is." }));
      }
      section.append(el("details", {}, el("summary", {}, `The rows${wide}`),
        sortableTable({ ...label.rows, caption: label.rows.rows.length < label.count ? `The first ${label.rows.rows.length} of ${label.count} rows; all are in the file` : `All ${label.count} rows` })));
    }
    return true;
  },
};
