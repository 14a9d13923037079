import DataStages
import Files
import PipelineCore
import Stages

/// Inspects text files, recognized by name: pipelines, and records of comparisons or prompts.
enum TextInspector {
  static let kinds = [
    "pipelines (.json5)", "records and other JSON (.csv, .tsv, .jsonl, .ndjson, .json, .txt)",
    "folders",
  ]

  /// Nil for a name that does not indicate such a text.
  static func inspect(path: String) throws -> InspectionReport? {
    let name = path.lowercased()
    if name.hasSuffix(".json5") { return try pipeline(path) }
    guard [".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".txt"].contains(where: name.hasSuffix)
    else {
      return nil
    }
    if let report = try ResultInspector.metrics(path) { return report }
    if name.hasSuffix(".json"), let report = try object(path) { return report }
    return try records([path])
  }

  private static func pipeline(_ path: String) throws -> InspectionReport {
    let pipeline = try Pipeline(path: path, stages: stageTypes)
    let stages = pipeline.stages.map(\.name)
    let lines = [
      "\(path.printable): pipeline",
      "  workspace: \(pipeline.workspacePath.printable)"
        + (Folders.exists(pipeline.workspacePath) ? "" : " (does not exist yet)"),
      "  stages: \(stages.joined(separator: ", "))",
      "  `spo status` shows its state, `spo doctor` what it needs",
    ]
    let json: JSON = [
      "kind": "pipeline", "workspace": .string(pipeline.workspacePath),
      "stages": .array(stages.map { .string($0) }),
    ]
    return InspectionReport(json: json, text: lines.joined(separator: "\n"))
  }

  /// Nil for a list, or for one object per line, which are records.
  private static func object(_ path: String) throws -> InspectionReport? {
    let file = try RegularFile(path: path)
    try file.requireNoMistake(expected: "a JSON file", isText: true)
    guard let json = try? JSON(contentsOf: path, mayHaveMark: true), let object = json.object else {
      return nil
    }
    let members = object.keys.map { key in
      "  \(key.printable): \((object[key] ?? .null).kind)"
    }
    return InspectionReport(
      json: ["kind": "json", "keys": .array(object.keys.map { .string($0) })],
      text: (["\(path.printable): a JSON object"] + members).joined(separator: "\n"))
  }

  private static let rowLimit = 1_000

  /// Returns the output of `spo ingest --dry-run`.
  ///
  /// - Throws: the first problem, if no file can be read
  static func records(_ paths: [String]) throws -> InspectionReport {
    let preview = try IngestPreview(files: paths, overrides: [], rowLimit: rowLimit)
    guard preview.hasSources else {
      try preview.requireUsable()
      return InspectionReport(json: preview.json, text: preview.lines.joined(separator: "\n"))
    }
    let problem =
      preview.problems.first.map { ["", "not usable as a source for ingest: \($0)"] } ?? []
    return InspectionReport(
      json: preview.json, text: (preview.lines + problem).joined(separator: "\n"))
  }
}
