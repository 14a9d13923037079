"""Runs every part of the full-size models, of random weights in half precision, on a device and on the CPU
at a small spatial size, and compares what came out.

    POCL_DEVICES=basic python3 Tests/Devices/full_size.py --device opencl --folder DIR [--precision tf32]

Needs Python with what Tests/Reference/requirements.txt lists, whose full_size.py writes the models (11 GB in DIR,
used again if they are there). --doors lists what a run has, --only chooses. See docs/devices.md.
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "Tests/Reference"))

# Of the largest number, and of vectors: half precision's rounding.
LARGEST, COSINE = 2e-2, 0.9999
# Gradients in which much cancels may be further off in f16 and tf32, but not by more than this many times what PyTorch's
# are in float16: the rounding is the same, 10 bits of fraction, in f16 of activations, in tf32 of factors.
BESIDE_TORCH = 1.25
# Short prompts, 64 pixels a side, and for CLIP ViT-H 56, which are 4 x 4 patches.
TOKENS, SIDE, LATENT, PICTURE = 16, 64, 8, 56
DOORS = [
    ("sd15", "text_encoder"), ("sd15", "vae.encode"), ("sd15", "vae.decode"), ("sd15", "unet"),
    ("sd15", "unet-lora"), ("sd15", "latent-preference"),
    ("preference", "preference"), ("preference", "spm.loss"),
    ("sdxl", "text_encoder"), ("sdxl", "text_encoder_2"), ("sdxl", "vae.encode"), ("sdxl", "vae.decode"),
    ("sdxl", "unet"), ("sdxl", "unet-lora"),
]
# Of SD v1.5, whose lowest level has 1 x 1 places of 8 x 8: attention to one is constant, and the exact gradients of
# its queries and keys are 0.
LARGER = 16
# What `spo bench` makes inputs for; the others are operations of `spo apply`.
BENCHES = {"unet-lora", "latent-preference"}


def size(model: str) -> str:
    side = LARGER if model == "sd15" else LATENT
    return f"{side}x{side}"


def inputs(model: str, operation: str) -> dict:
    import reference as ref
    import torch

    xl = model == "sdxl"
    ids = torch.randint(0, 49408, (1, TOKENS), generator=ref.generator(5))
    ids[:, -1] = 49407
    match operation:
        case "text_encoder" | "text_encoder_2":
            return {"input_ids": ids}
        case "vae.encode":
            return {"image": ref.normal(6, 1, 3, SIDE, SIDE).clamp(-1, 1)}
        case "vae.decode":
            return {"latents": ref.normal(7, 1, 4, LATENT, LATENT)}
        case "unet":
            found = {
                "sample": ref.normal(8, 1, 4, LATENT, LATENT), "timestep": torch.tensor([501]),
                "encoder_hidden_states": ref.normal(9, 1, 77, 2048 if xl else 768),
            }
            if xl:
                found["text_embeds"] = ref.normal(10, 1, 1280)
                found["time_ids"] = torch.tensor([[1024.0, 1024, 0, 0, 1024, 1024]])
            return found
        case "preference":
            return {
                "image": ref.normal(11, 1, 3, SIDE, SIDE).clamp(-1, 1), "input_ids": ids,
                "timestep": torch.tensor([501]),
            }
        case "spm.loss":
            return {
                "image_0": ref.normal(11, 1, 3, SIDE, SIDE).clamp(-1, 1),
                "image_1": ref.normal(12, 1, 3, SIDE, SIDE).clamp(-1, 1), "input_ids": ids,
                "timestep": torch.tensor([501]), "label_0": torch.tensor([1.0]),
                "label_1": torch.tensor([0.0]), "examples_per_prompt": torch.tensor([1.0]),
            }
    raise ValueError(operation)


def command(door: tuple[str, str], folder: Path, model: Path, result: Path) -> list[str]:
    from safetensors.torch import save_file

    name, operation = door
    if operation in BENCHES:
        return [
            "bench", operation, "--model", str(model), "--batch", "1", "--size", size(name),
            "--cold", "--repeat", "1", "--json", "--save", str(result)]
    given = folder / f"in-{name}-{operation}.safetensors"
    save_file({key: value.contiguous() for key, value in inputs(name, operation).items()}, given)
    return ["apply", operation, "--model", str(model), "--inputs", str(given), "--outputs", str(result)]


def write(name: str, folder: Path) -> Path:
    import full_size as judge
    import reference as ref

    if name == "preference":
        # Its position embedding alone is smaller than that of the published size.
        judge.PREFERENCE_VISION["image_size"] = PICTURE
        ref.PREPROCESSOR |= {"size": PICTURE, "crop_size": PICTURE}
    return judge.model_folder(argparse.Namespace(folder=folder, precision="f16"), name)


def compare(expected: Path, found: Path, benched: bool) -> tuple[float, float, str, int]:
    """The worst of all arrays but the inputs: difference, cosine, the first's name, and how many there are."""
    import numpy
    from safetensors import safe_open

    worst, cosine, name, count = 0.0, 1.0, "", 0
    with safe_open(expected, "np") as one, safe_open(found, "np") as other:
        if sorted(one.keys()) != sorted(other.keys()):
            sys.exit(f"{expected} and {found} have different arrays")
        for key in one.keys():
            # Beside these a benchmark's file has its inputs.
            if benched and not key.startswith(("0.grad.", "0.output")):
                continue
            a, b = (file.get_tensor(key).ravel() for file in (one, other))
            if not (numpy.isfinite(a).all() and numpy.isfinite(b).all()):
                sys.exit(f"{key} has numbers that are not finite")
            largest = float(abs(a).max())
            count += 1
            if key.endswith("k_proj.bias"):
                # What is added to all keys changes no attention: the exact gradient is 0, and this is rounding.
                scale = float(abs(one.get_tensor(key.replace("k_proj", "v_proj"))).max())
                difference, angle = max(largest, float(abs(b).max())) / scale, 1.0
            elif largest == 0:
                difference, angle = float(abs(b).max()), 1.0
            else:
                difference = float(abs(a - b).max()) / largest
                # Lengths of ordinary size: squares of small gradients would vanish.
                a, b = (values.astype(numpy.float64) / largest for values in (a, b))
                angle = float(a @ b / max(numpy.linalg.norm(a) * numpy.linalg.norm(b), 1e-300))
            cosine = min(cosine, angle)
            if difference > worst:
                worst, name = difference, key
    if not count:
        sys.exit(f"{expected} has no results")
    return worst, cosine, name, count


