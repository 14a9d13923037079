import Files
import Parquet

/// Parquet files: rows, row groups and leaf columns, with a digest of each column's values if asked.
enum ParquetInspector: FileInspector {
  static var kinds: String { "parquet files" }

  static func recognizes(head: [UInt8]) -> Bool { head.starts(with: Array("PAR1".utf8)) }

  static func inspect(path: String, withDigests: Bool) throws -> InspectionReport {
    let file = try ParquetFile(path: path)
    var lines = [
      "\(path.printable): parquet, \(Spelled.count(file.rowCount)) rows in "
        + "\(Spelled.count(file.rowGroups.count)) row groups"
    ]
    var columns: [JSON] = []
    for column in file.columns {
      var entry = JSON.Object()
      entry["name"] = .string(column.name)
      entry["physical_type"] = .string("\(column.physicalType)")
      var line = "  \(column.name.printable): \(column.physicalType)"
      if column.logicalType != nil { line += " (\(column.typeName))" }
      if column.isOptional { line += ", optional" }
      if withDigests {
        let digest = try file.digest(of: column)
        switch digest.outcome {
        case .values(let sha256):
          entry["nonnull"] = .integer(digest.nonNullCount)
          entry["values_sha256"] = .string(sha256)
          line += ", \(Spelled.count(digest.nonNullCount)) values, sha256 \(sha256)"
        case .unsupported(let reason):
          entry["unsupported"] = .string(reason)
          line += ", cannot be read: \(reason.printable)"
        }
      }
      columns.append(.object(entry))
      lines.append(line)
    }
    let json: JSON = [
      "kind": "parquet", "rows": .integer(file.rowCount),
      "row_groups": .integer(file.rowGroups.count), "columns": .array(columns),
    ]
    return InspectionReport(json: json, text: lines.joined(separator: "\n"))
  }
}
