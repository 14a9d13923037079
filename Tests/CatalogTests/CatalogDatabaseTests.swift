import Catalog
import Files
import TestSupport
import Testing

struct CatalogDatabaseTests {
  @Test("a row group is recorded once, however often it is offered")
  func recordOnce() throws {
    try withCatalog { catalog, source throws in
      let contents = group(0, [pair(0, "a fox", "x", "y"), pair(1, "a fox", "y", "z")])
      try catalog.record(contents, of: source)
      let once = try catalog.counts()
      #expect(once == counts(prompts: 1, images: 3, pairs: 2))
      try catalog.record(contents, of: source)
      #expect(try catalog.counts() == once)
      #expect(try catalog.recordedRowGroups(ofSource: source.id) == [0])
    }
  }

  @Test("rows recorded after the catalog was opened again share its prompts and images")
  func shareAfterOpening() throws {
    try withTemporaryFolder { folder throws in
      let path = folder + "/catalog.sqlite"
      for ordinal in 0..<3 {
        let catalog = try CatalogDatabase(path: path)
        try catalog.dropIndices()
        let source = try catalog.sources().first ?? addSource("b.parquet", to: catalog)
        let rejected = try catalog.record(
          group(ordinal, [pair(ordinal, "a fox", "x", "y")]), of: source)
        #expect(rejected == 0)
        try catalog.makeIndices()
      }
      let catalog = try CatalogDatabase(path: path)
      #expect(try catalog.counts() == counts(prompts: 1, images: 2, pairs: 3))
    }
  }

  @Test("the queries of later stages find their indices made")
  func indices() throws {
    try withCatalog { catalog, source throws in
      try catalog.record(group(0, [pair(0, "a fox", "x", "y")]), of: source)
      try catalog.makeIndices()
      for (condition, index) in [
        ("pair WHERE prompt_id = 1 AND split = 'train'", "pair_by_prompt"),
        ("pair WHERE image_0_id = 1", "pair_by_image_0"),
        ("pair WHERE image_1_id = 1", "pair_by_image_1"),
        ("image WHERE sha256 = ''", "image_by_digest"),
      ] {
        let plan = try catalog.database.rows("EXPLAIN QUERY PLAN SELECT * FROM \(condition)") {
          try $0[3] as String
        }
        #expect(plan.contains { $0.contains(index) })
      }
    }
  }

