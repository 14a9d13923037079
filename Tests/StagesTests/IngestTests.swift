import Catalog
import Files
import Foundation
import Parquet
import PipelineCore
import Shards
import TestSupport
import Testing

@Suite struct IngestTests {
  @Test("the published schema gives pairs, images by identity, prompts and splits")
  func publishedSchema() throws {
    try DataPipeline.with([DataPipeline.train, DataPipeline.validation]) { pipeline in
      try pipeline.run(through: "ingest")
      let catalog = try pipeline.catalog()
      let counts = try catalog.counts()
      #expect(counts.pairs == 24 + 8)
      #expect(counts.prompts == 4)
      // Outside train, rows without a label are left out, as published.
      #expect(try catalog.rejectionCountsByCode(stage: "ingest") == ["filtered-unlabelled": 1])
      #expect(try catalog.pairCounts().map(\.split) == ["train", "validation"])
      #expect(try catalog.pairCounts().map(\.count) == [24, 8])
      let first = try catalog.database.firstRow(
        """
        SELECT text || ' | ' || uid || ' | ' || width || ' x ' || height || ' | ' || weight
          || ' | ' || ranking_id || ' | ' || user_id || ' | ' || model_0 || ' | ' || model_1
          || ' | ' || best_image_uid || ' | ' || label_0 || ' | ' || label_1
        FROM pair JOIN prompt ON prompt.id = prompt_id JOIN image ON image.id = image_0_id
        WHERE split = 'train' AND pair.row = 0
        """
      ) { try $0[0] as String }
      #expect(
        first == "a red circle | image-0-0-a | 24 x 20 | 0.25 | 0 | 0 | model-a | model-b | "
          + "image-0-0-a | 1.0 | 0.0")
      try expectTrueDigests(catalog)
    }
  }

  /// The digests in the catalog are those of the bytes that the source holds.
  private func expectTrueDigests(_ catalog: CatalogDatabase) throws {
    try catalog.forEachImage { image in
      let file = try ParquetFile(path: image.location.sourcePath)
      let cursor = try ColumnCursor(file, column: file.requiredColumn(named: image.location.column))
      let before = file.rowGroups[..<image.location.rowGroup].reduce(0) { $0 + $1.rowCount }
      try cursor.move(toRowGroup: image.location.rowGroup, row: image.location.row - before)
      let bytes = [UInt8](try #require(cursor.bytes))
      #expect(SHA256.hexDigest(of: bytes) == image.sha256)
      #expect(bytes.count == image.byteCount)
    }
  }

  @Test("a second run finds nothing to do and adds nothing")
  func runsOnce() throws {
    try DataPipeline.with([DataPipeline.train]) { pipeline in
      try pipeline.run(through: "ingest")
      let counts = try pipeline.catalog().counts()
      let events = try pipeline.run(through: "ingest")
      #expect(events.contains(.upToDate(stage: "ingest")))
      #expect(try pipeline.catalog().counts() == counts)
    }
  }

  @Test("a run that was stopped in the middle continues with the next row group")
  func resumes() throws {
    try DataPipeline.with([DataPipeline.train]) { pipeline in
      var whole = pipeline
      whole.workspace = "whole"
      try whole.run(through: "ingest")

      let building = "\(pipeline.workspacePath)/catalog.sqlite.building"
      let obstacle = Obstacle(path: building, table: "pair")
      var stopped = pipeline
      var isAdded = false
      stopped.observe = { event in
        if case .advanced = event, !isAdded {
          isAdded = true
          try? obstacle.add(when: "NEW.row = 15")
        }
      }
      #expect(throws: CatalogError.self) { try stopped.run(through: "ingest") }
      #expect(try CatalogDatabase(path: building, access: .readOnly).counts().pairs == 10)
      try obstacle.remove()
      let events = try pipeline.run(through: "ingest")
      #expect(
        events.contains { if case .started(_, _, let resumed) = $0 { resumed } else { false } })
      #expect(try content(of: pipeline) == content(of: whole))
    }
  }

  /// All rows of the tables that later stages read.
  private func content(of pipeline: DataPipeline) throws -> [String] {
    let catalog = try pipeline.catalog()
    return try catalog.database.rows(
      """
      SELECT 'pair', id || ' ' || prompt_id || ' ' || image_0_id || ' ' || image_1_id || ' ' || row
      FROM pair
      UNION ALL SELECT 'image', id || ' ' || uid || ' ' || sha256 || ' ' || row FROM image
      UNION ALL SELECT 'prompt', id || ' ' || sha256 FROM prompt ORDER BY 1, 2
      """
    ) { "\(try $0[0] as String) \(try $0[1] as String)" }
  }

  @Test("image structs, JSONL and CSV give the same images and pairs as the binary columns")
  func otherForms() throws {
    let query = """
      SELECT pair.row || ' ' || first.uid || ' ' || first.sha256 || ' ' || second.sha256 || ' '
        || text || ' ' || label_0 || ' ' || weight
      FROM pair JOIN image AS first ON first.id = image_0_id
      JOIN image AS second ON second.id = image_1_id JOIN prompt ON prompt.id = prompt_id
      WHERE pair.row < 8 ORDER BY pair.row
      """
    let expected = try DataPipeline.with([DataPipeline.train]) { pipeline in
      try pipeline.run(through: "ingest")
      return try pipeline.catalog().database.rows(query) { try $0[0] as String }
    }
    #expect(expected.count == 8)
    for name in ["structs.parquet", "records.jsonl", "records.csv"] {
      try DataPipeline.with([name, "pictures"]) { pipeline in
        try pipeline.run(through: "ingest")
        #expect(
          try pipeline.catalog().database.rows(query) { try $0[0] as String } == expected, "\(name)"
        )
      }
    }
  }

  @Test("lists of prompts give prompts without pairs")
  func promptLists() throws {
    try DataPipeline.with(["prompts.json", "prompts.jsonl"]) { pipeline in
      try pipeline.run(through: "ingest")
      let counts = try pipeline.catalog().counts()
      #expect(counts.pairs == 0)
      #expect(counts.prompts == 5)
      #expect(counts.listedPrompts == 9)
    }
  }

  @Test("a source without images gives pairs of identities")
  func noImages() throws {
    try DataPipeline.with(["no-images.parquet"]) { pipeline in
      try pipeline.run(through: "ingest")
      let catalog = try pipeline.catalog()
      #expect(try catalog.counts().pairs == 24)
      #expect(
        try catalog.database.integer("SELECT count(*) FROM image WHERE sha256 IS NULL")
          == catalog.counts().images)
      #expect(throws: (any Error).self) { try pipeline.run() }
    }
  }

  @Test("a missing column is an error that lists those that are there; a mapping mends it")
  func columns() throws {
    try withTemporaryFolder { folder in
      try writeRows(to: "\(folder)/renamed.parquet", captionColumn: "words")
      var pipeline = try DataPipeline(in: folder, sources: ["renamed.parquet"])
      let message = try #require(failure { try pipeline.run(through: "ingest") })
      #expect(message.contains("no column caption"))
      #expect(message.contains("words, image_0_uid"))
      pipeline.ingest["columns"] = ["caption": "words"]
      try pipeline.run(through: "ingest")
      #expect(try pipeline.catalog().counts().pairs == 3)
      pipeline.ingest["columns"] = ["captoin": "prompt"]
      #expect(failure { try pipeline.run(through: "ingest") }?.contains("\"caption\"?") == true)
    }
  }

  @Test("every damaged row is a reject with file, row, column and reason; the others are pairs")
  func rejections() throws {
    try withTemporaryFolder { folder in
      let good = try samplePNG(0)
      var rows = (0..<8).map { Row(first: ("a\($0)", good), second: ("b\($0)", good)) }
      rows[1].first.bytes = Array(good.prefix(good.count / 2))
      rows[2].second.bytes = nil
      rows[3].labels = (1, 1)
      rows[4].caption = nil
      rows[5].first.uid = "a0"
      rows[5].first.bytes = try samplePNG(1)
      rows[6].second.bytes = Array("GIF89a".utf8)
      try write(rows, to: "\(folder)/train.parquet")
      var pipeline = try DataPipeline(in: folder, sources: ["train.parquet"])
      pipeline.ingest["max_reject_fraction"] = 0.75
      try pipeline.run(through: "ingest")
      let catalog = try pipeline.catalog()
      #expect(try catalog.counts().pairs == 2)
      let found = try catalog.database.rows(
        "SELECT row, column_name, code, file, reason FROM reject ORDER BY row"
      ) { row in
        let (file, reason): (String, String) = (try row[3], try row[4])
        #expect(file == "\(folder)/train.parquet")
        #expect(!reason.isEmpty)
        return "\(try row[0] as Int) \(try row[1] as String) \(try row[2] as String)"
      }
      #expect(
        found == [
          "1 jpg_0 unreadable-image", "2 jpg_1 missing-value", "3 label_0 bad-label",
          "4 caption missing-value", "5 jpg_0 conflicting-image", "6 jpg_1 unreadable-image",
        ])
    }
  }

  @Test("train rows without a label keep what they hold, or (0, 0) where that is no label")
  func unlabelled() throws {
    try withTemporaryFolder { folder in
      let labels = [(1.0, 0.0), (0.0, 1.0), (0.5, 0.5), (0.0, 0.0), (7.0, -6.0), (.nan, 1.0)]
      let rows = try labels.indices.map { index in
        var row = Row(
          first: ("a\(index)", try samplePNG(index)), second: ("b\(index)", try samplePNG(index)))
        row.labels = labels[index]
        row.hasLabel = false
        return row
      }
      try write(rows, to: "\(folder)/train.parquet")
      let pipeline = try DataPipeline(in: folder, sources: ["train.parquet"])
      try pipeline.run(through: "ingest")
      let found = try pipeline.catalog().database.rows(
        "SELECT label_0 || ' ' || label_1 FROM pair ORDER BY row"
      ) { try $0[0] as String }
      #expect(found == ["1.0 0.0", "0.0 1.0", "0.5 0.5", "0.0 0.0", "0.0 0.0", "0.0 0.0"])
    }
  }

  @Test("filters leave out what they say, and count it")
  func filters() throws {
    try DataPipeline.with([DataPipeline.train]) { pipeline in
      func codes(_ settings: [String: JSON]) throws -> [String: Int] {
        var filtered = pipeline
        filtered.ingest.merge(settings) { $1 }
        try filtered.run(through: "ingest")
        let catalog = try filtered.catalog()
        let counts = try catalog.rejectionCountsByCode(stage: "ingest")
        #expect(try catalog.counts().pairs + counts.values.reduce(0, +) == 24)
        return counts
      }
      #expect(try codes([:]) == [:])
      #expect(try codes(["ties": "drop"]) == ["filtered-tie": 6])
      #expect(try codes(["only_with_label": "always"]) == ["filtered-unlabelled": 2])
      #expect(try codes(["max_per_prompt": 3]) == ["filtered-many-per-prompt": 12])
      #expect(try codes(["only_different": true]) == [:])
      // The ties, and nothing else: every loser has a final winner.
      let notBest = try codes(["only_on_best": true])
      #expect(notBest == ["filtered-not-best": 6])
    }
  }

  /// A row of a ranking in which `winner` beats `loser`.
  private func comparison(
    _ winner: String, over loser: String, onTheRight: Bool = false, _ ranking: Int
  ) throws -> Row {
    func image(_ name: String) throws -> (uid: String, bytes: [UInt8]?) {
      (name, try samplePNG(Int(name.utf8.reduce(0) { $0 &* 31 &+ UInt16($1) } % 200)))
    }
    var row = Row(
      first: try image(onTheRight ? loser : winner),
      second: try image(onTheRight ? winner : loser))
    row.labels = onTheRight ? (0, 1) : (1, 0)
    row.ranking = ranking
    return row
  }

  @Test(
    "only_on_best follows each loser to the final winner of its ranking, which takes the winner's place"
  )
  func finalWinners() throws {
    try withTemporaryFolder { folder in
      var tie = try comparison("t", over: "u", 1)
      tie.labels = (0.5, 0.5)
      let train = [
        // a < b < c < d, and another ranking of the same prompt in which b wins.
        try comparison("b", over: "a", 1), try comparison("c", over: "b", onTheRight: true, 1),
        try comparison("d", over: "c", 1), try comparison("d", over: "e", onTheRight: true, 1), tie,
        try comparison("b", over: "f", 2),
        // A circle, an image that lost to one of it, and one that won over one of it.
        try comparison("x", over: "y", 3), try comparison("y", over: "z", 3),
        try comparison("z", over: "x", onTheRight: true, 3), try comparison("y", over: "w", 3),
      ]
      try write(train, to: "\(folder)/train-00000-of-00001-0f1e2d3c.parquet")
      try write(
        [try comparison("h", over: "g", 9), try comparison("i", over: "h", 9)],
        to: "\(folder)/validation_unique-00000-of-00001-8796a5b4.parquet")
      var pipeline = try DataPipeline(in: folder, sources: ["*.parquet"])
      pipeline.ingest["only_on_best"] = true
      func pairs(_ split: String) throws -> [String] {
        var found: [String] = []
        try pipeline.catalog().forEachPromptGroup(inSplit: split) { group in
          found += group.pairs.map {
            "\($0.row): \($0.image0.uid) \($0.label0 > $0.label1 ? ">" : "<") \($0.image1.uid)"
          }
        }
        return found
      }
      try pipeline.run(through: "ingest")
      #expect(
        try pairs("train") == ["0: d > a", "1: b < d", "2: d > c", "3: e < d", "5: b > f"])
      #expect(try pairs("validation_unique") == ["0: h > g", "1: i > h"])
      #expect(
        try pipeline.catalog().rejectionCountsByCode(stage: "ingest") == ["filtered-not-best": 5])
    }
  }

  @Test("CSV fields may hold commas, quotes and line ends; a broken record costs its row")
  func csv() throws {
    try withTemporaryFolder { folder in
      let text = """
        caption,image_0_uid,image_1_uid,label_0,label_1\r
        "one, ""two""\nthree",a,b,1,0\r

        too,few\r
        "x"y,a,b,1,0\r
        plain,a,b,0.5,0.5
        """
      try AtomicFile.replace("\(folder)/rows.csv", with: Array(text.utf8))
      var pipeline = try DataPipeline(in: folder, sources: ["rows.csv"])
      pipeline.ingest["max_reject_fraction"] = 0.5
      try pipeline.run(through: "ingest")
      let catalog = try pipeline.catalog()
      #expect(
        try catalog.prompts().map(\.text).sorted() == ["one, \"two\"\nthree", "plain"])
      #expect(try catalog.rejectionCountsByCode(stage: "ingest") == ["unreadable-record": 2])
    }
  }

  @Test("copied images outlive their source")
  func copies() throws {
    try DataPipeline.with([DataPipeline.train]) { pipeline in
      var pipeline = pipeline
      pipeline.ingest["copy_images"] = true
      try pipeline.run(through: "ingest")
      try Folders.remove("\(pipeline.folder)/\(DataPipeline.train)")
      let events = try pipeline.run()
      #expect(events.contains(.upToDate(stage: "ingest")))
      #expect(try pipeline.shards("train").pairCount > 0)
    }
  }

  @Test("a source that is not there, or is a folder, is named with what is missing")
  func missingSource() throws {
    try withTemporaryFolder { folder in
      for (source, part) in [
        ("absent/*.parquet", "there is no folder \(folder)/absent"),
        ("*.parquet", "no file matches"), ("", "contains no files that end in .parquet"),
        ("a[1].parquet", "for a file name with brackets write \"\(folder)/a[[]1].parquet\""),
      ] {
        let pipeline = try DataPipeline(in: folder, sources: [source])
        let message = failure { try pipeline.run(through: "ingest") }
        #expect(message?.contains("ingest.source") == true)
        #expect(message?.contains(part) == true)
      }
    }
  }

  @Test("a damaged parquet file ends the run with its name")
  func damagedFile() throws {
    try DataPipeline.with([DataPipeline.train]) { pipeline in
      let path = "\(pipeline.folder)/\(DataPipeline.train)"
      let bytes = try RegularFile(path: path).readAll()
      try AtomicFile.replace(path, with: Array(bytes.prefix(bytes.count / 2)))
      let message = failure { try pipeline.run(through: "ingest") }
      #expect(message?.contains(DataPipeline.train) == true)
    }
  }
}
