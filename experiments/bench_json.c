#include <stdio.h>
#include <time.h>

#include "analysis/report_json.h"
#include "core/ceiling.h"
#include "experiments/bench_table.h"
#include "experiments/commit.h"

static void put_machine(vpsde_json *j, size_t threads)
{
    char cpu[256], created[32] = "";
    const time_t now = time(NULL);
    struct tm utc;
    vpsde_ceiling_cpu(cpu, sizeof(cpu));
    if (gmtime_r(&now, &utc)) strftime(created, sizeof(created), "%Y-%m-%dT%H:%M:%SZ", &utc);
    vpsde_json_object(j, "machine");
    vpsde_json_text(j, "created", created);
    vpsde_json_text(j, "version", vpsde_version());
    vpsde_json_text(j, "commit", VPSDE_COMMIT);
    vpsde_json_text(j, "cpu", cpu);
    vpsde_json_text(j, "isa", vpsde_ceiling_isa());
    vpsde_json_number(j, "threads", (double)threads);
    vpsde_json_end_object(j);
}

static void put_table(vpsde_json *j, const vpsde_bench_table *t)
{
    const vpsde_bench_form *f = t->form;
    vpsde_json_list(j, f->name);
    for (size_t i = 0; i < t->n; i++) {
        vpsde_json_object(j, NULL);
        vpsde_json_text(j, f->row, t->names[i]);
        for (size_t c = 0; c < f->n_columns; c++) {
            vpsde_json_number(j, f->columns[c].name, t->values[i * f->n_columns + c]);
        }
        vpsde_json_end_object(j);
    }
    vpsde_json_end_list(j);
}

vpsde_status vpsde_bench_json(const vpsde_bench_table *const *tables, size_t n_tables,
                              size_t threads)
{
    vpsde_json j = {.text = NULL};
    vpsde_json_object(&j, NULL);
    put_machine(&j, threads);
    for (size_t t = 0; t < n_tables; t++) {
        if (tables[t]->n > 0) put_table(&j, tables[t]);
    }
    vpsde_json_end_object(&j);
    const vpsde_status status = j.status;
    if (status == VPSDE_OK) printf("%.*s\n", (int)j.length, j.text);
    vpsde_json_free(&j);
    return status;
}
