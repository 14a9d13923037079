"""Checks images of every scheduler with the settings that `scheduler_config.json` can have.

Usage: python Tests/Reference/schedulers.py [--program .build/release/spo] [--only euler] [--keep DIR]

One random model; its scheduler's file is written anew for each case, and diffusers' pipeline and `spo`
draw from the same folder and seed. Mean absolute difference of each channel under 1 of 255.
"""

import json
import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import diffusers
import numpy as np
import torch
import transformers
from PIL import Image

import harness
import parity
import reference as ref
from harness import Failure

SD = dict(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", num_train_timesteps=1000)
ZERO = dict(rescale_betas_zero_snr=True, prediction_type="v_prediction", timestep_spacing="trailing")
KINDS = ("epsilon", "v_prediction", "sample")


def variations(name):
    """(title, settings, steps) of one scheduler."""
    for spacing in ("leading", "trailing", "linspace"):
        for offset in (0, 1):
            yield f"{spacing} offset {offset}", dict(timestep_spacing=spacing, steps_offset=offset), 9
        yield f"{spacing} 1 step", dict(timestep_spacing=spacing, steps_offset=1), 1
        yield f"{spacing} 50 steps", dict(timestep_spacing=spacing, steps_offset=1), 50
    for kind in KINDS:
        if name != "pndm" or kind != "sample":
            yield kind, dict(prediction_type=kind), 11
            yield f"{kind} trailing", dict(prediction_type=kind, timestep_spacing="trailing"), 7
    for curve in ("linear", "scaled_linear", "squaredcos_cap_v2"):
        yield f"betas {curve}", dict(beta_schedule=curve), 10
    yield "betas of 500 timesteps", dict(num_train_timesteps=500), 10
    if name != "pndm":
        yield "zero terminal SNR", ZERO, 8
    if name in ("ddim", "pndm"):
        yield "alpha to one", dict(set_alpha_to_one=True), 6
    if name == "ddim":
        yield "zero terminal SNR from one", ZERO | dict(set_alpha_to_one=True), 8
        yield "clip of samples", dict(clip_sample=True, clip_sample_range=0.7), 9
    if name in ("euler", "dpm++"):
        yield "karras", dict(use_karras_sigmas=True), 12
        yield "karras trailing", dict(use_karras_sigmas=True, timestep_spacing="trailing"), 20
        yield "karras v", dict(use_karras_sigmas=True, prediction_type="v_prediction"), 9
        yield "ends at the lowest level", dict(final_sigmas_type="sigma_min"), 10
    if name == "euler":
        yield "karras between levels", dict(use_karras_sigmas=True, sigma_min=0.05, sigma_max=10.0), 9
    if name == "dpm++":
        yield "first order", dict(solver_order=1), 9
        yield "heun", dict(solver_type="heun"), 16
        yield "few steps of second order", dict(lower_order_final=False), 9
        yield "Euler's last step", dict(euler_at_final=True), 20
        yield "clipped lambda", dict(lambda_min_clipped=-5.1, beta_schedule="squaredcos_cap_v2"), 10


BASE = {"ddim": dict(clip_sample=False, set_alpha_to_one=False, steps_offset=1),
        "pndm": dict(skip_prk_steps=True, set_alpha_to_one=False, steps_offset=1)}


def check_schedulers(judge, options):
    folder = parity.pipeline_folder(judge, parity.Shapes("schedulers"))
    for name, kind in parity.SCHEDULERS.items():
        for title, settings, steps in variations(name):
            with_title = f"{name}, {title}"
            if not judge.wanted(with_title):
                continue
            with judge.case(with_title) as measured:
                write_scheduler(folder, kind, SD | BASE.get(name, {}) | settings)
                compare(judge, measured, folder, with_title, steps, "torch-cpu")


def check_classes(judge, options):
    """What is not read is refused by the name of its class or of its setting."""
    folder = parity.pipeline_folder(judge, parity.Shapes("schedulers"))
    cases = {
        "an unknown class": (diffusers.EulerAncestralDiscreteScheduler, {},
                             "EulerAncestralDiscreteScheduler"),
        "dynamic thresholding": (diffusers.DDIMScheduler, dict(thresholding=True), "thresholding"),
        "Runge-Kutta start": (diffusers.PNDMScheduler, dict(skip_prk_steps=False), "skip_prk_steps"),
        "stochastic solver": (diffusers.DPMSolverMultistepScheduler,
                              dict(algorithm_type="sde-dpmsolver++"), "algorithm_type"),
        "third order": (diffusers.DPMSolverMultistepScheduler, dict(solver_order=3), "solver_order"),
        "beta sigmas": (diffusers.EulerDiscreteScheduler, None, "use_beta_sigmas"),
    }
    for title, (kind, settings, mention) in cases.items():
        if judge.wanted(title):
            with judge.case(title):
                write_scheduler(folder, kind, SD | (settings or {}))
                if settings is None:
                    path = folder / "scheduler" / "scheduler_config.json"
                    path.write_text(json.dumps(json.loads(path.read_text()) | {mention: True}))
                judge.refuse("sample", "--model", folder, "--prompt", "red", "--out",
                             judge.path(title, "picture.png"), mentions=[mention])


def check_cuda(judge, options):
    """The stream of torch's CUDA generator, written down once more, as the first latents."""
    known = [-0.92466259, -0.42534406, -2.64384574, 0.14518390, -0.12086651]
    found = philox_normals(0, 5)
    if np.abs(found - np.array(known)).max() > 1e-6:
        raise AssertionError(f"the judge's own stream is wrong: {found}")
    folder = parity.pipeline_folder(judge, parity.Shapes("schedulers"))
    for name, eta, seed in (("ddim", 0.0, 0), ("ddim", 1.0, 42), ("euler", 0.0, 2**40 + 3)):
        title = f"torch-cuda {name} eta {eta} seed {seed}"
        if not judge.wanted(title):
            continue
        with judge.case(title) as measured:
            write_scheduler(folder, parity.SCHEDULERS[name], SD | BASE.get(name, {}))
            compare(judge, measured, folder, title, 8, "torch-cuda", seed=seed, eta=eta)


def write_scheduler(folder, kind, settings):
    kind(**settings).save_pretrained(folder / "scheduler")
    index = folder / "model_index.json"
    names = json.loads(index.read_text()) | {"scheduler": ["diffusers", kind.__name__]}
    index.write_text(json.dumps(names, indent=2))


def compare(judge, measured, folder, title, steps, rng, seed=5, eta=0.0):
    picture = judge.path("pictures", f"{title}.png")
    judge.run("sample", "--model", folder, "--prompt", "a red circle", "--seed", seed, "--steps",
              steps, "--guidance", 3, "--eta", eta, "--size", "64x48", "--rng", rng, "--out", picture)
    pipeline = ref.load_pipeline(folder)
    settings = dict(num_inference_steps=steps, guidance_scale=3.0, width=64, height=48, eta=eta,
                    output_type="np")
    if rng == "torch-cpu":
        settings["generator"] = ref.generator(seed)
    else:
        give_philox(pipeline, settings, seed)
    expected = pipeline("a red circle", **settings).images[0]
    found = np.asarray(Image.open(picture).convert("RGB"), dtype=np.float32)
    # Some schedules leave a random model with flat pictures: those must be flat here too.
    difference = np.abs(found - (expected * 255).round()).mean((0, 1))
    if found.shape != expected.shape or not np.isfinite(difference).all():
        raise Failure(f"{found.shape} instead of {expected.shape}, or not finite")
    measured.extend((float(value), 1.0) for value in difference)
    judge.contrasts.append(float(found.std()))


def give_philox(pipeline, settings, seed):
    """Every draw of the pipeline comes from the stream of the CUDA generator."""
    shape = (1, 4, 48 // 4, 64 // 4)
    draws = iter(range(1000))

    def draw(*_, **__):
        values = philox_normals(seed, int(np.prod(shape)), next(draws))
        return torch.from_numpy(values.astype(np.float32)).reshape(shape)

    settings["latents"] = draw()
    step = pipeline.scheduler.step
    if settings["eta"] > 0:
        pipeline.scheduler.step = lambda *args, eta, **rest: step(
            *args, eta=eta, variance_noise=draw(), return_dict=rest.get("return_dict", True))
        # The pipeline asks by signature whether the scheduler knows eta.
        pipeline.prepare_extra_step_kwargs = lambda generator, eta: {"eta": eta}


def philox_normals(seed, count, offset=0):
    """Philox 4x32-10 (Salmon et al. 2011) by its published constants, then Box and Muller."""
    mask = np.uint64(0xFFFFFFFF)
    counter = [np.full(count, offset, np.uint64), np.zeros(count, np.uint64),
               np.arange(count, dtype=np.uint64), np.zeros(count, np.uint64)]
    key = [np.uint64(seed & 0xFFFFFFFF), np.uint64(seed >> 32)]
    for round_number in range(10):
        first, second = counter[0] * np.uint64(0xD2511F53), counter[2] * np.uint64(0xCD9E8D57)
        counter = [(second >> np.uint64(32)) ^ counter[1] ^ key[0], second & mask,
                   (first >> np.uint64(32)) ^ counter[3] ^ key[1], first & mask]
        key = [(key[0] + np.uint64(0x9E3779B9)) & mask, (key[1] + np.uint64(0xBB67AE85)) & mask]
    u = counter[0].astype(np.float64) * 2.0**-32 + 2.0**-33
    v = (counter[1].astype(np.float64) * 2.0**-32 + 2.0**-33) * 2 * np.pi
    return np.sqrt(-2 * np.log(u)) * np.sin(v)


def report_contrast(judge, options):
    """Pictures without contrast judge nothing: most must have some."""
    if len(judge.contrasts) > 10:
        with judge.case("contrast of most pictures"):
            lowest = sorted(judge.contrasts)[len(judge.contrasts) // 10]
            if lowest < 8:
                raise Failure(f"a tenth of the pictures vary by less than {lowest}")


def start(judge, options):
    judge.contrasts = []


if __name__ == "__main__":
    print(f"diffusers {diffusers.__version__}, transformers {transformers.__version__}, "
          f"torch {torch.__version__}")
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    diffusers.utils.logging.set_verbosity_error()
    diffusers.utils.logging.disable_progress_bar()
    harness.main(__doc__.splitlines()[0],
                 [start, check_schedulers, check_classes, check_cuda, report_contrast])
