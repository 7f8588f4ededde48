"""seeds.py VPSDE: writes the hand-made seeds of tests/fuzz/corpus, a few of each kind of good and bad input.

What libFuzzer found interesting, or broke, stands beside them under its SHA-1.
"""
import gzip, io, json, os, struct, subprocess, sys, tempfile

import h5py
import numpy as np

vpsde = os.path.abspath(sys.argv[1])
corpus = os.path.join(os.path.dirname(os.path.abspath(__file__)), "corpus")


def put(target, **seeds):
    os.makedirs(os.path.join(corpus, target), exist_ok=True)
    for name, data in seeds.items():
        with open(os.path.join(corpus, target, name), "wb") as f:
            f.write(data if isinstance(data, bytes) else data.encode())


def tensors(header, payload=b""):
    text = header if isinstance(header, bytes) else json.dumps(header, separators=(",", ":")).encode()
    return struct.pack("<Q", len(text)) + text + payload


def tensor(offsets, shape, dtype="F32"):
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


def npy(array, version=None):
    out = io.BytesIO()
    np.lib.format.write_array(out, array, version)
    return out.getvalue()


def idx(code, dims, payload):
    return struct.pack(">BBBB", 0, 0, code, len(dims)) + struct.pack(f">{len(dims)}I", *dims) + payload


def hdf5(make):
    out = io.BytesIO()
    with h5py.File(out, "w", libver="latest") as f:
        f.attrs["config"] = np.bytes_("seed: 7\n")
        make(f)
    return out.getvalue()


def parts():
    with tempfile.TemporaryDirectory() as folder:
        config = os.path.join(folder, "c.yaml")
        with open(config, "w") as f:
            f.write("process: {schedule: vp-linear}\nmodel: {kind: gaussian-mixture, weights: [1], means: [[0]], variances: [1]}\n"
                    "sampler: {solver: ddim, steps: 2, count: 2}\n")
        path = os.path.join(folder, "a.h5")
        limit = "ulimit -f 8; exec \"$0\" sample \"$1\" -o \"$2\" -q --threads 1"
        subprocess.run(["bash", "-c", limit, vpsde, config, path], stderr=subprocess.DEVNULL)
        names = sorted(n for n in os.listdir(path + ".parts") if n.startswith("part-") and len(n) == 18)
        return [open(os.path.join(path + ".parts", n), "rb").read()[80:] for n in names]


f4 = np.arange(6, dtype="<f4").reshape(2, 3)
put("safetensors",
    good=tensors({"__metadata__": {"vpsde.kind": "mlp"}, "a": tensor([0, 8], [2]), "b": tensor([8, 12], [2, 1], "F16")}, bytes(12)),
    types=tensors({"a": tensor([0, 8], [1], "F64"), "b": tensor([8, 10], [1], "BF16"), "c": tensor([10, 18], [], "I64")}, bytes(18)),
    empty=tensors({}), blanks=tensors(b'{"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}   '),
    nan=tensors({"a": tensor([0, 4], [1])}, struct.pack("<f", float("nan"))),
    wrapped=tensors({"a": tensor([0, 16], [4611686018427387905, 4])}, bytes(16)),
    overlap=tensors({"a": tensor([0, 4], [1]), "b": tensor([0, 4], [1])}, bytes(4)),
    hole=tensors({"a": tensor([4, 8], [1])}, bytes(8)),
    twice=tensors(b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}', b"x"),
    deep=tensors(b'{"a":' + b"[" * 50 + b"]" * 50 + b"}"), long=struct.pack("<Q", 1 << 40) + b"{}")
put("safetensors_index",
    good=json.dumps({"metadata": {"total_size": 12}, "weight_map": {"x": "a.safetensors", "y": "a.safetensors", "z": "b.safetensors"}}),
    outside=json.dumps({"weight_map": {"x": "../a.safetensors"}}), missing=json.dumps({"weight_map": {"x": "b.safetensors"}}),
    kinds=json.dumps({"weight_map": {"x": 1, "y": None, "z": ["a"]}}), none="{}")
put("npy", f4=npy(f4), u1=npy(np.zeros((2, 2, 2), "u1")), big=npy(f4.astype(">f8"), (2, 0)), boolean=npy(np.ones(3, bool), (3, 0)),
    half=npy(f4.astype("<f2")), scalar=npy(np.float32(1)), fortran=npy(np.asfortranarray(f4)), nan=npy(np.full((1, 1), np.nan)),
    bomb=npy(f4).replace(b"(2, 3)", b"(9999999999, 9999999999)"), records=npy(np.zeros(2, [("a", "<f4")])))
images = idx(8, [2, 2, 2], bytes(8))
put("idx", images=images, labels=idx(8, [3], b"\1\2\3"), floats=idx(0x0d, [1, 2], bytes(8)), i2=idx(0x0b, [2], bytes(4)),
    wrapped=idx(8, [1 << 31] * 3, b""), short=images[:-1], gz=gzip.compress(images, mtime=0), two=gzip.compress(images[:9], mtime=0) + gzip.compress(images[9:], mtime=0),
    bomb=gzip.compress(images + bytes(5000), mtime=0), cut=gzip.compress(images, mtime=0)[:-5])
