import Files
import PipelineCore

/// Under which names a source's columns stand.
struct ColumnNames {
  private let names: [RecordField: String]

  /// - Parameter columns: the pipeline file's `columns`: from published names to the source's own
  init(_ columns: [String: String]) throws(PipelineError) {
    var names: [RecordField: String] = [:]
    for (key, name) in columns.sorted(by: { $0.key < $1.key }) {
      guard let field = RecordField(rawValue: key) else {
        let known = RecordField.allCases.map(\.rawValue)
        throw .unknownSetting(
          path: "ingest.columns.\(key)", nearest: nearest(to: key, in: known), known: known)
      }
      names[field] = name
    }
    self.names = names
  }

  func name(of field: RecordField) -> String { names[field] ?? field.rawValue }
}

/// What a source cannot be read without.
enum SourceError: ClassifiedError, Equatable, CustomStringConvertible {
  /// `escaped` is the pattern with its brackets standing for themselves, if it has any.
  case noFiles(source: String, escaped: String?)
  case noFolder(source: String, folder: String)
  case emptyFolder(source: String)
  case unknownFormat(path: String)
  case missingColumn(path: String, column: String, field: String, present: [String])
  case malformed(path: String, reason: String)
  case changed(path: String)
  case nothingUsable(rows: Int, example: String)

  var kind: FailureKind { .input }

  var description: String {
    switch self {
    case .noFiles(let source, let escaped):
      "ingest.source: no file matches \"\(source)\"; relative paths start at the current folder"
        + (escaped.map {
          ", and brackets stand for a choice of characters: for a name that has them write \"\($0)\""
        } ?? "")
    case .noFolder(let source, let folder):
      "ingest.source: no file matches \"\(source)\", since there is no folder \(folder); relative "
        + "paths start at the current folder"
    case .emptyFolder(let source):
      "ingest.source: in the folder \"\(source)\" and below it there are no files that end in "
        + ".parquet, .jsonl, .json or .csv"
    case .unknownFormat(let path):
      "\(path): the name of a source must end in .parquet, .jsonl, .json or .csv"
    case .missingColumn(let path, let column, let field, let present):
      "\(path): no column \(column); the file has \(present.joined(separator: ", ")); "
        + "if another one holds it, name it in the pipeline file: "
        + "ingest: { columns: { \(field): \"...\" } }"
    case .malformed(let path, let reason): "\(path): \(reason)"
    case .changed(let path):
      "\(path): its images are not those that were ingested; run again with --force ingest"
    case .nothingUsable(let rows, let example):
      "ingest: not one of \(rows) rows can be used; the first reason: \(example.printable)"
    }
  }
}
