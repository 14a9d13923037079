import CommandSyntax
import Files
import PipelineCore
import Stages

/// `spo verify`: reads everything that a pipeline has made.
enum Verify: Command {
  static var syntax: CommandSyntax {
    CommandSyntax(
      name: "verify",
      summary: "Check every finished result of a pipeline: digests, counts, references.",
      operands: [CommandSyntax.Operand("PIPELINE")],
      options: [
        .value("set", "STAGE.KEY=VALUE", isRepeatable: true, "override a setting of the pipeline"),
        .value("workspace", "DIR", "verify this workspace instead of the pipeline's"),
        .flag("json", "print one JSON object"),
      ],
      examples: [
        (
          "spo verify pipelines/quickstart.json5",
          "whether every result is intact, and how to repair it"
        )
      ])
  }

  static func run(_ arguments: Arguments) throws {
    let pipeline = try Pipeline(
      path: arguments.operands[0], stages: stageTypes, overrides: arguments.values("set"),
      workspace: arguments.value("workspace"))
    pipeline.sayNotes(looks: true)
    let stages = try pipeline.verify { Console.note("checking the result of stage \($0)") }
    if arguments.has("json") {
      let report: JSON = [
        "pipeline": .string(pipeline.path), "workspace": .string(pipeline.workspacePath),
        "stages": .array(stages.map(\.json)),
      ]
      try Console.print(report.text(.pretty))
    } else {
      try Console.print(stages.flatMap(lines).joined(separator: "\n"))
    }
    let failure = VerificationFailure(workspace: pipeline.workspacePath, stages)
    if failure.problemCount > 0 { throw failure }
  }

  private static func lines(_ stage: StageVerification) -> [String] {
    let name = stage.stage + String(repeating: " ", count: max(0, 12 - stage.stage.count))
    guard let files = stage.files else {
      return ["\(name)  no finished result"] + stage.problems.map { "    \($0)" }
    }
    let size =
      "\(Spelled.count(files)) file\(files == 1 ? "" : "s"), \(ByteCount.text(stage.byteCount))"
    let problems = stage.problems.count
    return [
      "\(name)  \(problems == 0 ? "intact" : "\(problems) problem\(problems == 1 ? "" : "s")"), \(size)"
    ]
      + stage.problems.map { "    \($0)" }
  }
}
