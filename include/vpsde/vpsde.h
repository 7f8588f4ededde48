/** vpsde: SDE/ODE solvers for diffusion models. Umbrella header. */
#ifndef VPSDE_VPSDE_H
#define VPSDE_VPSDE_H

#include <vpsde/elbo.h>
#include <vpsde/gradient.h>
#include <vpsde/grid.h>
#include <vpsde/likelihood.h>
#include <vpsde/model.h>
#include <vpsde/noise.h>
#include <vpsde/param.h>
#include <vpsde/process.h>
#include <vpsde/run.h>
#include <vpsde/sink.h>
#include <vpsde/solver.h>
#include <vpsde/status.h>

#endif
