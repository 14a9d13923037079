import Files
import Foundation

/// A page of the documentation, parsed as far as tests need it.
struct Markdown {
  /// Relative to the repository.
  let path: String
  /// Indented and fenced blocks, without their indentation.
  private(set) var blocks: [String] = []
  /// The text between backticks, line breaks as spaces.
  private(set) var codeSpans: [String] = []
  /// Targets of links and images.
  private(set) var links: [String] = []
  /// The cells of the lines of tables, headings and rules included.
  private(set) var tableRows: [[String]] = []
  /// The targets that `#anchor` may name.
  private(set) var anchors: Set<String> = []

  init(path: String) throws {
    let bytes = try RegularFile(path: "\(repository)/\(path)").readAll()
    self.init(path: path, text: String(decoding: bytes, as: UTF8.self))
  }

  init(path: String, text: String) {
    self.path = path
    var prose = ""
    var block: [Substring] = []
    var isFenced = false
    func isIndented(_ line: Substring) -> Bool {
      line.hasPrefix("    ") && !line.allSatisfy(\.isWhitespace)
    }
    func endBlock(_ blocks: inout [String]) {
      if !block.isEmpty { blocks.append(block.joined(separator: "\n")) }
      block = []
    }
    var isAfterText = false
    for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
      if line.hasPrefix("```") {
        isFenced.toggle()
        endBlock(&blocks)
        isAfterText = false
      } else if isFenced {
        block.append(line)
      } else if isIndented(line), !isAfterText {
        // Text continues in an indented line, but no block begins in one.
        block.append(line.dropFirst(4))
      } else {
        endBlock(&blocks)
        isAfterText = !line.allSatisfy(\.isWhitespace)
        prose += line + "\n"
        if line.hasPrefix("#") { addAnchor(of: line) }
        if line.hasPrefix("|") { tableRows.append(line.split(separator: "|").map(String.init)) }
      }
    }
    endBlock(&blocks)

    let parts = prose.split(separator: "`", omittingEmptySubsequences: false)
    for (place, part) in parts.enumerated() where place % 2 == 1 {
      codeSpans.append(part.split(whereSeparator: \.isWhitespace).joined(separator: " "))
    }
    let plain = parts.enumerated().map { $0.offset % 2 == 0 ? String($0.element) : "code" }
      .joined()
    links = plain.matches(of: /\]\(([^()\s]+)\)/).map { String($0.1) }
  }

  /// As GitHub names headings.
  private mutating func addAnchor(of heading: Substring) {
    let name = heading.drop { $0 == "#" || $0 == " " }.lowercased()
      .filter { $0.isLetter || $0.isNumber || " -_".contains($0) }
      .replacingOccurrences(of: " ", with: "-")
    var anchor = name
    var number = 0
    while !anchors.insert(anchor).inserted {
      number += 1
      anchor = "\(name)-\(number)"
    }
  }

  /// The lines of all blocks, those that end with `\` joined with the next, without comments.
  var blockLines: [String] {
    blocks.flatMap { block in
      block.replacingOccurrences(of: "\\\n", with: " ").split(separator: "\n").map(String.init)
    }
  }
}

extension Markdown {
  /// The pages of which every command is checked.
  static func documentation() throws -> [Markdown] {
    let docs = try FileManager.default.contentsOfDirectory(atPath: "\(repository)/docs")
      .filter { $0.hasSuffix(".md") }.sorted().map { "docs/\($0)" }
    return try (["README.md", "CONTRIBUTING.md", "BENCHMARKS.md"] + docs).map {
      try Markdown(path: $0)
    }
  }

  /// All pages of the repository.
  static func all() throws -> [Markdown] {
    let below = ["Sources", "Tests"].flatMap { folder in
      (FileManager.default.enumerator(atPath: "\(repository)/\(folder)")?.allObjects ?? [])
        .compactMap { $0 as? String }.filter { $0.hasSuffix(".md") }.map { "\(folder)/\($0)" }
    }
    return try documentation() + below.sorted().map { try Markdown(path: $0) }
  }
}
