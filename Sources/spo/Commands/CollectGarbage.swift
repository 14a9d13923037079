import CommandSyntax
import Files
import PipelineCore
import Stages

/// `spo gc`: removes what a workspace no longer needs.
enum CollectGarbage: Command {
  static var syntax: CommandSyntax {
    CommandSyntax(
      name: "gc",
      summary:
        "Remove the checkpoints and best weights of finished stages, and unused cache entries.",
      operands: [CommandSyntax.Operand("PIPELINE")],
      options: [
        .value("workspace", "DIR", "clean this workspace instead of the pipeline's"),
        .value("set", "STAGE.KEY=VALUE", isRepeatable: true, "override a setting of the pipeline"),
        .flag("dry-run", "only print what would be removed"),
      ],
      examples: [
        ("spo gc pipelines/quickstart.json5 --dry-run", "what would be removed, with its size")
      ])
  }

  static func run(_ arguments: Arguments) throws {
    let pipeline = try Pipeline(
      path: arguments.operands[0], stages: stageTypes, overrides: arguments.values("set"),
      workspace: arguments.value("workspace"))
    pipeline.sayNotes(looks: true)
    let isDry = arguments.has("dry-run")
    let found = try pipeline.collectGarbage(isDry: isDry)
    for garbage in found {
      try Console.print("\(Spelled.count(garbage.byteCount, of: "bytes"))  \(garbage.what)")
    }
    let total = found.reduce(0) { $0 + $1.byteCount }
    try Console.print(
      "\(Spelled.count(total, of: "bytes")) \(isDry ? "could be removed" : "removed")")
  }
}
