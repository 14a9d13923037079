import Files

/// Tokens with their ids, and the merges that make them.
struct Vocabulary {
  private static let mergesByteLimit = 64 << 20
  /// Marks a token that ends a word.
  private static let wordEnd = "</w>"

  private let path: String
  private let mergesPath: String
  /// The JSON object itself, whose keys are compared bytewise.
  private let ids: JSON.Object
  private let merges: [(left: Substring, right: Substring)]

  /// Reads `vocab.json` and `merges.txt`.
  init(folder: String) throws {
    path = "\(folder)/vocab.json"
    mergesPath = "\(folder)/merges.txt"
    ids = try JSONReader(contentsOf: path).object()
    let file = try RegularFile(path: mergesPath)
    try file.requireNoMistake(expected: "a list of merges", isText: true)
    guard file.size <= Self.mergesByteLimit else {
      throw JSONError.tooLarge(source: mergesPath, size: file.size, limit: Self.mergesByteLimit)
    }
    var lines = try file.readAll().split(separator: UInt8(ascii: "\n"))[...]
    if lines.first?.starts(with: "#version".utf8) == true { lines = lines.dropFirst() }
    let mergesPath = mergesPath
    merges = try lines.enumerated().map { index, line in
      let end = line.last == UInt8(ascii: "\r") ? line.dropLast() : line
      let text = String(validating: end, as: UTF8.self)
      return try Self.halves(
        text ?? String(decoding: end, as: UTF8.self), isValid: text != nil,
        path: mergesPath, line: index + 1)
    }
  }

  /// Reads the model of a `tokenizer.json`.
  init(serialized: JSONReader) throws {
    path = serialized.path
    mergesPath = serialized.path
    let model = try serialized["model"]
    let kind = try model.string("type", default: "BPE")
    guard kind == "BPE" else {
      throw TokenizerError.unsupportedKind(path: path, key: "model.type", found: kind)
    }
    ids = try model["vocab"].object()
    let path = path
    merges = try model["merges"].elements().enumerated().map { index, merge in
      if let line = merge.value.string {
        return try Self.halves(line, isValid: true, path: path, line: index + 1)
      }
      let halves = try merge.strings()
      guard halves.count == 2 else { throw merge.unexpected(expected: "a pair of tokens") }
      return (halves[0][...], halves[1][...])
    }
  }

  subscript(token: String) -> Int32? { ids[token]?.int.flatMap(Int32.init(exactly:)) }

  func idCount(with added: [(text: String, id: Int)]) -> Int {
    ids.count + added.count { ids[$0.text] == nil }
  }

  /// Checks that the ids of the vocabulary and of the added tokens are 0..<count, each once.
  func checkIDs(with added: [(text: String, id: Int)]) throws {
    let count = idCount(with: added)
    var owners = [String?](repeating: nil, count: count)
    func claim(_ id: Int, for text: String) throws {
      guard owners.indices.contains(id) else {
        throw TokenizerError.idOutOfSequence(path: path, id: id, count: count)
      }
      if let owner = owners[id] {
        throw TokenizerError.duplicateID(path: path, id: id, tokens: [owner, text])
      }
      owners[id] = text
    }
    for (text, value) in ids {
      guard let id = value.int else {
        throw JSONReader(value, path: "\(path): \(text)").unexpected(expected: "a token id")
      }
      try claim(id, for: text)
    }
    for (text, id) in added {
      if let listed = self[text] {
        guard listed == id else {
          throw TokenizerError.twoIDs(path: path, token: text, id: Int(listed), addedID: id)
        }
      } else {
        try claim(id, for: text)
      }
    }
  }

  /// Returns the encoder; bytes without a token of their own become `unknown`.
  func makeEncoder(unknown: Int32) throws(TokenizerError) -> BytePairEncoder {
    var ranked: [BytePairEncoder.Pair: BytePairEncoder.Merge] = [:]
    ranked.reserveCapacity(merges.count)
    for (rank, merge) in merges.enumerated() {
      func id(_ token: String) throws(TokenizerError) -> Int32 {
        if let id = self[token] { return id }
        throw .mergeOfAbsentToken(path: mergesPath, line: rank + 1, token: token)
      }
      let left = String(merge.left)
      let right = String(merge.right)
      let pair = BytePairEncoder.Pair(left: try id(left), right: try id(right))
      ranked[pair] = .init(rank: Int32(rank), token: try id(left + right))
    }
    let symbols = ByteAlphabet.symbols
    return BytePairEncoder(
      innerBytes: symbols.map { self[$0] ?? unknown },
      finalBytes: symbols.map { self[$0 + Self.wordEnd] ?? unknown },
      merges: ranked)
  }

  private static func halves(
    _ line: String, isValid: Bool, path: String, line number: Int
  ) throws(TokenizerError) -> (left: Substring, right: Substring) {
    let parts = line.split(separator: " ", omittingEmptySubsequences: false)
    guard isValid, parts.count == 2, !parts[0].isEmpty, !parts[1].isEmpty else {
      throw .malformedMerge(path: path, line: number, found: String(line.prefix(80)))
    }
    return (parts[0], parts[1])
  }
}

/// GPT-2's representation of bytes as visible characters.
private enum ByteAlphabet {
  /// The character of each byte: its visible Latin-1 character if there is one, else the next from
  /// U+0100 on.
  static let symbols: [String] = {
    var next: UInt32 = 0x100
    return (UInt32(0)..<256).map { byte in
      let isVisible = (0x21...0x7E).contains(byte) || (0xA1...0xFF).contains(byte) && byte != 0xAD
      if !isVisible { next += 1 }
      return Unicode.Scalar(isVisible ? byte : next - 1).map { String(Character($0)) } ?? ""
    }
  }()
}
