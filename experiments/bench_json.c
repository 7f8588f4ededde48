#include <math.h>
#include <stdio.h>
#include <time.h>

#include "core/ceiling.h"
#include "experiments/bench_table.h"
#include "experiments/commit.h"

static void text(const char *key, const char *value)
{
    printf("\"%s\": \"", key);
    for (const char *c = value; *c; c++) {
        if ((unsigned char)*c < ' ') continue;
        printf(*c == '"' || *c == '\\' ? "\\%c" : "%c", *c);
    }
    printf("\"");
}

static void machine(size_t threads)
{
    char cpu[256], created[32] = "";
    const time_t now = time(NULL);
    struct tm utc;
    vpsde_ceiling_cpu(cpu, sizeof(cpu));
    if (gmtime_r(&now, &utc)) strftime(created, sizeof(created), "%Y-%m-%dT%H:%M:%SZ", &utc);
    printf("  \"machine\": {");
    text("created", created);
    printf(", ");
    text("version", vpsde_version());
    printf(", ");
    text("commit", VPSDE_COMMIT);
    printf(", ");
    text("cpu", cpu);
    printf(", ");
    text("isa", vpsde_ceiling_isa());
    printf(", \"threads\": %zu}", threads);
}

static void row(const vpsde_bench_table *t, size_t i)
{
    const vpsde_bench_form *f = t->form;
    printf("%s\n    {", i ? "," : "");
    text(f->row, t->names[i]);
    for (size_t c = 0; c < f->n_columns; c++) {
        const double value = t->values[i * f->n_columns + c];
        printf(", \"%s\": ", f->columns[c].name);
        if (isfinite(value)) {
            printf("%.9g", value);
        } else {
            printf("null");
        }
    }
    printf("}");
}

void vpsde_bench_json(const vpsde_bench_table *const *tables, size_t n_tables, size_t threads)
{
    printf("{\n");
    machine(threads);
    for (size_t t = 0; t < n_tables; t++) {
        if (tables[t]->n == 0) continue;
        printf(",\n  \"%s\": [", tables[t]->form->name);
        for (size_t i = 0; i < tables[t]->n; i++) row(tables[t], i);
        printf("\n  ]");
    }
    printf("\n}\n");
}
