import Files
import Glibc

/// The contents of a tokenizer folder's files.
struct TokenizerFiles {
  /// A token with a role, under its key in `tokenizer_config.json` and `special_tokens_map.json`.
  enum Role: String, CaseIterable {
    case start = "bos_token"
    case end = "eos_token"
    case padding = "pad_token"
    case unknown = "unk_token"

    /// The token that `transformers` assumes if no file names one.
    var defaultToken: String { self == .start ? "<|startoftext|>" : "<|endoftext|>" }
  }

  private static let defaultLength = 77
  /// `transformers` writes 10^30 for an unknown limit.
  private static let largestLength = 1 << 20

  let folder: String
  let length: Int
  private let vocabulary: Vocabulary
  /// Tokens, in the vocabulary or added to it, that can occur in a caption's text.
  private var added: [(text: String, id: Int)] = []
  private var roles: [Role: String] = [:]

  init(folder: String, padding: String?) throws {
    self.folder = folder
    let config = try Self.readIfPresent("\(folder)/tokenizer_config.json")
    length = try Self.length(config)
    let serialized: JSONReader?
    if Self.exists("\(folder)/vocab.json"), Self.exists("\(folder)/merges.txt") {
      vocabulary = try Vocabulary(folder: folder)
      serialized = nil
    } else {
      guard let whole = try Self.readIfPresent("\(folder)/tokenizer.json") else {
        throw TokenizerError.noVocabulary(folder: folder)
      }
      vocabulary = try Vocabulary(serialized: whole)
      serialized = whole
    }

    // Files saved by newer versions have everything in the config; earlier, the map took
    // precedence.
    let decoder = try config?.optional("added_tokens_decoder")
    let map = decoder == nil ? try Self.readIfPresent("\(folder)/special_tokens_map.json") : nil
    for role in Role.allCases {
      roles[role] = try Self.text(map, role) ?? Self.text(config, role) ?? role.defaultToken
    }
    if let padding { roles[.padding] = padding }
    for (key, token) in try decoder?.members() ?? [] {
      guard let id = Int(key) else { throw token.unexpected(expected: "under a token id") }
      try add(try token.string("content"), id, from: token.path)
    }
    for token in try serialized?.optional("added_tokens")?.elements() ?? [] {
      try add(try token.string("content"), try token.int("id"), from: token.path)
    }
    for (text, id) in try Self.readIfPresent("\(folder)/added_tokens.json")?.members() ?? [] {
      try add(text, try id.int(), from: id.path)
    }
    try vocabulary.checkIDs(with: added)
  }

  /// The number of ids, including those of added tokens.
  var idCount: Int { vocabulary.idCount(with: added) }

  /// The same without added tokens that have no role.
  var ownIDCount: Int {
    let roles = Set(Role.allCases.map { text(for: $0) })
    return vocabulary.idCount(with: added.filter { roles.contains($0.text) })
  }

  func text(for role: Role) -> String { roles[role] ?? role.defaultToken }

  func token(for role: Role) throws(TokenizerError) -> Int32 {
    let text = text(for: role)
    if let id = vocabulary[text] { return id }
    if let token = added.first(where: { $0.text.utf8.elementsEqual(text.utf8) }) {
      return Int32(token.id)
    }
    throw .absentSpecialToken(folder: folder, role: role.rawValue, token: text)
  }

  func addedTokens() throws(TokenizerError) -> [AddedToken] {
    var tokens = added.map { AddedToken(text: Array($0.text.utf8), token: Int32($0.id)) }
    for role in Role.allCases {
      tokens.append(AddedToken(text: Array(text(for: role).utf8), token: try token(for: role)))
    }
    return tokens.filter { !$0.text.isEmpty }
  }

  func makeEncoder() throws -> BytePairEncoder {
    try vocabulary.makeEncoder(unknown: token(for: .unknown))
  }

  /// Records a token that can occur in a caption; several files may list it.
  private mutating func add(_ text: String, _ id: Int, from path: String) throws(TokenizerError) {
    let listed = added.first { $0.text.utf8.elementsEqual(text.utf8) }
    if let listed, listed.id != id {
      throw .twoIDs(path: path, token: text, id: id, addedID: listed.id)
    }
    if listed == nil { added.append((text, id)) }
  }

  // MARK: - One file

  private static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

  private static func readIfPresent(_ path: String) throws -> JSONReader? {
    exists(path) ? try JSONReader(contentsOf: path) : nil
  }

  private static func length(_ config: JSONReader?) throws -> Int {
    guard let config else { return defaultLength }
    if let kind = try config.optional("tokenizer_class")?.string(),
      !["CLIPTokenizer", "CLIPTokenizerFast"].contains(kind)
    {
      throw TokenizerError.unsupportedKind(
        path: config.path, key: "tokenizer_class", found: kind)
    }
    guard let value = try config.optional("model_max_length") else { return defaultLength }
    guard try value.double() <= Double(largestLength) else { return defaultLength }
    let length = try value.int()
    guard length >= 2 else {
      throw TokenizerError.lengthTooSmall(path: config.path, length: length)
    }
    return length
  }

  /// Returns the token's text, which may be bare or in an object with settings.
  private static func text(_ reader: JSONReader?, _ role: Role) throws -> String? {
    guard let token = try reader?.optional(role.rawValue) else { return nil }
    if token.value.object != nil { return try token.string("content") }
    return try token.string()
  }
}
