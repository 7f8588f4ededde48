# Run files of vpsde in R: hdf5r (Debian: r-cran-hdf5r).
#   Rscript vpsde.R RUN.h5 LABEL OUT.png     plots the paths of a run
# hdf5r reverses the dimensions: what the schema calls (sample, time, dim) is x[dim, time, sample] here.
suppressMessages(library(hdf5r))

vpsde_name <- function(label) gsub("-", "_", label)

# A dataset as an array. int64 is read as numeric: counts are below 2^53.
vpsde_read <- function(path, name) {
  file <- H5File$new(path, mode = "r")
  on.exit(file$close_all())
  value <- file[[name]]$read()
  if (inherits(value, "integer64")) bit64::as.double.integer64(value) else value
}

# x[dim, time, sample] of a run with its coordinates: a list of x, t, alpha, sigma, lambda, sample.
vpsde_trajectory <- function(path, label, field = "x") {
  names <- c(field, "t", "alpha", "sigma", "lambda", "sample")
  values <- lapply(paste0("runs/", vpsde_name(label), "/", names), function(n) vpsde_read(path, n))
  names(values) <- c("x", names[-1])
  values
}

# A dataset of categories as words: vpsde_categories("compare.h5", "compare/solver").
vpsde_categories <- function(path, name) {
  file <- H5File$new(path, mode = "r")
  on.exit(file$close_all())
  words <- strsplit(h5attr(file[[name]], "flag_meanings"), " ")[[1]]
  words[as.integer(file[[name]]$read()) + 1]
}

# The metric rmse of `vpsde compare`, between two runs of the same start states in one file.
vpsde_rmse <- function(path, label, reference) {
  run <- function(label, what) vpsde_read(path, paste0("runs/", vpsde_name(label), "/", what))
  good <- run(label, "status") == 0 & run(reference, "status") == 0
  flat <- function(x) matrix(x, ncol = dim(x)[length(dim(x))]) # the last axis is the sample
  difference <- flat(run(label, "final")) - flat(run(reference, "final"))
  sqrt(mean(colSums(difference[, good, drop = FALSE]^2)))
}

# Mean of log p over the rows in nats, and its standard error, as `vpsde likelihood` prints them.
vpsde_logp <- function(path, label) {
  value <- vpsde_read(path, paste0("likelihood/", vpsde_name(label), "/logp"))
  value <- value[is.finite(value)]
  c(mean = mean(value), stderr = sd(value) / sqrt(length(value)))
}

# Paths of the first two components of some samples, noise to data.
vpsde_plot <- function(path, label, out, samples = 30) {
  x <- vpsde_trajectory(path, label)$x
  x <- array(x, c(prod(dim(x)[seq_len(length(dim(x)) - 2)]), tail(dim(x), 2))) # images: (pixel, time, sample)
  shown <- seq_len(min(samples, dim(x)[3]))
  n <- dim(x)[2]
  png(out, width = 600, height = 500)
  matplot(x[1, , shown], x[2, , shown], type = "l", lty = 1, col = "grey60", main = label,
          xlab = "component 0", ylab = "component 1")
  points(x[1, 1, shown], x[2, 1, shown], pch = 16, col = 4)
  points(x[1, n, shown], x[2, n, shown], pch = 16, col = 2)
  legend("topright", c("noise", "data"), pch = 16, col = c(4, 2))
  invisible(dev.off())
}

if (sys.nframe() == 0) {
  arguments <- commandArgs(TRUE)
  vpsde_plot(arguments[1], arguments[2], arguments[3])
}
