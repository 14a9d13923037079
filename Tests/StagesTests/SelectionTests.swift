import Catalog
import Files
import Foundation
import PipelineCore
import TestSupport
import Testing

/// Settings `limit`, `keep`, `drop`, `image_root`, and what they leave out.
@Suite struct SelectionTests {
  private static let csv = fixturePath("data/pairs-pandas.csv")
  private static let rankings = fixturePath("data/imagereward.json")

  private func ingest(
    _ source: String, _ settings: [String: JSON], in folder: String
  ) throws -> (catalog: CatalogDatabase, said: [String]) {
    var pipeline = try DataPipeline(in: folder, sources: [])
    pipeline.workspace = "workspace-\(UUID().uuidString)"
    pipeline.ingest = settings
    pipeline.ingest["source"] = .string(source)
    let events = try pipeline.run(through: "ingest")
    let said = events.compactMap { event -> String? in
      if case .said("ingest", let text) = event { text } else { nil }
    }
    return (try pipeline.catalog(), said)
  }

  private func rows(_ catalog: CatalogDatabase) throws -> [String] {
    try catalog.database.rows("SELECT row || '.' || part FROM pair ORDER BY row, part") {
      try $0[0]
    }
  }

  @Test("limit takes the first rows and says how many it left")
  func limitRows() throws {
    try withTemporaryFolder { folder in
      let (catalog, said) = try ingest(Self.csv, ["limit": 3], in: folder)
      #expect(try rows(catalog) == ["0.0", "1.0", "2.0"])
      #expect(said.contains { $0.contains("ingest.limit excludes 5 rows") })
      #expect(try catalog.countsBySource().allSatisfy(\.isBalanced))
    }
  }

  @Test("a list that leaves nothing out is said")
  func emptyDrop() throws {
    try withTemporaryFolder { folder in
      try AtomicFile.replace("\(folder)/list.txt", with: Array("no-such-image\n".utf8))
      let (catalog, said) = try ingest(
        Self.csv, ["drop": .string("\(folder)/list.txt")], in: folder)
      #expect(try catalog.counts().pairs == 8)
      #expect(said.contains { $0.hasPrefix("warning: ingest.drop drops nothing") }, "\(said)")
    }
  }

  @Test("limit takes a sample of prompts with all their rows, the same for a seed")
  func limitPrompts() throws {
    try withTemporaryFolder { folder in
      func sample(_ seed: Int) throws -> [String] {
        let settings: [String: JSON] = [
          "limit": 2, "limit_by": "prompts", "seed": .integer(seed),
        ]
        let (catalog, said) = try ingest(Self.csv, settings, in: folder)
        #expect(said.contains { $0.contains("selects 2 of 4 prompts, chosen by seed \(seed)") })
        #expect(try catalog.counts().pairs == 4)
        #expect(try catalog.rejectionCountsByCode(stage: "ingest") == ["filtered-limit": 4])
        return try catalog.prompts().map(\.text).sorted()
      }
      let twice = try [sample(1), sample(1)]
      #expect(twice[0] == twice[1])
      let samples = Set(try (0..<8).map(sample))
      #expect(samples.count > 1)
    }
  }

