/* The network behind models/unet.c, shared by its files. */
#ifndef VPSDE_MODELS_UNET_NET_H
#define VPSDE_MODELS_UNET_NET_H

#include "core/config.h"
#include "core/safetensors.h"
#include "models/train.h"
#include "models/unet.h"

enum {
    UNET_ROWS = 8, /* images of one pass */
    UNET_LAYERS_MAX = 16,
    UNET_CHANNELS_MAX = 8192,
    UNET_SIDE_MAX = 4096,
    UNET_CLASSES_MAX = 1 << 20
};

typedef struct unet {
    vpsde_unet_spec spec;
    vpsde_graph *graph;
} unet;

/* The network's door: the graph's input is slope x + offset (center_input_sample), its output times this
 * factor is the prediction (diffusers divides by the time where that is Fourier's). */
static inline double unet_slope_of(const unet *net)
{
    return net->spec.center_input_sample ? 2 : 1;
}
static inline double unet_offset_of(const unet *net)
{
    return net->spec.center_input_sample ? -1 : 0;
}
static inline double unet_over_time(const unet *net, double label)
{
    return net->spec.time == VPSDE_UNET_FOURIER ? 1 / label : 1;
}

/* Labels and classes of the images of one pass, as the graph wants them. */
typedef struct unet_times {
    double label[UNET_ROWS];
    int32_t classes[UNET_ROWS];
} unet_times;

/* The rows of the class table for n <= UNET_ROWS images: -1 is the null class. EINVAL for classes that
 * the network has not. `classes` may be NULL. */
vpsde_status vpsde_unet_classes(unet_times *times, const unet *net, const int32_t *classes,
                                size_t n);
vpsde_graph_times vpsde_unet_graph_times(const unet_times *times, const unet *net, bool shared);

void vpsde_unet_init(vpsde_model *model, uint64_t seed); /* unet_train.c */
vpsde_status vpsde_unet_configure(vpsde_model **out,
                                  struct vpsde_config *section); /* unet_config.c */
vpsde_status vpsde_unet_load(vpsde_model **out,
                             const struct vpsde_safetensors *file); /* unet_io.c */
vpsde_status vpsde_unet_save(const vpsde_model *model, const char *path);
vpsde_status vpsde_unet_describe(char **lines, const vpsde_model *model); /* unet_describe.c */
extern const vpsde_trainer_ops vpsde_unet_trainer;

#endif
