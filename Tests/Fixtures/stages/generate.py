"""Makes the files of this folder: `python generate.py` (versions in README.md).

Small pictures with the published Pick-a-Pic columns, in the forms in which people have them.
"""
import base64, csv, datetime, io, json, pathlib

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from diffusers import AutoencoderKL
from PIL import Image
from safetensors.numpy import save_file
from transformers import CLIPTextModel, CLIPTokenizer

HERE = pathlib.Path(__file__).parent
rng = np.random.default_rng(7)
PROMPTS = ["a red circle", "a blue square on green", 'a "quoted", comma', "zwei Kreise äöü 🎈"]


def picture(form, size=(24, 20)):
    low = rng.integers(0, 255, (5, 4, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(low).resize(size, Image.Resampling.BICUBIC).save(buffer, form, **(
        {"quality": 85} if form == "JPEG" else {}))
    return buffer.getvalue()


def rows(count, first):
    """Rankings of four rows: the winner stays, the loser is replaced."""
    made, winner = [], None
    for i in range(count):
        ranking = (first + i) // 4
        if i % 4 == 0 or winner is None:
            winner = (f"image-{first}-{i}-a", picture("JPEG"))
        other = (f"image-{first}-{i}-b", picture("PNG" if i % 5 == 3 else "JPEG", (32, 20)))
        label = [(1.0, 0.0), (0.0, 1.0), (0.5, 0.5), (1.0, 0.0)][(i * 7 + first) % 4]
        made.append({
            "are_different": True,
            "best_image_uid": (winner if label[0] >= label[1] else other)[0],
            "caption": PROMPTS[ranking % len(PROMPTS)],
            "created_at": datetime.datetime(2023, 2, 3, 4, 5, 6, i),
            "has_label": i % 9 != 8,
            "image_0_uid": winner[0], "image_0_url": f"https://example.org/{winner[0]}.png",
            "image_1_uid": other[0], "image_1_url": f"https://example.org/{other[0]}.png",
            "jpg_0": winner[1], "jpg_1": other[1],
            "label_0": label[0], "label_1": label[1],
            "model_0": "model-a", "model_1": None if i % 3 else "model-b",
            "ranking_id": ranking, "user_id": i % 5, "num_example_per_prompt": 4,
            "__index_level_0__": i,
        })
        if label[1] > label[0]:
            winner = other
    return made


SCHEMA = pa.schema([
    ("are_different", pa.bool_()), ("best_image_uid", pa.string()), ("caption", pa.string()),
    ("created_at", pa.timestamp("ns")), ("has_label", pa.bool_()), ("image_0_uid", pa.string()),
    ("image_0_url", pa.string()), ("image_1_uid", pa.string()), ("image_1_url", pa.string()),
    ("jpg_0", pa.binary()), ("jpg_1", pa.binary()), ("label_0", pa.float64()),
    ("label_1", pa.float64()), ("model_0", pa.string()), ("model_1", pa.string()),
    ("ranking_id", pa.int64()), ("user_id", pa.int64()), ("num_example_per_prompt", pa.int64()),
    ("__index_level_0__", pa.int64())])


def write(name, data, group, schema=SCHEMA, **options):
    pq.write_table(pa.Table.from_pylist(data, schema), HERE / name, row_group_size=group, **options)


train = rows(24, 0)
validation = rows(9, 100)
write("train-00000-of-00001-0f1e2d3c4b5a6978.parquet", train, 10)
write("validation-00000-of-00001-8796a5b4c3d2e1f0.parquet", validation, 100)

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
structs = [{**row, "jpg_0": {"bytes": row["jpg_0"], "path": None},
            "jpg_1": {"bytes": row["jpg_1"], "path": "x.jpg"}} for row in train]
write("structs.parquet", structs, 7, pa.schema([
    pa.field(f.name, IMAGE if f.name.startswith("jpg") else f.type) for f in SCHEMA]))
no_images = [f for f in SCHEMA if not f.name.startswith("jpg")]
write("no-images.parquet", [{f.name: row[f.name] for f in no_images} for row in train], 100,
      pa.schema(no_images))

KEEP = ["caption", "image_0_uid", "image_1_uid", "label_0", "label_1", "has_label", "are_different",
        "num_example_per_prompt", "ranking_id"]
(HERE / "pictures").mkdir(exist_ok=True)
with open(HERE / "records.jsonl", "w") as lines, open(HERE / "records.csv", "w", newline="") as file:
    table = csv.DictWriter(file, KEEP + ["jpg_0", "jpg_1"])
    table.writeheader()
    for i, row in enumerate(train[:8]):
        kept = {key: row[key] for key in KEEP}
        files = {}
        for side in ("jpg_0", "jpg_1"):
            path = f"pictures/{row['image_' + side[-1] + '_uid']}"
            (HERE / path).write_bytes(row[side])
            files[side] = path
        coded = {s: base64.b64encode(row[s]).decode() for s in files}
        lines.write(json.dumps({**kept, **(coded if i % 2 else files)}) + "\n")
        table.writerow({**kept, **(files if i % 2 else coded)})
(HERE / "prompts.json").write_text(json.dumps([{"caption": p} for p in PROMPTS + ["a listed one"]]))
(HERE / "prompts.jsonl").write_text("".join(json.dumps({"caption": p}) + "\n" for p in PROMPTS))

# What the model of ../sample makes of them: scaled latents of 16 x 16 pictures, embeddings, ids.
MODEL, SIZE = HERE / "../sample/model", 16
vae = AutoencoderKL.from_pretrained(MODEL, subfolder="vae", torch_dtype=torch.float32)
text = CLIPTextModel.from_pretrained(MODEL, subfolder="text_encoder", torch_dtype=torch.float32)
tokenizer = CLIPTokenizer.from_pretrained(MODEL, subfolder="tokenizer")
expected = {}
with torch.no_grad():
    for row in train:
        for side in "01":
            image = Image.open(io.BytesIO(row[f"jpg_{side}"])).convert("RGB")
            width, height = image.size
            width, height = SIZE * width // min(image.size), SIZE * height // min(image.size)
            left, top = round((width - SIZE) / 2), round((height - SIZE) / 2)
            image = image.resize((width, height), Image.Resampling.BICUBIC).crop(
                (left, top, left + SIZE, top + SIZE))
            pixels = torch.tensor(np.array(image)).permute(2, 0, 1)[None] / 255 * 2 - 1
            latent = vae.encode(pixels).latent_dist
            scale = vae.config.scaling_factor
            uid = row[f"image_{side}_uid"]
            expected[f"mean {uid}"] = (latent.mean * scale)[0].numpy()
            expected[f"logvar {uid}"] = (latent.logvar + 2 * np.log(scale))[0].float().numpy()
    for prompt in PROMPTS + [""]:
        ids = tokenizer(prompt, padding="max_length", truncation=True, return_tensors="pt").input_ids
        expected[f"ids {prompt}"] = ids[0].numpy()
        expected[f"embedding {prompt}"] = text(ids).last_hidden_state[0].numpy()
save_file(expected, HERE / "expected.safetensors")
