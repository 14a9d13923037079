/// CLIP's byte-level byte-pair tokenizer, as described by a model folder.
///
/// A caption becomes: its special tokens, spelt exactly so; the text between them in Unicode form
/// C, lower case, split into words at white space and changes of letters, digits and signs; each
/// word's UTF-8 bytes merged into tokens. Equal to transformers' fast `CLIPTokenizer` (and to
/// version 5's).
///
/// Not supported: ftfy, HTML entities, and special tokens spelt in upper case (which `transformers`
/// finds or not, depending on the file that lists the token).
///
/// Source: Radford et al. 2021, arXiv 2103.00020, section 2.4.
public struct Tokenizer: Sendable {
  /// The largest accepted caption, in bytes.
  public static let captionByteLimit = 64 << 10

  /// The number of ids that `encode` returns, `model_max_length`.
  public let length: Int
  public let vocabularySize: Int
  /// The same without tokens added to the vocabulary, typically by textual inversion.
  public let ownVocabularySize: Int
  public let startToken: Int
  public let endToken: Int
  public let paddingToken: Int
  private let encoder: BytePairEncoder
  /// Tokens that can occur in a caption's text, longest first.
  private let addedTokens: [AddedToken]

  /// Reads `vocab.json` and `merges.txt`, or `tokenizer.json`, and `tokenizer_config.json`,
  /// `special_tokens_map.json` and `added_tokens.json` if present.
  ///
  /// Throws `TokenizerError`, `JSONError` or `FileError`.
  ///
  /// - Parameter padding: a padding token that overrides the one in the files
  public init(folder: String, padding: String? = nil) throws {
    let files = try TokenizerFiles(folder: folder, padding: padding)
    length = files.length
    vocabularySize = files.idCount
    ownVocabularySize = files.ownIDCount
    startToken = Int(try files.token(for: .start))
    endToken = Int(try files.token(for: .end))
    paddingToken = Int(try files.token(for: .padding))
    encoder = try files.makeEncoder()
    addedTokens = try files.addedTokens().sorted { $0.text.count > $1.text.count }
  }

  /// A CLIP-like tokenizer with meaningless ids, for plans of models that do not exist.
  static let standIn = Tokenizer()

  private init() {
    (length, vocabularySize, ownVocabularySize) = (77, 49_408, 49_408)
    (startToken, endToken, paddingToken) = (49_406, 49_407, 49_407)
    encoder = BytePairEncoder(
      innerBytes: Array(0..<256), finalBytes: Array(256..<512), merges: [:])
    addedTokens = []
  }

  /// Returns the ids for the text encoder: start, at most `length - 2` tokens, end, padding.
  public func encode(_ caption: String) throws(TokenizerError) -> [Int] {
    let kept = try tokens(of: caption).prefix(length - 2)
    let padding = repeatElement(paddingToken, count: length - 2 - kept.count)
    return [startToken] + kept + [endToken] + padding
  }

  /// Whether another tokenizer gives the same ids for the same words; padding and added tokens may
  /// differ.
  public func hasSameVocabulary(as other: Tokenizer) -> Bool {
    startToken == other.startToken && endToken == other.endToken && encoder == other.encoder
  }

  /// Returns all tokens of the caption, without start and end.
  public func tokens(of caption: String) throws(TokenizerError) -> [Int] {
    let text = Array(caption.utf8)
    guard text.count <= Self.captionByteLimit else {
      throw .captionTooLong(byteCount: text.count, limit: Self.captionByteLimit)
    }
    var tokens: [Int32] = []
    var start = 0
    var position = 0
    while position < text.count {
      let rest = text[position...]
      guard let added = addedTokens.first(where: { rest.starts(with: $0.text) }) else {
        position += 1
        continue
      }
      append(text[start..<position], to: &tokens)
      tokens.append(added.token)
      position += added.text.count
      start = position
    }
    append(text[start...], to: &tokens)
    return tokens.map(Int.init)
  }

  /// Appends the tokens of a text without special tokens.
  private func append(_ text: ArraySlice<UInt8>, to tokens: inout [Int32]) {
    let scalars = normalizedCaption(String(decoding: text, as: UTF8.self))
    var bytes: [UInt8] = []
    forEachWord(of: scalars) { word in
      bytes.removeAll(keepingCapacity: true)
      for scalar in word { bytes.append(contentsOf: scalar.utf8) }
      encoder.append(bytes, to: &tokens)
    }
  }
}

/// A token that is matched in a caption by its exact bytes.
struct AddedToken: Sendable {
  let text: [UInt8]
  let token: Int32
}
