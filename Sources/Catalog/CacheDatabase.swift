import Files

/// `cache.sqlite`: encodings of images and texts, in half precision.
///
/// An entry is found by its content (the SHA-256 of an image's bytes or of a text) and its encoder.
/// Another encoder, size or crop has separate entries, and nothing is encoded twice.
public final class CacheDatabase {
  public static let fileName = "cache.sqlite"
  public let database: Database

  public init(path: String, access: Database.Access = .readWrite) throws {
    database = try Database(path: path, access: access)
    try database.migrate(to: .cache)
  }

  /// The identity of an encoder: everything that determines the value of a content.
  public struct Encoder: Hashable, Sendable {
    public enum Kind: String, Sendable {
      case latent
      case textEmbedding = "text_embedding"
      case pictureEmbedding = "picture_embedding"
    }

    public var kind: Kind
    /// Changes with the weights and with the code that runs them.
    public var fingerprint: String
    /// The fitting of the content, such as `512x512 shorter-edge bicubic centre-crop`.
    public var geometry: String
    /// The shape of every value.
    public var shape: [Int]

    public init(kind: Kind, fingerprint: String, geometry: String, shape: [Int]) {
      self.kind = kind
      self.fingerprint = fingerprint
      self.geometry = geometry
      self.shape = shape
    }

    /// The size of every value: two bytes per number.
    public var byteCount: Int { shape.reduce(2, *) }
    var shapeText: String { shape.map(String.init).joined(separator: ",") }
  }

  /// The amount stored for one encoder.
  public struct Usage: Equatable, Sendable {
    public var encoder: Encoder
    public var entryCount: Int
    public var byteCount: Int { entryCount * encoder.byteCount }

    package init(encoder: Encoder, entryCount: Int) {
      self.encoder = encoder
      self.entryCount = entryCount
    }
  }

  /// Returns the contents without a value from `encoder`, in the given order, each once.
  public func missing(
    _ contents: some Sequence<String>, from encoder: Encoder
  ) throws -> [String] {
    let id = try encoderID(encoder)
    var seen: Set<String> = []
    var missing: [String] = []
    for content in contents {
      if let id, try contains(content, encoder: id) { continue }
      if seen.insert(content).inserted { missing.append(content) }
    }
    return missing
  }

  /// Whether a content has a value from `encoder`.
  public func contains(_ content: String, from encoder: Encoder) throws -> Bool {
    guard let id = try encoderID(encoder) else { return false }
    return try contains(content, encoder: id)
  }

  /// Stores values, all or none.
  ///
  /// An existing value is kept.
  ///
  /// - Parameter values: little-endian half-precision numbers in row-major order, of
  ///   `encoder.byteCount` bytes each.
  public func store(
    _ values: [(content: String, bytes: [UInt8])], from encoder: Encoder
  ) throws {
    try database.transaction {
      let id = try encoderID(encoder) ?? addEncoder(encoder)
      for (content, bytes) in values {
        precondition(
          bytes.count == encoder.byteCount,
          "\(bytes.count) bytes for a value of shape \(encoder.shapeText)")
        try database.run(
          "INSERT OR IGNORE INTO entry (encoder_id, content, digest, value) VALUES (?, ?, ?, ?)",
          id, content, SHA256.hexDigest(of: bytes), bytes)
      }
    }
  }

  /// Returns the value of a content, or nil if there is none.
  ///
  /// - Throws: `CatalogError.damagedEntry` if its bytes differ from those stored.
  public func value(of content: String, from encoder: Encoder) throws -> [UInt8]? {
    guard let id = try encoderID(encoder) else { return nil }
    let entry = try database.firstRow(
      "SELECT digest, value FROM entry WHERE encoder_id = ? AND content = ?", id, content
    ) { (digest: try $0[0] as String, bytes: try $0[1] as [UInt8]) }
    guard let entry else { return nil }
    guard entry.bytes.count == encoder.byteCount else {
      throw CatalogError.damagedEntry(
        path: database.path, content: content,
        reason: "\(entry.bytes.count) bytes, but shape \(encoder.shapeText) has "
          + "\(encoder.byteCount)")
    }
    guard SHA256.hexDigest(of: entry.bytes) == entry.digest else {
      throw CatalogError.damagedEntry(
        path: database.path, content: content, reason: "its digest does not match")
    }
    return entry.bytes
  }

  /// Removes an encoder without entries.
  public func remove(_ encoder: Encoder) throws {
    guard let id = try encoderID(encoder) else { return }
    try database.run("DELETE FROM encoder WHERE id = ?", id)
  }

  /// Returns the space of removed entries to the disk.
  public func compact() throws { try database.run("VACUUM") }

  /// Returns the amount stored, by encoder.
  public func usage() throws -> [Usage] {
    try database.rows(
      """
      SELECT kind, fingerprint, geometry, shape,
        (SELECT count(*) FROM entry WHERE encoder_id = encoder.id)
      FROM encoder ORDER BY id
      """
    ) { row in
      let kind: String = try row[0]
      let shape: String = try row[3]
      guard let kind = Encoder.Kind(rawValue: kind) else {
        throw CatalogError.damagedEntry(
          path: database.path, content: kind, reason: "no such kind of encoder")
      }
      return Usage(
        encoder: Encoder(
          kind: kind, fingerprint: try row[1], geometry: try row[2],
          shape: shape.split(separator: ",").compactMap { Int($0) }),
        entryCount: try row[4])
    }
  }

  /// Returns the contents of an encoder's entries that are no longer wanted, ordered by digest.
  public func orphans(from encoder: Encoder, wanted: Set<String>) throws -> [String] {
    guard let id = try encoderID(encoder) else { return [] }
    var orphans: [String] = []
    try database.forEachRow(
      "SELECT content FROM entry WHERE encoder_id = ? ORDER BY content", id
    ) { row in
      let content: String = try row[0]
      if !wanted.contains(content) { orphans.append(content) }
    }
    return orphans
  }

  /// Deletes the entries of these contents, all or none.
  public func remove(_ contents: [String], from encoder: Encoder) throws {
    guard let id = try encoderID(encoder) else { return }
    try database.transaction {
      for content in contents {
        try database.run("DELETE FROM entry WHERE encoder_id = ? AND content = ?", id, content)
      }
    }
  }

  private func contains(_ content: String, encoder id: Int) throws -> Bool {
    try database.integer(
      "SELECT EXISTS (SELECT 1 FROM entry WHERE encoder_id = ? AND content = ?)", id, content) == 1
  }

  private func encoderID(_ encoder: Encoder) throws -> Int? {
    let found = try database.firstRow(
      "SELECT id, shape FROM encoder WHERE kind = ? AND fingerprint = ? AND geometry = ?",
      encoder.kind.rawValue, encoder.fingerprint, encoder.geometry
    ) { (id: try $0[0] as Int, shape: try $0[1] as String) }
    guard let found else { return nil }
    guard found.shape == encoder.shapeText else {
      throw CatalogError.damagedEntry(
        path: database.path, content: encoder.fingerprint,
        reason: "shape \(found.shape) is stored where \(encoder.shapeText) is expected")
    }
    return found.id
  }

  private func addEncoder(_ encoder: Encoder) throws -> Int {
    try database.run(
      "INSERT INTO encoder (kind, fingerprint, geometry, shape) VALUES (?, ?, ?, ?)",
      encoder.kind.rawValue, encoder.fingerprint, encoder.geometry, encoder.shapeText)
    return database.lastInsertedID
  }
}
