/// Warnings about prompts that a text encoder reads differently from what their author may have
/// meant.
public struct PromptNotes {
  /// One warning per kind, with the number of prompts.
  public let warnings: [String]

  /// - Throws: `TokenizerError` for a text that is too long to be a prompt
  public init(_ prompts: [String], tokenizer: Tokenizer) throws {
    let limit = tokenizer.length - 2
    var long: [(prompt: String, tokens: Int)] = []
    var marked: [(prompt: String, syntax: String)] = []
    for prompt in prompts {
      let tokens = try tokenizer.tokens(of: prompt).count
      if tokens > limit { long.append((prompt, tokens)) }
      if let syntax = Self.foreignSyntax(in: prompt) { marked.append((prompt, syntax)) }
    }
    func number(_ count: Int) -> String {
      prompts.count == 1 ? "the prompt" : "\(count) of \(prompts.count) prompts"
    }
    func verb(_ count: Int, _ singular: String, _ plural: String) -> String {
      prompts.count == 1 || count == 1 ? singular : plural
    }
    var warnings: [String] = []
    if let first = long.first {
      warnings.append(
        "\(number(long.count)) \(verb(long.count, "has", "have")) more than \(limit) tokens, and the "
          + "rest is ignored (\(first.tokens) tokens: \"\(first.prompt.prefix(60))...\")")
    }
    if let first = marked.first {
      let remedy = first.syntax.hasPrefix("<") ? "; LoRA files are given with --lora" : ""
      warnings.append(
        "\(number(marked.count)) \(verb(marked.count, "uses", "use")) syntax of the webui, such as "
          + "\(first.syntax.prefix(40)), which is used literally here\(remedy)")
    }
    self.warnings = warnings
  }

  /// Returns the first piece of a prompt that AUTOMATIC1111's webui would not pass to the text
  /// encoder: weights such as `(word:1.2)`, `((word))`, files such as `<lora:name:1>`, `BREAK`, and
  /// steps such as `[a:b:0.5]`.
  static func foreignSyntax(in prompt: String) -> String? {
    for pattern in [
      /<(lora|lyco|hypernet):[^<>]*>/, /(\()[^()]*:\s*[0-9.]+\s*\)/, /(\()\([^()]*\)\)/,
      /(\[)[^\[\]]*:[^\[\]]*:\s*[0-9.]+\s*\]/,
    ] {
      if let match = prompt.firstMatch(of: pattern) { return String(match.output.0) }
    }
    let words = prompt.split { !($0.isLetter || $0.isNumber || $0 == "_") }
    return words.contains("BREAK") ? "BREAK" : nil
  }
}
