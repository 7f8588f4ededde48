#!/usr/bin/env bash
# Includes point one way: core <- sde <- models <- solvers <- experiments; analysis sees core and
# models. Foreign headers appear in one module each.
set -eu
cd "$1"
bad=0
refuse() { # folder, forbidden folders (regex)
  if grep -nE "#include \"($2)/" "$1"/*.[ch] "$1"/*/*.[ch] 2>/dev/null; then
    echo "$1 must not include from: $2"
    bad=1
  fi
}
refuse core "sde|models|solvers|experiments|analysis"
refuse sde "models|solvers|experiments|analysis"
refuse models "solvers|experiments|analysis"
refuse solvers "experiments|analysis"
refuse analysis "sde|solvers|experiments"
if grep -nE '#include <vpsde/(model|solver|likelihood|run|process|grid|vpsde)\.h>' core/*.[ch]; then
  echo "core knows no diffusion"
  bad=1
fi
only() { # header regex, files that may include it (regex)
  local files
  files=$(grep -lE "#include <$1" -r core sde models solvers experiments analysis include | grep -vE "^($2)$" || true)
  [ -z "$files" ] || { echo "<$1> outside its module: $files"; bad=1; }
}
only 'hdf5' 'core/h5[a-z_]*\.[ch]'
only 'gsl/' 'solvers/gsl_ode\.c'
only '(cvode|nvector|sun(matrix|linsol|nonlinsol|dials))' 'solvers/cvode_(ode|linear)\.c'
only '(dnnl|oneapi)' 'models/layers/[a-z_]*\.[ch]'
only 'yaml\.h' 'core/config_parse\.c'
only 'jansson' '(core/json|core/safetensors_write)\.c'
only 'Random123' 'core/noise\.c'
only 'omp\.h' 'core/parallel\.c'
only 'mpi\.h' 'core/ranks\.c'
exit $bad
