"""Makes Corpus and Shards, the inputs that fuzzing starts from: python3 Tests/Fuzz/make_corpus.py [PROGRAM]

Small fixtures of the repository, some texts of every kind, and a workspace of two comparisons. Whatever fuzzing
finds of value is added by `make fuzz-corpus`, never by hand.
"""

import json
import pathlib
import shutil
import sqlite3
import struct
import subprocess
import sys
import tempfile
import zipfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
FIXTURES = ROOT / "Tests/Fixtures"
CORPUS = ROOT / "Tests/Fuzz/Corpus"
MODEL = ROOT / "data/tiny-sd"


def add(target, name, content):
    folder = CORPUS / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)


def add_files(target, pattern, limit, total, prefix=b""):
    """Files of at most `limit` bytes, the smallest first, until `total` bytes are reached."""
    for path in sorted(FIXTURES.glob(pattern), key=lambda p: (p.stat().st_size, p.name)):
        size = path.stat().st_size
        if not path.is_file() or size > limit or size > total:
            continue
        total -= size
        add(target, path.name, prefix + path.read_bytes())


def binary_files():
    add_files("parquet", "parquet/*.parquet", 6_000, 60_000)
    add_files("parquet", "commands/decimal-*.parquet", 12_000, 12_000)
    add_files("jpeg", "imaging/*.jpg", 2_000, 25_000)
    add_files("png", "imaging/*.png", 2_000, 20_000)
    add_files("safetensors", "safetensors/*.safetensors", 4_000, 8_000)
    add_files("safetensors", "safetensors/hostile/*", 300, 4_000)
    add_files("torch", "torch/*.bin", 7_000, 20_000)
    add_files("torch", "torch/hostile/*.bin", 1_000, 12_000)
    # Without the file of the format before 1.6, which is no archive.
    for path in filter(zipfile.is_zipfile, sorted((FIXTURES / "torch").glob("*.bin"))):
        with zipfile.ZipFile(path) as archive:
            (name,) = [n for n in archive.namelist() if n.endswith("data.pkl")]
            add("pickle", f"{path.stem}.pkl", archive.read(name))


def lora_files():
    """A LoRA of rank 1 for one layer of the shipped model, in each of the spellings."""
    spellings = {
        "diffusers": "unet.down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q.lora.{}.weight",
        "processor": "down_blocks.1.attentions.0.transformer_blocks.0.attn1.processor.to_q_lora.{}.weight",
        "peft": "base_model.model.unet.down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q.lora_{}.weight",
        "kohya": "lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn1_to_q.lora_{}.weight",
    }
    for name, key in spellings.items():
        down, up = ("A", "B") if name == "peft" else ("down", "up")
        entries = {
            key.format(down): ("F32", [1, 64]), key.format(up): ("F32", [64, 1]),
        }
        if name == "kohya":
            entries[key.replace(".lora_{}.weight", ".alpha")] = ("F32", [])
        add("lora", f"{name}.safetensors", safetensors(entries))


