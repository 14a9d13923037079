"""Golden cases of the published scores of images, on random weights of the published architectures.

Writes clip-hf/, clip-open/, images/ and expected.json beside itself; README.md says what they are.
"""

import json
import shutil
from pathlib import Path

import numpy as np
import open_clip
import torch
from PIL import Image
from safetensors.torch import save_file
from torchvision.transforms import InterpolationMode, Normalize, functional
from transformers import CLIPConfig, CLIPModel, CLIPTextConfig, CLIPTokenizerFast, CLIPVisionConfig

HERE = Path(__file__).resolve().parent
TOKENIZER = HERE.parents[2] / "data" / "tiny-sd" / "tokenizer"
MEAN = [0.48145466, 0.4578275, 0.40821073]
DEVIATION = [0.26862954, 0.26130258, 0.27577711]
SIDE, WIDTH, PROJECTION = 28, 24, 12
PROMPTS = ["a red circle in the middle , light background", "a blue square &amp; a \u201cgreen\u201d star"]


@torch.no_grad()
def randomize(model, seed):
    source = torch.Generator("cpu").manual_seed(seed)
    for name, parameter in sorted(model.named_parameters()):
        if name == "logit_scale":
            parameter.fill_(3.1)
            continue
        values = torch.randn(parameter.shape, generator=source)
        if parameter.ndim < 2:
            is_norm = "weight" in name
            parameter.copy_(values * 0.2 + (1 if is_norm else 0))
        else:
            parameter.copy_(values / parameter[0].numel() ** 0.5)
    return model.eval()


def make_images():
    folder = HERE / "images"
    folder.mkdir()
    source = np.random.default_rng(7)
    for name, (width, height) in {
        "square": (64, 64), "wide": (75, 48), "tall": (31, 60), "small": (20, 20),
    }.items():
        coarse = source.integers(0, 256, (5, 7, 3), dtype=np.uint8)
        image = Image.fromarray(coarse).resize((width, height), Image.BICUBIC)
        image.save(folder / f"{name}.png")
    return {path.stem: Image.open(path).convert("RGB") for path in sorted(folder.glob("*.png"))}


# What each score's own code does with an image ------------------------------------------------


def centre_of_transformers(image):
    """CLIPImageProcessor of PickScore's time: Pillow, and a margin rounded down."""
    short = min(image.size)
    size = [int(SIDE * length / short) for length in image.size]
    resized = np.asarray(image.resize(size, Image.BICUBIC))
    top, left = (size[1] - SIDE) // 2, (size[0] - SIDE) // 2
    cut = resized[top:top + SIDE, left:left + SIDE].astype(np.float32) / 255
    return torch.from_numpy((cut - MEAN) / DEVIATION).float().permute(2, 0, 1)[None]


def centre_of_open_clip(image):
    """open_clip's and OpenAI's transform: Pillow, and torchvision's margin."""
    transform = open_clip.image_transform(SIDE, is_train=False, mean=MEAN, std=DEVIATION)
    return transform(image)[None]


