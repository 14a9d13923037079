"""Writes preference data in the forms in which people have it, by the programs that they use.

Made with Python 3.11 and the packages of requirements.txt.

    python generate.py

Every file holds the same four prompts with three images each; the first image of a prompt is the best
one, the third the worst. Where a row compares two images, a prompt has two rows: first against second,
and third against second, so that both sides win.
"""

import io
import json
import pathlib
import shutil

import datasets
import duckdb
import numpy as np
import pandas as pd
import polars as pl
from PIL import Image

HERE = pathlib.Path(__file__).parent
PROMPTS = ["a red fox", "a green hill", "two boats, at dawn", "eine Katze"]
IMAGES = HERE / "images"


def encoded(prompt, place, format="PNG"):
    """A small image, another one for every prompt and place."""
    random = np.random.default_rng(10 * prompt + place)
    colors = random.integers(0, 256, (2, 2, 3), dtype=np.uint8)
    image = Image.fromarray(colors, "RGB").resize((20, 16), Image.Resampling.BICUBIC)
    file = io.BytesIO()
    options = {"PNG": {}, "JPEG": {"quality": 90}, "WEBP": {"lossless": True}}[format]
    image.save(file, format, **options)
    return file.getvalue()


def pairs():
    """Prompt, left and right image, and which of them is preferred."""
    for prompt in range(len(PROMPTS)):
        yield prompt, 0, 1, 0
        yield prompt, 2, 1, 1


def name(prompt, place):
    return f"{prompt}-{place}.png"


def write_json(path, value):
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n")


def images():
    IMAGES.mkdir(exist_ok=True)
    for prompt in range(len(PROMPTS)):
        for place in range(3):
            (IMAGES / name(prompt, place)).write_bytes(encoded(prompt, place))
            (IMAGES / f"{prompt}-{place}.webp").write_bytes(encoded(prompt, place, "WEBP"))


def pick_a_pic():
    rows = []
    for index, (prompt, left, right, winner) in enumerate(pairs()):
        rows.append({
            "are_different": True,
            "best_image_uid": f"{prompt}-{(left, right)[winner]}",
            "caption": PROMPTS[prompt],
            "has_label": True,
            "image_0_uid": f"{prompt}-{left}",
            "image_1_uid": f"{prompt}-{right}",
            "jpg_0": encoded(prompt, left, "JPEG"),
            "jpg_1": encoded(prompt, right, "JPEG"),
            "label_0": 1.0 - winner,
            "label_1": float(winner),
            "num_example_per_prompt": 2,
            "ranking_id": prompt,
            "user_id": index % 3,
        })
    datasets.Dataset.from_list(rows).to_parquet(HERE / "pickapic-datasets.parquet")


def chosen_rejected():
    rows = []
    for prompt, left, right, winner in pairs():
        chosen, rejected = (left, right) if winner == 0 else (right, left)
        rows.append({
            "prompt": PROMPTS[prompt],
            "chosen": {"bytes": encoded(prompt, chosen), "path": name(prompt, chosen)},
            "rejected": {"bytes": encoded(prompt, rejected), "path": name(prompt, rejected)},
            "chosen_model": "model a",
            "rejected_model": "model b",
        })
    features = datasets.Features({
        "prompt": datasets.Value("string"),
        "chosen": datasets.Image(),
        "rejected": datasets.Image(),
        "chosen_model": datasets.Value("string"),
        "rejected_model": datasets.Value("string"),
    })
    datasets.Dataset.from_list(rows, features=features).to_parquet(
        HERE / "chosen-rejected-datasets.parquet")
    # Bytes, packed by zstd, which is what polars does unless told otherwise.
    pl.DataFrame([
        {"prompt": row["prompt"], "chosen": row["chosen"]["bytes"],
         "rejected": row["rejected"]["bytes"]} for row in rows
    ]).write_parquet(HERE / "chosen-rejected-polars.parquet")
    # Paths.
    pd.DataFrame([
        {"prompt": row["prompt"], "chosen": "images/" + row["chosen"]["path"],
         "rejected": "images/" + row["rejected"]["path"]} for row in rows
    ]).to_json(HERE / "chosen-rejected-pandas.jsonl", orient="records", lines=True)


def human_preference_datasets():
    write_json(HERE / "hpdv2.json", [
        {"prompt": PROMPTS[prompt],
         "image_path": [f"images/{name(prompt, left)}", f"images/{name(prompt, right)}"],
         "human_preference": [1 - winner, winner], "user_hash": f"annotator {prompt}"}
        for prompt, left, right, winner in pairs()
    ])
    write_json(HERE / "hpdv2-test.json", [
        {"prompt": text, "image_path": [f"images/{name(prompt, place)}" for place in range(3)],
         "rank": [0, 1, 2]} for prompt, text in enumerate(PROMPTS)
    ])
    rows = []
    for prompt, left, right, winner in pairs():
        first, second = (left, right) if winner == 0 else (right, left)
        rows.append({
            "prompt": PROMPTS[prompt], "path1": f"images/{name(prompt, first)}",
            "path2": f"images/{name(prompt, second)}", "model1": "flux", "model2": "sd3",
            "confidence": 0.99, "choice_dist": [9, 1],
        })
    write_json(HERE / "hpdv3.json", rows)


