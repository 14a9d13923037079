"""Writes two small CLIP tokenizers and cases.json: captions with the ids transformers gives them.

Made with transformers 5.23.0 and tokenizers 0.23.3 on Python 3.11.
`files/` has the four files of older versions, pads with the end token and cuts at 77; `serialized/` is
what version 5 saves (tokenizer.json), pads with "!" as the second tokenizer of Stable Diffusion XL
does, and cuts at 24. The vocabulary is trained here on the text below.
"""

import collections
import json
import pathlib
import random
import shutil
import unicodedata

from transformers import CLIPTokenizer

HERE = pathlib.Path(__file__).parent
MERGE_COUNT = 700
TEXT = """
A portrait of an old fisherman with a white beard, oil on canvas, warm light from the left, highly
detailed. A quiet harbour at dawn, mist over the water, small boats, soft pastel colours, wide angle.
The red fox sleeps in the snow under a birch tree while a raven watches from above. An astronaut
riding a horse on mars, photograph, dramatic lighting, 35mm, sharp focus, trending. A bowl of fruit
on a wooden table: apples, pears, grapes and one lemon; still life, Dutch painting, dark background.
Two children run through a field of sunflowers, summer afternoon, cinematic, depth of field. A robot
reading a newspaper in a crowded train, watercolour, loose brush strokes. A castle on a cliff above
the sea, storm clouds, lightning, matte painting, concept art, digital art, artstation, 8k. I don't
think it's what they've drawn; we'll see, I'm sure she'd say you're right. A blue square on the left
and a green circle on the right, light background. A purple triangle in the middle, dark background.
A close-up of an eye, macro photograph, reflections of a window, very detailed iris. A city street
at night, neon signs, rain, reflections on the wet asphalt, people with umbrellas, film grain. A cat
wearing a suit and a tie sits at a desk and signs a contract; studio lighting, portrait, 4k. A map of
an island that does not exist, ink and parchment, compass rose, sea monsters in the margins. The
interior of a cathedral made of glass, sun rays, volumetric light, low angle, ultra realistic. An
elephant painting a picture of a mouse that paints an elephant. A bottle with a ship inside on the
windowsill of a lighthouse, golden hour. A train crosses a stone bridge over a deep valley, autumn
leaves, aerial view. Café, naïve, façade, über, señor, crème brûlée, Ångström, smörgåsbord.
Привет мир, красный круг. Καλημέρα κόσμε. 日本の風景、富士山。你好世界。안녕하세요 세계. مرحبا بالعالم. 🎨 🐱 ❤️
"""


def byte_symbols():
    visible = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [b for b in range(256) if b not in visible]
    symbols = {b: chr(b) for b in visible}
    symbols.update({b: chr(256 + i) for i, b in enumerate(hidden)})
    return [symbols[b] for b in visible + hidden], symbols


def train():
    order, symbols = byte_symbols()
    words = collections.Counter(unicodedata.normalize("NFC", TEXT).lower().split())
    split = {}
    for word, count in words.items():
        pieces = [symbols[b] for b in word.encode()]
        pieces[-1] += "</w>"
        split[tuple(pieces)] = split.get(tuple(pieces), 0) + count
    merges = []
    while len(merges) < MERGE_COUNT:
        pairs = collections.Counter()
        for pieces, count in split.items():
            for pair in zip(pieces, pieces[1:]):
                pairs[pair] += count
        best = max(pairs, key=lambda pair: (pairs[pair], pair))
        merges.append(best)
        merged = {}
        for pieces, count in split.items():
            out, i = [], 0
            while i < len(pieces):
                if tuple(pieces[i : i + 2]) == best:
                    out.append(best[0] + best[1])
                    i += 2
                else:
                    out.append(pieces[i])
                    i += 1
            merged[tuple(out)] = merged.get(tuple(out), 0) + count
        split = merged
    tokens = order + [s + "</w>" for s in order]
    tokens += list(dict.fromkeys(a + b for a, b in merges)) + ["<|startoftext|>", "<|endoftext|>"]
    return {token: i for i, token in enumerate(tokens)}, merges


