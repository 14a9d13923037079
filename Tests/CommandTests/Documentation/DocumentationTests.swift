import Files
import Foundation
import TestSupport
import Testing

/// Checks that what the documentation shows exists, and that its commands work.
@Suite(.serialized) struct DocumentationTests {
  /// The errors in a page, each with the correct form.
  private func problems(in page: Markdown, _ makefile: Makefile) throws -> [String] {
    let commands =
      page.blockLines.compactMap { DocumentedCommand($0, isComplete: true) }
      + page.codeSpans.compactMap { DocumentedCommand($0, isComplete: false) }
    let ofCommands = try commands.flatMap { command in
      try command.problems(makefile: makefile).map {
        "\(command.words.joined(separator: " ")): \($0)"
      }
    }
    return ofCommands
      + page.codeSpans.filter { !$0.contains(" ") }
      .compactMap(DocumentedCommand.missingFile)
  }

  private func linkProblems(in page: Markdown) throws -> [String] {
    try page.links.compactMap { link in
      guard !link.contains("://") else { return nil }
      let parts = link.split(separator: "#", maxSplits: 1, omittingEmptySubsequences: false)
      let folder = URL(fileURLWithPath: "/\(page.path)").deletingLastPathComponent()
      let target =
        parts[0].isEmpty
        ? page.path
        : String(folder.appendingPathComponent(String(parts[0])).standardized.path.dropFirst())
      guard FileManager.default.fileExists(atPath: "\(repository)/\(target)") else {
        return "\(link): there is no \(target)"
      }
      guard parts.count == 2 else { return nil }
      let anchors = try target == page.path ? page.anchors : Markdown(path: target).anchors
      return anchors.contains(String(parts[1])) ? nil : "\(link): there is no such heading"
    }
  }

  @Test("every command, target and file that the documentation names is there")
  func commands() throws {
    let makefile = try Makefile()
    var count = 0
    for page in try Markdown.documentation() {
      count += page.blockLines.count { DocumentedCommand($0, isComplete: true) != nil }
      let problems = try problems(in: page, makefile)
      #expect(problems.isEmpty, "\(page.path): \(problems.joined(separator: "; "))")
    }
    #expect(count >= 15, "commands are not found any more")
  }

  @Test("every link leads to a file and a heading that are there")
  func links() throws {
    for page in try Markdown.all() {
      let problems = try linkProblems(in: page)
      #expect(problems.isEmpty, "\(page.path): \(problems.joined(separator: "; "))")
    }
  }

  @Test(
    "a misspelt command, option, operand, target, variable, file or link is found",
    arguments: [
      "    spo runn pipelines/quickstart.json5",
      "    spo run pipelines/quickstart.json5 --sett=x",
      "    spo run", "    spo run pipelines/quikstart.json5", "`spo smaple`",
      "    spo status pipelines/quickstart.json5 --set", "text `spo run --though shard`",
      "    make sppo", "`make tests`", "    make spo PIPLINE=x", "| `make preprae` | x |",
      "    PIPELINE=pipelines/x.json5 .build/release/spo stats x", "```\nspo runn x\n```",
      "see `Sources/Stage/Nothing.swift`", "[x](docs/nothing.md)", "[x](docs/method.md#nothing)",
      "[x](#nothing)", "    spo sample --model data/tiny \\\n      --prompt x --out x.png",
    ])
  func misspelt(text: String) throws {
    let page = Markdown(path: "README.md", text: "# Heading\n\n\(text)\n")
    let problems = try problems(in: page, Makefile()) + linkProblems(in: page)
    #expect(problems.count == 1, "\(problems)")
  }

  /// Commands that use only files of the repository are run: they are quick and write nothing but
  /// to standard output.
  private static let quick = ["completion", "doctor", "inspect", "settings", "status", "tokenize"]

  @Test("commands that need nothing but the repository run as they are shown")
  func running() throws {
    var done: Set<[String]> = []
    for page in try Markdown.documentation() {
      for command in page.blockLines.compactMap({ DocumentedCommand($0, isComplete: true) })
      where command.words[0] == "spo" && !command.hasPrefix("--device-check") {
        guard Self.quick.contains(command.words[1]), !command.hasPrefix("runs/"), !command.isLong,
          !command.hasPlaceholders, done.insert(command.words).inserted
        else { continue }
        let outcome = try Program(Array(command.words.dropFirst())).outcome()
        // Doctor fails where this machine lacks something; usage and settings are right all the same.
        let isRight =
          command.words[1] == "doctor"
          ? outcome.exitCode.map { ![2, 3].contains($0) } ?? false : outcome.exitCode == 0
        #expect(isRight, "\(page.path): \(command.words.joined(separator: " ")): \(outcome)")
      }
    }
    #expect(done.count >= 3, "commands are not found any more")
  }

  @Test("the settings that commands of the documentation override are right")
  func overrides() throws {
    try withTemporaryFolder { folder in
      for page in try Markdown.documentation() {
        for command in page.blockLines.compactMap({ DocumentedCommand($0, isComplete: true) })
        where command.words.contains("--set") && !command.hasPlaceholders {
          let options = command.words.indices.filter { command.words[$0] == "--set" }
            .flatMap { ["--set", command.words[$0 + 1]] }
          let outcome = try Program(
            ["status", command.words[2], "--workspace", "\(folder)/workspace"] + options
          ).outcome()
          // Models and data of a full-size pipeline are not there: 4.
          #expect(
            [0, 4].contains(outcome.exitCode),
            "\(page.path): \(command.words.joined(separator: " ")): \(outcome)")
        }
      }
    }
  }
}

extension DocumentedCommand {
  fileprivate func hasPrefix(_ prefix: String) -> Bool { words.contains { $0.hasPrefix(prefix) } }

  /// Estimates of full-size pipelines, and pipelines of users.
  fileprivate var isLong: Bool {
    words.contains { $0.hasSuffix(".json5") && !$0.hasPrefix("pipelines/quickstart") }
  }
}
