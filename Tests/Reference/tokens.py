"""Checks the tokenizer with CLIP's own vocabulary on real prompts and on nasty ones.

Usage: python Tests/Reference/tokens.py --vocabulary FILE --prompts FILE [--program .build/release/spo]

FILE of the vocabulary is `bpe_simple_vocab_16e6.txt.gz` of github.com/openai/CLIP, or a folder with
vocab.json and merges.txt. Prompts are a JSON list of texts or of {"caption": text}, or lines of text;
`spo_training_and_inference/assets/prompts/4k_training_prompts.json` of github.com/RockeyCoss/SPO will do.

Both tokenizers of SDXL (the first is also that of Stable Diffusion v1.5), each given as vocab.json and
merges.txt alone, as tokenizer.json alone, and with all files as transformers writes them. Every id must be
that of transformers' CLIPTokenizer.
"""

import gzip
import json
import os
import random
import shutil
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import transformers

import harness
import parity
import reference as ref
from harness import Failure

PADDING = {"tokenizer": "<|endoftext|>", "tokenizer_2": "!"}


def save_vocabulary(source, folder):
    folder.mkdir(parents=True, exist_ok=True)
    if Path(source).is_dir():
        for name in ("vocab.json", "merges.txt"):
            shutil.copy(Path(source) / name, folder)
        return
    lines = gzip.open(source, "rt", encoding="utf-8").read().split("\n")
    merges = lines[1:49152 - 256 - 2 + 1]
    symbols = list(ref.byte_symbols().values())
    tokens = symbols + [symbol + "</w>" for symbol in symbols]
    tokens += ["".join(merge.split()) for merge in merges] + ["<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(
        json.dumps({token: i for i, token in enumerate(tokens)}, ensure_ascii=False))
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges]) + "\n")


def folders(judge, source, part):
    """The tokenizer of transformers, and the folders that must give the same ids."""
    bare = judge.path(part, "vocabulary and merges")
    save_vocabulary(source, bare)
    tokenizer = transformers.CLIPTokenizer.from_pretrained(
        bare, pad_token=PADDING[part], model_max_length=77)
    full = judge.path(part, "as saved")
    tokenizer.save_pretrained(full)
    for name in ("vocab.json", "merges.txt"):
        shutil.copy(bare / name, full)
    serialized = judge.path(part, "tokenizer.json")
    serialized.mkdir(parents=True, exist_ok=True)
    shutil.copy(full / "tokenizer.json", serialized)
    if part == "tokenizer_2":
        # No other file says what pads.
        (bare / "special_tokens_map.json").write_text(json.dumps({"pad_token": "!"}))
        (serialized / "special_tokens_map.json").write_text(json.dumps({"pad_token": "!"}))
    return tokenizer, [bare, serialized, full]


def real_prompts(path):
    text = Path(path).read_text(encoding="utf-8")
    if not path.endswith(".json"):
        return [line for line in text.split("\n") if line]
    return [row if isinstance(row, str) else row["caption"] for row in json.loads(text)]


SCRIPTS = [
    (0x41, 0x5A), (0x61, 0x7A), (0x30, 0x39), (0x20, 0x7E), (0xA0, 0xFF), (0x100, 0x24F),
    (0x250, 0x36F), (0x370, 0x3FF), (0x400, 0x52F), (0x531, 0x58F), (0x590, 0x5FF), (0x600, 0x6FF),
    (0x900, 0x97F), (0xE00, 0xE7F), (0x1100, 0x11FF), (0x13A0, 0x13FF), (0x1E00, 0x1FFF),
    (0x2000, 0x206F), (0x2070, 0x20CF), (0x2100, 0x218F), (0x2190, 0x27BF), (0x2C60, 0x2C7F),
    (0x3000, 0x30FF), (0x4E00, 0x4FFF), (0xA640, 0xA69F), (0xA720, 0xA7FF), (0xAC00, 0xAD00),
    (0xFB00, 0xFB4F), (0xFE00, 0xFE0F), (0xFF00, 0xFFEF), (0x10400, 0x1044F), (0x1D400, 0x1D7FF),
    (0x1F300, 0x1F64F), (0x1F900, 0x1F9FF), (0xE0020, 0xE007F),
]


def nasty_prompts(seed):
    """Those of parity.py, and some hundreds drawn from every script and from what splits words."""
    source = random.Random(seed)
    texts = list(parity.NASTY)
    for low, high in SCRIPTS:
        for length in (1, 7, 40):
            texts.append("".join(chr(source.randint(low, high)) for _ in range(length)))
    pieces = ["<|startoftext|>", "<|endoftext|>", "<|", "|>", "'s", "'LL", "'", "’s", "!", "!!", "</w>",
              "a</w>", " ", "  ", "\t", "\n", "\r\n", "\u00a0", "\u3000", "\u200b", "\u200d", "\u0301",
              "\ufe0f", "é", "e\u0301", "İ", "ß", "ﬁ", "½", "²", "٣", "12", "a", "the", "Red", "8k",
              "UHD,", "(", ")", ":1.2", "[", "]", "--ar", "16:9", "&amp;", "#", "@", "_", "\\", "\"", "🙂",
              "👍🏽", "紅", "русский", "ไทย", "한국", "\x00", "\x7f", "\u0085", "\u2028", "\ufeff"]
    for _ in range(200):
        texts.append("".join(source.choice(pieces) for _ in range(source.randint(1, 30))))
    for _ in range(60):
        texts.append(" ".join(source.choice(pieces) for _ in range(source.randint(40, 120))))
    letters = "abcdefghijklmnopqrstuvwxyz"
    for length in (100, 1000, 20000):
        texts.append("".join(source.choice(letters) for _ in range(length)))
        texts.append("ab" * (length // 2))
    # A file cannot hold lone surrogates, and no caption does.
    return [text for text in texts if not any(0xD800 <= ord(c) < 0xE000 for c in text)]


def check(judge, options):
    kinds = {"nasty": nasty_prompts(options.seed)}
    if options.prompts:
        kinds["real"] = real_prompts(options.prompts)
    for part in PADDING:
        tokenizer, found_in = folders(judge, options.vocabulary, part)
        for kind, texts in kinds.items():
            file = judge.path(f"{kind}.json")
            file.write_text(json.dumps(texts))
            expected = tokenizer(
                texts, padding="max_length", truncation=True, max_length=77).input_ids
            for folder in found_in:
                title = f"{part}, {folder.name}: {len(texts)} {kind} prompts"
                if not judge.wanted(title):
                    continue
                with judge.case(title):
                    lines = judge.run("tokenize", "--model", folder, "--prompts", file)
                    found = [json.loads(line) for line in lines.decode().splitlines()]
                    if len(found) != len(texts):
                        raise Failure(f"{len(found)} lines")
                    wrong = [f"{text[:60]!r}: {a[:9]} instead of {b[:9]}"
                             for text, a, b in zip(texts, found, expected) if a != b]
                    if wrong:
                        raise Failure(f"{len(wrong)} differ, " + "; ".join(wrong[:5]))


if __name__ == "__main__":
    print(f"transformers {transformers.__version__}")
    transformers.logging.set_verbosity_error()
    harness.main(
        __doc__.splitlines()[0], [check],
        vocabulary=dict(required=True, help="CLIP's merges, or a folder with vocab.json and merges.txt"),
        prompts=dict(help="real prompts: a JSON list, or lines"),
        seed=dict(default="0", help="another seed draws other nasty prompts"))