def safetensors(entries):
    header, offset = {"__metadata__": {"format": "pt"}}, 0
    for name, (kind, shape) in sorted(entries.items()):
        size = 4
        for length in shape:
            size *= length
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + struct.pack("<f", 0.5) * (offset // 4)


def texts():
    values = [
        "[1e999,-0,1E-5,0x1F,+3,.5,5.,Infinity,NaN]", '{"a":1,"a":2}', "[" * 70 + "]" * 70,
        "{a:'\\u{1}\\x41\\\n',b:\"\\ud83d\\ude00\\ud800\",// c\n/* d */c:[,]}", '"\\u0000\u2028"',
        "[9223372036854775807,18446744073709551615,1.7976931348623157e308,5e-324]", "\ufeff{}",
    ]
    for number, value in enumerate(values):
        add("json", f"value-{number}", value.encode())
    for path in sorted((ROOT / "pipelines").glob("*.json5")):
        add("settings", path.name, path.read_bytes())
    add("json", "quickstart.json5", (ROOT / "pipelines/quickstart.json5").read_bytes())
    for number, words in enumerate([
        "spo.threshold=0.5\nthreads=2", "preference.validation_timesteps=[1, 501]\nmodel=x",
        'ingest.source=["a", "b"]\ningest.columns={caption: "text"}', "spo={rank: 8}\n=\na.b.c=1",
    ]):
        add("override", f"words-{number}", words.encode())

    row = {"caption": "a, \"cat\"", "image_0_uid": "a", "image_1_uid": 3, "label_0": 1.0,
           "label_1": "0", "jpg_0": "data:image/jpeg;base64,/9j/", "jpg_1": {"path": "x/y.png"},
           "has_label": True}
    lines = [json.dumps(row), json.dumps({"caption": "é"}), '"only a caption"', "{}", "]"]
    add("records", "lines", b"\0" + "\n".join(lines).encode())
    add("records", "list", b"\1" + json.dumps([row, "x", {"caption": None}]).encode())
    add("records", "table", b"\2" + (
        'caption,image_0_uid,image_1_uid,label_0,label_1,has_label\n"a, ""cat""",a,b,1,0,true\n'
        'x,c,d,0.5,0.5,\n"two\nlines",e,f,1\n').encode())

    names = ["vocab.json", "merges.txt", "tokenizer_config.json", "special_tokens_map.json"]
    for index, name in enumerate(names):
        add("tokenizer", name, bytes([index]) + (MODEL / "tokenizer" / name).read_bytes())
    serialized = json.loads((FIXTURES / "tokenizer/serialized/tokenizer.json").read_text())
    vocabulary, merges = serialized["model"]["vocab"], serialized["model"]["merges"]
    # The first entries will do: the form is what matters.
    serialized["model"]["vocab"] = dict(list(vocabulary.items())[:80])
    serialized["model"]["merges"] = merges[:10]
    add("tokenizer", "tokenizer.json", b"\5" + json.dumps(serialized).encode())
    add("tokenizer", "added_tokens.json", b'\4{"<new>": 581}')
    for number, caption in enumerate([
        "a photo of a cat, isn't it? 123 «é» ñ 漢字 🎉 e\u0301 <|endoftext|> it's",
        "A\u0300\u0345 \u1100\u1161\u11a8 ﬁ ½ ²", "x" * 300,
    ]):
        add("caption", f"caption-{number}", caption.encode())


def configurations():
    for target, path in [
        ("unet-config", MODEL / "unet/config.json"), ("vae-config", MODEL / "vae/config.json"),
        ("clip-config", MODEL / "text_encoder/config.json"),
        ("scheduler-config", MODEL / "scheduler/scheduler_config.json"),
    ]:
        add(target, "shipped.json", path.read_bytes())
    for index, name in enumerate(["config.json", "preprocessor_config.json"]):
        content = (ROOT / "data/tiny-preference" / name).read_bytes()
        add("preference-config", name, bytes([index]) + content)
    xl = FIXTURES / "sample-xl/model"
    for target, part in [("unet-config", "unet"), ("clip-config", "text_encoder_2")]:
        path = xl / part / "config.json"
        if path.exists():
            add(target, "xl.json", path.read_bytes())


def workspace(program):
    """Shards and a catalog of two comparisons with the smallest model there is."""
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        rows = (FIXTURES / "stages/records.jsonl").read_text().splitlines()[:2]
        shutil.copytree(FIXTURES / "stages/pictures", folder / "pictures")
        (folder / "train.jsonl").write_text("\n".join(rows) + "\n")
        (folder / "pipeline.json5").write_text(json.dumps({
            "workspace": str(folder / "run"), "model": str(FIXTURES / "sample/model"),
            "stages": {"ingest": {"source": str(folder / "train.jsonl")},
                       "encode": {"size": 16}, "shard": {}},
        }))
        for stage in ["ingest", "shard"]:
            if stage == "shard":
                subprocess.run([program, "run", folder / "pipeline.json5", "--through", "encode", "--quiet"],
                               check=True, stdout=subprocess.DEVNULL)
            subprocess.run([program, "run", folder / "pipeline.json5", "--through", stage, "--partition", "1/1",
                            "--quiet"], check=True, stdout=subprocess.DEVNULL)
            (part,) = folder.glob(f"run/parts/{stage}/*.part")
            content = part.read_bytes()
            add("part", f"{stage}.part", content)
            add("part", f"{stage}-begun.part", content[:len(content) * 3 // 4])
            if stage == "ingest":
                start = 12 + struct.unpack_from("<I", content, 8)[0] + 32
                (count,) = struct.unpack_from("<Q", content, start + 12)
                add("part-output", "ingest", content[start + 84:start + 84 + count])
        subprocess.run([program, "run", folder / "pipeline.json5", "--quiet"], check=True,
                       stdout=subprocess.DEVNULL)
        shards = ROOT / "Tests/Fuzz/Shards"
        shutil.rmtree(shards, ignore_errors=True)
        shutil.copytree(folder / "run/shards", shards)
        (shard,) = shards.glob("train-*.safetensors")
        add("shard", shard.name, shard.read_bytes())
        add("shard-index", "index.json", (shards / "index.json").read_bytes())

        connection = sqlite3.connect(folder / "run/catalog.sqlite")
        # Small pages: less to change by chance, more to find.
        connection.executescript("PRAGMA journal_mode = DELETE; PRAGMA page_size = 512; VACUUM;")
        connection.close()
        add("catalog", "two.sqlite", (folder / "run/catalog.sqlite").read_bytes())


def main():
    shutil.rmtree(CORPUS, ignore_errors=True)
    binary_files()
    lora_files()
    texts()
    configurations()
    workspace(sys.argv[1] if len(sys.argv) > 1 else str(ROOT / ".build/release/spo"))
    for folder in sorted(CORPUS.iterdir()):
        sizes = [p.stat().st_size for p in folder.iterdir()]
        print(f"{folder.name:<20}{len(sizes):>5} files{sum(sizes):>10} bytes")


if __name__ == "__main__":
    main()
