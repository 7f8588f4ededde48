/* What lies in a folder that diffusers' save_pretrained wrote. */
#ifndef VPSDE_MODELS_DIFFUSERS_H
#define VPSDE_MODELS_DIFFUSERS_H

#include <stdbool.h>

#include "models/unet.h"

/* scheduler_config.json, where it is found. */
typedef struct vpsde_diffusers_scheduler {
    char class_name[64];
    vpsde_process_spec process; /* betas borrowed from the next line */
    double *betas;              /* or NULL */
    vpsde_prediction prediction;
    /* What diffusers' own sampler does with x0; nothing here does: it is the key sampler.clip's. */
    bool clip_sample, thresholding;
    double clip_range, quantile, threshold_max;
} vpsde_diffusers_scheduler;

/* DDPM's chain of Ho et al. 2020: 1000 betas from 1e-4 to 0.02, eps; what stands in for no file. */
vpsde_status vpsde_diffusers_scheduler_init(vpsde_diffusers_scheduler *s);
/* EDATA naming the key. Free what it holds with vpsde_diffusers_scheduler_clear. */
vpsde_status vpsde_diffusers_scheduler_load(vpsde_diffusers_scheduler *s, const char *path);
/* The same of text that `where` names. */
vpsde_status vpsde_diffusers_scheduler_parse(vpsde_diffusers_scheduler *s, const char *text,
                                             size_t length, const char *where);
void vpsde_diffusers_scheduler_clear(vpsde_diffusers_scheduler *s);

/* The files of a folder; each fresh memory to be freed. EDATA naming what is missing. */
typedef struct vpsde_diffusers_files {
    char *config;
    char *weights;   /* or the index of sharded ones */
    char *scheduler; /* NULL: none */
} vpsde_diffusers_files;
vpsde_status vpsde_diffusers_find(vpsde_diffusers_files *files, const char *folder);
void vpsde_diffusers_files_clear(vpsde_diffusers_files *files);

bool vpsde_is_folder(const char *path);
/* model->sha256 of the model that vpsde_diffusers_open makes of the folder. */
vpsde_status vpsde_diffusers_sha256(char hex[65], const char *folder);

#endif
