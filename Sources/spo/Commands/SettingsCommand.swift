import CommandSyntax
import Files
import PipelineCore
import Stages

/// `spo settings`: everything that a pipeline file can set.
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
    if let stage = arguments.operands.first {
      guard reference.stageNames.contains(stage) else {
        let name = String(stage.prefix { $0 != "." })
        if stage.contains("."), reference.stageNames.contains(name) {
          throw arguments.error(
            "\"\(stage)\" is a setting, not a stage; see: spo settings \(name)")
        }
        let hint = nearest(to: stage, in: reference.stageNames).map { "did you mean \"\($0)\"?" }
        throw arguments.error(
          "unknown stage \"\(stage)\"; "
            + (hint ?? "available: \(reference.stageNames.joined(separator: ", "))"))
      }
      reference = reference.only(stage)
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