  @Test("an identity seen with other bytes rejects its row and keeps the count of rows")
  func conflictingImage() throws {
    try withCatalog { catalog, source throws in
      var changed = pair(1, "a fox", "y", "x")
      changed.image1.content?.sha256 = "0"
      var twice = pair(2, "a fox", "w", "w")
      twice.image1.content?.sha256 = "1"
      let rejected = try catalog.record(
        group(0, [pair(0, "a fox", "x", "y"), changed, twice]), of: source)
      #expect(rejected == 2)
      #expect(try catalog.counts() == counts(prompts: 1, images: 2, pairs: 1, rejections: 2))
      let rejections = try catalog.database.rows(
        "SELECT file, row, column_name, code FROM reject ORDER BY row"
      ) {
        "\(try $0[0] as String) \(try $0[1] as Int) \(try $0[2] as String) \(try $0[3] as String)"
      }
      #expect(
        rejections == [
          "b.parquet 1 jpg_1 conflicting-image", "b.parquet 2 jpg_1 conflicting-image",
        ])
    }
  }

  @Test("a failure in the middle of a row group leaves nothing of it")
  func allOrNothing() throws {
    try withCatalog { catalog, source throws in
      let repeated = group(0, [pair(0, "a fox", "x", "y"), pair(0, "a hen", "v", "w")])
      #expect(throws: CatalogError.self) { try catalog.record(repeated, of: source) }
      #expect(try catalog.counts() == counts())
      #expect(try catalog.recordedRowGroups(ofSource: source.id).isEmpty)
    }
  }

  @Test("an image that first came without bytes gets them from a later row")
  func bytesLater() throws {
    try withCatalog { catalog, source throws in
      var bare = pair(0, "a fox", "x", "y")
      bare.image0.content = nil
      bare.image1.content = nil
      try catalog.record(group(0, [bare]), of: source)
      #expect(try catalog.image(id: 1) == nil)
      var full = pair(5, "a fox", "x", "z")
      full.image0.content?.copy = [1, 2, 3]
      try catalog.record(group(1, [full]), of: source)
      let image = try #require(try catalog.image(id: 1))
      #expect(image.uid == "x")
      #expect(
        image.location
          == ImageLocation(sourcePath: "b.parquet", rowGroup: 1, row: 5, column: "jpg_0"))
      #expect(try catalog.copiedBytes(ofImage: 1) == [1, 2, 3])
      #expect(try catalog.copiedBytes(ofImage: 2) == nil)
    }
  }

  @Test("the order of prompts and pairs does not depend on the order of reading")
  func stableOrder() throws {
    let prompts = ["a fox", "a hen", "two owls"]
    let byDigest = prompts.sorted {
      SHA256.hexDigest(of: Array($0.utf8)) < SHA256.hexDigest(of: Array($1.utf8))
    }
    for order in [[0, 1], [1, 0]] {
      try withCatalog { catalog, source throws in
        let earlier = try addSource("a.parquet", to: catalog)
        let groups = [
          (group(0, [pair(0, prompts[0], "x", "y"), pair(1, prompts[1], "p", "q")]), source),
          (group(0, [pair(0, prompts[2], "s", "t"), pair(1, prompts[0], "y", "z")]), earlier),
        ]
        for index in order { try catalog.record(groups[index].0, of: groups[index].1) }
        #expect(try catalog.prompts(inSplit: "train").map(\.text) == byDigest)
        #expect(try catalog.prompts(inSplit: "test").isEmpty)
        var seen: [String: [String]] = [:]
        var order: [String] = []
        try catalog.forEachPromptGroup(inSplit: "train") { group in
          order.append(group.prompt.text)
          seen[group.prompt.text] = group.pairs.map { "\($0.sourcePath):\($0.row)" }
        }
        #expect(order == byDigest)
        #expect(seen["a fox"] == ["a.parquet:1", "b.parquet:0"])
        var images: [String] = []
        try catalog.forEachImage { images.append($0.uid) }
        #expect(Set(images) == ["x", "y", "z", "p", "q", "s", "t"])
      }
    }
  }

  @Test("a pair carries its labels, weight and images' digests")
  func pairContent() throws {
    try withCatalog { catalog, source throws in
      var tie = pair(7, "a fox", "x", "y")
      tie.label0 = 0.5
      tie.label1 = 0.5
      tie.weight = 0.25
      tie.provenance.rankingID = 11
      tie.image1.content = nil
      try catalog.record(group(2, [tie]), of: source)
      try catalog.forEachPromptGroup(inSplit: "train") { group in
        let pair = try #require(group.pairs.first)
        #expect(pair.label0 == 0.5 && pair.label1 == 0.5 && pair.weight == 0.25)
        #expect(pair.rankingID == 11 && pair.row == 7)
        #expect(pair.image0.sha256 == "digest of x" && pair.image1.sha256 == nil)
      }
    }
  }

  @Test("an image found unusable later takes its pairs to the rejects, each named")
  func rejectLater() throws {
    try withCatalog { catalog, source throws in
      try catalog.record(
        group(
          0, [pair(0, "a fox", "x", "y"), pair(1, "a fox", "z", "x"), pair(2, "a fox", "z", "y")]),
        of: source)
      let moved = try catalog.rejectPairs(
        usingImage: 1, stage: "encode", code: "unreadable-image", reason: "ends in mid-scan")
      #expect(moved == 2)
      #expect(try catalog.counts() == counts(prompts: 1, images: 3, pairs: 1, rejections: 2))
      let columns = try catalog.database.rows(
        "SELECT row, column_name FROM reject ORDER BY row"
      ) { "\(try $0[0] as Int) \(try $0[1] as String)" }
      #expect(columns == ["0 jpg_0", "1 jpg_1"])
      #expect(try catalog.rejectionCounts(stage: "encode").map(\.count) == [2])
      var images: [String] = []
      try catalog.forEachImage { images.append($0.uid) }
      #expect(images == ["y", "z"])
      #expect(
        try catalog.contentDigests() == [
          "digest of x", "digest of y", "digest of z", SHA256.hexDigest(of: Array("a fox".utf8)),
        ])
    }
  }

  @Test("prompts of a list have no pairs but belong to their split")
  func listedPrompts() throws {
    try withCatalog { catalog, source throws in
      var contents = RowGroupContents(ordinal: 0, rowCount: 3)
      contents.prompts = [
        RowGroupContents.ListedPrompt(row: 0, text: "a fox", split: "train"),
        RowGroupContents.ListedPrompt(row: 1, text: "a hen", split: "validation"),
      ]
      contents.rejections = [
        RowGroupContents.Rejection(row: 2, column: "caption", code: "missing", reason: "no caption")
      ]
      try catalog.record(contents, of: source)
      #expect(try catalog.prompts(inSplit: "train").map(\.text) == ["a fox"])
      #expect(try catalog.prompts().count == 2)
      #expect(
        try catalog.counts() == counts(prompts: 2, listedPrompts: 2, rejections: 1))
    }
  }

  @Test("an emptied catalog can be filled again")
  func removeAll() throws {
    try withCatalog { catalog, source throws in
      try catalog.record(group(0, [pair(0, "a fox", "x", "y")]), of: source)
      try catalog.removeAll()
      #expect(try catalog.counts() == counts())
      #expect(try catalog.sources().isEmpty)
      let again = try addSource("b.parquet", to: catalog)
      try catalog.record(group(0, [pair(0, "a fox", "x", "y")]), of: again)
      #expect(try catalog.counts().pairs == 1)
    }
  }
}

