public import Files

/// Why images cannot be scored.
public enum ScorerError: ClassifiedError, Equatable, CustomStringConvertible {
  case nothingThere(path: String)
  case stepAware(path: String)
  case noTokenizer(path: String)
  case otherTokenizer(
    path: String, vocabularySize: Int, tokens: Int, foundSize: Int, foundTokens: Int)
  case notFinite(scorer: String, score: Double, prompt: String)

  public var kind: FailureKind { if case .notFinite = self { .notFinite } else { .input } }

  public var description: String {
    switch self {
    case .nothingThere(let path): "\(path): no such file or folder"
    case .stepAware(let path):
      "\(path): a step-aware preference model, which scores noisy images while stage spo learns, and no scorer of "
        + "finished ones"
    case .noTokenizer(let path):
      "\(path): has no tokenizer; put vocab.json and merges.txt, or tokenizer.json, next to the weights"
    case .otherTokenizer(let path, let vocabularySize, let tokens, let foundSize, let foundTokens):
      "\(path): expects \(tokens) tokens of \(vocabularySize), but the tokenizer gives \(foundTokens) of "
        + "\(foundSize); put the scorer's own tokenizer next to its weights"
    case .notFinite(let scorer, let score, let prompt):
      "\(scorer): an image of \"\(prompt)\" has the score \(score), which is not finite"
    }
  }
}
