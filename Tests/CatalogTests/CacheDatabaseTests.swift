import Catalog
import Files
import TestSupport
import Testing

struct CacheDatabaseTests {
  private let encoder = CacheDatabase.Encoder(
    kind: .latent, fingerprint: "vae 1", geometry: "64x64", shape: [4, 1, 2])
  private let value = [UInt8](0..<16)

  @Test("a value is found under the encoder that made it, and under no other")
  func keys() throws {
    try withCache { cache throws in
      try cache.store([("a", value)], from: encoder)
      #expect(try cache.value(of: "a", from: encoder) == value)
      #expect(try cache.value(of: "b", from: encoder) == nil)
      for change: (inout CacheDatabase.Encoder) -> Void in [
        { $0.fingerprint = "vae 2" }, { $0.geometry = "128x128" }, { $0.kind = .textEmbedding },
      ] {
        var other = encoder
        change(&other)
        #expect(try cache.value(of: "a", from: other) == nil)
        #expect(try cache.missing(["a"], from: other) == ["a"])
      }
    }
  }

  @Test("missing contents come in the given order, each once")
  func missing() throws {
    try withCache { cache throws in
      #expect(try cache.missing(["c", "a", "c"], from: encoder) == ["c", "a"])
      try cache.store([("a", value)], from: encoder)
      #expect(try cache.missing(["c", "a", "b", "c"], from: encoder) == ["c", "b"])
      #expect(try cache.usage() == [CacheDatabase.Usage(encoder: encoder, entryCount: 1)])
      #expect(try cache.usage().first?.byteCount == 16)
    }
  }

  @Test("a stored value is kept when the content comes again")
  func storedOnce() throws {
    try withCache { cache throws in
      try cache.store([("a", value)], from: encoder)
      try cache.store([("a", value.reversed()), ("b", value)], from: encoder)
      #expect(try cache.value(of: "a", from: encoder) == value)
      #expect(try cache.value(of: "b", from: encoder) == value)
    }
  }

  @Test("a value whose bytes changed on disk, or an encoder whose shape did, is an error")
  func damage() throws {
    try withCache { cache throws in
      try cache.store([("a", value), ("b", value)], from: encoder)
      try cache.database.run("UPDATE entry SET value = zeroblob(16) WHERE content = 'a'")
      try cache.database.run("UPDATE entry SET value = zeroblob(4) WHERE content = 'b'")
      for content in ["a", "b"] {
        #expect {
          try cache.value(of: content, from: encoder)
        } throws: { error in
          guard case CatalogError.damagedEntry(_, content, _) = error else { return false }
          return true
        }
      }
      var other = encoder
      other.shape = [4, 2, 1]
      #expect(throws: CatalogError.self) { try cache.value(of: "a", from: other) }
    }
  }

  @Test("an entry whose content was changed, in the table or in its index, is found and removed")
  func damagedContent() throws {
    try withTemporaryFolder { folder in
      let path = folder + "/cache.sqlite"
      let contents = (0..<4).map { SHA256.hexDigest(of: [UInt8($0)]) }
      do {
        let cache = try CacheDatabase(path: path)
        try cache.store(contents.map { ($0, value) }, from: encoder)
        try cache.database.writeLogBack()
      }
      let bytes = try RegularFile(path: path).readAll()
      let content = Array(contents[2].utf8)
      let positions = bytes.indices.filter { bytes[$0...].starts(with: content) }
      #expect(positions.count == 2)
      for place in positions {
        var damaged = bytes
        damaged[place + 9] ^= 1
        try AtomicFile.replace(path, with: damaged)
        let found = try CacheDatabase(path: path, access: .readOnly).damagedEntries()
        #expect(found.count == 1)
        var said: [String] = []
        let mended = try CacheDatabase.mended(path: path) { said.append($0) }
        #expect(said.count == 1)
        #expect(try mended.missing(contents, from: encoder) == [contents[2]])
        #expect(try mended.damagedEntries().isEmpty)
      }
    }
  }

  @Test("orphans are the contents that nothing wants, and can be removed")
  func orphans() throws {
    try withCache { cache throws in
      try cache.store([("a", value), ("b", value), ("c", value)], from: encoder)
      let orphans = try cache.orphans(from: encoder, wanted: ["b"])
      #expect(orphans == ["a", "c"])
      try cache.remove(orphans, from: encoder)
      #expect(try cache.missing(["a", "b", "c"], from: encoder) == ["a", "c"])
    }
  }

  private func withCache(_ body: (CacheDatabase) throws -> Void) throws {
    try withTemporaryFolder { try body(try CacheDatabase(path: $0 + "/cache.sqlite")) }
  }
}
