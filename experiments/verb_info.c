#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vpsde/vpsde.h>

#include "core/data.h"
#include "core/file.h"
#include "core/h5_list.h"
#include "core/mem.h"
#include "experiments/cli.h"
#include "experiments/info_scheduler.h"
#include "models/diffusers.h"

static vpsde_status describe_network(const vpsde_model *m)
{
    const double flops = vpsde_model_flops(m);
    char *lines = NULL;
    if (m->type->describe) VPSDE_TRY(m->type->describe(&lines, m));
    if (lines) fputs(lines, stdout);
    free(lines);
    if (flops > 0)
        printf("work         %.1f MFLOP %s\n", flops / 1e6, m->rank == 3 ? "an image" : "a row");
    return VPSDE_OK;
}

static vpsde_status describe_model(const char *path)
{
    vpsde_model *m;
    VPSDE_TRY(vpsde_model_open(&m, path));
    printf("checkpoint   %s\nmodel        %s\ndimensions   %zu", path, m->type->name, m->dim);
    for (size_t i = 0; m->rank > 1 && i < m->rank; i++)
        printf("%s%zu", i ? " x " : " = ", m->shape[i]);
    printf("\nprediction   %s\nparameters   %zu\nsha256       %s\n",
           vpsde_prediction_name(m->prediction), m->n_parameters, m->sha256);
    const vpsde_status status = describe_network(m);
    if (m->process.schedule) {
        printf("process      %s, label %g t %+g\n", m->process.schedule->name,
               m->process.label_scale, m->process.label_offset);
        if (m->process.n_betas > 0) printf("    %-12s %zu\n", "betas", m->process.n_betas);
        for (size_t i = 0; i < vpsde_param_count(m->process.schedule->params); i++) {
            printf("    %-12s %.17g\n", m->process.schedule->params[i].name, m->process.param[i]);
        }
    }
    vpsde_model_destroy(m);
    return status;
}

static vpsde_status describe_folder(const char *path)
{
    VPSDE_TRY(describe_model(path));
    return vpsde_info_scheduler(path);
}

static void print_object(void *context, const vpsde_h5_object *object)
{
    (void)context;
    if (!*object->type) {
        printf("%s\n", object->path);
        return;
    }
    printf("%-36s (", object->path);
    for (size_t i = 0; i < object->rank; i++) printf("%s%zu", i ? ", " : "", object->dims[i]);
    printf(") %s%s%s%s%s\n", object->type, *object->description ? ", " : "", object->description,
           *object->units ? ", unit " : "", object->units);
}

static vpsde_status describe_run(const char *path)
{
    static const char *const names[] = {"schema", "verb", "status"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char *text = NULL;
        VPSDE_TRY(vpsde_run_read_text(&text, path, "/", names[i]));
        vpsde_flatten(text);
        printf("%-12s %s\n", names[i], text);
        free(text);
    }
    return vpsde_h5_list(path, print_object, NULL);
}

/* A run file, or anybody's. */
static vpsde_status describe_hdf5(const char *path)
{
    char schema[VPSDE_H5_TEXT];
    VPSDE_TRY(vpsde_h5_root_text(schema, path, "schema"));
    if (strncmp(schema, "vpsde/", strlen("vpsde/")) == 0) return describe_run(path);
    printf("HDF5         %s: no run file of vpsde; as data, one dataset is %s:/PATH\n", path, path);
    return vpsde_h5_list(path, print_object, NULL);
}

static vpsde_status describe_data(const char *path)
{
    vpsde_data *data;
    VPSDE_TRY(vpsde_data_open(&data, path));
    printf("data         %s\nrows         %zu\nshape        (", path, vpsde_data_rows(data));
    for (size_t i = 0; i < vpsde_data_rank(data); i++) {
        printf("%s%zu", i ? ", " : "", vpsde_data_shape(data)[i]);
    }
    printf(")\ntype         %s\nsha256       %s\n", vpsde_data_type(data), vpsde_data_sha256(data));
    vpsde_data_close(data);
    return VPSDE_OK;
}

static const struct {
    const char *suffix;
    vpsde_status (*describe)(const char *path);
} kinds[] = {{".safetensors", describe_model},
             {".h5", describe_hdf5},
             {".hdf5", describe_hdf5},
             {"", describe_data}};

static vpsde_status run(const vpsde_cli *cli)
{
    char parts[PATH_MAX];
    bool there, begun = false;
    size_t i = 0;
    snprintf(parts, sizeof(parts), "%s.parts", cli->input);
    VPSDE_TRY(vpsde_file_is_there(&there, cli->input));
    if (!there) VPSDE_TRY(vpsde_file_is_there(&begun, parts));
    if (begun) {
        return vpsde_fail(VPSDE_EDATA, "%s: unfinished; 'vpsde resume %s' goes on", cli->input,
                          cli->input);
    }
    if (vpsde_is_folder(cli->input)) return describe_folder(cli->input);
    while (!vpsde_ends_in(cli->input, kinds[i].suffix)) i++; /* the last one fits everything */
    return kinds[i].describe(cli->input);
}

const vpsde_verb vpsde_verb_info = {
    .name = "info",
    .input = "FILE",
    .summary = "Describes a checkpoint, a run file or a data set.",
    .doc = "A .safetensors file is a checkpoint, as is a folder that diffusers wrote; of an .h5 "
           "(.hdf5) "
           "file, a run or any other, the datasets are listed with shape and type; anything else "
           "(.npy, IDX, FILE.h5:/dataset) is data.",
    .run = run,
};
