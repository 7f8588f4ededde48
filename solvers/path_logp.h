/* log p along the paths of one block after another, node by node, beside a fixed-step solver. */
#ifndef VPSDE_SOLVERS_PATH_LOGP_H
#define VPSDE_SOLVERS_PATH_LOGP_H

#include "solvers/chain.h"

typedef struct vpsde_path_logp vpsde_path_logp;

/* For a run whose log asks for it. */
vpsde_status vpsde_path_logp_create(vpsde_path_logp **out, const vpsde_report *report);
void vpsde_path_logp_destroy(vpsde_path_logp *p); /* NULL is fine */

/* At node k, where the chain stands; k = 0 begins a new block. `slot`: where rows store it,
 * SIZE_MAX for nowhere. Reads the chain and changes no bit of it. */
vpsde_status vpsde_path_logp_visit(vpsde_path_logp *p, const vpsde_chain *chain, size_t k,
                                   vpsde_rows *rows, size_t slot);

/* After the last node: what was stored, counted from node 0 until now, is from the noise end. */
void vpsde_path_logp_finish(vpsde_path_logp *p, const vpsde_chain *chain, vpsde_rows *rows);

#endif
