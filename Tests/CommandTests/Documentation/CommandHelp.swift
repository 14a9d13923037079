import Files
import Foundation
import TestSupport
import Testing

/// The syntax of a command, from its committed help.
struct CommandHelp {
  /// The options; true: it takes a value.
  private(set) var options: [String: Bool] = [:]
  private(set) var operandCount = 0...0

  init(_ name: String) throws {
    let text = try String(contentsOfFile: fixturePath("help/\(name).txt"), encoding: .utf8)
    let usage = text.split(separator: "\n").first { $0.hasPrefix("usage: spo \(name)") } ?? ""
    let operands = usage.split(separator: " ").dropFirst(3).filter { $0 != "[options]" }
    let required = operands.count { !$0.hasPrefix("[") }
    operandCount =
      required...(operands.contains { $0.contains("...") } ? Int.max : operands.count)
    for match in text.matches(of: /\n  --([a-z-]+)( \S+)?/) {
      options[String(match.1)] = match.2 != nil
    }
  }

  /// The names of all commands.
  static func names() throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: fixturePath("help"))
      .filter { $0.hasSuffix(".txt") && $0 != "spo.txt" }.map { String($0.dropLast(4)) }
  }
}

/// The settings that there are, as `spo settings --json` lists them.
struct KnownSettings {
  private(set) var pipeline: Set<String> = []
  private(set) var byStage: [String: Set<String>] = [:]

  init() throws {
    let json = JSONReader(try JSON(parsing: try spo("settings", "--json").output), path: "settings")
    func names(_ list: JSONReader) throws -> Set<String> {
      Set(try list.elements().map { try $0.string("name") })
    }
    pipeline = try names(try json["pipeline"])
    for stage in try json["stages"].elements() {
      byStage[try stage.string("stage")] = try names(try stage["settings"])
    }
  }

  /// Whether a key of a pipeline file outside `stages` has this name.
  func isShared(_ name: String) -> Bool {
    pipeline.contains(name) || byStage.values.contains { $0.contains(name) }
  }
}