  @Test("keep and drop take rows, pairs of rankings and images")
  func lists() throws {
    try withTemporaryFolder { folder in
      func list(_ lines: String...) throws -> JSON {
        let path = "\(folder)/\(UUID().uuidString).txt"
        try AtomicFile.replace(path, with: Array(lines.joined(separator: "\n").utf8))
        return .string(path)
      }
      var kept = try ingest(
        Self.csv, ["keep": list("# some", "", "pairs-pandas.csv:1", "5")], in: folder)
      #expect(try rows(kept.catalog) == ["1.0", "5.0"])
      kept = try ingest(Self.rankings, ["drop": list("imagereward.json:0.1", "3")], in: folder)
      #expect(try rows(kept.catalog) == ["0.0", "0.2", "1.0", "1.1", "1.2", "2.0", "2.1", "2.2"])
      #expect(
        try kept.catalog.rejectionCountsByCode(stage: "ingest") == ["filtered-dropped": 2])

      let digest = SHA256.hexDigest(
        of: try RegularFile(path: fixturePath("data/images/0-0.png")).readAll())
      kept = try ingest(Self.csv, ["drop": list(digest)], in: folder)
      #expect(try rows(kept.catalog).first == "1.0")
      #expect(try kept.catalog.counts().pairs == 7)
      kept = try ingest(
        fixturePath("data/pickapic-datasets.parquet"), ["keep": list("0-0", "0-1")], in: folder)
      #expect(try rows(kept.catalog) == ["0.0"])

      for (lines, word) in [
        ("nowhere.csv:1", "no source has this name"), ("0-0\n1", "use lists of one kind"),
      ] {
        let message = failure {
          _ = try ingest(Self.csv, ["keep": try list(lines)], in: folder)
        }
        #expect(message?.contains(word) == true, "\(message ?? "")")
      }
    }
  }

  @Test("a changed list makes the stage stale")
  func staleList() throws {
    try withTemporaryFolder { folder in
      let path = "\(folder)/drop.txt"
      try AtomicFile.replace(path, with: Array("1".utf8))
      var pipeline = try DataPipeline(in: folder, sources: [])
      pipeline.ingest = ["source": .string(Self.csv), "drop": .string(path)]
      try pipeline.run(through: "ingest")
      #expect(try pipeline.run(through: "ingest").contains(.upToDate(stage: "ingest")))
      try AtomicFile.replace(path, with: Array("1\n2".utf8))
      try pipeline.run(through: "ingest")
      #expect(try pipeline.catalog().counts().pairs == 6)
    }
  }

  @Test(
    "a path that leads out of its folder costs its row, whatever lies there",
    arguments: [
      "../secret.png", "images/../../secret.png", "/etc/hostname", "https://example.org/a.png",
      "file:///etc/hostname",
    ])
  func unsafePaths(name: String) throws {
    try withTemporaryFolder { folder in
      try FileManager.default.createDirectory(
        atPath: "\(folder)/data/images", withIntermediateDirectories: true)
      for file in ["secret.png", "data/images/a.png"] {
        try AtomicFile.replace("\(folder)/\(file)", with: try samplePNG(1))
      }
      let rows = [
        ["prompt": "a", "chosen": "images/a.png", "rejected": JSON.string(name)],
        ["prompt": "a", "chosen": ["path": .string(name)], "rejected": "images/a.png"],
        ["prompt": "b", "chosen": "images/a.png", "rejected": "images/a.png"],
      ].map { row -> JSON in
        var object = JSON.Object()
        for (key, value) in row.sorted(by: { $0.key < $1.key }) { object[key] = value }
        return .object(object)
      }
      let path = "\(folder)/data/train.json"
      try AtomicFile.replace(path, with: Array(JSON.array(rows).text().utf8))
      let (catalog, _) = try ingest(path, ["max_reject_fraction": 0.9], in: folder)
      #expect(try catalog.counts().pairs == 1)
      #expect(try catalog.rejectionCountsByCode(stage: "ingest") == ["unsafe-path": 2])
    }
  }

  @Test("a path with dots is followed as far as it stays in its folder, or leads into image_root")
  func dots() throws {
    try withTemporaryFolder { folder in
      for place in ["lists/images", "images", "other"] {
        try FileManager.default.createDirectory(
          atPath: "\(folder)/\(place)", withIntermediateDirectories: true)
        try AtomicFile.replace("\(folder)/\(place)/0.png", with: try samplePNG(1))
        try AtomicFile.replace("\(folder)/\(place)/1.png", with: try samplePNG(2))
      }
      let path = "\(folder)/lists/train.csv"
      func pairs(_ images: String, root: JSON = .null) throws -> Int {
        try AtomicFile.replace(
          path, with: Array("prompt,chosen,rejected\na,\(images)/0.png,\(images)/1.png\n".utf8))
        do {
          return try ingest(path, ["image_root": root], in: folder).catalog.counts().pairs
        } catch {
          let text = "\(error)"
          #expect(
            text.contains(root == .null ? "set ingest.image_root" : "does not lead into"), "\(text)"
          )
          return 0
        }
      }
      #expect(try pairs("images/../images") == 1)
      #expect(try pairs("./images/x/..") == 1)
      #expect(try pairs("../images") == 0)
      #expect(try pairs("images/../../images") == 0)
      let root = JSON.string("\(folder)/images")
      #expect(try pairs("../images", root: root) == 1)
      #expect(try pairs("\(folder)/other/../images", root: root) == 1)
      #expect(try pairs("../other", root: root) == 0)
      #expect(try pairs("\(folder)/images/../other", root: root) == 0)
      #expect(try pairs("../../../../../../../../../../..", root: root) == 0)
      // Into its own folder, whatever the way.
      #expect(try pairs("../lists/images") == 1)
      #expect(try pairs("\(folder)/lists/images") == 1)
      // A root by a link, and with a way back in it.
      try FileManager.default.createSymbolicLink(
        atPath: "\(folder)/link", withDestinationPath: "images")
      for root in ["\(folder)/link", "\(folder)/other/../link"] {
        #expect(try pairs("\(folder)/link", root: .string(root)) == 1, "\(root)")
        #expect(try pairs("\(folder)/images", root: .string(root)) == 1, "\(root)")
      }
      // The file system compares names bytewise, and `/` with a combining mark is still `/`.
      for name in ["\u{301}q", "e\u{301}", "\u{e9}"] {
        try Folders.make("\(folder)/\(name)")
        for file in ["0.png", "1.png"] {
          try AtomicFile.replace("\(folder)/\(name)/\(file)", with: try samplePNG(1))
        }
      }
      #expect(try pairs("../\u{301}q") == 0)
      #expect(try pairs("../e\u{301}", root: .string("\(folder)/\u{e9}")) == 0)
    }
  }

  @Test("image_root says where paths start, for later stages too")
  func imageRoot() throws {
    try withTemporaryFolder { folder in
      let moved = "\(folder)/elsewhere.csv"
      try FileManager.default.copyItem(atPath: Self.csv, toPath: moved)
      var pipeline = try DataPipeline(in: folder, sources: ["elsewhere.csv"])
      pipeline.ingest["image_root"] = .string(fixturePath("data"))
      try pipeline.run()
      #expect(try pipeline.catalog().counts().pairs == 8)
      #expect(try !pipeline.shardBytes().isEmpty)
    }
  }

  @Test("a damaged image costs the pairs of a ranking that it is in, and no others")
  func damagedRankings() throws {
    try withTemporaryFolder { folder in
      try FileManager.default.createDirectory(
        atPath: "\(folder)/images", withIntermediateDirectories: true)
      for place in 0..<4 {
        try AtomicFile.replace("\(folder)/images/\(place).png", with: try samplePNG(place))
      }
      try AtomicFile.replace("\(folder)/images/2.png", with: Array("GIF89a".utf8))
      let rankings: JSON = [
        [
          "prompt": "a", "ranks": [1, 2, 2, 3],
          "images": ["images/0.png", "images/1.png", "images/2.png", "images/3.png"],
        ],
        ["prompt": "b", "images": ["images/0.png"], "ranks": [1]],
        ["prompt": "c", "images": ["images/0.png", "images/1.png"], "ranks": [1]],
        ["prompt": "d", "images": "images/0.png", "ranks": [1]],
        ["prompt": "e", "images": ["images/0.png", "images/1.png"], "ranks": [2, 2]],
      ]
      let path = "\(folder)/train.json"
      try AtomicFile.replace(path, with: Array(rankings.text().utf8))
      let (catalog, said) = try ingest(
        path, ["max_reject_fraction": 1, "ties": "drop"], in: folder)
      #expect(try rows(catalog) == ["0.0", "0.2", "0.4"])
      #expect(
        try catalog.rejectionCountsByCode(stage: "ingest")
          == ["unreadable-image": 3, "bad-ranking": 2, "bad-value": 1, "filtered-tie": 1])
      #expect(said.contains("5 rows read, giving 10 pairs of images"))
      #expect(try catalog.countsBySource().allSatisfy(\.isBalanced))
      let columns = try catalog.database.rows(
        "SELECT DISTINCT column_name FROM reject WHERE code = 'unreadable-image'"
      ) { try $0[0] as String }
      #expect(columns == ["images[2]"])
    }
  }
}