def whole_of_hpsv2(image):
    """hpsv2 1.2: a tensor, its longer side resized, black added at the shorter."""
    image = functional.to_tensor(image)
    height, width = image.shape[1:]
    scale = SIDE / max(height, width)
    size = [round(height * scale), round(width * scale)]
    image = functional.resize(image, size, InterpolationMode.BICUBIC, antialias=True)
    rows, columns = SIDE - size[0], SIDE - size[1]
    image = functional.pad(
        image, [columns // 2, rows // 2, columns - columns // 2, rows - rows // 2], fill=0)
    return Normalize(MEAN, DEVIATION)(image)[None]


# Models ----------------------------------------------------------------------------------------


def tokens(prompt):
    tokenizer = CLIPTokenizerFast.from_pretrained(TOKENIZER)
    ids = tokenizer(
        prompt, padding="max_length", truncation=True, max_length=tokenizer.model_max_length)
    return torch.tensor([ids["input_ids"]])


def hf_model(vocabulary, length):
    tower = dict(
        hidden_size=WIDTH, intermediate_size=2 * WIDTH, num_hidden_layers=2,
        num_attention_heads=3, hidden_act="gelu")
    config = CLIPConfig(
        text_config=CLIPTextConfig(
            vocab_size=vocabulary, max_position_embeddings=length, eos_token_id=vocabulary - 1,
            bos_token_id=vocabulary - 2, **tower).to_dict(),
        vision_config=CLIPVisionConfig(image_size=SIDE, patch_size=7, **tower).to_dict(),
        projection_dim=PROJECTION)
    return config, randomize(CLIPModel(config), 11)


def open_config(vocabulary, length):
    return {
        "embed_dim": PROJECTION,
        "vision_cfg": {
            "image_size": SIDE, "layers": 2, "width": 30, "head_width": 15, "patch_size": 7},
        "text_cfg": {
            "context_length": length, "vocab_size": vocabulary, "width": WIDTH, "heads": 2,
            "layers": 2},
    }


class Improved(torch.nn.Module):
    """The improved aesthetic predictor's layers, narrower."""

    def __init__(self):
        super().__init__()
        linear, drop = torch.nn.Linear, torch.nn.Dropout
        self.layers = torch.nn.Sequential(
            linear(PROJECTION, 32), drop(0.2), linear(32, 16), drop(0.2), linear(16, 8), drop(0.1),
            linear(8, 4), linear(4, 1))

    def forward(self, x):
        return self.layers(x)


def unit(vectors):
    return vectors / vectors.norm(dim=-1, keepdim=True)


def features(output):
    """Newer versions wrap the projected vectors."""
    return output if isinstance(output, torch.Tensor) else output.pooler_output


@torch.no_grad()
def main():
    torch.set_num_threads(1)
    for name in ("clip-hf", "clip-open", "images"):
        shutil.rmtree(HERE / name, ignore_errors=True)
    images = make_images()
    tokenizer = CLIPTokenizerFast.from_pretrained(TOKENIZER)
    vocabulary, length = len(tokenizer), tokenizer.model_max_length

    config, clip = hf_model(vocabulary, length)
    folder = HERE / "clip-hf"
    folder.mkdir()
    (folder / "config.json").write_text(config.to_json_string())
    save_file(clip.state_dict(), folder / "model.safetensors", metadata={"format": "pt"})
    linear = randomize(torch.nn.Linear(PROJECTION, 1), 21)
    torch.save(linear.state_dict(), folder / "sa_0_4_vit_l_14_linear.pth")
    improved = randomize(Improved(), 22)
    torch.save(improved.state_dict(), folder / "sac+logos+ava1-l14-linearMSE.pth")

    settings = open_config(vocabulary, length)
    opened = randomize(open_clip.CLIP(
        settings["embed_dim"], settings["vision_cfg"], settings["text_cfg"], output_dict=True), 31)
    folder = HERE / "clip-open"
    folder.mkdir()
    (folder / "open_clip_config.json").write_text(json.dumps(
        {"model_cfg": settings, "preprocess_cfg": {"mean": MEAN, "std": DEVIATION}}, indent=2))
    torch.save(
        {"epoch": 1, "name": "hps", "state_dict": opened.state_dict()},
        folder / "HPS_v2.1_compressed.pt")

    expected = {"prompts": PROMPTS, "images": list(images), "scores": {}}

    def note(name, score):
        expected["scores"][name] = [
            [float(score(image, prompt)) for image in images.values()] for prompt in PROMPTS]

    def hf_vectors(image, prompt, pixels=centre_of_transformers):
        ids = tokens(prompt)
        text = unit(features(clip.get_text_features(input_ids=ids)))
        return unit(features(clip.get_image_features(pixel_values=pixels(image)))), text

    def pickscore(image, prompt):
        image, text = hf_vectors(image, prompt)
        return (clip.logit_scale.exp() * text @ image.T)[0, 0]

    def clip_score(image, prompt):
        image, text = hf_vectors(image, prompt)
        return 100 * (image * text).sum()

    def hpsv2(image, prompt):
        # open_clip's tokenizer cleans a caption so; what it cuts it into is the vocabulary's.
        cleaned = " ".join(open_clip.tokenizer.basic_clean(prompt).split())
        outputs = opened(whole_of_hpsv2(image), tokens(cleaned))
        return (outputs["image_features"] @ outputs["text_features"].T)[0, 0]

    def aesthetic(head):
        return lambda image, prompt: head(
            hf_vectors(image, prompt, centre_of_open_clip)[0])[0, 0]

    note("pickscore", pickscore)
    note("clip", clip_score)
    note("hpsv2.1", hpsv2)
    note("aesthetic-v1", aesthetic(linear))
    note("aesthetic-v2", aesthetic(improved))
    expected["diversity"] = [diversity([hf_vectors(p, PROMPTS[0])[0][0] for p in images.values()])]
    (HERE / "expected.json").write_text(json.dumps(expected, indent=2) + "\n")
    captions = [
        "a &quot;b&quot; &amp;amp; c", "\u2018x\u2019 \u201cy\u201d", "\ufb01re \uff21\uff11",
        "1 < 2 &lt; 3", "&#39;q&#x27; &unknown; & alone", "caf\u00e9\u0301 tab\tline",
    ]
    (HERE / "captions.json").write_text(json.dumps(
        [[text, open_clip.tokenizer.basic_clean(text)] for text in captions], indent=2) + "\n")


def diversity(vectors):
    distances = [
        1 - float(a @ b) for i, a in enumerate(vectors) for b in vectors[:i]]
    return sum(distances) / len(distances)


if __name__ == "__main__":
    main()
