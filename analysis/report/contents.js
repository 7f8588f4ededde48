sections.contents = {
  title: "Configuration and provenance", short: "Provenance",
  draw(d, section) {
    const h = data.header, fold = (name, ...inside) => el("details", {}, el("summary", {}, name), ...inside);
    if (h.config) section.append(fold("Configuration, with every default", el("div", { class: "controls" }, copyButton(h.config, "configuration")),
      el("pre", { tabindex: 0, role: "region", "aria-label": "Configuration" }, el("code", {}, h.config))));
    for (const [name, groups] of [["Solvers and parameters", h.settings], ["Provenance", h.provenance]]) {
      const filled = groups.filter((g) => g.facts.length);
      if (filled.length) section.append(fold(name, ...filled.map((g) => pairTable(g.name, g.facts))));
    }
    if (h.model.length) section.append(fold("Model", pairTable("Model", h.model)));
    if (h.inputs.length) section.append(fold("Files that were read", pairTable("Path and SHA-256", h.inputs)));
    section.append(fold(`Datasets of ${h.file}`, sortableTable(d.table)));
    return true;
  },
};