def image_reward():
    write_json(HERE / "imagereward.json", [
        {"id": f"00{prompt}-0061", "prompt": text,
         "generations": [f"images/{name(prompt, place)}" for place in range(3)],
         "ranking": [1, 2, 3]} for prompt, text in enumerate(PROMPTS)
    ])
    rows = [
        {"image_path": f"images/{prompt}-{place}.webp", "prompt_id": f"00{prompt}-0061",
         "prompt": text, "classification": "Animals", "image_amount_in_total": 3,
         "rank": place + 1, "overall_rating": 7 - 2 * place}
        for prompt, text in enumerate(PROMPTS) for place in range(3)
    ]
    write_json(HERE / "imagerewarddb.json", rows)
    # As the data set's metadata tables; two row groups, whose border cuts a ranking.
    pd.DataFrame(rows).to_parquet(HERE / "imagerewarddb-pandas.parquet", row_group_size=7)
    # Lists, which polars keeps as such.
    pl.DataFrame({
        "prompt": PROMPTS,
        "images": [[f"images/{name(prompt, place)}" for place in range(3)]
                   for prompt in range(len(PROMPTS))],
        "ranks": [[1, 2, 3]] * len(PROMPTS),
    }).write_parquet(HERE / "ranking-polars.parquet")


def votes():
    rows = []
    for prompt, left, right, winner in pairs():
        rows.append({
            "prompt": PROMPTS[prompt],
            "image1": {"bytes": encoded(prompt, left, "JPEG"), "path": None},
            "image2": {"bytes": encoded(prompt, right, "JPEG"), "path": None},
            "votes_image1": (18, 8)[winner], "votes_image2": (8, 18)[winner],
            "model1": "flux", "model2": "sd3", "detailed_results": '{"votes": []}',
            "image1_path": f"flux/{prompt}_0.jpg", "image2_path": f"sd3/{prompt}_0.jpg",
        })
    features = datasets.Features({
        "prompt": datasets.Value("string"), "image1": datasets.Image(), "image2": datasets.Image(),
        "votes_image1": datasets.Value("int64"), "votes_image2": datasets.Value("int64"),
        "model1": datasets.Value("string"), "model2": datasets.Value("string"),
        "detailed_results": datasets.Value("string"), "image1_path": datasets.Value("string"),
        "image2_path": datasets.Value("string"),
    })
    datasets.Dataset.from_list(rows, features=features).to_parquet(HERE / "votes-datasets.parquet")
    flat = pd.DataFrame([
        {"prompt": row["prompt"], "image1": row["image1"]["bytes"], "image2": row["image2"]["bytes"],
         "weighted_results_image1_preference": row["votes_image1"] / 26,
         "weighted_results_image2_preference": row["votes_image2"] / 26} for row in rows
    ])
    target = HERE / "votes-duckdb.parquet"
    duckdb.sql(f"COPY (SELECT * FROM flat) TO '{target}' (FORMAT parquet, COMPRESSION zstd)")


def pair_tables():
    rows = [
        {"prompt": PROMPTS[prompt], "image_0": f"images/{name(prompt, left)}",
         "image_1": f"images/{name(prompt, right)}", "preferred": winner}
        for prompt, left, right, winner in pairs()
    ]
    pd.DataFrame(rows).to_csv(HERE / "pairs-pandas.csv", index=False)
    pl.DataFrame(rows).write_ndjson(HERE / "pairs-polars.jsonl")
    named = pd.DataFrame(rows).rename(columns={"image_0": "image_a", "image_1": "image_b"})
    named["preferred"] = ["ab"[row["preferred"]] for row in rows]
    duckdb.sql(f"COPY (SELECT * FROM named) TO '{HERE / 'pairs-duckdb.tsv'}' (DELIMITER '\t')")
    other = pd.DataFrame(rows).rename(
        columns={"prompt": "words", "image_0": "links", "image_1": "rechts", "preferred": "besser"})
    other.to_csv(HERE / "pairs-renamed.csv", index=False)


def folders():
    root = HERE / "folders"
    shutil.rmtree(root, ignore_errors=True)
    for prompt, text in enumerate(PROMPTS):
        folder = root / (text if prompt != 2 else "boats")
        folder.mkdir(parents=True)
        if prompt == 2:
            (folder / "prompt.txt").write_text(text + "\n")
        for place in range(3):
            (folder / f"{place + 1}.png").write_bytes(encoded(prompt, place))


def prompts():
    (HERE / "prompts.txt").write_text("\n".join(PROMPTS) + "\n")
    write_json(HERE / "prompts.json", PROMPTS)
    pd.DataFrame({"prompt": PROMPTS, "category": "none"}).to_csv(
        HERE / "prompts-pandas.csv", index=False)
    named = pd.DataFrame({"prompt": PROMPTS})
    duckdb.sql(f"COPY (SELECT * FROM named) TO '{HERE / 'prompts-duckdb.parquet'}' (FORMAT parquet)")


if __name__ == "__main__":
    images()
    pick_a_pic()
    chosen_rejected()
    human_preference_datasets()
    image_reward()
    votes()
    pair_tables()
    folders()
    prompts()