def write_files(folder, pad, length):
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    vocab, merges = train()
    special = lambda text: {
        "content": text, "lstrip": False, "normalized": False, "rstrip": False, "single_word": False
    }
    roles = {
        "bos_token": special("<|startoftext|>"), "eos_token": special("<|endoftext|>"),
        "pad_token": pad, "unk_token": special("<|endoftext|>"),
    }
    config = {
        key: {"__type": "AddedToken", **value} if isinstance(value, dict) else value
        for key, value in roles.items()
    }
    config.update(
        add_prefix_space=False, do_lower_case=True, errors="replace", model_max_length=length,
        tokenizer_class="CLIPTokenizer")
    dump = lambda name, value: (folder / name).write_text(
        json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n", encoding="utf-8")
    dump("vocab.json", vocab)
    dump("special_tokens_map.json", roles)
    dump("tokenizer_config.json", config)
    lines = ["#version: 0.2"] + [f"{a} {b}" for a, b in merges]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


def serialize(folder):
    tokenizer = CLIPTokenizer.from_pretrained(folder)
    shutil.rmtree(folder)
    tokenizer.save_pretrained(folder)
    path = folder / "tokenizer.json"
    whole = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(
        json.dumps(whole, ensure_ascii=False, separators=(",", ":")) + "\n", encoding="utf-8")


WRITTEN = [
    "", " ", "\t\n ", "a", "hello world", "Hello, World!", "an astronaut riding a horse on mars",
    "! !! !!!", "!", "wow!great", "a!b!c", "don't I'm we'll you've she'd they're it's", "DON'T IT'S",
    "'s't're've'm'll'd", "''s", "'", "'ss 'lll 'r 'v", "rock'n'roll", "’s ‘t don’t",
    "<|startoftext|>", "<|endoftext|>", "a<|endoftext|>b", "<|startoftext|>x<|endoftext|>",
    "<|endoftext|><|endoftext|>", "<|endoftext", "<|endoftext|", "<<|endoftext|>>", "< |endoftext|>",
    "<|STARTOFTEXT|>", "a <|EndOfText|>! b", "!<|ENDOFTEXT|>", "<|ENDOFTEXT|>!!", "<|startoftext|> !",
    "<|endoftext|>\u0301x", "e<|endoftext|>\u0301", "\u0301", "e\u0301", "cafe\u0301 café CAFÉ",
    "a\u0327\u0301 a\u0301\u0327", "q\u0307\u0323 q\u0323\u0307", "\u1e9b\u0323", "\u212b \u00c5 A\u030a",
    "ﬁ ﬂ ﬃ", "İstanbul IĞDIR ıi", "ΟΔΟΣ ΣΑΣ ὈΔΥΣΣΕΎΣ", "straße STRASSE ẞ", "ǅ ǆ Ǆ", "K \u212a ſ 's ’S",
    "1234 56,789.01", "٣٤٥ ४५६ ²³¹ ½ Ⅷ ⑩", "a1b2c3", "x²+y²=z²", "8k 4K 35mm f/1.8",
    "a\u00a0b", "a\u2003b\u3000c", "a\u200bb\u200cc\u200dd\ufeffe", "a\u0085b", "a\x0bb\x0cc", "a\x1cb\x1dc\x1ed\x1f",
    "a\x00b\x01c\x7f", "a\u2028b\u2029c", "a\u180eb", "soft\u00adhyphen", "a\r\nb\rc\nd", "a\u1680b",
    "😀", "😀😃 😄", "👩‍👩‍👧‍👦 family", "👍🏽👍🏿", "🇯🇵🇺🇸", "❤️ ♥ ❤", "a😀b😀c", "1️⃣ 2️⃣",
    "日本の風景", "富士山 on 日本", "你好，世界。", "안녕하세요", "\u1112\u1161\u11ab\u1100\u1173\u11af", "\uac00\u11a8",
    "ﾊﾟﾝ パン ハ\u309aン", "مرحبا بالعالم", "שָׁלוֹם", "नमस्ते दुनिया", "ไทยภาษา", "தமிழ்", "\u0958 \u0915\u093c",
    "Привет, МИР!", "Ёжик й Й", "Ｆｕｌｌ　ｗｉｄｔｈ１２", "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𝟘𝟙", "𐐀𐐨", "ᲀᲁ Აა", "Ꭰꭰ",
    "a-b_c.d,e;f:g/h\\i|j", "(((masterpiece))), [best] {quality:1.2}", "--ar 16:9 --v 5", "\"quoted\" `code`",
    "...", "…", "?!?!", "$%^&*()", "@#", "~~~", "a&amp;b &lt;tag&gt; &#39;", "<lora:name:0.8>", "a<b>c",
    "http://example.org/?a=1&b=2#c", "name@example.org", "C++ C# .NET", "rgb(255,0,0) #ff00aa",
    "the " * 100, "a" * 300, "!" * 120, "word," * 60, "😀" * 50, "1" * 90, "é" * 100, "abc def " * 9 + "tail",
    "x" + "\u0301" * 70, "x" + "\u0327\u0301\u0316" * 40, "\u0344 \u0340 \u0341 \u0343", "\u0f73\u0f71\u0f72",
    "\u2126 \u2329 \u2f800", "\ufb1d \ufb2a", "\u1100\u1161\u11a7", "\uac00\u11a7\u11a8", "\u1100\u1161\u11c3",
    "\U0001d15e \U0001d1bb", "\ufffd \ufffe", "\ue000\uf8ff", "a\u0378b", "Zͫ̓ͩ͝a̡͊͝lͮ̒ͫg̨̡̋o͛ text",
]


def random_captions(count):
    generator = random.Random(7)
    words = TEXT.split()
    odd = list("!'’<|>\"#&().,;:?-_/\\ \t\n\u00a0\u200b\u0301\u0327éÉßſİıςΣ日本語🎨👍🏽½٣8") + [
        "'s", "'RE", "<|endoftext|>", "!!", "  ", "e\u0301", "\u1112\u1161\u11ab"]
    for _ in range(count):
        pieces = []
        for _ in range(generator.randint(1, 14)):
            piece = generator.choice(words) if generator.random() < 0.55 else generator.choice(odd)
            piece = piece.upper() if generator.random() < 0.1 else piece
            pieces.append(piece + (" " if generator.random() < 0.6 else ""))
        yield "".join(pieces)


write_files(HERE / "files", "<|endoftext|>", 77)
write_files(HERE / "serialized", "!", 24)
serialize(HERE / "serialized")
tokenizers = {name: CLIPTokenizer.from_pretrained(HERE / name) for name in ["files", "serialized"]}
cases = []
for text in WRITTEN + list(random_captions(250)):
    case = {"text": text}
    for name, tokenizer in tokenizers.items():
        padded = tokenizer(text, padding="max_length", truncation=True)["input_ids"]
        end = len(padded)
        while padded[end - 1] == tokenizer.pad_token_id:  # all but one of equal padding is left out
            end -= 1
        case[name] = padded[: end + 1]
        case[name + "_count"] = len(tokenizer(text, add_special_tokens=False)["input_ids"])
    cases.append(case)
(HERE / "cases.json").write_text(
    "[\n" + ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases) + "\n]\n")
