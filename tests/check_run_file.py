#!/usr/bin/env python3
"""Checks that a run file keeps the promises of docs/hdf5-schema.md.

    check_run_file.py RUN.h5

Prints one line for each broken promise and exits 1; prints nothing when all is well. Needs h5py;
with xarray and h5netcdf it also opens every group the way a user would.
"""

import re
import sys

import h5py

try:
    import h5netcdf  # noqa: F401
    import xarray
except ImportError:
    xarray = None

NAME = re.compile(r"[a-z0-9_]+\Z")
problems = []


def complain(what, why):
    problems.append(f"{what}: {why}")


def text(value):
    return value.decode() if isinstance(value, bytes) else value


def check_attributes(name, node):
    for key, value in node.attrs.items():
        kind = node.attrs.get_id(key).dtype.kind
        if kind not in "SOiuf" and key not in ("DIMENSION_LIST", "REFERENCE_LIST"):
            complain(name, f"attribute {key} has kind {kind}")
        if key not in ("REFERENCE_LIST", "DIMENSION_LIST") and kind == "O" and not isinstance(value, str):
            complain(name, f"attribute {key} is neither text nor a number")


def check_dataset(name, data):
    check_attributes(name, data)
    if data.dtype.kind not in "iuf":
        complain(name, f"type {data.dtype} is not a number")
    if not data.fletcher32:
        complain(name, "has no fletcher32 checksum")
    if data.compression:
        complain(name, "is compressed")
    for key in ("units", "description"):
        if not text(data.attrs.get(key, "")):
            complain(name, f"has no {key}")
    if "flag_meanings" in data.attrs:
        words = text(data.attrs["flag_meanings"]).split()
        if list(data.attrs["flag_values"]) != list(range(len(words))):
            complain(name, "flag_values do not number flag_meanings")
    if h5py.h5ds.is_scale(data.id):
        return
    group = data.parent
    for axis, dim in enumerate(data.dims):
        if len(dim) != 1:
            complain(name, f"axis {axis} has {len(dim)} scales, expected 1")
            continue
        scale = dim[0]
        if scale.parent != group or scale.shape != (data.shape[axis],):
            complain(name, f"axis {axis}: its scale {scale.name} is elsewhere or has another length")
    for key in text(data.attrs.get("coordinates", "")).split():
        if key not in group:
            complain(name, f"coordinate {key} is not there")


def check_group(name, group):
    check_attributes(name, group)
    for key, node in group.items():
        if not NAME.match(key):
            complain(name, f"the name {key} is not of [a-z0-9_]")
        if not isinstance(group.get(key, getlink=True), h5py.HardLink):
            complain(name, f"{key} is not a hard link")
        if not group.id.links.get_info(key.encode()).corder_valid:
            complain(name, f"the creation order of {key} is not tracked")
        path = f"{name.rstrip('/')}/{key}"
        if isinstance(node, h5py.Group):
            check_group(path, node)
        else:
            check_dataset(path, node)


def check_root(file):
    for key, wanted in (("Conventions", "vpsde/1"), ("schema", "vpsde/1")):
        if text(file.attrs.get(key)) != wanted:
            complain("/", f"{key} is {file.attrs.get(key)!r}, expected {wanted!r}")
    for key in ("verb", "status", "seed", "config", "dimension_order"):
        if key not in file.attrs:
            complain("/", f"attribute {key} is missing")
    for key in ("provenance", "model", "inputs"):
        if key not in file:
            complain("/", f"group {key} is missing")


def check_xarray(path, group):
    """Named dimensions and coordinates arrive, and every value can be read."""
    with xarray.open_dataset(path, group=group.name, engine="h5netcdf") as seen:
        for key, node in group.items():
            if not isinstance(node, h5py.Dataset):
                continue
            name = f"{group.name}/{key} in xarray"
            if key not in seen.variables:
                complain(name, "is missing")
                continue
            dims = (key,) if h5py.h5ds.is_scale(node.id) else tuple(d[0].name.split("/")[-1] for d in node.dims)
            if seen[key].dims != dims:
                complain(name, f"has dimensions {seen[key].dims}, expected {dims}")
            for coordinate in text(node.attrs.get("coordinates", "")).split():
                if coordinate not in seen[key].coords:
                    complain(name, f"lacks the coordinate {coordinate}")
            if seen[key].dtype.kind not in "iuf":
                complain(name, f"became {seen[key].dtype}")
            seen[key][(0,) * seen[key].ndim].load()


def main(path):
    groups = []
    with h5py.File(path, "r") as file:
        check_root(file)
        check_group("/", file)
        file.visititems(lambda _, node: groups.append(node) if isinstance(node, h5py.Group) else None)
        if xarray:
            for group in [file["/"], *groups]:
                try:
                    check_xarray(path, group)
                except (ValueError, KeyError) as error:
                    complain(group.name, f"xarray cannot open it: {error}")
    print("\n".join(problems), end="\n" if problems else "")
    return 1 if problems else 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1]))