put("gz", images=b"\0" + images, npy=b"\0" + npy(f4), short=b"\0" + images[:-2], two=b"\x09" + images, cut=b"\x03" + npy(f4))
put("h5",
    contiguous=hdf5(lambda f: f.create_dataset("x", data=f4)),
    packed=hdf5(lambda f: f.create_dataset("x", data=f4, chunks=(1, 3), compression="gzip", shuffle=True, fletcher32=True)),
    lzf=hdf5(lambda f: f.create_dataset("x", data=f4, chunks=(1, 3), compression="lzf")),
    text=hdf5(lambda f: f.create_dataset("x", data="text")), soft=hdf5(lambda f: f.update(x=h5py.SoftLink("/x"))),
    external=hdf5(lambda f: f.update(x=h5py.ExternalLink("b.h5", "/x"))),
    groups=hdf5(lambda f: f.create_group("runs/ddim").attrs.update({"a": 1, "b": 0.5, "c": "text"})))
put("manifest", good="format 2\nverb sample\nseed 7\nconfig_sha256 " + "0" * 64 + "\ninput data " + "1" * 64 + " /tmp/a b.npy\n",
    old="format 1\nverb sample\n", seed="format 2\nverb sample\nseed 99999999999999999999\nconfig_sha256 a\n",
    half="format 2\nverb sample\ninput a b\nconfig_sha256 a\n")
put("parts", **{f"part{i}": data for i, data in enumerate(parts())})
numbers = ("1e-5", "0x1f", "0o17", "-.inf", ".nan", "1e999", "1_0", "+5", "1.0e+5", "-0", "5e-324", "18446744073709551615", "9007199254740993.0", "null")
put("number", **{f"n{i}": n for i, n in enumerate(numbers)})
put("cli", good="conf.yaml\n-o\nout.h5\n--set\nseed=1\n--set=sampler.solver.1=ddpm\n--threads\n2\n-q\n--force",
    sets="a\n--set\na.b.c=[1, {d: e}]\n--set\n=3\n--set\nsampler.solver.9=1\n--set\nseed=&a 1\n-o\n",
    threads="a\n-o\nb\n--threads\n-3", stray="--\n-x\n--se=1\n--set\n-", help="--help\n--usage\n-?")
put("schedule", cosine=b"\0" + struct.pack("<4d", 1e-4, 1e-3, 1e-2, 0.5), zero=b"\3" + struct.pack("<3d", 0.1, 0, 1),
    wild=b"\1" + struct.pack("<4d", float("nan"), 1e308, -1, 20), linear=b"\2" + struct.pack("<3d", 0.1, 20, 1000))
put("json", scheduler=json.dumps({"_class_name": "DDPMScheduler", "beta_schedule": "scaled_linear", "num_train_timesteps": 10, "prediction_type": "v_prediction", "clip_sample": False}),
    betas=json.dumps({"_class_name": "DDIMScheduler", "trained_betas": [1e-4, 0.5, 0.99]}),
    cosine=json.dumps({"_class_name": "UniPCMultistepScheduler", "beta_schedule": "squaredcos_cap_v2", "num_train_timesteps": 7}),
    rescale=json.dumps({"_class_name": "PNDMScheduler", "rescale_betas_zero_snr": True}),
    unet=json.dumps({"_class_name": "UNet2DModel", "sample_size": 8, "in_channels": 1, "out_channels": 1, "layers_per_block": 1, "block_out_channels": [8, 8], "norm_num_groups": 4,
                     "down_block_types": ["DownBlock2D", "AttnDownBlock2D"], "up_block_types": ["AttnUpBlock2D", "UpBlock2D"], "attention_head_dim": 8, "act_fn": "silu", "class_embed_type": None}),
    kinds='{"a":[1,2.5e3,true,null,"\\u00e9\\ud83d\\ude00"],"_class_name":{}}', deep="[" * 40, half='{"a": "\\u12')
yaml = """\
seed: 18446744073709551615
title: "it's # \\u2028: \\t'yes'"
process: {t_min: 1e-05, beta_min: 0.30000000000000004}
model: {path: sub/data.h5:/images, means: [[-2, 0.1], [2, 1e300]]}
sampler:
  times: [1, 0.5, 1e-3]
  solver:
  - {variance: large, rtol: 0x1, solver: 'yes', order: -1}
  - ddim
"""
put("yaml", good=yaml, flow="{seed: 1, sampler: {solver: [a, b]}}", alias="a: &x 1\nb: *x\n", tag="a: !!str 1\n", merge="<<: {a: 1}\n", twice="seed: 1\nseed: 2\n",
    documents="a: 1\n---\nb: 2\n", bom=b"\xef\xbb\xbfseed: 1\n", wide=b"\xff\xfea\0", nul=b"seed: 1\0\n", block="title: |\n  a\n  b\nseed: >-\n  7\n", deep="a: " + "[" * 70, keys="? [a]\n: 1\n")
setup = """\
seed: 7
process: {schedule: vp-linear, beta_min: 0.1, beta_max: 20}
model: {kind: gaussian-mixture, weights: [0.3, 0.7], means: [[-2, 0], [2, 1]], variances: [0.05, 0.1]}
sampler: {solver: [{solver: ddim, eta: 1}, dopri5], steps: 10, rtol: 1e-3, atol: 1e-3, count: 4, grid: karras}
log: {times: [1, 0.5], fields: [x, eps], dtype: float64}
"""
put("setup", good=setup, likelihood=setup + "data: {path: a.npy, range: [-1, 1]}\nlikelihood: {integrator: {solver: dopri5}, trace: {kind: hutchinson, probes: 2}}\n",
    table="process: {schedule: table, betas: [0.1, 0.5]}\nmodel: {kind: gaussian-mixture, weights: [1], means: [[0]], covariances: [[[1]]]}\nsampler: {solver: pc-langevin, steps: 2, count: 1}\n",
    compare=setup + "compare: {solvers: [ddim, heun], steps: [5, 10], seeds: 2, reference: {solver: dopri5, rtol: 1e-8, atol: 1e-8}, metrics: [rmse, mean]}\n")
