import CommandSyntax
import Files
import PipelineCore
import Stages

/// `spo settings`: lists everything that a pipeline file can set.
enum SettingsCommand: Command {
  static var syntax: CommandSyntax {
    CommandSyntax(
      name: "settings", summary: "List every setting: type, default, range and what it does.",
      operands: [CommandSyntax.Operand("STAGE", isOptional: true)],
      options: [
        .flag("json", "print one JSON object"),
        .flag("markdown", "print docs/settings.md"),
      ],
      examples: [
        ("spo settings spo", "the settings of stage spo"),
        ("spo settings --markdown > docs/settings.md", "what `make docs` does"),
      ])
  }

  static func run(_ arguments: Arguments) throws {
    var reference = try SettingsReference(stageTypes)
    if let operand = arguments.operands.first {
      let parts = operand.split(separator: ".", maxSplits: 1).map(String.init)
      let stage = parts.first ?? operand
      guard reference.stageNames.contains(stage) else {
        // A setting without its stage.
        let owners = parts.count == 1 ? reference.stages(with: stage) : []
        let hint =
          owners.first.map { "did you mean \($0).\(stage)?" }
          ?? likeliest(stage, in: reference.stageNames).map { "did you mean \"\($0)\"?" }
        throw arguments.error(
          "unknown stage \"\(stage)\"; "
            + (hint ?? "available: \(reference.stageNames.joined(separator: ", "))"))
      }
      reference = reference.only(stage)
      if parts.count > 1 {
        let names = reference.settingNames
        guard names.contains(parts[1]) else {
          let hint = nearestSetting(to: parts[1], in: names).map { "; did you mean \($0)?" } ?? ""
          throw arguments.error("stage \(stage) has no setting \"\(parts[1])\"\(hint)")
        }
        reference = reference.only(stage, setting: parts[1])
      }
    }
    if arguments.has("json") {
      try Console.print(reference.json.text(.pretty))
    } else if arguments.has("markdown") {
      try Console.print(reference.markdown)
    } else {
      try Console.print(reference.lines.joined(separator: "\n"))
    }
  }
}
