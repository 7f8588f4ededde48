sections.training = {
  title: "Training", short: "Training",
  draw(d, section) {
    const curve = Object.fromEntries(d.curves.map((c) => [c.name, c])), stride = d.curves[0]?.stride ?? 1;
    const xs = (c) => c.values.map((y, k) => ({ x: k * stride + (stride + 1) / 2, y, text: `step ${Math.round(k * stride + (stride + 1) / 2)}\n${short(y)}` }));
    if (Number(d.missing) > 0) section.append(el("p", { class: "bad" }, `${d.missing} steps to come.`));
    const charts = [["Loss", "squared error a dimension", ["loss", "loss_ema"]], ["Gradient norm", "before clipping", ["gradient_norm"]], ["Learning rate", "of Adam", ["learning_rate"]]];
    for (const [title, what, names] of charts) {
      const series = names.filter((n) => curve[n]).map((n, i) => ({ name: n, color: colour(n === "loss" ? 6 : i ? 1 : 0), marker: "", dash: "", width: n === "loss" ? 0.8 : 2, on: true, points: xs(curve[n]) }));
      if (!series.length) continue;
      const chart = plot(() => ({ label: `${title.toLowerCase()} against the training step`, x: { label: "training step" }, y: { label: `${title.toLowerCase()}, ${what}`, log: true }, series, height: title === "Loss" ? undefined : 260 }));
      section.append(figure({
        title, picture: series.length > 1 ? [chart.element, legend(series, chart.draw).element] : chart.element,
        caption: names.filter((n) => curve[n]).map((n) => `${n}: ${curve[n].description} (last ${curve[n].last})`).join(". ") + "." + (stride > 1 ? ` Each point is the mean of ${stride} steps.` : ""),
        table: () => ({ caption: title, columns: [{ name: "series", text: true }, { name: "step" }, { name: "value" }], rows: series.flatMap((s) => s.points.map((p) => [s.name, numberCell(Math.round(p.x)), numberCell(p.y)])) }),
      }));
    }
    return true;
  },
};
