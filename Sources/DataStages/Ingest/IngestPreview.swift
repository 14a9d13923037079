import Catalog
public import Files
import Foundation
import PipelineCore

/// A preview of ingesting files, without a workspace: `spo ingest --dry-run`.
public struct IngestPreview {
  private let draft: CatalogDraft
  private let funnel: [String]
  private let rowsRead: Int

  /// - Parameters:
  ///   - files: the value of `ingest.source`
  ///   - overrides: other settings, `ingest.KEY=VALUE` or `KEY=VALUE`
  ///   - rowLimit: the number of rows whose values and images are inspected
  public init(files: [String], overrides: [String], rowLimit: Int) throws {
    let settings = try IngestSettings(files: files, overrides: overrides)
    let folder = try TemporaryFolder()
    draft = try CatalogDraft(settings, at: "\(folder.path)/catalog.sqlite", rowLimit: rowLimit) {
      _ in
      if let interruption = Interruption.pending { throw interruption }
    }
    funnel = try Funnel(draft.catalog, notes: draft.notes).lines
    rowsRead = try draft.catalog.readRowCount()
    json = try Self.json(draft, rowsRead, funnel)
  }

  public let json: JSON

  /// Obstacles to ingesting the files, one line each.
  public var problems: [String] { draft.problems.map(\.printable) }

  /// Whether any file could be opened.
  public var hasSources: Bool { !draft.sources.isEmpty }

  /// The full text apart from the first problem, which ``requireUsable()`` throws.
  public var lines: [String] {
    var lines: [String] = []
    // Of similar files only the first is described.
    let alike = Dictionary(grouping: draft.sources) { source in
      "\(source.file.plan.form) \(source.split) \(source.file.columnNames)"
    }
    for sources in alike.values.sorted(by: { $0[0].file.path < $1[0].file.path }) {
      let file = sources[0].file
      let count = sources.reduce(0) { $0 + $1.file.blockRowCounts.reduce(0, +) }
      let more = sources.count > 1 ? " and \(sources.count - 1) more like it" : ""
      lines.append(
        "\(file.path)\(more): \(Spelled.count(count, of: "rows")) of split \(sources[0].split)")
      let plan = file.plan
      lines.append(
        plan.isRecognized
          ? "  format    \(plan.form.rawValue): \(plan.form.meaning)" : "  format    not recognized"
      )
      for (column, field) in file.usedColumns {
        lines.append("  column    \(column): \(field.meaning)")
      }
      let unread = file.unreadColumns.map { $0.isEmpty ? "(a column without a name)" : $0 }
      if !unread.isEmpty { lines.append("  not used  \(unread.joined(separator: ", "))") }
      lines += [file.promptsAloneLine, file.unreadSplitLine].compactMap { $0.map { "  \($0)" } }
    }
    let rows = Self.firstRows(draft)
    if !rows.isEmpty { lines += ["", "first rows, counted from 0"] + rows.map { "  \($0.text)" } }
    let part =
      rowsRead == draft.rowCount
      ? ""
      : rowsRead == 0
        ? " (none of \(Spelled.count(draft.rowCount, of: "rows")) read)"
        : " (first \(Spelled.count(rowsRead)) of \(Spelled.count(draft.rowCount, of: "rows")))"
    if hasSources { lines += ["", "row counts\(part)"] + funnel.map { "  \($0)" } }
    if problems.count > 1 {
      lines += ["", "other problems"] + problems.dropFirst().map { "  \($0)" }
    }
    return lines.map(\.printable)
  }

  /// Throws the first problem if the files could not be ingested.
  public func requireUsable() throws {
    guard let first = problems.first else { return }
    throw Refusal(problem: first, others: problems.count - 1)
  }

  /// Why the files cannot be ingested.
  struct Refusal: ClassifiedError, CustomStringConvertible {
    let problem: String
    let others: Int

    var kind: FailureKind { .input }
    var description: String { problem + (others > 0 ? " (\(others) more above)" : "") }
  }

  // MARK: - Parts

  private static func shortened(_ prompt: String) -> String {
    prompt.count > 80 ? prompt.prefix(79) + "…" : prompt
  }

