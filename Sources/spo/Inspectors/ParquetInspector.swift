import CommandSyntax
import Files
import Parquet

/// Inspects parquet files: rows, row groups and leaf columns, with a digest of each column's values
/// if requested.
enum ParquetInspector: FileInspector {
  static var kinds: String { "parquet files" }

  static func recognizes(head: [UInt8]) -> Bool { head.starts(with: Array("PAR1".utf8)) }

  static func inspect(path: String, _ arguments: Arguments) throws -> InspectionReport {
    let file = try ParquetFile(path: path)
    var lines = [
      "\(path.printable): parquet, \(Spelled.count(file.rowCount)) row\(file.rowCount == 1 ? "" : "s") in "
        + "\(Spelled.count(file.rowGroups.count)) row group\(file.rowGroups.count == 1 ? "" : "s")"
    ]
    var columns: [JSON] = []
    for column in file.columns {
      var entry = JSON.Object()
      entry["name"] = .string(column.name)
      entry["physical_type"] = .string("\(column.physicalType)")
      var line = "  \(column.name.printable): \(column.physicalType)"
      if column.logicalType != nil { line += " (\(column.typeName))" }
      if column.isOptional { line += ", optional" }
      if arguments.has("digest") {
        let digest = try file.digest(of: column)
        switch digest.outcome {
        case .values(let sha256):
          entry["nonnull"] = .integer(digest.nonNullCount)
          entry["values_sha256"] = .string(sha256)
          line += ", \(Spelled.count(digest.nonNullCount, of: "values")), sha256 \(sha256)"
        case .unsupported(let reason):
          entry["unsupported"] = .string(reason)
          line += ", cannot be read: \(reason.printable)"
        }
      }
      columns.append(.object(entry))
      lines.append(line)
    }
    var json = JSON.Object()
    json["kind"] = "parquet"
    json["rows"] = .integer(file.rowCount)
    json["row_groups"] = .integer(file.rowGroups.count)
    json["columns"] = .array(columns)
    // Digests are for comparing files, not for training on them.
    if !arguments.has("digest"), let records = try? TextInspector.records([path]) {
      json["records"] = records.json
      lines += ["", records.text]
    }
    return InspectionReport(json: .object(json), text: lines.joined(separator: "\n"))
  }
}
