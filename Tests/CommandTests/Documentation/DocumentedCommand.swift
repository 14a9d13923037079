import Files
import Foundation

/// A command line that the documentation shows.
struct DocumentedCommand {
  let words: [String]
  /// A line of a block, to be typed as it is; otherwise a mention in a text, which may leave out operands.
  let isComplete: Bool

  /// Nil for a line that is not one of `spo` or `make`.
  init?(_ line: String, isComplete: Bool) {
    var words = Self.words(of: line)
    while let first = words.first, first.wholeMatch(of: /[A-Z_]+=.*/) != nil { words.removeFirst() }
    guard let program = words.first, ["spo", ".build/release/spo", "make"].contains(program) else {
      return nil
    }
    if !isComplete {
      words = words.map { $0.trimmingCharacters(in: CharacterSet(charactersIn: "[]")) }
    }
    self.words = [program == "make" ? "make" : "spo"] + words.dropFirst()
    self.isComplete = isComplete
  }

  /// The words of a shell's line up to a comment, a pipe or a redirection.
  private static func words(of line: String) -> [String] {
    var words: [String] = []
    var word: String?
    var quote: Character?
    for character in line {
      switch character {
      case _ where character == quote: quote = nil
      case "\"", "'":
        if quote == nil {
          quote = character
          word = word ?? ""
        } else {
          word = (word ?? "") + "\(character)"
        }
      case " " where quote == nil:
        if let word { words.append(word) }
        word = nil
      case "#" where quote == nil && word == nil, "|" where quote == nil, ">" where quote == nil:
        return words
      default: word = (word ?? "") + "\(character)"
      }
    }
    return words + (word.map { [$0] } ?? [])
  }

  /// Whether a word stands for another, such as PIPELINE, `--set KEY=VALUE` or `...`.
  private static func isPlaceholder(_ word: String) -> Bool {
    word.contains("...") || word.contains(/(^|[=.])[A-Z]{2,}/) || word.contains("$")
  }

  var hasPlaceholders: Bool { words.contains(where: Self.isPlaceholder) }

  /// The problems with it; empty if there are none.
  func problems(makefile: Makefile) throws -> [String] {
    try words[0] == "make" ? makefile.problems(Array(words.dropFirst())) : programProblems()
  }

  private func programProblems() throws -> [String] {
    guard words.count > 1, words[1] != "COMMAND", words[1] != "..." else { return [] }
    if ["--help", "--version"].contains(words[1]) { return [] }
    let name = words[1] == "help" ? words.last ?? "" : words[1]
    guard try CommandHelp.names().contains(name) else { return ["there is no command \(name)"] }
    let help = try CommandHelp(name)
    var problems: [String] = []
    var operands: [String] = []
    var rest = words.dropFirst(2)
    while let word = rest.popFirst() {
      guard word.hasPrefix("--") else {
        operands.append(word)
        continue
      }
      let option = String(word.dropFirst(2).prefix { $0 != "=" })
      guard let takesValue = help.options[option] else {
        if option != "help" { problems.append("spo \(name) has no option --\(option)") }
        continue
      }
      if takesValue, !word.contains("="), rest.popFirst() == nil, isComplete {
        problems.append("--\(option) needs a value")
      }
    }
    if isComplete, !words.contains("--help"), !help.operandCount.contains(operands.count) {
      problems.append("spo \(name) takes other operands than \(operands)")
    }
    return problems + words.compactMap(Self.missingFile)
  }

  /// The program makes these; users get these.
  private static let absent = [
    "data/pickapic_v1", "data/4k_training_prompts.json", "docs/settings.md",
  ]

  /// A file of the repository that a word names and that is not there.
  static func missingFile(_ word: String) -> String? {
    let path = word.split(separator: "=").last.map(String.init) ?? ""
    guard
      ["data/", "docs/", "pipelines/", "Sources/", "Tests/"].contains(where: path.hasPrefix),
      !absent.contains(where: path.hasPrefix), !path.contains("*"), !isPlaceholder(path),
      !FileManager.default.fileExists(atPath: "\(repository)/\(path)")
    else { return nil }
    return "there is no \(path)"
  }
}

/// The targets and variables of the repository's Makefile.
struct Makefile {
  private let targets: Set<String>
  private let text: String

  init() throws {
    text = try String(contentsOfFile: "\(repository)/Makefile", encoding: .utf8)
    targets = Set(
      text.split(separator: "\n").filter { $0.first?.isLetter ?? false }.flatMap { line in
        let parts = line.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        return parts.count == 2 && !parts[1].hasPrefix("=")
          ? parts[0].split(separator: " ").map(String.init) : []
      })
  }

  func problems(_ words: [String]) -> [String] {
    words.compactMap { word in
      guard let sign = word.firstIndex(of: "=") else {
        return targets.contains(word) || word == "..." ? nil : "there is no target \(word)"
      }
      let name = word[..<sign]
      return text.contains("$(\(name))") || text.contains("$(\(name),")
        || text.contains("\(name) ?=")
        ? DocumentedCommand.missingFile(word) : "the Makefile knows no variable \(name)"
    }
  }
}