  private static func firstRows(
    _ draft: CatalogDraft
  ) -> [(path: String, row: Int, text: String)] {
    draft.firstRows.flatMap { path, contents in
      let pairs = contents.pairs.map { pair in
        (pair.row, "\"\(Self.shortened(pair.prompt))\": " + text(of: pair))
      }
      let prompts = contents.prompts.map { ($0.row, "\"\(Self.shortened($0.text))\", prompt only") }
      let rejections = contents.rejections.map { rejection in
        (
          rejection.row,
          "rejected, \(rejection.code)\(rejection.column.map { ", column \($0)" } ?? ""): \(rejection.reason)"
        )
      }
      return (pairs + prompts + rejections).sorted { $0.0 < $1.0 }.map { row, text in
        (path, row, "\(path): row \(row): \(text)")
      }
    }
  }

  private static func text(of pair: RowGroupContents.Pair) -> String {
    let sides = [pair.image0, pair.image1].map { image -> String in
      guard let content = image.content else { return image.uid }
      return "\(content.column) (\(content.width) x \(content.height))"
    }
    let weight = pair.weight == 1 ? "" : ", weight \((pair.weight * 1000).rounded() / 1000)"
    switch (pair.label0, pair.label1) {
    case (1, 0): return "\(sides[0]) preferred to \(sides[1])\(weight)"
    case (0, 1): return "\(sides[1]) preferred to \(sides[0])\(weight)"
    case (0.5, 0.5): return "\(sides[0]) and \(sides[1]) tie\(weight)"
    default: return "\(sides[0]) and \(sides[1]) without a label\(weight)"
    }
  }

  private static func json(
    _ draft: CatalogDraft, _ rowsRead: Int, _ funnel: [String]
  ) throws -> JSON {
    let counts = try draft.catalog.counts()
    var rejections = JSON.Object()
    for (code, count) in try draft.catalog.rejectionCounts() { rejections[code] = .integer(count) }
    var pairs = JSON.Object()
    for (split, count) in try draft.catalog.pairCounts() { pairs[split] = .integer(count) }
    return [
      "sources": .array(draft.sources.map(json)),
      "first_rows": .array(
        firstRows(draft).map {
          ["file": .string($0.path), "row": .integer($0.row), "text": .string($0.text)]
        }),
      "funnel": [
        "rows": .integer(draft.rowCount), "rows_read": .integer(rowsRead),
        "pairs": .integer(counts.pairs), "pairs_by_split": .object(pairs),
        "prompts_alone": .integer(counts.listedPrompts), "rejects": .object(rejections),
        "lines": .array(funnel.map { .string($0) }),
      ],
      "problems": .array(draft.problems.map { .string($0) }),
    ]
  }

  private static func json(_ source: CatalogDraft.Source) -> JSON {
    let file = source.file
    return [
      "path": .string(file.path), "split": .string(source.split),
      "form": file.plan.isRecognized ? .string(file.plan.form.rawValue) : .null,
      "rows": .integer(file.blockRowCounts.reduce(0, +)),
      "columns": .array(
        file.usedColumns.map {
          [
            "column": .string($0.column), "taken_for": .string($0.field.rawValue),
            "meaning": .string($0.field.meaning),
          ]
        }),
      "columns_not_read": .array(file.unreadColumns.map { .string($0) }),
    ]
  }
}

extension IngestSettings {
  /// The settings of a pipeline with only stage ingest.
  init(files: [String], overrides: [String]) throws {
    var ingest = JSON.Object()
    ingest["source"] = .array(files.map { .string($0) })
    var root = JSON.Object()
    root["workspace"] = "."
    root["stages"] = ["ingest": .object(ingest)]
    // All settings belong to the one stage.
    let full = overrides.map { text in
      text.prefix { $0 != "." && $0 != "=" } == Ingest.name ? text : "\(Ingest.name).\(text)"
    }
    let pipeline = try Pipeline(
      path: "settings", root: root, stages: [Ingest.self], overrides: full)
    guard let stage = try pipeline.madeStages().lazy.compactMap({ $0 as? Ingest }).first else {
      throw PipelineError.badSetting(path: "settings", reason: "have no stage ingest")
    }
    self = stage.settings
  }
}

/// A folder that is deleted with its last reference.
final class TemporaryFolder {
  let path: String

  init() throws {
    let folder = FileManager.default.temporaryDirectory
      .appendingPathComponent("spo-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    path = folder.path
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }
}
