/// The tokenizer of the tiny model: CLIP's byte-level byte-pair encoding, with merges for the words of
/// the procedural world alone.
///
/// The vocabulary is laid out as CLIP's: 256 bytes, the same 256 as the end of a word, one token a
/// merge, start and end of text. Each word of a prompt is one token; any other word is spelled in
/// smaller ones, down to bytes, so none is unknown.
public struct TinyTokenizer: Sendable {
  public static let length = 24
  /// The tokens, by id.
  public let vocabulary: [String]
  /// The pairs of tokens that are joined, the first ones first.
  public let merges: [(String, String)]

  private static let startOfText = "<|startoftext|>"
  private static let endOfText = "<|endoftext|>"

  public init() {
    merges = Self.learnedMerges(words: Scene.words)
    let bytes = Self.byteSymbols
    vocabulary =
      bytes + bytes.map { $0 + "</w>" } + merges.map { $0 + $1 }
      + [Self.startOfText, Self.endOfText]
  }

  /// The contents of the tokenizer's files in the layout of transformers, by name.
  public var files: [(name: String, contents: String)] {
    [
      ("vocab.json", vocabularyFile),
      (
        "merges.txt",
        "#version: 0.2\n" + merges.map { "\($0) \($1)\n" }.joined()
      ),
      ("special_tokens_map.json", object(specialTokens)),
      (
        "tokenizer_config.json",
        object(
          [("add_prefix_space", "false")] + specialTokens
            + [
              ("do_lower_case", "true"), ("errors", quoted("replace")),
              ("model_max_length", "\(Self.length)"),
              ("tokenizer_class", quoted("CLIPTokenizer")),
            ])
      ),
    ]
  }

  private var vocabularyFile: String {
    object(vocabulary.enumerated().map { ($1, "\($0)") })
  }

  private var specialTokens: [(String, String)] {
    [
      ("bos_token", quoted(Self.startOfText)), ("eos_token", quoted(Self.endOfText)),
      ("pad_token", quoted(Self.endOfText)), ("unk_token", quoted(Self.endOfText)),
    ]
  }

  /// A JSON object, one member a line, of names and JSON values.
  private func object(_ members: [(String, String)]) -> String {
    "{\n" + members.map { "  \(quoted($0)): \($1)" }.joined(separator: ",\n") + "\n}\n"
  }

  /// A JSON string of a text without control characters.
  private func quoted(_ text: String) -> String {
    let escaped = text.map { $0 == "\"" || $0 == "\\" ? "\\\($0)" : "\($0)" }
    return "\"\(escaped.joined())\""
  }

  /// The characters that stand for the bytes, in CLIP's order: printable bytes as themselves, then all
  /// others as the characters from U+0100 on.
  private static let byteSymbols: [String] = {
    let printable = [33...126, 161...172, 174...255].flatMap { Array($0) as [UInt32] }
    let symbols = printable + (0..<UInt32(256 - printable.count)).map { 256 + $0 }
    return symbols.compactMap(Unicode.Scalar.init).map { String($0) }
  }()

  /// The merges that byte-pair encoding learns from a list of words, until each is one token: the most
  /// frequent pair next, of equally frequent ones the first in alphabetical order.
  private static func learnedMerges(words: [String]) -> [(String, String)] {
    var spellings = words.map { word in
      word.dropLast().map { String($0) } + ["\(word.suffix(1))</w>"]
    }
    var merges: [(String, String)] = []
    while let (first, second) = mostFrequentPair(spellings) {
      merges.append((first, second))
      spellings = spellings.map { joining(first, second, in: $0) }
    }
    return merges
  }

  private static func mostFrequentPair(_ spellings: [[String]]) -> (String, String)? {
    var counts: [[String]: Int] = [:]
    for spelling in spellings {
      for pair in zip(spelling, spelling.dropFirst()) { counts[[pair.0, pair.1], default: 0] += 1 }
    }
    let best = counts.max { one, other in
      one.value != other.value
        ? one.value < other.value : other.key.lexicographicallyPrecedes(one.key)
    }
    return best.map { ($0.key[0], $0.key[1]) }
  }

  private static func joining(
    _ first: String, _ second: String, in spelling: [String]
  ) -> [String] {
    var joined: [String] = []
    var index = 0
    while index < spelling.count {
      let isPair =
        index + 1 < spelling.count && spelling[index] == first && spelling[index + 1] == second
      joined.append(isPair ? first + second : spelling[index])
      index += isPair ? 2 : 1
    }
    return joined
  }
}
