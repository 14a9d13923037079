import CommandSyntax
import DataStages
import Files
import PipelineCore
import Stages

/// `spo ingest --dry-run`: shows what would be read.
enum IngestCommand: Command {
  static var syntax: CommandSyntax {
    CommandSyntax(
      name: "ingest",
      summary:
        "Show what stage ingest would read: columns, sample rows, row counts and all problems.",
      operands: [CommandSyntax.Operand("FILE", isRepeatable: true)],
      options: [
        .flag("dry-run", "required: write nothing (`spo run` ingests)"),
        .value("set", "KEY=VALUE", isRepeatable: true, "override a setting of stage ingest"),
        .value("rows", "N", "rows to read (1000)"),
        .flag("json", "print one JSON object"),
      ],
      examples: [
        ("spo ingest --dry-run data/pickapic-sample", "the bundled sample data"),
        (
          "spo ingest --dry-run votes.csv --set columns.prompt=text --set format=votes",
          "a file with different column names"
        ),
      ])
  }

  static func run(_ arguments: Arguments) throws {
    guard arguments.has("dry-run") else {
      throw arguments.error(
        "--dry-run is missing; to ingest, run a pipeline: "
          + "spo run PIPELINE --through ingest")
    }
    Interruption.handleSignals()
    let preview = try IngestPreview(
      files: arguments.operands, overrides: arguments.values("set"),
      rowLimit: try arguments.int("rows", in: 1...Int.max) ?? 1_000)
    if arguments.has("json") {
      try Console.print(preview.json.text(.pretty))
    } else {
      try Console.print(preview.lines.joined(separator: "\n"))
    }
    try preview.requireUsable()
  }
}
