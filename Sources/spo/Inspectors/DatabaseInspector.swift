import Catalog
import CommandSyntax
import Files

/// `catalog.sqlite` and `cache.sqlite`.
enum DatabaseInspector: FileInspector {
  static var kinds: String { "catalogs and caches (SQLite)" }

  static func recognizes(head: [UInt8]) -> Bool {
    head.starts(with: Array("SQLite format 3\0".utf8))
  }

  static func inspect(path: String, _ arguments: Arguments) throws -> InspectionReport {
    do {
      return try inspect(try CatalogDatabase(path: path, access: .readOnly))
    } catch CatalogError.wrongKind {
      return try inspect(try CacheDatabase(path: path, access: .readOnly))
    }
  }

  /// Returns all rejected rows of a catalog as CSV, in the order in which they were found.
  static func rejectedRows(path: String) throws -> String {
    let catalog = try CatalogDatabase(path: path, access: .readOnly)
    var lines = ["file,row,column,stage,code,reason"]
    try catalog.forEachRejection { rejection in
      let fields = [
        rejection.file, "\(rejection.row)", rejection.column ?? "", rejection.stage, rejection.code,
        rejection.reason,
      ]
      lines.append(fields.map { csvField($0.printable) }.joined(separator: ","))
    }
    return lines.joined(separator: "\n")
  }

  /// Quotes a field by RFC 4180.
  private static func csvField(_ text: String) -> String {
    guard text.contains(where: { ",\"\n\r".contains($0) }) else { return text }
    return "\"\(text.replacing("\"", with: "\"\""))\""
  }

  private static func inspect(_ catalog: CatalogDatabase) throws -> InspectionReport {
    try catalog.database.checkIntegrity()
    let counts = try catalog.counts()
    let splits = try catalog.pairCounts()
    let rejections = try catalog.rejectionCounts()
    let sources = try catalog.sources()
    let rows: [(String, Int)] = [
      ("sources", sources.count), ("prompts", counts.prompts), ("images", counts.images),
      ("pairs", counts.pairs), ("listed prompts", counts.listedPrompts),
      ("rejected or filtered rows", counts.rejections),
    ]
    var lines = ["\(catalog.database.path.printable): catalog"]
    lines += rows.map { "  \($0.0): \(Spelled.count($0.1))" }
    lines += splits.map { "  pairs in \($0.split.printable): \(Spelled.count($0.count))" }
    lines += rejections.map {
      "  \(RejectionCode.isFiltered($0.code) ? "" : "rejected, ")\($0.code.printable): "
        + Spelled.count($0.count)
    }
    var report = JSON.Object()
    report["kind"] = "catalog"
    let keys = ["listed prompts": "listed_prompts", "rejected or filtered rows": "rejects"]
    for (name, count) in rows { report[keys[name] ?? name] = .integer(count) }
    report["pairs_by_split"] = object(splits.map { ($0.split, $0.count) })
    report["rejects_by_code"] = object(rejections.map { ($0.code, $0.count) })
    return InspectionReport(json: .object(report), text: lines.joined(separator: "\n"))
  }

  private static func inspect(_ cache: CacheDatabase) throws -> InspectionReport {
    try cache.database.checkIntegrity()
    let usage = try cache.usage()
    let lines = usage.map { use in
      "  \(use.encoder.kind.rawValue) by \(String(use.encoder.fingerprint.prefix(12)).printable), "
        + "\(use.encoder.geometry.printable): \(Spelled.count(use.entryCount, of: "entries")), "
        + "\(Spelled.count(use.byteCount, of: "bytes"))"
    }
    let encoders = usage.map { use -> JSON in
      [
        "encoder": .string(use.encoder.kind.rawValue),
        "fingerprint": .string(use.encoder.fingerprint),
        "geometry": .string(use.encoder.geometry),
        "shape": .array(use.encoder.shape.map { .integer($0) }),
        "entries": .integer(use.entryCount), "bytes": .integer(use.byteCount),
      ]
    }
    return InspectionReport(
      json: ["kind": "cache", "encoders": .array(encoders)],
      text: (["\(cache.database.path): encoding cache"] + lines).joined(separator: "\n"))
  }

  private static func object(_ counts: [(String, Int)]) -> JSON {
    var object = JSON.Object()
    for (name, count) in counts { object[name] = .integer(count) }
    return .object(object)
  }
}
