import Files
import Foundation

extension CacheDatabase {
  /// Reads every value; returns an error for each that differs from what was stored or is filed
  /// under other content.
  public func damagedEntries() throws -> [CatalogError] {
    try database.checkIntegrity()
    let damaged = try damagedRows().map(\.error)
    if damaged.isEmpty { try database.checkIntegrity(withIndices: true) }
    return damaged
  }

  /// Opens a cache without its damaged entries, or empty if the file itself is damaged.
  ///
  /// - Parameter say: called with a description of what was removed
  public static func mended(path: String, _ say: (String) -> Void) throws -> CacheDatabase {
    do {
      let cache = try CacheDatabase(path: path)
      try cache.database.checkIntegrity()
      let damaged = try cache.damagedRows()
      try cache.database.transaction {
        if !damaged.isEmpty { try cache.database.run("REINDEX entry") }
        for row in damaged { try cache.database.run("DELETE FROM entry WHERE id = ?", row.id) }
      }
      try cache.database.checkIntegrity(withIndices: true)
      if !damaged.isEmpty { say("\(path): \(damaged.count) damaged entries are being rebuilt") }
      return cache
    } catch let error as CatalogError where error.isDamageOfFile(path) {
      // If it cannot be read, it is not known to be ours.
      let manager = FileManager.default
      var (kept, number) = ("\(path).damaged", 1)
      while manager.fileExists(atPath: kept) {
        number += 1
        kept = "\(path).damaged-\(number)"
      }
      for ending in ["-wal", "-shm", "-journal", ""]
      where manager.fileExists(atPath: path + ending) {
        try manager.moveItem(atPath: path + ending, toPath: kept + ending)
      }
      say("\(error); it is a cache and will be rebuilt; the damaged one is kept as \(kept)")
      return try CacheDatabase(path: path)
    }
  }

  /// The index duplicates an entry's key, and so reveals damage to either.
  private func damagedRows() throws -> [(id: Int, error: CatalogError)] {
    var damaged: [(id: Int, error: CatalogError)] = []
    try database.forEachRow(
      """
      SELECT entry.id, content, digest, value, shape,
        EXISTS (
          SELECT 1 FROM entry AS found INDEXED BY entry_by_content
          WHERE found.encoder_id = entry.encoder_id AND found.content = entry.content
            AND found.id = entry.id)
      FROM entry NOT INDEXED LEFT JOIN encoder ON encoder.id = encoder_id ORDER BY entry.id
      """
    ) { row in
      let (content, digest): (String, String) = (try row[1], try row[2])
      let bytes: [UInt8] = try row[3]
      let (shape, isFound): (String?, Bool) = (try row[4], try row[5])
      let byteCount = (shape ?? "").split(separator: ",").reduce(2) { $0 * (Int($1) ?? 0) }
      let reason: String? =
        if !isFound { "the index has no such entry" } else if shape == nil {
          "its encoder is missing"
        } else if bytes.count != byteCount {
          "\(bytes.count) bytes, but shape \(shape ?? "") has \(byteCount)"
        } else if SHA256.hexDigest(of: bytes) != digest { "its digest does not match" } else { nil }
      guard let reason else { return }
      damaged.append(
        (
          id: try row[0],
          error: .damagedEntry(path: database.path, content: content, reason: reason)
        ))
    }
    return damaged
  }
}

extension CatalogError {
  /// Whether the error means that SQLite can no longer read the file as a database.
  fileprivate func isDamageOfFile(_ file: String) -> Bool {
    guard case .sqlite(file, let code, _, _) = self else { return false }
    return [11, 26].contains(code & 0xff)
  }

  /// Whether the error means that a cache has lost something, which can be recomputed.
  package func isDamage(ofCache file: String) -> Bool {
    if case .damagedEntry = self { return true }
    return isDamageOfFile(file)
  }
}