def is_close(found: tuple[float, float], allowed: tuple[float, float] = (LARGEST, COSINE)) -> bool:
    """Of differences and cosines."""
    return found[0] <= allowed[0] and found[1] >= allowed[1]


def beside_torch(door: tuple[str, str], folder: Path, model: Path, expected: Path) -> tuple[float, float] | None:
    """What PyTorch's gradients in float16 are off by."""
    import torch_half

    if door[1] not in torch_half.OPERATIONS:
        return None
    result = expected.with_name(f"{expected.stem}-torch.safetensors")
    benched = door[1] in BENCHES
    given = expected if benched else folder / f"in-{door[0]}-{door[1]}.safetensors"
    torch_half.write(door[1], model, given, result)
    worst, cosine, _, _ = compare(expected, result, benched)
    result.unlink()
    return worst, cosine


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--program", default=".build/release/spo")
    parser.add_argument("--device", default="opencl")
    parser.add_argument("--precision", action="append", choices=["f32", "tf32", "f16"], help="(f32)")
    parser.add_argument(
        "--torch", action="store_true", help="gradients by PyTorch in float16, too, even if ours are close")
    parser.add_argument("--folder", type=Path, help="for the models and results")
    parser.add_argument("--only", action="append", metavar="PREFIX", help='such as "sdxl unet"')
    parser.add_argument("--doors", action="store_true", help="list what there is, and run nothing")
    options = parser.parse_args()
    chosen = [
        door for door in DOORS
        if not options.only or any(" ".join(door).startswith(prefix) for prefix in options.only)]
    if options.doors:
        print("\n".join(" ".join(door) for door in chosen))
        return 0
    if not chosen or not options.folder:
        parser.error("--folder is needed, and --only must name a door")
    options.folder.mkdir(parents=True, exist_ok=True)

    failed = False
    print(f"{'door':28}{'precision':>10}{'CPU s':>8}{'device s':>10}{'arrays':>8}{'largest':>10}{'cosine':>12}")
    for door in chosen:
        name = " ".join(door)
        model = write(door[0], options.folder)
        stem = options.folder / f"out-{name.replace(' ', '-')}"

        def run(label: str, *device: str) -> tuple[Path, float]:
            result = stem.with_name(f"{stem.name}-{label}.safetensors")
            start = time.monotonic()
            subprocess.run(
                [options.program, *command(door, options.folder, model, result), *device], check=True,
                stdout=subprocess.DEVNULL)
            return result, time.monotonic() - start

        expected, host = run("cpu", "--device", "cpu")
        for precision in options.precision or ["f32"]:
            found, seconds = run(
                precision, "--device", options.device, "--device-precision", precision)
            worst, cosine, array, count = compare(expected, found, door[1] in BENCHES)
            found.unlink()
            isRight, remark = is_close((worst, cosine)), ""
            theirs = beside_torch(door, options.folder, model, expected) if (
                options.torch or not isRight) and precision != "f32" else None
            if theirs:
                isRight |= is_close((worst, cosine), (
                    BESIDE_TORCH * theirs[0], 1 - BESIDE_TORCH * (1 - theirs[1])))
                remark = f"  PyTorch's float16: {theirs[0]:.1e}, {theirs[1]:.8f}"
            failed |= not isRight
            print(
                f"{name:28}{precision:>10}{host:8.1f}{seconds:10.1f}{count:8}{worst:10.1e}{cosine:12.8f}"
                + remark + ("" if isRight else f"  FAILED: {array}"), flush=True)
        expected.unlink()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