private func withCatalog(_ body: (CatalogDatabase, SourceRecord) throws -> Void) throws {
  try withTemporaryFolder { folder throws in
    let catalog = try CatalogDatabase(path: folder + "/catalog.sqlite")
    try body(catalog, try addSource("b.parquet", to: catalog))
  }
}

private func addSource(_ path: String, to catalog: CatalogDatabase) throws -> SourceRecord {
  let id = try catalog.addSource(
    path: path, identity: "1", rowCount: 10, rowGroupCount: 3, image0Column: "jpg_0",
    image1Column: "jpg_1")
  return try #require(try catalog.sources().first { $0.id == id })
}

private func group(_ ordinal: Int, _ pairs: [RowGroupContents.Pair]) -> RowGroupContents {
  var contents = RowGroupContents(ordinal: ordinal, rowCount: pairs.count)
  contents.pairs = pairs
  return contents
}

private func pair(
  _ row: Int, _ prompt: String, _ first: String, _ second: String
) -> RowGroupContents.Pair {
  func image(_ uid: String, _ column: String) -> RowGroupContents.Image {
    RowGroupContents.Image(
      uid: uid,
      content: RowGroupContents.Image.Content(
        sha256: "digest of \(uid)", byteCount: 100, width: 64, height: 64, column: column))
  }
  return RowGroupContents.Pair(
    row: row, prompt: prompt, image0: image(first, "jpg_0"), image1: image(second, "jpg_1"),
    label0: 1, label1: 0, weight: 1, split: "train")
}

private func counts(
  prompts: Int = 0, images: Int = 0, pairs: Int = 0, listedPrompts: Int = 0, rejections: Int = 0
) -> CatalogCounts {
  CatalogCounts(
    prompts: prompts, images: images, pairs: pairs, listedPrompts: listedPrompts,
    rejections: rejections)
}
