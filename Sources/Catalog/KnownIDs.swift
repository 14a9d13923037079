import Files

/// The ids of the prompts and images in the catalog, by text and identity.
///
/// An index in the file would change a page for every row, see ``Schema/catalog``. A million
/// prompts and images take about 100 MB here.
struct KnownIDs {
  struct Image {
    var id: Int
    /// The key of the digest of its bytes, if it came with them.
    var content: Key?
  }

  var prompts: [Key: Int] = [:]
  var images: [Key: Image] = [:]

  init(_ database: Database) throws {
    try database.forEachRow("SELECT id, text FROM prompt") { row in
      prompts[Key(of: try row[1])] = try row[0] as Int
    }
    try database.forEachRow("SELECT id, uid, sha256 FROM image") { row in
      let digest: String? = try row[2]
      images[Key(of: try row[1])] = Image(
        id: try row[0], content: digest.map(Key.init(of:)))
    }
  }

  /// The first half of a text's SHA-256, enough to avoid collisions.
  struct Key: Hashable {
    private let high: UInt64
    private let low: UInt64

    init(digest: some Collection<UInt8>) {
      high = digest.prefix(8).reduce(0) { $0 << 8 | UInt64($1) }
      low = digest.dropFirst(8).prefix(8).reduce(0) { $0 << 8 | UInt64($1) }
    }

    init(of text: String) { self.init(digest: SHA256.digest(of: Array(text.utf8))) }
  }
}
