import Files
import Foundation
import TestSupport
import Testing

/// The help committed in `Tests/Fixtures/help`, which `make docs` regenerates.
@Suite(.serialized) struct HelpTests {
  private static let folder = fixturePath("help")

  private func expectSnapshot(
    _ outcome: Outcome, _ name: String, sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    expectSuccess(outcome, sourceLocation: sourceLocation)
    let path = "\(Self.folder)/\(name).txt"
    let expected = try String(contentsOfFile: path, encoding: .utf8)
    #expect(
      outcome.output == expected, "\(path) differs: run make docs",
      sourceLocation: sourceLocation)
  }

  @Test("help of the program and of every command is what is committed")
  func snapshots() throws {
    let help = try spo("--help")
    try expectSnapshot(help, "spo")
    let names = try commandNames(in: help.output)
    #expect(names.count >= 10)
    for name in names {
      try expectSnapshot(try spo(name, "--help"), name)
      #expect(try spo("help", name).output == spo(name, "--help").output)
    }
    let files = try FileManager.default.contentsOfDirectory(atPath: Self.folder)
      .filter { $0.hasSuffix(".txt") }
    #expect(Set(files) == Set((names + ["spo"]).map { "\($0).txt" }))
  }

  @Test("the program says its version")
  func version() throws {
    let outcome = try spo("--version")
    expectSuccess(outcome)
    #expect(outcome.output == "spo \(ProgramVersion.current)\n")
  }

  @Test("help lists every exit code")
  func exitCodes() throws {
    let help = try spo("--help").output
    let words = help.split { !$0.isNumber }.map(String.init)
    for code in ["0", "1", "2", "3", "4", "5", "6", "7", "8", "129", "130", "143"] {
      #expect(words.contains(code), "exit code \(code)")
    }
  }

  /// The first words of the lines below "commands:".
  private func commandNames(in help: String) throws -> [String] {
    let lines = help.split(separator: "\n", omittingEmptySubsequences: false)
    let start = try #require(lines.firstIndex(of: "commands:"))
    return lines[(start + 1)...].prefix { !$0.isEmpty }.compactMap { line in
      line.split(separator: " ").first.map(String.init)
    }
  }
}
