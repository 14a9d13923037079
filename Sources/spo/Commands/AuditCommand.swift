import CommandSyntax
import DataStages
import Files
import PipelineCore
import Stages

/// `spo audit`: checks preference data before training on it.
enum AuditCommand: Command {
  static var syntax: CommandSyntax {
    CommandSyntax(
      name: "audit",
      summary: "Find ties, contradictions, duplicates and leaks in preference data.",
      operands: [CommandSyntax.Operand("PIPELINE|FILE", isRepeatable: true)],
      options: [
        .value(
          "set", "KEY=VALUE", isRepeatable: true,
          "override a setting, as in `spo ingest` or `spo run`"),
        .value("workspace", "DIR", "use this workspace instead of the pipeline's"),
        .flag("quick", "do not decode images; near-duplicates are not found"),
        .value("out", "DIR", "folder for index.html and the lists for ingest.drop"),
        .flag("json", "print one JSON object"),
      ],
      examples: [
        ("spo audit pipelines/quickstart.json5 --out runs/audit", "audit the data of a pipeline"),
        ("spo audit data/pickapic-sample --quick", "audit files, without a pipeline"),
      ])
  }

  static func run(_ arguments: Arguments) throws {
    let subject = try subject(arguments)
    let folder = arguments.value("out")
    guard folder != "" else { throw arguments.error("--out is empty") }
    if let folder { try Audit.requireOwnFolder(folder) }
    Interruption.handleSignals()
    var last = ContinuousClock.now
    let audit = try Audit(subject, looksAtImages: !arguments.has("quick")) { text in
      guard ContinuousClock.now - last > .seconds(10) else { return }
      last = ContinuousClock.now
      Console.note(text)
    }
    if let folder { Console.noteKept(try audit.write(to: folder)) }
    if arguments.has("json") {
      try Console.print(audit.json(folder: folder).text(.pretty))
    } else {
      try Console.print(audit.lines(folder: folder).joined(separator: "\n"))
    }
    if let folder { Console.note("page: \(folder)/index.html") }
  }

  /// Returns the subject; a file that ends in `.json5` is a pipeline.
  private static func subject(_ arguments: Arguments) throws -> Audit.Subject {
    let operands = arguments.operands
    guard operands.contains(where: { $0.hasSuffix(".json5") }) else {
      guard arguments.value("workspace") == nil else {
        throw arguments.error("--workspace needs a pipeline")
      }
      return .files(operands, overrides: arguments.values("set"))
    }
    guard operands.count == 1 else {
      throw arguments.error("give either one pipeline or data files, not both")
    }
    return .pipeline(
      try Pipeline(
        path: operands[0], stages: stageTypes, overrides: arguments.values("set"),
        workspace: arguments.value("workspace")))
  }
}
