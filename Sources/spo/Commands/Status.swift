import CommandSyntax
import Files
import PipelineCore
import Stages

/// `spo status`: shows the state of a pipeline's stages, with reasons.
enum Status: Command {
  static var syntax: CommandSyntax {
    CommandSyntax(
      name: "status",
      summary: "Show the state of each stage of a pipeline: done, stale or missing, and why.",
      operands: [CommandSyntax.Operand("PIPELINE")],
      options: [
        .value("set", "STAGE.KEY=VALUE", isRepeatable: true, "override a setting of the pipeline"),
        .value("workspace", "DIR", "show this workspace instead of the pipeline's"),
        .flag("json", "print one JSON object"),
      ],
      examples: [
        ("spo status pipelines/quickstart.json5", "the state of each stage"),
        (
          "spo status pipelines/quickstart.json5 --set encode.size=128",
          "which stages a changed setting would rerun"
        ),
      ])
  }

  static func run(_ arguments: Arguments) throws {
    let pipeline = try Pipeline(
      path: arguments.operands[0], stages: stageTypes, overrides: arguments.values("set"),
      workspace: arguments.value("workspace"))
    pipeline.sayNotes(looks: true)
    try pipeline.checkFit()
    try ComputingDevice.require(pipeline.device)
    let stages = try pipeline.status()
    let worker = Workspace(path: pipeline.workspacePath).worker
    if arguments.has("json") {
      let report: JSON = [
        "pipeline": .string(pipeline.path), "workspace": .string(pipeline.workspacePath),
        "process": worker.map { .integer($0) } ?? .null, "stages": .array(stages.map(\.json)),
      ]
      return try Console.print(report.text(.pretty))
    }
    try Console.print(table(stages))
    if let worker { try Console.print("process \(worker) is running it now") }
  }

  private static func table(_ stages: [StageStatus]) -> String {
    let nameWidth = stages.map(\.name.count).max() ?? 0
    return stages.flatMap { stage -> [String] in
      var parts = [stage.state.rawValue]
      if stage.unitsTotal > 0 {
        parts.append(
          "\(Spelled.count(stage.unitsDone)) of \(Spelled.count(stage.unitsTotal)) \(stage.unit)")
      }
      parts += RejectionSummary(stage.rejections).phrases
      if stage.seconds > 0 { parts.append("took \(Spelled.duration(stage.seconds))") }
      if stage.peakMemory > 0 { parts.append("peak memory \(ByteCount.text(stage.peakMemory))") }
      if let left = stage.secondsLeft, left > 0 {
        parts.append("about \(Spelled.duration(left)) left")
      }
      let padding = String(repeating: " ", count: nameWidth - stage.name.count)
      let head = "\(stage.name)\(padding)  \(parts.joined(separator: ", "))"
      let indent = String(repeating: " ", count: nameWidth + 4)
      var notes = stage.reasons
      if let first = stage.replaced.first {
        let more = stage.replaced.count > 1 ? " and \(stage.replaced.count - 1) more files" : ""
        notes.append("\(first)\(more): usable until the new result replaces it")
      }
      notes += stage.parts?.lines ?? []
      notes += stage.unread.map { "\($0): modified; the next run compares its content" }
      return [head] + notes.map { indent + $0 }
    }.joined(separator: "\n")
  }
}
