"""embed.py OUT.c PAGE.html STYLE.css SCRIPT.js...: the page's parts as C arrays, the style and the scripts put in."""
import re, sys

out, page, style, *scripts = sys.argv[1:]


def text(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


whole = text(page).replace("@STYLE@", text(style)).replace("@SCRIPT@", "".join(text(path) for path in scripts))
head, body, tail = re.split("@TITLE@|@DATA@", whole)
with open(out, "w", encoding="utf-8") as file:
    file.write('#include "analysis/report_page.h"\n')
    for name, part in ("head", head), ("body", body), ("tail", tail):
        data = part.encode()
        file.write(f"\nconst unsigned char vpsde_html_{name}[] = {{\n")
        for i in range(0, len(data), 24):
            file.write(",".join(map(str, data[i : i + 24])) + ",\n")
        file.write(f"}};\nconst size_t vpsde_html_{name}_size = {len(data)};\n")
