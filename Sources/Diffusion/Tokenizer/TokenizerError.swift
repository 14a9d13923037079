public import Files

/// A problem with a tokenizer's folder, or with a caption.
public enum TokenizerError: ClassifiedError, Equatable, CustomStringConvertible {
  /// The folder contains neither `vocab.json` and `merges.txt` nor `tokenizer.json`.
  case noVocabulary(folder: String)
  /// The tokenizer is of another kind.
  case unsupportedKind(path: String, key: String, found: String)
  /// Two tokens have one id.
  case duplicateID(path: String, id: Int, tokens: [String])
  /// Two lists of the folder disagree.
  case twoIDs(path: String, token: String, id: Int, addedID: Int)
  /// The ids are not 0..<count: `id` is missing, or is negative or beyond `count`.
  case idOutOfSequence(path: String, id: Int, count: Int)
  /// A line of the merges is not two tokens separated by a space.
  case malformedMerge(path: String, line: Int, found: String)
  /// A merge uses or makes a token that the vocabulary lacks.
  case mergeOfAbsentToken(path: String, line: Int, token: String)
  /// A token with a role (start, end, padding, unknown) is not in the vocabulary.
  case absentSpecialToken(folder: String, role: String, token: String)
  /// `model_max_length` leaves no room for start and end.
  case lengthTooSmall(path: String, length: Int)
  case captionTooLong(byteCount: Int, limit: Int)

  public var kind: FailureKind { .input }

  public var description: String {
    switch self {
    case .noVocabulary(let folder):
      "\(folder): has neither vocab.json with merges.txt nor tokenizer.json"
    case .unsupportedKind(let path, let key, let found):
      "\(path): \(key) is \(found), but only CLIP's byte-pair tokenizer is supported"
    case .duplicateID(let path, let id, let tokens):
      "\(path): id \(id) belongs to \(tokens.map { "\"\($0)\"" }.joined(separator: " and to "))"
    case .twoIDs(let path, let token, let id, let addedID):
      "\(path): \"\(token)\" has id \(id) here and \(addedID) in another list of the folder"
    case .idOutOfSequence(let path, let id, let count):
      "\(path): the ids of \(count) tokens must be 0 to \(count - 1), each once; \(id) is wrong"
    case .malformedMerge(let path, let line, let found):
      "\(path): merge \(line) is \"\(found)\", not two tokens with one space between them"
    case .mergeOfAbsentToken(let path, let line, let token):
      "\(path): merge \(line) needs the token \"\(token)\", which the vocabulary lacks"
    case .absentSpecialToken(let folder, let role, let token):
      "\(folder): \(role) is \"\(token)\", which the vocabulary lacks"
    case .lengthTooSmall(let path, let length):
      "\(path): model_max_length is \(length), but start and end need 2"
    case .captionTooLong(let byteCount, let limit):
      "the caption has \(byteCount) bytes, more than the \(limit) allowed"
    }
  }
}
