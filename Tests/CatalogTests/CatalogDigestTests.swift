import Catalog
import Files
import TestSupport
import Testing

struct CatalogDigestTests {
  @Test("the order in which files are read does not change the digest, their content does")
  func order() throws {
    func digest(_ paths: [String], label: Double = 1) throws -> String {
      try withFilledCatalog(paths, label: label) { try $0.contentDigest() }
    }
    let digest1 = try digest(["a.parquet", "b.parquet"])
    #expect(try digest(["b.parquet", "a.parquet"]) == digest1)
    // Where the files lie is not content.
    #expect(try digest(["x/a.parquet", "x/b.parquet"]) == digest1)
    #expect(try digest(["a.parquet"]) != digest1)
    #expect(try digest(["a.parquet", "b.parquet"], label: 0) != digest1)
  }

  @Test("rejections of later stages leave the digests as ingest recorded them")
  func laterRejections() throws {
    try withFilledCatalog(["a.parquet", "b.parquet"]) { catalog in
      let digest = try catalog.contentDigest()
      let moved = try catalog.rejectPairs(
        usingImage: 1, stage: "encode", code: "unreadable-image", reason: "ends in mid-scan")
      #expect(moved > 0)
      #expect(try catalog.contentDigest() == digest)
      try catalog.checkDigests()
      #expect(try catalog.countsBySource().allSatisfy(\.isBalanced))
      try catalog.restorePairs(rejectedBy: "encode")
      #expect(try catalog.contentDigest() == digest)
      try catalog.checkDigests()
    }
  }

  @Test(
    "a changed value is found, with its table",
    arguments: [
      ("prompt", "text = 'a hen' WHERE id = 1"), ("image", "sha256 = 'x' WHERE id = 2"),
      ("image", "row = row + 1 WHERE id = 1"), ("pair", "label_0 = 0.5 WHERE id = 1"),
      ("pair", "weight = 0.125 WHERE id = 2"), ("pair", "split = 'trail' WHERE id = 1"),
      ("pair", "image_0_id = 2 WHERE id = 1"), ("source", "path = 'c' WHERE id = 1"),
      ("reject", "reason = '' WHERE id = 1"), ("listed_prompt", "split = 'test'"),
      ("row_group", "row_count = 5"), ("pair", "part = 1 WHERE id = 1"),
      ("source", "image_root = 'other' WHERE id = 1"),
    ])
  func damage(table: String, change: String) throws {
    try withFilledCatalog(["a.parquet"]) { catalog in
      try catalog.checkDigests()
      try catalog.database.run("UPDATE \(table) SET \(change)")
      let error = #expect(throws: CatalogError.self) { try catalog.checkDigests() }
      guard case .damagedTable(_, table, _) = error else {
        Issue.record("\(error.map { "\($0)" } ?? "")")
        return
      }
      #expect(error?.kind == .input)
    }
  }

  @Test("a prompt whose text changed is named when it is read")
  func damagedPrompt() throws {
    try withFilledCatalog(["a.parquet"]) { catalog in
      try catalog.database.run("UPDATE prompt SET text = 'a fix' WHERE id = 1")
      for read in [
        { _ = try catalog.prompts() }, { _ = try catalog.prompt(id: 1) },
        { try catalog.forEachPromptGroup(inSplit: "train") { _ in } },
      ] {
        let error = #expect(throws: CatalogError.self) { try read() }
        #expect("\(error.map { "\($0)" } ?? "")".contains("table prompt, row 1"))
      }
    }
  }

  @Test("a bit that flips anywhere in the file changes nothing that is read, or is an error")
  func flippedBits() throws {
    try withTemporaryFolder { folder in
      let path = "\(folder)/catalog.sqlite"
      try fill(path, ["a.parquet", "b.parquet"])
      let bytes = try RegularFile(path: path).readAll()
      func content() throws -> [String] {
        let catalog = try CatalogDatabase(path: path, access: .readOnly)
        try catalog.checkDigests()
        var lines = try catalog.prompts().map(\.text)
        for split in try catalog.splits() {
          try catalog.forEachPromptGroup(inSplit: split) { lines.append("\($0)") }
        }
        return lines
      }
      let whole = try content()
      var found = 0
      for place in stride(from: 0, to: bytes.count, by: 61) where bytes[place] != 0 {
        var damaged = bytes
        damaged[place] ^= 1 << UInt8(place % 8)
        try AtomicFile.replace(path, with: damaged)
        if let read = try? content() {
          #expect(read == whole, "byte \(place)")
        } else {
          found += 1
        }
      }
      #expect(found > 50)
    }
  }
}

private func withFilledCatalog<Result>(
  _ paths: [String], label: Double = 1, _ body: (CatalogDatabase) throws -> Result
) throws -> Result {
  try withTemporaryFolder { folder throws in
    let path = "\(folder)/catalog.sqlite"
    try fill(path, paths, label: label)
    return try body(try CatalogDatabase(path: path))
  }
}

/// A catalog of the files, each with four rows: two pairs, a listed prompt and a reject.
private func fill(_ path: String, _ files: [String], label: Double = 1) throws {
  let catalog = try CatalogDatabase(path: path)
  try catalog.dropIndices()
  for file in files {
    let id = try catalog.addSource(
      path: file, identity: "1", rowCount: 4, rowGroupCount: 1, image0Column: "jpg_0",
      image1Column: "jpg_1")
    let source = try #require(try catalog.sources().first { $0.id == id })
    let name = file.suffix(9)
    var contents = RowGroupContents(ordinal: 0, rowCount: 4)
    contents.pairs = [
      pair(0, "a fox", "shared", "\(name) 1", label),
      pair(1, "\(name) fox", "\(name) 2", "shared", 0),
    ]
    contents.prompts = [.init(row: 2, text: "a fox", split: "train")]
    contents.rejections = [.init(row: 3, column: "caption", code: "missing", reason: "no caption")]
    try catalog.record(contents, of: source)
  }
  try catalog.makeIndices()
  try catalog.recordDigests()
}

private func pair(
  _ row: Int, _ prompt: String, _ first: String, _ second: String, _ label: Double
) -> RowGroupContents.Pair {
  func image(_ uid: String, _ column: String) -> RowGroupContents.Image {
    .init(
      uid: uid,
      content: .init(
        sha256: "digest of \(uid)", byteCount: 100, width: 64, height: 48, column: column))
  }
  return RowGroupContents.Pair(
    row: row, prompt: prompt, image0: image(first, "jpg_0"), image1: image(second, "jpg_1"),
    label0: label, label1: 1 - label, weight: 0.25, split: "train")
}
